/* SPDX-License-Identifier: Apache-2.0 */
/* The server's log of transactions that several engines have part in (tc.log). A server that could
 * not remove it when it ended garbles its first bytes; power loss may leave it empty or cut short.
 * It then refuses to start, for ever, although there is nothing in it that it could use. */
#ifndef MUSTER_AGENT_GALERA_TCLOG_H
#define MUSTER_AGENT_GALERA_TCLOG_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

/* Whether the server would refuse it. One that is not there is none. */
int tclog_torn(const char *datadir, bool *ret, struct err *err);
/* Moves it into `dir` when it is, under a name of its own: *ret, which the caller frees, or NULL.
 * No server may run. */
int tclog_set_aside(const char *datadir, const char *dir, char **ret, struct err *err);

#endif
