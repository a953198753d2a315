/* SPDX-License-Identifier: Apache-2.0 */
/* What an unpacked version of an application consists of, written down when it was unpacked:
 *
 *   <release>.manifest     kind, mode, size, SHA-256 of each entry; and how it was seen last
 *
 * An entry whose inode and change time are as they were seen has the content that it had. What is
 * others' to change (directories that the site writes to, configuration files) is left out. */
#ifndef MUSTER_AGENT_APP_MANIFEST_H
#define MUSTER_AGENT_APP_MANIFEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

/* Relative paths that are not the archive's: with all that is below them, and directories on the
 * way to them count for neither side when the archive does not have them. */
struct manifest_others {
    const json_t *writable; /* of texts */
    const json_t *config;   /* of objects with a member "path" */
};

struct manifest_seen {
    char differs[256]; /* the first that differs, with its path; "" for none */
    size_t n_differ;
    char added[128]; /* the first that the archive did not bring */
    size_t n_added;
};

/* Writes the manifest `path` of the tree `top`. */
int manifest_write(const char *top, const char *path, struct err *err);
/* Compares the tree with it. What had to be read again is noted in the file. */
int manifest_check(const char *top, const char *path, const struct manifest_others *others,
                   struct manifest_seen *ret, struct err *err);
/* Makes `top` what the freshly unpacked `fresh` is, by moving from there what differs; what is in
 * the way of it goes to the directory `aside`. Nothing that was added is touched. */
int manifest_repair(const char *fresh, const char *top, const char *aside,
                    const struct manifest_others *others, struct err *err);

#endif
