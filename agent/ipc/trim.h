/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MUSTER_AGENT_IPC_TRIM_H
#define MUSTER_AGENT_IPC_TRIM_H

/* Gives back the memory that only the start of this process needed: the parts of its program and
 * libraries that nothing writes to (they are read again when something needs them), and the free
 * ends of its heap. */
void trim_memory(void);

#endif
