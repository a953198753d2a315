/* SPDX-License-Identifier: Apache-2.0 */
/* Two machines with one node's key: an agent that connects again has left its connection before, so
 * one that speaks on both is two. Pure. */
#ifndef MUSTER_CONTROLLER_NODES_TWIN_H
#define MUSTER_CONTROLLER_NODES_TWIN_H

#include <stdbool.h>

#include "common/zsock.h"

struct twin {
    uint8_t left[ZSOCK_RID_MAX]; /* the connection before the present one */
    size_t left_len;             /* 0: none */
    uint64_t since;              /* monotonic, ms: when it was left */
};

/* A greeting came: from now on the node is at `to`; before it was at `from` (rid_len 0: nowhere).
 */
void twin_greeted(struct twin *t, const struct zmsg *from, const struct zmsg *to, uint64_t now);
/* Whether this message is of a machine whose place another one has taken. What was on its way when
 * the connection was left does not count. */
bool twin_speaks(const struct twin *t, const struct zmsg *m, uint64_t now);

#endif
