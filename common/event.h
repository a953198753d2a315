/* SPDX-License-Identifier: Apache-2.0 */
/* One event: what happened, on which node, in which step. The same record travels from the
 * worker's pipe to the wire, to SQLite, to the terminal and to --json. (origin, node, rev, seq)
 * identifies it, so sending again is harmless. */
#ifndef MUSTER_EVENT_H
#define MUSTER_EVENT_H

#include <jansson.h>
#include <stdint.h>

#include "err.h"

enum event_kind {
    EVENT_PLAN,     /* a plan was taken up; count: its steps */
    EVENT_START,    /* a step began to apply */
    EVENT_PROGRESS, /* msg: what it is doing; count: how far it is; ms: time spent so far */
    EVENT_OK,       /* the step's check holds without a change */
    EVENT_CHANGED,  /* the step was applied and its second check holds */
    EVENT_FAILED,
    EVENT_REFUSED, /* refused for safety; msg names the rule */
    EVENT_DONE,    /* the plan ended well; changed, ok: its steps */
    EVENT_ABORTED, /* the plan ended with a failure */
    EVENT_CLUSTER, /* the database coordinator's state */
    EVENT_NOTE,
    EVENT_KINDS
};

/* Who made it. What comes from an agent is the agent's, whatever it says of itself (hub.c). */
enum event_origin { EVENT_OF_AGENT, EVENT_OF_CONTROLLER, EVENT_ORIGINS };

/* How much of something is done. */
enum event_unit { EVENT_UNCOUNTED, EVENT_STEPS, EVENT_BYTES, EVENT_PACKAGES, EVENT_UNITS };

struct event_count {
    enum event_unit unit; /* EVENT_UNCOUNTED: not known, done and total are 0 */
    uint64_t done, total; /* total 0: not known */
};

#define EVENT_STEPS_MAX 256 /* of a plan */
#define EVENT_NODE_MAX 64
#define EVENT_REV_MAX 17
#define EVENT_ID_MAX 64
#define EVENT_ID_PLAN "plan" /* in place of a resource: the plan as a whole */
#define EVENT_ID_UP "up"     /* of the controller: the run of `up` as a whole */
#define EVENT_MSG_MAX 512
#define EVENT_TEXT_MAX 2048 /* an encoded event is never longer */

struct event {
    uint64_t ts; /* milliseconds since 1970, by the clock of the machine that made it */
    char node[EVENT_NODE_MAX];
    enum event_origin origin;
    char rev[EVENT_REV_MAX]; /* revision of the plan, "" outside one */
    uint64_t seq;            /* from 1, rising per node (the controller's: of all); never reused */
    char id[EVENT_ID_MAX];   /* resource, e.g. "mount:datadisk" */
    enum event_kind kind;
    uint64_t ms; /* how long the step took so far */
    struct event_count count;
    unsigned changed, ok; /* of an agent's EVENT_DONE, else 0 */
    char msg[EVENT_MSG_MAX];
};

const char *event_kind_name(enum event_kind kind);
const char *event_origin_name(enum event_origin origin);
const char *event_unit_name(enum event_unit unit); /* "" for EVENT_UNCOUNTED */
/* 0, or -1 for a name that is none. */
int event_kind_find(const char *name, enum event_kind *ret);
int event_origin_find(const char *name, enum event_origin *ret);
int event_unit_find(const char *name, enum event_unit *ret);
/* Sets kind, id and the formatted message (cut to fit, control characters replaced); the rest
 * is left to the caller. */
void event_fill(struct event *ev, enum event_kind kind, const char *id, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
json_t *event_to_json(const struct event *ev); /* new reference */
int event_from_json(const json_t *j, struct event *ret, struct err *err);
/* One line of JSON without the newline; the caller frees. */
char *event_text(const struct event *ev);
int event_parse(const char *text, size_t len, struct event *ret, struct err *err);

#endif
