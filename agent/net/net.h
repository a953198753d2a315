/* SPDX-License-Identifier: Apache-2.0 */
/* The net process: owns all sockets and keys, parses what comes from outside, and has no
 * privilege. A program of its own (main_net.c). */
#ifndef MUSTER_AGENT_NET_NET_H
#define MUSTER_AGENT_NET_NET_H

#include "agent/ipc/bootstrap.h"

/* Drops privilege and serves until the supervisor is gone. `fd` is the channel to it. Returns the
 * exit code. */
int net_main(struct bootstrap *boot, int fd);

#endif
