/* SPDX-License-Identifier: Apache-2.0 */
#include "common/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/hook.h"
#include "common/str.h"

int fs_read(const char *path, size_t max, char **ret, size_t *ret_len, struct err *err)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    _cleanup_free_ char *buf = NULL;
    size_t len = 0, cap = 4096;

    if (fd < 0)
        return err_errno(err, errno, "%s", path);
    buf = xrealloc(NULL, cap + 1);
    for (;;) {
        ssize_t n;

        if (len == cap) {
            cap *= 2;
            buf = xrealloc(buf, cap + 1);
        }
        n = read(fd, buf + len, cap - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, errno, "%s", path);
        if (n == 0)
            break;
        len += (size_t)n;
        if (len > max) {
            errno = EFBIG;
            return err_set(err, ERR_FAILED, "%s: larger than %zu bytes", path, max);
        }
    }
    buf[len] = '\0';
    *ret = TAKE(buf);
    if (ret_len)
        *ret_len = len;
    return 0;
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

int fs_write_atomic_as(const char *path, const void *data, size_t len, mode_t mode, uid_t uid,
                       gid_t gid, struct err *err)
{
    _cleanup_free_ char *tmp = str_fmt("%s.tmp%d", path, (int)getpid());
    _cleanup_close_ int fd = -1;

    unlink(tmp);
    fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(err, errno, "%s", tmp);
    hook_point();
    if (write_all(fd, data, len) < 0 || fchmod(fd, mode) < 0 ||
        ((uid != (uid_t)-1 || gid != (gid_t)-1) && fchown(fd, uid, gid) < 0) || fsync(fd) < 0 ||
        rename(tmp, path) < 0) {
        int errnum = errno;

        unlink(tmp);
        return err_errno(err, errnum, "%s", path);
    }
    hook_point();
    return fs_sync_parent(path, err);
}

int fs_is_zip(const char *path, bool *ret, struct err *err)
{
    char magic[4] = "";
    _cleanup_fclose_ FILE *f = fopen(path, "re");

    if (!f)
        return err_errno(err, errno, "%s", path);
    size_t n = fread(magic, 1, sizeof(magic), f);
    if (ferror(f))
        return err_errno(err, errno, "read %s", path);
    *ret = n == sizeof(magic) && memcmp(magic, "PK\3\4", sizeof(magic)) == 0;
    return 0;
}

int fs_write_atomic(const char *path, const void *data, size_t len, mode_t mode, struct err *err)
{
    return fs_write_atomic_as(path, data, len, mode, (uid_t)-1, (gid_t)-1, err);
}

int fs_mkdirs(const char *path, mode_t mode, struct err *err)
{
    _cleanup_free_ char *p = xstrdup(path);

    for (char *s = p + 1;; s++) {
        char c = *s;

        if (c && c != '/')
            continue;
        *s = '\0';
        if (mkdir(p, mode) < 0) {
            struct stat st;
            int errnum = errno;

            if (errnum != EEXIST || stat(p, &st) < 0 || !S_ISDIR(st.st_mode))
                return err_errno(err, errnum, "%s", p);
        }
        *s = c;
        if (!c)
            return 0;
    }
}

static int remove_at(int dirfd, const char *name, dev_t dev, const char *path, struct err *err)
{
    struct stat st;

    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_errno(err, errno, "%s", path);
    if (S_ISDIR(st.st_mode)) {
        _cleanup_closedir_ DIR *d = NULL;
        int fd;

        if (st.st_dev != dev)
            return err_set(err, ERR_SAFETY, "%s: another filesystem is mounted here", path);
        fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || !(d = fdopendir(fd)))
            return err_errno(err, errno, "%s", path);
        for (struct dirent *e; (e = readdir(d));) {
            _cleanup_free_ char *inner = NULL;

            if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
                continue;
            inner = str_fmt("%s/%s", path, e->d_name);
            if (remove_at(fd, e->d_name, dev, inner, err) < 0)
                return -1;
        }
    }
    if (unlinkat(dirfd, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) < 0 && errno != ENOENT)
        return err_errno(err, errno, "%s", path);
    return 0;
}

int fs_remove_tree(const char *path, struct err *err)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : err_errno(err, errno, "%s", path);
    return remove_at(AT_FDCWD, path, st.st_dev, path, err);
}

bool fs_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

int fs_sync_parent(const char *path, struct err *err)
{
    _cleanup_free_ char *dir = xstrdup(path);
    char *slash = strrchr(dir, '/');
    const char *name = ".";
    _cleanup_close_ int fd = -1;

    if (slash) {
        *(slash == dir ? slash + 1 : slash) = '\0';
        name = dir;
    }
    fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return err_errno(err, errno, "%s", name);
    return 0;
}

int fs_sync_filesystem(const char *path, struct err *err)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || syncfs(fd) < 0)
        return err_errno(err, errno, "sync %s", path);
    return 0;
}

int fs_free(const char *path, uint64_t *ret, struct err *err)
{
    struct statvfs st;

    if (statvfs(path, &st) < 0)
        return err_errno(err, errno, "free space of %s", path);
    *ret = (uint64_t)st.f_bavail * st.f_frsize;
    return 0;
}

int fs_lock(const char *path, bool wait, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_errno(err, errno, "%s", path);
    if (flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB)) < 0) {
        int errnum = errno;

        close(fd);
        if (errnum == EWOULDBLOCK)
            return err_set(err, ERR_LOCKED, "%s: held by another process", path);
        return err_errno(err, errnum, "%s", path);
    }
    return fd;
}

int fs_unlink(const char *path, struct err *err)
{
    if (unlink(path) == 0)
        return fs_sync_parent(path, err);
    return errno == ENOENT ? 0 : err_errno(err, errno, "remove %s", path);
}
