/* SPDX-License-Identifier: Apache-2.0 */
/* A plan (docs/protocol.md, section 3): everything that one node is to be, in order. Pure. */
#ifndef MUSTER_AGENT_WORKER_PLAN_H
#define MUSTER_AGENT_WORKER_PLAN_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/steps/step.h"
#include "common/err.h"
#include "common/event.h"

#define PLAN_VERSION 1
#define PLAN_STEPS_MAX EVENT_STEPS_MAX

struct step {
    const struct step_ops *ops;
    char id[EVENT_ID_MAX];
    void *self; /* made by ops->parse */
    bool ahead; /* needs none of the steps before it: may begin beside them */
};

struct plan {
    json_t *root; /* owns every text below */
    const char *deployment;
    const char *node;
    char rev[EVENT_REV_MAX];
    const json_t *secrets; /* object of texts, may be NULL */
    struct step *steps;
    size_t n_steps;
    uint64_t inode; /* of the file it was loaded from, 0 when that is not the agent's plan */
};

/* Takes a reference of its own on `root`. The caller frees *ret with plan_free. */
int plan_from_json(json_t *root, struct plan **ret, struct err *err);
int plan_parse(const char *text, size_t len, struct plan **ret, struct err *err);
int plan_load(const char *path, struct plan **ret, struct err *err);
void plan_free(struct plan *p);
void plan_cleanup(struct plan **p);

/* The spec of the first step of that type, or NULL; borrowed. */
const json_t *plan_find(const struct plan *p, const char *type);

/* A run of it in which nothing is done yet; borrows from `p`. */
struct run plan_run(const struct plan *p);

#endif
