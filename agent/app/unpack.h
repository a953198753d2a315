/* SPDX-License-Identifier: Apache-2.0 */
/* Unpacking an archive that others made: by a user without privilege, within bounds, and only
 * files, directories and links inside of it are taken over. */
#ifndef MUSTER_AGENT_APP_UNPACK_H
#define MUSTER_AGENT_APP_UNPACK_H

#include <stdint.h>

#include "common/err.h"

struct unpack_limits {
    uint64_t bytes;   /* of all files together */
    uint64_t entries; /* files, directories, links */
};

#define UNPACK_LIMITS ((struct unpack_limits){16ULL << 30, 500000}) /* docs/file.md */

/* Unpacks a zip or a tar into the empty directory `dir`, whatever its parents' modes are. */
int unpack_archive(const char *archive, const char *dir, const struct unpack_limits *max,
                   struct err *err);

/* Makes what is in `top` root's: readable for all, writable for nobody else, executable when it
 * was. Anything but files, directories and links that stay inside is refused by name. */
int unpack_take(const char *top, const struct unpack_limits *max, struct err *err);

#endif
