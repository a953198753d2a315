/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration files that steps own whole: compare, and write when they differ. */
#ifndef MUSTER_AGENT_SYS_CONF_H
#define MUSTER_AGENT_SYS_CONF_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/err.h"

struct conf {
    const char *path;
    const char *content;
    mode_t mode;
    uid_t uid;
    gid_t gid;
};

/* NULL when the file is in sync, else what differs (a literal: never quotes the content). */
const char *conf_differs(const struct conf *c);
/* Writes it (parent directories 0755) when it differs. *ret_changed may be NULL. */
int conf_write(const struct conf *c, bool *ret_changed, struct err *err);
/* The same in the directory `dir`, where somebody else may own what is on the way: `path` is a name
 * there. */
const char *conf_differs_at(int dir, const struct conf *c);
int conf_write_at(int dir, const struct conf *c, struct err *err);
/* Directories that steps own: root's, 0755. Missing is a difference. */
bool conf_directory_differs(const char *path);
int conf_directory(const char *path, struct err *err);
/* Links that steps own: `path` leads to exactly `target`. */
bool conf_linked(const char *path, const char *target);
/* Makes it so, in the place of another link or of a file. */
int conf_link(const char *path, const char *target, struct err *err);
/* Number of a user or group by name. */
int conf_uid(const char *user, uid_t *ret, struct err *err);
int conf_gid(const char *group, gid_t *ret, struct err *err);

#endif
