/* SPDX-License-Identifier: Apache-2.0 */
/* The engine: converges a plan, step by step. */
#ifndef MUSTER_AGENT_WORKER_ENGINE_H
#define MUSTER_AGENT_WORKER_ENGINE_H

#include "agent/worker/plan.h"

struct engine_result {
    unsigned changed; /* in a dry run: steps that differ */
    unsigned ok;
    unsigned unknown; /* in a dry run: the look failed, and says nothing of the step */
};

/* Converges `plan`; events go to emit. -1 when a step failed or was refused (ERR_NODE or
 * ERR_SAFETY); the steps after it were not tried. */
int engine_run(const struct plan *plan, void (*emit)(void *ctx, const struct event *ev), void *ctx,
               struct engine_result *ret, struct err *err);

/* Checks every step and changes nothing. A step that cannot be checked before an earlier one was
 * applied counts as different; one whose look fails while all before it are in sync is unknown. */
int engine_check(const struct plan *plan, void (*emit)(void *ctx, const struct event *ev),
                 void *ctx, struct engine_result *ret, struct err *err);

#endif
