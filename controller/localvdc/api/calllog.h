/* SPDX-License-Identifier: Apache-2.0 */
/* The record of API calls, one JSON object per line. */
#ifndef MUSTER_CONTROLLER_LOCALVDC_API_CALLLOG_H
#define MUSTER_CONTROLLER_LOCALVDC_API_CALLLOG_H

#include "common/pairs.h"

/* Appends one line to the file; keys, signatures and user data are left out. `fault`: what a
 * fault did to it, "" for nothing. Failing to write is no failure of the call. */
void calllog_add(const char *path, const char *command, const struct pairs *params, int status,
                 int code, const char *fault);

#endif
