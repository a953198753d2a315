/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's other programs: beside this one (a build directory), or where the package puts them.
 * Each maps only the libraries that it needs (docs/architecture.md, "Processes"). */
#ifndef MUSTER_AGENT_IPC_HELPER_H
#define MUSTER_AGENT_IPC_HELPER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define HELPER_NET "muster-agent-net"
#define HELPER_WORKER "muster-agent-worker"

void helper_path(const char *name, char *ret, size_t cap);
/* This process becomes that program, with these arguments; the exit code when it cannot. */
int helper_become(const char *name, int argc, char **argv);
/* Starts argv[0], one of these, in a child: signals as a program expects them, `a` as descriptor 3
 * and `b` as 4 (-1: none), stdin empty. `bound`: it is killed when this process ends, also when
 * that was before it began. -1: there is no child, and the log says why. */
pid_t helper_start(const char *const argv[], int a, int b, bool bound);

#endif
