/* SPDX-License-Identifier: Apache-2.0 */
/* A plan as the controller signed it: {"counter", "plan"}. The process that brings it has no part
 * in what it says, and cannot bring an older one again. */
#ifndef MUSTER_AGENT_SUPERVISOR_SIGNED_PLAN_H
#define MUSTER_AGENT_SUPERVISOR_SIGNED_PLAN_H

#include <jansson.h>

#include "common/err.h"
#include "common/keys.h"

/* *ret_plan: new reference. Refused (ERR_SAFETY): a signature that is not of `pub`, a counter that
 * is not above `above`. */
int signed_plan_open(const uint8_t pub[KEY_SIZE], const char *text, const char *sig, uint64_t above,
                     json_t **ret_plan, uint64_t *ret_counter, struct err *err);

/* The highest counter that was taken, on disk. *ret is 0 when there is no such file. */
int signed_plan_load(const char *path, uint64_t *ret, struct err *err);
int signed_plan_save(const char *path, uint64_t counter, struct err *err);

#endif
