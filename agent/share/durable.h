/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing is told to another node that is not on this one's disk. */
#ifndef MUSTER_AGENT_SHARE_DURABLE_H
#define MUSTER_AGENT_SHARE_DURABLE_H

#include "agent/share/tree.h"

/* What changed below `home`, file and name. -1: it is not on the disk. */
int durable_make(const char *home, const struct changes *c, struct err *err);

#endif
