/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sys/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/hook.h"
#include "common/keys.h"
#include "common/str.h"

/* Of a file of this size; it may change meanwhile. */
static bool same_content(int fd, const char *want, size_t len)
{
    char buf[4096];
    size_t at = 0;
    ssize_t n;
    bool same = true;

    while (same && (n = read(fd, buf, sizeof(buf))) > 0) {
        same = (size_t)n <= len - at && memcmp(buf, want + at, (size_t)n) == 0;
        at += same ? (size_t)n : 0;
    }
    keys_wipe(buf, sizeof(buf));
    return same && n == 0 && at == len;
}

const char *conf_differs_at(int dir, const struct conf *c)
{
    struct stat st;
    _cleanup_close_ int fd = openat(dir, c->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return errno == ELOOP                        ? "is not a regular file"
               : errno == ENOENT || errno == ENOTDIR ? "file is missing"
                                                     : "cannot be read";
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return "is not a regular file";
    if (!same_content(fd, c->content, strlen(c->content)))
        return "content differs";
    if ((st.st_mode & 07777) != c->mode)
        return "mode differs";
    if (st.st_uid != c->uid || st.st_gid != c->gid)
        return "owner differs";
    return NULL;
}

const char *conf_differs(const struct conf *c)
{
    return conf_differs_at(AT_FDCWD, c);
}

static int write_all(int fd, const char *text, size_t len)
{
    for (ssize_t n; len; text += n, len -= (size_t)n)
        if ((n = write(fd, text, len)) < 0)
            return -1;
    return 0;
}

int conf_write_at(int dir, const struct conf *c, struct err *err)
{
    if (!conf_differs_at(dir, c))
        return 0;
    _cleanup_free_ char *tmp = str_fmt("%s.tmp%d", c->path, (int)getpid());
    unlinkat(dir, tmp, 0);
    _cleanup_close_ int fd =
        openat(dir, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, errno, "%s", tmp);
    hook_point();
    if (write_all(fd, c->content, strlen(c->content)) < 0 || fchmod(fd, c->mode) < 0 ||
        fchown(fd, c->uid, c->gid) < 0 || fsync(fd) < 0 || renameat(dir, tmp, dir, c->path) < 0) {
        int errnum = errno;

        unlinkat(dir, tmp, 0);
        return err_errno(err, errnum, "%s", c->path);
    }
    hook_point();
    return fsync(dir) < 0 ? err_errno(err, errno, "sync the directory of %s", c->path) : 0;
}

int conf_write(const struct conf *c, bool *ret_changed, struct err *err)
{
    bool differs = conf_differs(c) != NULL;

    if (differs) {
        _cleanup_free_ char *copy = xstrdup(c->path);

        if (fs_mkdirs(dirname(copy), 0755, err) < 0 ||
            fs_write_atomic_as(c->path, c->content, strlen(c->content), c->mode, c->uid, c->gid,
                               err) < 0)
            return -1;
    }
    if (ret_changed)
        *ret_changed = differs;
    return 0;
}

#define DIRECTORY_MODE 0755

bool conf_directory_differs(const char *path)
{
    struct stat st;

    return stat(path, &st) < 0 || !S_ISDIR(st.st_mode) || (st.st_mode & 07777) != DIRECTORY_MODE ||
           st.st_uid != 0 || st.st_gid != 0;
}

int conf_directory(const char *path, struct err *err)
{
    if (fs_mkdirs(path, DIRECTORY_MODE, err) < 0)
        return -1;
    if (!conf_directory_differs(path))
        return 0;
    return chown(path, 0, 0) < 0 || chmod(path, DIRECTORY_MODE) < 0
               ? err_errno(err, errno, "mode and owner of %s", path)
               : 0;
}

bool conf_linked(const char *path, const char *target)
{
    char have[PATH_MAX];
    ssize_t n = readlink(path, have, sizeof(have) - 1);

    have[n < 0 ? 0 : n] = '\0';
    return n >= 0 && strcmp(have, target) == 0;
}

int conf_link(const char *path, const char *target, struct err *err)
{
    _cleanup_free_ char *fresh = str_fmt("%s.new%d", path, (int)getpid());

    if (conf_linked(path, target))
        return 0;
    if (unlink(fresh) < 0 && errno != ENOENT)
        return err_errno(err, errno, "remove %s", fresh);
    if (symlink(target, fresh) < 0)
        return err_errno(err, errno, "link %s", fresh);
    if (rename(fresh, path) < 0) {
        int errnum = errno;

        unlink(fresh);
        return err_errno(err, errnum, "link %s", path);
    }
    return fs_sync_parent(path, err);
}

int conf_uid(const char *user, uid_t *ret, struct err *err)
{
    errno = 0;
    const struct passwd *pw = getpwnam(user);
    if (!pw)
        return err_set(err, ERR_FAILED, "user '%s' does not exist on this machine", user);
    *ret = pw->pw_uid;
    return 0;
}

int conf_gid(const char *group, gid_t *ret, struct err *err)
{
    const struct group *gr = getgrnam(group);

    if (!gr)
        return err_set(err, ERR_FAILED, "group '%s' does not exist on this machine", group);
    *ret = gr->gr_gid;
    return 0;
}
