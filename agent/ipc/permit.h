/* SPDX-License-Identifier: Apache-2.0 */
/* The gate of the database's unit: the permit and the server's options. They are on tmpfs, so that
 * a reboot closes it; and it is closed as soon as the server runs, so that nothing starts it again
 * by them. The worker opens it, the supervisor closes it. */
#ifndef MUSTER_AGENT_IPC_PERMIT_H
#define MUSTER_AGENT_IPC_PERMIT_H

#include <stdint.h>

#include "common/err.h"

int permit_open(const char *kind, uint64_t epoch, const char *options, struct err *err);
void permit_close(void);

#endif
