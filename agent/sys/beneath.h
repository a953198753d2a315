/* SPDX-License-Identifier: Apache-2.0 */
/* Directories in trees that somebody without privilege may change meanwhile: opened by descriptor,
 * with no link on the way, and never outside of where they should be. */
#ifndef MUSTER_AGENT_SYS_BENEATH_H
#define MUSTER_AGENT_SYS_BENEATH_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/err.h"

/* `path` ("": itself) below the directory `base`, whose own path is root's alone. With `make` those
 * that are missing are made, 0755, and the last one of this owner ((uid_t)-1: root's, as the
 * others). Returns a descriptor that the caller closes, or -1: ERR_SAFETY when something else is in
 * the way; errno is kept. */
int beneath_open(const char *base, const char *path, bool make, uid_t uid, gid_t gid,
                 struct err *err);

#endif
