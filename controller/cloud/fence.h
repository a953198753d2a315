/* SPDX-License-Identifier: Apache-2.0 */
/* Taking a VM's power away, and being sure of it: before the other members of its cluster go on
 * without what it may have acknowledged. */
#ifndef MUSTER_CONTROLLER_CLOUD_FENCE_H
#define MUSTER_CONTROLLER_CLOUD_FENCE_H

#include "controller/cloud/survey.h"

/* 0: the cloud says that the VM of that node is Stopped, now; also when it was before. -1: it may
 * run: ERR_SAFETY when the cloud does not list it (what is not listed may be another account's). */
int fence_node(struct reach *r, struct store *store, const struct spec *s, const char *node,
               struct err *err);

#endif
