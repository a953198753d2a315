/* SPDX-License-Identifier: Apache-2.0 */
/* What a transfer of the whole data leaves when it does not come to its end. */
#ifndef MUSTER_AGENT_GALERA_TRANSFER_H
#define MUSTER_AGENT_GALERA_TRANSFER_H

#include "common/err.h"

/* Removes files that say which process transfers, when that process is gone or, after a boot, is
 * another one: the server's scripts see only that there is one of that number, wait for it and give
 * up, at every start. What a living script has stays. No server may run. */
int transfer_forget(const char *datadir, struct err *err);

#endif
