/* SPDX-License-Identifier: Apache-2.0 */
/* What the controller knows about a deployment, durable: SQLite in WAL mode with full
 * synchronisation, so that what was recorded before a call is there after a power loss. This
 * header is all that the rest of the controller sees of the engine. Two writers at a time: the
 * holder of the deployment's lock, and the hub, which writes events, what agents say and bind, the
 * roster, and which plan was sent; any number of readers. */
#ifndef MUSTER_CONTROLLER_STORE_STORE_H
#define MUSTER_CONTROLLER_STORE_STORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/event.h"
#include "common/keys.h"

struct store;

/* Opens `dir`/muster.db; with `create` makes what is missing. The texts of the secret table are
 * sealed with the key file `dir`/store.key (0600). */
int store_open(const char *dir, bool create, struct store **ret, struct err *err);
void store_close(struct store *s);

/* A transaction that cannot be committed, or of which a step failed, is rolled back, so that what
 * is recorded next is not part of it. store_rollback without a transaction does nothing. */
int store_begin(struct store *s, struct err *err);
int store_commit(struct store *s, struct err *err);
void store_rollback(struct store *s);

/* Free-form values ("spec", "state"); *ret is NULL when absent, else the caller frees. */
int store_get(struct store *s, const char *key, char **ret, struct err *err);
int store_set(struct store *s, const char *key, const char *value, struct err *err);

/* The secret of that name: 1; 0 when it is not there. The caller wipes `ret`. */
#define STORE_SECRET_SIZE (KEYS_SEALED_MAX + 1)
int store_secret_get(struct store *s, const char *name, char ret[STORE_SECRET_SIZE],
                     struct err *err);
int store_secret_set(struct store *s, const char *name, const char *value, struct err *err);
/* The same, made (`chars` random letters and digits, at most 64) and kept when it is not there. */
int store_secret(struct store *s, const char *name, size_t chars, char ret[STORE_SECRET_SIZE],
                 struct err *err);

/* The journal of cloud resources: what was asked for, its id as soon as it is known, the job
 * that was making it. */
struct store_resource {
    char name[160]; /* "vm:fra" */
    char id[64];    /* "" while unknown */
    char job[64];   /* "" when none is pending */
    char
        state[16]; /* "sent" before the call, "known" after its answer, then "done" or "untagged" */
};
int store_resource_put(struct store *s, const struct store_resource *r, struct err *err);
int store_resource_delete(struct store *s, const char *name, struct err *err);
/* Calls `fn`, which changes nothing here, for each. */
typedef void (*store_resource_fn)(void *ctx, const struct store_resource *r);
int store_resources(struct store *s, store_resource_fn fn, void *ctx, struct err *err);

/* A node as the hub knows it. */
struct store_node {
    char name[64];
    uint8_t enrol_pub[KEY_SIZE];  /* of the one-time key */
    uint64_t enrol_expires;       /* seconds since 1970 */
    bool bound;                   /* the one-time key has been used */
    bool conflict;                /* a second set of keys was offered: frozen */
    char curve_pub[KEY_HEX_SIZE]; /* hex, "" before enrolment */
    char seal_pub[KEY_HEX_SIZE];
    uint64_t incarnation;         /* rises with every VM of that name */
    char sent_rev[EVENT_REV_MAX]; /* revision of the plan that it was told */
    uint64_t seen;                /* ms since 1970 of its last message; 0: never */
};
int store_node_get(struct store *s, const char *name, struct store_node *ret, struct err *err);
int store_node_put(struct store *s, const struct store_node *n, struct err *err);
/* Neither its keys nor its one-time key are good any more. */
int store_node_revoke(struct store *s, const char *name, struct err *err);
/* How many have enrolled. */
int store_nodes_bound(struct store *s, uint64_t *ret, struct err *err);
int store_node_delete(struct store *s, const char *name, struct err *err);
/* The incarnation of a VM that is about to be made: larger than any that the name ever had. */
int store_incarnation_next(struct store *s, const char *name, uint64_t *ret, struct err *err);
/* Compare-and-swap pending -> bound: 1 bound now or already with these keys. 0 refused: other keys
 * are bound (before the one-time key expires the node is marked as in conflict), or it is `now`
 * (seconds since 1970) too late. */
int store_node_bind(struct store *s, const char *name, const char *curve_hex, const char *seal_hex,
                    uint64_t now, struct err *err);
/* Last state and facts (JSON texts). */
int store_node_set_state(struct store *s, const char *name, const char *state, uint64_t seen,
                         struct err *err);
int store_node_set_rev(struct store *s, const char *name, const char *sent_rev, struct err *err);
int store_node_set_facts(struct store *s, const char *name, const char *facts, struct err *err);
/* New references; NULL when nothing is known. */
int store_node_report(struct store *s, const char *name, json_t **ret_state, json_t **ret_facts,
                      struct err *err);

/* Appends: 1; 0 when (node, incarnation, rev, seq) is there already. */
int store_event_add(struct store *s, const struct event *ev, uint64_t incarnation, struct err *err);
/* The highest number that is stored of that node; 0 for none. */
uint64_t store_event_last(struct store *s, const char *node, uint64_t incarnation);
/* Appends an event that the controller itself makes: gives it its number. Two processes may do so
 * at the same time. */
int store_event_own(struct store *s, struct event *ev, struct err *err);
/* The highest row number; 0 for none. */
int store_event_end(struct store *s, uint64_t *ret, struct err *err);
/* The events that count; zero-initialised: all. */
struct event_filter {
    uint64_t since;   /* ms since 1970 */
    const char *node; /* NULL: of all, and of none */
    const char *kind; /* NULL: any */
    unsigned max;     /* so many; 0: no bound */
};
/* The row number after which only `n` of those that count follow. */
int store_event_tail(struct store *s, const struct event_filter *f, unsigned n, uint64_t *ret,
                     struct err *err);
/* Removes the oldest beyond `keep` of those that the node's agents made (NULL: the controller), but
 * the last of each VM, which tells what has come from it. */
int store_events_prune(struct store *s, const char *node, uint64_t keep, struct err *err);
/* Calls `fn` for each event with a row number above *after, which is advanced before. */
typedef void (*store_event_fn)(void *ctx, const struct event *ev);
int store_events_where(struct store *s, const struct event_filter *f, uint64_t *after,
                       store_event_fn fn, void *ctx, struct err *err);
int store_events(struct store *s, uint64_t *after, store_event_fn fn, void *ctx, struct err *err);

#endif
