/* SPDX-License-Identifier: Apache-2.0 */
/* The hub of one deployment with its socket, as long as somebody runs it: `muster serve`, or
 * `watch` without one. What it hands out (plans, the application's archive, the package) was stored
 * by the last `up`, so that it does the same after it was killed. */
#ifndef MUSTER_CONTROLLER_SERVE_SERVICE_H
#define MUSTER_CONTROLLER_SERVE_SERVICE_H

#include "controller/nodes/hub.h"

struct service;

struct service_config {
    const char *state;  /* state directory */
    const char *digest; /* SHA-256 of the deployment file as it was read */
    const struct spec *spec;
    struct store *store;
    const struct curve_pair *keys;
    const struct sign_pair *sign;
    bool only_looks;   /* gives no plans and repairs nothing */
    const char *file;  /* the deployment file, for `survivor: fence`; NULL: it does not act */
    const char *hooks; /* directory of programs that are told what happens; NULL: none are */
};

/* The caller holds the hub's lock. */
int service_open(const struct service_config *config, struct service **ret, struct err *err);
void service_close(struct service *s);
/* Waits at most so long, then does what there is to do. -1: something of it failed (the store was
 * locked), and nothing of that is lost: call it again. */
int service_run(struct service *s, int timeout_ms, struct err *err);
/* The file has changed, and an `up` works with the new one: begin again with that. Or this one only
 * looks, and an `up` needs one that hands out plans: end. */
bool service_is_outdated(const struct service *s);
/* The state directory is not there any more. */
bool service_is_gone(const struct service *s);
/* How many nodes have spoken to it lately. */
size_t service_connected(const struct service *s);

/* What `up` leaves for the hub: the node's plan (without the values of secrets) … */
int service_store_plan(struct store *st, const char *node, const json_t *plan, struct err *err);
/* … and what agents fetch: array of {sha256, path}. */
int service_store_files(struct store *st, const json_t *files, struct err *err);

#endif
