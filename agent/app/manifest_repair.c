/* SPDX-License-Identifier: Apache-2.0 */
/* Repairing a version from a freshly unpacked one. Every step goes by descriptor and follows no
 * link; a site that is asked meanwhile finds the old file or the new. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/app/internal.h"
#include "agent/app/manifest.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

struct repair {
    const struct manifest_others *others;
    const char *aside_path;
    int aside; /* -1: not needed yet */
    char path[PATH_MAX];
};

static bool same_link(int a, int b, const char *name)
{
    char x[PATH_MAX], y[PATH_MAX];
    ssize_t n = readlinkat(a, name, x, sizeof(x)), m = readlinkat(b, name, y, sizeof(y));

    return n >= 0 && n == m && memcmp(x, y, (size_t)n) == 0;
}

static bool same(int a, const struct stat *x, int b, const struct stat *y, const char *name)
{
    if ((x->st_mode & S_IFMT) != (y->st_mode & S_IFMT) || x->st_uid != y->st_uid ||
        x->st_gid != y->st_gid)
        return false;
    if (S_ISLNK(x->st_mode))
        return same_link(a, b, name);
    return (x->st_mode & 07777) == (y->st_mode & 07777) && app_data_same(a, b, name);
}

/* What is in the way is kept: a directory is moved, of anything else the file gets a second name
 * and stays in its place until the new one takes that. */
static int put_aside(struct repair *r, int dir, const char *name, bool directory, struct err *err)
{
    if (r->aside < 0 && (fs_mkdirs(r->aside_path, 0700, err) < 0 ||
                         (r->aside = open(r->aside_path, DIR_FLAGS)) < 0))
        return err_errno(err, errno, "open %s", r->aside_path);
    for (unsigned i = 0;; i++) {
        char to[NAME_MAX + 1];

        snprintf(to, sizeof(to), "%.200s.%u", name, i);
        int n = directory ? renameat2(dir, name, r->aside, to, RENAME_NOREPLACE)
                          : linkat(dir, name, r->aside, to, 0);
        if (n == 0)
            return 0;
        if (errno != EEXIST)
            return err_errno(err, errno, "move '%s' to %s", r->path, r->aside_path);
    }
}

static int repair_directory(struct repair *r, int from, int to, struct err *err);

static int repair_open(struct repair *r, int a, int b, struct err *err)
{
    struct stat want, have;

    if (a < 0 || b < 0 || fstat(a, &want) < 0 || fstat(b, &have) < 0)
        return err_errno(err, errno, "open '%s'", r->path);
    if ((have.st_uid != 0 || have.st_gid != 0) && fchown(b, 0, 0) < 0)
        return err_errno(err, errno, "chown '%s'", r->path);
    if ((have.st_mode & 07777) != (want.st_mode & 07777) && fchmod(b, want.st_mode & 07777) < 0)
        return err_errno(err, errno, "chmod '%s'", r->path);
    return repair_directory(r, a, b, err);
}

static int repair_below(struct repair *r, int from, int to, const char *name, struct err *err)
{
    _cleanup_close_ int a = openat(from, name, DIR_FLAGS);
    _cleanup_close_ int b = openat(to, name, DIR_FLAGS);

    return repair_open(r, a, b, err);
}

static int repair_entry(struct repair *r, int from, int to, const char *name, struct err *err)
{
    struct stat want, have;

    if (manifest_owner(r->others, r->path) == OWNER_OTHERS)
        return 0;
    if (fstatat(from, name, &want, AT_SYMLINK_NOFOLLOW) < 0)
        return err_errno(err, errno, "look at '%s'", r->path);
    bool there = fstatat(to, name, &have, AT_SYMLINK_NOFOLLOW) == 0;
    if (!there && errno != ENOENT)
        return err_errno(err, errno, "look at '%s'", r->path);
    if (there && S_ISDIR(want.st_mode) && S_ISDIR(have.st_mode))
        return repair_below(r, from, to, name, err);
    if (there && !S_ISDIR(want.st_mode) && same(from, &want, to, &have, name))
        return 0;
    bool directory = S_ISDIR(want.st_mode) || (there && S_ISDIR(have.st_mode));
    if (there && put_aside(r, to, name, directory, err) < 0)
        return -1;
    return renameat(from, name, to, name) < 0 ? err_errno(err, errno, "put '%s' back", r->path) : 0;
}

static int repair_directory(struct repair *r, int from, int to, struct err *err)
{
    size_t len = strlen(r->path);
    int own = openat(from, ".", DIR_FLAGS); /* closed with the stream */
    _cleanup_closedir_ DIR *d = own < 0 ? NULL : fdopendir(own);

    if (!d)
        return err_errno(err, errno, "read the directory '%s'", r->path);
    for (struct dirent *e; (errno = 0, e = readdir(d));) {
        size_t n = strlen(e->d_name);

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (len + n + 2 > sizeof(r->path))
            return err_set(err, ERR_FAILED, "'%.200s' is too deep", r->path);
        if (len)
            r->path[len] = '/';
        memcpy(r->path + len + (len > 0), e->d_name, n + 1);
        if (repair_entry(r, from, to, e->d_name, err) < 0)
            return -1;
        r->path[len] = '\0';
    }
    return errno ? err_errno(err, errno, "read the directory '%s'", r->path) : 0;
}

int manifest_repair(const char *fresh, const char *top, const char *aside,
                    const struct manifest_others *others, struct err *err)
{
    struct repair r = {.others = others, .aside_path = aside, .aside = -1};
    _cleanup_close_ int a = open(fresh, DIR_FLAGS);
    _cleanup_close_ int b = open(top, DIR_FLAGS);
    int n = repair_open(&r, a, b, err);

    if (r.aside >= 0)
        close(r.aside);
    return n < 0 ? err_wrap(err, "repair %s", top) : 0;
}
