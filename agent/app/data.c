/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/app/data.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/app/internal.h"
#include "agent/sys/beneath.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"

#define TMP_NAME ".muster-new"
#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* A directory inside another of the list comes along with that one. */
static bool covered(const struct app_data *d, const char *directory)
{
    size_t i;
    json_t *other;

    json_array_foreach(d->directories, i, other)
    {
        const char *name = json_string_value(other);
        size_t len = strlen(name);

        if (strncmp(directory, name, len) == 0 && directory[len] == '/')
            return true;
    }
    return false;
}

static bool links_to(const char *path, const char *target)
{
    char have[PATH_MAX];
    ssize_t n = readlink(path, have, sizeof(have) - 1);

    if (n < 0)
        return false;
    have[n] = '\0';
    return strcmp(have, target) == 0;
}

bool app_data_linked(const struct app_data *d, const char *release)
{
    size_t i;
    json_t *item;

    json_array_foreach(d->directories, i, item)
    {
        const char *directory = json_string_value(item);
        _cleanup_free_ char *path = str_fmt("%s/%s", release, directory);
        _cleanup_free_ char *target = str_fmt("%s/%s", d->home, directory);

        if (!covered(d, directory) && (!links_to(path, target) || !fs_exists(target)))
            return false;
    }
    return true;
}

/* The directory itself, by descriptor: the site may change what is on the way. */
static int open_directory(const struct app_data *d, const char *directory, struct err *err)
{
    return beneath_open(d->home, directory, false, (uid_t)-1, (gid_t)-1, err);
}

static bool usable(const struct app_data *d, const struct stat *st)
{
    return st->st_uid == d->uid && st->st_gid == d->gid && (st->st_mode & S_IRWXU) == S_IRWXU;
}

const char *app_data_unusable(const struct app_data *d)
{
    size_t i;
    json_t *item;

    json_array_foreach(d->directories, i, item)
    {
        struct err ignored;
        struct stat st;
        const char *directory = json_string_value(item);
        _cleanup_close_ int fd = open_directory(d, directory, &ignored);

        /* In another of them the site may have put something else there. */
        if (fd < 0 ? errno != ENOENT && covered(d, directory)
                   : fstat(fd, &st) == 0 && usable(d, &st))
            continue;
        return directory;
    }
    return NULL;
}

int app_data_own(const struct app_data *d, struct err *err)
{
    size_t i;
    json_t *item;

    json_array_foreach(d->directories, i, item)
    {
        struct stat st;
        const char *directory = json_string_value(item);
        _cleanup_close_ int fd = open_directory(d, directory, err);

        if (fd < 0 && covered(d, directory))
            continue;
        if (fd < 0 || fstat(fd, &st) < 0)
            return -1;
        if (!usable(d, &st) &&
            (fchown(fd, d->uid, d->gid) < 0 || fchmod(fd, (st.st_mode & 07777) | S_IRWXU) < 0))
            return err_errno(err, errno, "owner and mode of %s/%s", d->home, directory);
    }
    return 0;
}

static int make_parent(const char *path, struct err *err)
{
    _cleanup_free_ char *copy = xstrdup(path);

    return fs_mkdirs(dirname(copy), 0755, err);
}

static int make_link(const char *path, const char *target, struct err *err)
{
    if (links_to(path, target))
        return 0;
    if (make_parent(path, err) < 0)
        return -1;
    return symlink(target, path) < 0 ? err_errno(err, errno, "link %s", path) : 0;
}

/* What the path is: S_IFDIR, S_IFLNK, ...; 0 when there is nothing. */
static mode_t kind_of(const char *path)
{
    struct stat st;

    return lstat(path, &st) < 0 ? 0 : st.st_mode & S_IFMT;
}

int app_data_split(const struct app_data *d, const char *tree, const char *dist, struct err *err)
{
    size_t i;
    json_t *item;

    if (fs_mkdirs(dist, 0700, err) < 0)
        return -1;
    json_array_foreach(d->directories, i, item)
    {
        const char *directory = json_string_value(item);
        _cleanup_free_ char *path = str_fmt("%s/%s", tree, directory);
        _cleanup_free_ char *kept = str_fmt("%s/%s", dist, directory);
        _cleanup_free_ char *target = str_fmt("%s/%s", d->home, directory);

        if (covered(d, directory))
            continue;
        mode_t kind = kind_of(path);
        if (kind && kind != S_IFDIR)
            return err_set(err, ERR_FAILED, "'%s' is no directory in the archive", directory);
        if (kind && (make_parent(kept, err) < 0 || rename(path, kept) < 0))
            return err_errno(err, errno, "move %s to %s", path, kept);
        if (make_link(path, target, err) < 0)
            return -1;
    }
    return 0;
}

/* Onto another filesystem: all of it is there before any of it goes here. */
static int move_directory(const char *path, const char *target, struct err *err)
{
    _cleanup_free_ char *fresh = str_fmt("%s.new", target);

    if (rename(path, target) == 0)
        return 0;
    if (errno != EXDEV)
        return err_errno(err, errno, "move %s to %s", path, target);
    if (fs_remove_tree(fresh, err) < 0 ||
        proc_call(PROC_ARGV("/usr/bin/cp", "-aT", path, fresh), err) < 0)
        return -1;
    sync();
    if (rename(fresh, target) < 0)
        return err_errno(err, errno, "rename %s", fresh);
    return fs_remove_tree(path, err);
}

int app_data_adopt(const struct app_data *d, const char *release, struct err *err)
{
    size_t i;
    json_t *item;

    json_array_foreach(d->directories, i, item)
    {
        const char *directory = json_string_value(item);
        _cleanup_free_ char *path = str_fmt("%s/%s", release, directory);
        _cleanup_free_ char *target = str_fmt("%s/%s", d->home, directory);
        _cleanup_free_ char *owner = str_fmt("%u:%u", d->uid, d->gid);

        if (covered(d, directory) || kind_of(path) != S_IFDIR)
            continue;
        if (fs_exists(target) && rmdir(path) == 0)
            continue; /* it was empty */
        if (fs_exists(target))
            return err_set(err, ERR_SAFETY, "both %s and %s hold files; move one of them away",
                           path, target);
        if (make_parent(target, err) < 0 ||
            proc_call(PROC_ARGV("/usr/bin/chown", "-R", "-h", owner, path), err) < 0 ||
            move_directory(path, target, err) < 0)
            return -1;
    }
    json_array_foreach(d->directories, i, item)
    {
        const char *directory = json_string_value(item);
        _cleanup_free_ char *path = str_fmt("%s/%s", release, directory);
        _cleanup_free_ char *target = str_fmt("%s/%s", d->home, directory);

        if (covered(d, directory))
            continue;
        if (kind_of(path) == S_IFLNK && !links_to(path, target) && unlink(path) < 0)
            return err_errno(err, errno, "remove %s", path);
        if (make_link(path, target, err) < 0)
            return -1;
    }
    return 0;
}

/* --- merging -------------------------------------------------------------------------------- */

/* The site may change its directories while this walks them: every step goes by descriptor and
 * follows no link. */
struct merge {
    const struct app_data *d;
    int src, old, dst; /* directories; old may be -1 */
};

bool app_data_same(int dir_a, int dir_b, const char *name)
{
    char a[4096], b[4096];
    struct stat sa, sb;
    _cleanup_close_ int fa = openat(dir_a, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    _cleanup_close_ int fb = openat(dir_b, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

    if (fa < 0 || fb < 0 || fstat(fa, &sa) < 0 || fstat(fb, &sb) < 0 || !S_ISREG(sa.st_mode) ||
        !S_ISREG(sb.st_mode) || sa.st_size != sb.st_size)
        return false;
    for (;;) {
        ssize_t n = read(fa, a, sizeof(a)), m = read(fb, b, sizeof(b));

        if (n < 0 || n != m || memcmp(a, b, (size_t)n) != 0)
            return false;
        if (n == 0)
            return true;
    }
}

static int copy_bytes(int from, int to)
{
    char buf[65536];

    for (ssize_t n; (n = read(from, buf, sizeof(buf))) != 0;) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        for (ssize_t off = 0; off < n;) {
            ssize_t m = write(to, buf + off, (size_t)(n - off));

            if (m < 0)
                return -1;
            off += m;
        }
    }
    return 0;
}

static int copy_file(const struct merge *m, const char *name, mode_t mode, struct err *err)
{
    unlinkat(m->dst, TMP_NAME, 0);
    _cleanup_close_ int from = openat(m->src, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    _cleanup_close_ int to =
        openat(m->dst, TMP_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (from < 0 || to < 0 || copy_bytes(from, to) < 0 || fchown(to, m->d->uid, m->d->gid) < 0 ||
        fchmod(to, mode & 0777) < 0 || renameat(m->dst, TMP_NAME, m->dst, name) < 0)
        return err_errno(err, errno, "copy %s", name);
    return 0;
}

static int copy_link(const struct merge *m, const char *name, struct err *err)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(m->src, name, target, sizeof(target) - 1);

    if (n < 0)
        return err_errno(err, errno, "read link %s", name);
    target[n] = '\0';
    if (symlinkat(target, m->dst, name) < 0)
        return err_errno(err, errno, "link %s", name);
    if (fchownat(m->dst, name, m->d->uid, m->d->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return err_errno(err, errno, "chown %s", name);
    return 0;
}

static int merge_directory(const struct merge *m, struct err *err);

static int merge_below(const struct merge *m, const char *name, bool there, struct err *err)
{
    if (!there && mkdirat(m->dst, name, 0755) < 0)
        return err_errno(err, errno, "make directory %s", name);
    _cleanup_close_ int src = openat(m->src, name, DIR_FLAGS);
    _cleanup_close_ int old = m->old < 0 ? -1 : openat(m->old, name, DIR_FLAGS);
    _cleanup_close_ int dst = openat(m->dst, name, DIR_FLAGS);
    struct merge below = {m->d, src, old, dst};
    if (src < 0)
        return err_errno(err, errno, "open directory %s", name);
    if (dst < 0)
        return 0; /* the site has something else in its place */
    if (!there && fchown(dst, m->d->uid, m->d->gid) < 0)
        return err_errno(err, errno, "chown %s", name);
    return merge_directory(&below, err);
}

static int merge_entry(const struct merge *m, const char *name, struct err *err)
{
    struct stat st, have;

    if (fstatat(m->src, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_errno(err, errno, "%s", name);
    bool there = fstatat(m->dst, name, &have, AT_SYMLINK_NOFOLLOW) == 0;
    if (S_ISDIR(st.st_mode))
        return merge_below(m, name, there, err);
    if (S_ISLNK(st.st_mode))
        return there ? 0 : copy_link(m, name, err);
    if (!S_ISREG(st.st_mode))
        return 0;
    if (there &&
        (m->old < 0 || !app_data_same(m->old, m->dst, name) || app_data_same(m->src, m->dst, name)))
        return 0;
    return copy_file(m, name, st.st_mode, err);
}

static int merge_directory(const struct merge *m, struct err *err)
{
    int fd = fcntl(m->src, F_DUPFD_CLOEXEC, 3);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir)
        return err_errno(err, errno, "read a directory of the archive");
    for (struct dirent *e; (e = readdir(dir));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            merge_entry(m, e->d_name, err) < 0)
            return err_wrap(err, "%s", e->d_name);
    return 0;
}

/* One directory may lie in another, which is the site's to change: what is there stays. */
static int make_directory(const struct app_data *d, const char *directory, struct err *err)
{
    _cleanup_free_ char *path = str_fmt("%s/%s", d->home, directory);

    if (kind_of(path))
        return 0;
    if (fs_mkdirs(d->home, 0755, err) < 0)
        return -1;
    _cleanup_close_ int fd = beneath_open(d->home, directory, true, d->uid, d->gid, err);
    return fd < 0 ? -1 : 0;
}

static int merge_one(const struct app_data *d, const char *directory, const char *dist,
                     const char *old, struct err *err)
{
    _cleanup_free_ char *from = str_fmt("%s/%s", dist, directory);
    _cleanup_free_ char *before = str_fmt("%s/%s", old ? old : "", directory);
    _cleanup_free_ char *target = str_fmt("%s/%s", d->home, directory);

    if (make_directory(d, directory, err) < 0)
        return -1;
    if (kind_of(from) != S_IFDIR)
        return 0;
    _cleanup_close_ int src = open(from, DIR_FLAGS);
    _cleanup_close_ int was = old ? open(before, DIR_FLAGS) : -1;
    _cleanup_close_ int dst = open(target, DIR_FLAGS);
    struct merge m = {d, src, was, dst};
    if (src < 0 || dst < 0)
        return err_errno(err, errno, "open %s", src < 0 ? from : target);
    return merge_directory(&m, err) < 0 ? err_wrap(err, "%s", target) : 0;
}

int app_data_merge(const struct app_data *d, const char *dist, const char *old, struct err *err)
{
    size_t i;
    json_t *item;

    json_array_foreach(d->directories, i, item)
    {
        const char *directory = json_string_value(item);

        if (!covered(d, directory) && merge_one(d, directory, dist, old, err) < 0)
            return -1;
    }
    json_array_foreach(d->directories, i, item)
    {
        if (make_directory(d, json_string_value(item), err) < 0)
            return -1;
    }
    return 0;
}
