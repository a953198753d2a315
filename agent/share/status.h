/* SPDX-License-Identifier: Apache-2.0 */
/* What there is to know of the shared directories, for `status` and the metrics. */
#ifndef MUSTER_AGENT_SHARE_STATUS_H
#define MUSTER_AGENT_SHARE_STATUS_H

#include "agent/share/share.h"

struct share_status {
    const char *held; /* why nothing is told to the others; NULL: it is */
    const char *why;  /* what fails; NULL: nothing */
    uint64_t conflicts;
    uint64_t files; /* that Syncthing knows here */
    uint64_t needs; /* files that are to come, or to go */
};

/* Asks Syncthing, unless it does not run; fills `files` and `needs`. *ret: what goes to
 * SHARE_STATUS. -1: there was no answer, which it says, too. */
int share_status_take(const struct share *s, const char *api_key, bool runs,
                      struct share_status *st, json_t **ret);

#endif
