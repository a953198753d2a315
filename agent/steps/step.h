/* SPDX-License-Identifier: Apache-2.0 */
/* A provisioning step: one file X.c and one row in step.c. The engine calls check,
 * apply, check. `check` changes nothing; `apply` may be killed anywhere and run again. */
#ifndef MUSTER_AGENT_STEPS_STEP_H
#define MUSTER_AGENT_STEPS_STEP_H

#include <jansson.h>

#include "agent/sys/fields.h"
#include "agent/sys/run.h"
#include "agent/sys/verdict.h"
#include "common/err.h"

struct step_ops {
    const char *type;
    /* `spec` outlives *ret, so members may be borrowed. Unknown members are errors. */
    int (*parse)(const json_t *spec, void **ret, struct err *err);
    int (*check)(const void *self, struct run *run, struct verdict *ret, struct err *err);
    int (*apply)(const void *self, struct run *run, struct err *err);
    void (*free)(void *self);
    /* The i-th systemd unit that check looks at, NULL when there are no more; may itself be NULL:
     * none. Borrowed from `self`. */
    const char *(*unit)(const void *self, size_t i);
};

extern const struct step_ops *const step_table[]; /* NULL-terminated */
const struct step_ops *step_ops_find(const char *type);

#endif
