/* SPDX-License-Identifier: Apache-2.0 */
/* Whose state this is. A template made from a node, or a copy of its disk, carries keys, plan and
 * record of another machine; two that act under one name would count as two voices of one member.
 */
#ifndef MUSTER_AGENT_SUPERVISOR_IDENTITY_H
#define MUSTER_AGENT_SUPERVISOR_IDENTITY_H

#include <stdbool.h>

#include "agent/ipc/bootstrap.h"
#include "common/err.h"

/* What tells machines apart; "" when it is not known. */
struct machine {
    char hardware[64]; /* of the firmware; a container has only that of its host */
    char instance[80]; /* of the cloud, as cloud-init has it */
};

void machine_look(struct machine *ret);

/* Makes `state` this machine's. What is another's is moved aside within it when `boot` has a
 * one-time key, by which this machine enrols again (*ret_aside: where to; the caller frees);
 * without a key it is refused, by name. `boot` may be NULL: no controller is known. Only what is
 * known on both sides counts. */
int identity_settle(const char *state, const struct bootstrap *boot, const struct machine *now,
                    char **ret_aside, struct err *err);

#endif
