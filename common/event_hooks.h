/* SPDX-License-Identifier: Apache-2.0 */
/* An operator's own programs that are told what happened: each executable file of a directory, one
 * after the other in the order of their names (letters, digits, '-' and '_', as run-parts(8) has
 * it), for each event in turn. Nobody waits for them, nothing depends on how they end, and one that
 * takes longer than HOOK_MAX_S is killed. Only files that root or this user owns, and nobody else
 * may write, are run. They have in their environment: MUSTER_DEPLOYMENT, MUSTER_NODE ("": of none),
 * MUSTER_KIND, MUSTER_STEP, MUSTER_MESSAGE, MUSTER_TIME (ms since 1970). */
#ifndef MUSTER_COMMON_EVENT_HOOKS_H
#define MUSTER_COMMON_EVENT_HOOKS_H

#include <stdint.h>

#include "common/event.h"

#define HOOK_MAX_S 30

struct hooks;

/* `directory` need not be there; what is in it is looked at for each event. */
struct hooks *hooks_new(const char *directory);
void hooks_free(struct hooks *h); /* what still runs is killed; NULL: nothing */
/* Takes note of the event when its kind is one that is told (failed, refused, done, aborted,
 * cluster, note). When many wait, the oldest of them is dropped. */
void hooks_event(struct hooks *h, const char *deployment, const struct event *ev);
/* Starts what is next, and ends what takes too long. Call it after SIGCHLD or within a second, and
 * not later than hooks_due. */
void hooks_run(struct hooks *h);
uint64_t hooks_due(const struct hooks *h); /* monotonic; UINT64_MAX: nothing is under way */

#endif
