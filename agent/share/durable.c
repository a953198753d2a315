/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/share/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/sys/beneath.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"

#define ONE_BY_ONE_MAX 200 /* more are faster with all of the filesystem */

/* The file, if it is still one, and the name that it has. */
static int sync_path(const char *home, const char *path, struct err *err)
{
    _cleanup_free_ char *directory = xstrdup(path);
    char *name = strrchr(directory, '/');
    struct err ignored;
    struct stat st;

    if (!name)
        return 0;
    *name++ = '\0';
    _cleanup_close_ int dir = beneath_open(home, directory, false, (uid_t)-1, (gid_t)-1, &ignored);
    if (dir < 0)
        return 0; /* it went, and so did the file */
    _cleanup_close_ int fd =
        openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && fsync(fd) < 0)
        return err_errno(err, errno, "%s/%s does not get to its disk", home, path);
    return fsync(dir) < 0 ? err_errno(err, errno, "%s/%s does not get to its disk", home, directory)
                          : 0;
}

int durable_make(const char *home, const struct changes *c, struct err *err)
{
    if (c->all || c->whole || c->n > ONE_BY_ONE_MAX)
        return fs_sync_filesystem(home, err);
    for (size_t i = 0; i < c->n; i++)
        if (sync_path(home, c->path[i], err) < 0)
            return -1;
    return 0;
}
