/* SPDX-License-Identifier: Apache-2.0 */
/* From the roster and the plan to the coordinator's members. Pure but for the random mint. */
#ifndef MUSTER_AGENT_NET_MEMBERS_H
#define MUSTER_AGENT_NET_MEMBERS_H

#include <jansson.h>

#include "agent/cluster/cluster.h"
#include "agent/ipc/bootstrap.h"
#include "common/keys.h"

/* The roster's data members that the plan's step names, sorted by name; after them, while there is
 * room, the arbitrator, or NULL for none. Borrowed. Returns the number of members. */
size_t net_members(const json_t *roster, const json_t *galera, json_t *ret[CLUSTER_MAX]);
/* Their keys and the coordinator's configuration; an error while the roster is not complete. */
int net_members_config(const struct bootstrap *boot, const json_t *galera, json_t *const m[],
                       size_t count, uint8_t keys[][KEY_SIZE], struct cluster_config *cfg,
                       struct err *err);

#endif
