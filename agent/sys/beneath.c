/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sys/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/str.h"

/* `name` has no '/'. openat2(2) could do it for a whole path, and a unit whose users may not make
 * setuid files has no openat2. */
static int enter(int dir, const char *name)
{
    if (strcmp(name, "..") == 0) {
        errno = EXDEV;
        return -1;
    }
    return openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int enter_or_make(int dir, const char *name, uid_t uid, gid_t gid)
{
    int fd = enter(dir, name);

    if (fd >= 0 || errno != ENOENT)
        return fd;
    if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST)
        return -1;
    fd = enter(dir, name);
    if (fd >= 0 && uid != (uid_t)-1 && fchown(fd, uid, gid) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int beneath_open(const char *base, const char *path, bool make, uid_t uid, gid_t gid,
                 struct err *err)
{
    _cleanup_free_ char *copy = xstrdup(path);
    char *save = NULL;
    int fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    for (char *name = strtok_r(copy, "/", &save); fd >= 0 && name;
         name = strtok_r(NULL, "/", &save)) {
        bool last = save[strspn(save, "/")] == '\0';
        int next = make ? enter_or_make(fd, name, last ? uid : (uid_t)-1, gid) : enter(fd, name);
        int errnum = errno;

        close(fd);
        errno = errnum;
        fd = next;
    }
    if (fd >= 0)
        return fd;
    int errnum = errno;
    if (errnum == ELOOP || errnum == EXDEV || errnum == ENOTDIR)
        err_set(err, ERR_SAFETY, "%s/%s leads out of %s, or through something that is no directory",
                base, path, base);
    else
        err_errno(err, errnum, "%s/%s", base, path);
    errno = errnum;
    return -1;
}
