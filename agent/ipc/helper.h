/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's other programs: beside this one (a build folder), or where the package puts them.
 * Each maps only the libraries that it needs (docs/architecture.md, "Processes"). */
#ifndef MUSTER_AGENT_IPC_HELPER_H
#define MUSTER_AGENT_IPC_HELPER_H

#include <stddef.h>

#define HELPER_NET "muster-agent-net"
#define HELPER_WORKER "muster-agent-worker"

void helper_path(const char *name, char *ret, size_t cap);
/* In a fresh child: signals as a program expects them, `a` as descriptor 3 and `b` as 4 (-1:
 * none), stdin empty, then the program. Does not return. */
void helper_exec(const char *const argv[], int a, int b) __attribute__((noreturn));

#endif
