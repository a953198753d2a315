/* SPDX-License-Identifier: Apache-2.0 */
/* What a step may say and ask while it runs. */
#ifndef MUSTER_AGENT_SYS_RUN_H
#define MUSTER_AGENT_SYS_RUN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/event.h"

/* One run of a plan; what steps may use of the world besides the machine itself. */
struct run {
    const char *node, *rev;                          /* of the plan; borrowed, as all of it */
    const json_t *secrets;                           /* object of texts, may be NULL */
    const json_t *resources;                         /* the specs of all its steps */
    const char *id;                                  /* the step at work */
    uint64_t started;                                /* clock_mono_ms of its start */
    uint64_t spoke;                                  /* of the last PROGRESS event */
    void (*emit)(void *ctx, const struct event *ev); /* takes no reference */
    void *ctx;
    uint64_t plan_inode; /* of the plan's file at the start; 0: not the agent's own plan */
};

/* A newer plan took the place of the one that runs: whoever waits should give up. */
bool run_superseded(const struct run *run);

/* An event about the step at work. run_progress passes at most one a second. */
void run_emit(struct run *run, enum event_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with the counts of `with`, which has the kind, too. */
void run_emit_counted(struct run *run, const struct event *with, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void run_progress(struct run *run, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void run_progress_counted(struct run *run, const struct event_count *count, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Replaces ${secret:NAME}; an unknown name is an error that does not quote values. The caller frees
 * with secret_free, which wipes. */
int run_expand(const struct run *run, const char *text, char **ret, struct err *err);
void secret_free(char *s);
void secret_cleanup(char **s); /* for _cleanup_ */
#define _cleanup_secret_ __attribute__((cleanup(secret_cleanup)))

#endif
