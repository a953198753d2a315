/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/backup/internal.h"
#include "agent/ipc/paths.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"

/* Unfinished ones, and what is told of those that are not there. */
static void remove_unfinished(const char *dir)
{
    _cleanup_closedir_ DIR *d = opendir(dir);

    for (struct dirent *e; d && (e = readdir(d));) {
        size_t n = strlen(e->d_name);
        bool part = e->d_name[0] == '.' && str_ends(e->d_name, ".part");
        _cleanup_free_ char *backup = NULL;

        if (str_ends(e->d_name, ".json") && !str_eq(e->d_name, BACKUP_STATE)) {
            backup = str_fmt("%s/%.*s" BACKUP_SUFFIX, dir, (int)(n - strlen(".json")), e->d_name);
            part = access(backup, F_OK) < 0 && errno == ENOENT;
        }
        if (part || strstr(e->d_name, ".tmp"))
            unlinkat(dirfd(d), e->d_name, 0);
    }
}

int backup_tidy(const struct backup_conf *c, struct err *err)
{
    _cleanup_free_ char *dir = str_fmt("%s/" BACKUP_DIRECTORY, c->mount);
    _cleanup_free_ char *work = str_fmt("%s/.work", dir);

    desync_left();
    unlink(PATH_BACKUP_KEY);
    remove_unfinished(dir);
    return fs_remove_tree(work, err) < 0 ? -1 : scratch_remove(c, err);
}
