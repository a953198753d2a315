/* SPDX-License-Identifier: Apache-2.0 */
/* Another one-time key for this machine, from its operator. */
#ifndef MUSTER_AGENT_SUPERVISOR_ENROL_H
#define MUSTER_AGENT_SUPERVISOR_ENROL_H

#include <stddef.h>

#include "common/err.h"

/* `text`: what user-data would have told this machine (docs/protocol.md, section 1), with a
 * one-time key. It is refused when it is for another node than `bootstrap` says, where that is
 * there. The agent's keys in `net` are removed: it makes new ones when it starts. */
int enrol_take(const char *bootstrap, const char *net, const char *text, size_t len,
               struct err *err);

#endif
