/* SPDX-License-Identifier: Apache-2.0 */
/* The controller's end of the agents' connections: enrolment and main socket behind the ZAP
 * handler, and the HTTP port from which VMs fetch the agent's package and the application. What
 * agents say goes to the store; what they are to do comes from the owner's hooks. */
#ifndef MUSTER_CONTROLLER_NODES_HUB_H
#define MUSTER_CONTROLLER_NODES_HUB_H

#include <jansson.h>
#include <stdbool.h>

#include "common/keys.h"
#include "common/nettest.h"
#include "controller/cloud/http.h"
#include "controller/spec/spec.h"
#include "controller/store/store.h"

struct hub;

struct hub_hooks {
    void *ctx;
    /* The node's complete plan (new reference), or NULL when it cannot be made yet. Asked for
     * often: the owner keeps what it has made. */
    json_t *(*plan)(void *ctx, size_t node);
    /* The text of the roster at that epoch, or NULL when there is none (yet); the caller frees.
     * Asked for until there is one, then after the keys of a node may have changed. */
    char *(*roster)(void *ctx, uint64_t epoch);
    /* An event that was not known before. `past`: it happened before the node connected. */
    void (*event)(void *ctx, const struct event *ev, bool past);
    /* The newest state of the node. */
    void (*state)(void *ctx, size_t node, const json_t *state);
    /* How a part of a network test ended: {id, ok, why, figures}; NULL: nobody asks for any. */
    void (*measured)(void *ctx, size_t node, const json_t *said);
};

/* What a look that finds differences does with them; the first is the strongest. */
enum hub_look {
    HUB_LOOK_REPAIRS,
    HUB_LOOK_CAREFUL, /* repairs, but nothing when any of them may restart the database */
    HUB_LOOK_TELLS
};

#define HUB_FRESH_MS 30000 /* an agent that is connected sends its state every 10 s */

struct hub_config {
    const char *listen; /* address to bind, "*" for all (HTTP: 0.0.0.0) */
    uint16_t port;      /* enrolment; main is the next, HTTP the one after */
    const struct curve_pair *keys;
    const struct sign_pair *sign;
    bool service;        /* it outlives what it serves: looks do not wait for a plan */
    enum hub_look first; /* the look of a node that connects */
};

/* Fails with what to do when a port is taken. */
int hub_open(const struct hub_config *config, const struct spec *s, struct store *st,
             const struct hub_hooks *hooks, struct hub **ret, struct err *err);
void hub_close(struct hub *h);

/* A file that may be fetched as /blob/<sha256>. */
void hub_serve_file(struct hub *h, const char *sha256, const char *path);

#define HUB_FDS 6
void hub_fds(struct hub *h, struct http_fd fds[HUB_FDS]);
/* At most so many milliseconds until the next hub_run, -1: until one of them is readable. */
int hub_due_ms(const struct hub *h);
/* Handles what waits, but only so much that nobody who sends without end keeps the caller from its
 * other work. 1: call again without waiting; 0: all is handled, wait; -1: error. To be called after
 * every wake-up. */
int hub_run(struct hub *h, struct err *err);
/* The id of the look at its plan that this hub asks of every node that connects: the node's state
 * has it as `looked` when the look, and what was to be repaired after it, is done. */
uint64_t hub_look_id(const struct hub *h);
/* Asks every node for one more look, and those that connect until they have answered; its id is
 * hub_look_id then.
 * What is repaired is repaired before the answer. */
void hub_look(struct hub *h, enum hub_look kind);
/* The same of one node. */
void hub_look_at(struct hub *h, size_t node, enum hub_look kind);
/* Whether that state answers the look `id`. */
bool hub_has_looked(const struct hub *h, const json_t *state, uint64_t id);

/* Gives the node a part of a network test; its number, or 0 when it is not connected. */
uint64_t hub_measure(struct hub *h, size_t node, const struct nettest_order *o);

/* What is known of a node's connection. */
struct hub_node {
    bool heard;    /* by this hub */
    uint64_t seen; /* ms since 1970 of its last message to any hub; 0: never */
};
struct hub_node hub_node(const struct hub *h, size_t node);
/* The owner's plans, rosters or files are other ones now. */
void hub_plans_changed(struct hub *h);
void hub_serve_no_file(struct hub *h);

/* The owner has made a new VM of that name: its old connection and keys are void. */
void hub_forget(struct hub *h, size_t node);

#endif
