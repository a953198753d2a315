/* SPDX-License-Identifier: Apache-2.0 */
/* A speculative start: the plan's steps marked `ahead` begin in a process of their own as soon as
 * another step has something to apply (a disk is made while packages are unpacked). It is no more
 * than that: what it does not bring to its end is done in its turn, and only then can it fail. */
#ifndef MUSTER_AGENT_WORKER_AHEAD_H
#define MUSTER_AGENT_WORKER_AHEAD_H

#include <sys/types.h>

#include "agent/worker/plan.h"

struct ahead {
    const struct plan *plan;
    bool started;
    pid_t pid;                /* 0: not at work */
    int fd;                   /* what it says: one struct a step that is in sync */
    char did[PLAN_STEPS_MAX]; /* 0: not heard of */
};

/* `one` converges a step and says what ahead_did will. Starts once, and nothing when no step is
 * marked. The process ends with its parent. */
void ahead_start(struct ahead *a, const struct run *run,
                 int (*one)(const struct step *st, struct run *run, struct err *err));
/* Waits until it is through with step `i`. 1: it was changed and is in sync, 0: it was in sync,
 * -1: neither, do it. Nothing begins ahead from here on. */
int ahead_did(struct ahead *a, size_t i);
/* Waits for its end. */
void ahead_end(struct ahead *a);

#endif
