/* SPDX-License-Identifier: Apache-2.0 */
/* Points in time as an operator types them. Pure. */
#ifndef MUSTER_CONTROLLER_CLI_SINCE_H
#define MUSTER_CONTROLLER_CLI_SINCE_H

#include <stdint.h>

#include "common/err.h"

/* "90s", "10m", "2h", "3d" before `now`; "14:05" or "14:05:30" of that day; "2026-01-31", or that
 * with a time after a space or a T. Local time; *ret and `now` in ms since 1970. ERR_USAGE else. */
int since_parse(const char *text, uint64_t now, uint64_t *ret, struct err *err);

#endif
