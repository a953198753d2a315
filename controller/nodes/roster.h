/* SPDX-License-Identifier: Apache-2.0 */
/* The members of the database's cluster with the keys that their agents have enrolled with. */
#ifndef MUSTER_CONTROLLER_NODES_ROSTER_H
#define MUSTER_CONTROLLER_NODES_ROSTER_H

#include "controller/nodes/planner.h"
#include "controller/store/store.h"

/* The text that is signed. NULL while a node has no key yet. The caller frees. */
char *roster_text(struct store *st, const struct planner_input *in, uint64_t epoch);

#endif
