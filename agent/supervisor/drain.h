/* SPDX-License-Identifier: Apache-2.0 */
/* A node that drains finishes the requests that it has and gets no new ones: its health says 404.
 */
#ifndef MUSTER_AGENT_SUPERVISOR_DRAIN_H
#define MUSTER_AGENT_SUPERVISOR_DRAIN_H

#include <stdbool.h>

#include "common/err.h"

/* ERR_SAFETY unless another node takes the visitors of this one (the named one, unless NULL), by
 * what this node's front door says. */
int drain_allowed(const char *peer, struct err *err);
/* Keeps `because` in the file `path`, and waits until nothing is under way to this node's web
 * server, for a bounded time; says on stdout how that ended. Only for a node with a front door. */
int drain_begin(const char *path, const char *because, struct err *err);
int drain_end(const char *path, struct err *err);
/* The agent looks at what was changed. */
void drain_tell_agent(void);

#endif
