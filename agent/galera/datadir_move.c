/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/galera/datadir.h"
#include "agent/sys/life.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"

#define LOST "lost+found"
#define CHUNK (64 * 1024)

bool datadir_used(const char *dir)
{
    static const char *const shipped[] = {"mysql", "performance_schema", "sys", "test", LOST};
    _cleanup_closedir_ DIR *d = opendir(dir);

    for (struct dirent *e; d && (e = readdir(d));) {
        struct stat st;
        bool own = e->d_name[0] == '.' || e->d_name[0] == '#';

        for (size_t i = 0; i < ARRAY_LEN(shipped); i++)
            own = own || str_eq(e->d_name, shipped[i]);
        if (str_eq(e->d_name, "grastate.dat") ||
            (!own && fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
             S_ISDIR(st.st_mode)))
            return true;
    }
    return false;
}

/* `from` counts what was compared. */
static int compare_bytes(const char *a, const char *b, struct life *life, struct err *err)
{
    static unsigned char x[CHUNK], y[CHUNK];
    _cleanup_close_ int fa = open(a, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    _cleanup_close_ int fb = open(b, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fa < 0 || fb < 0)
        return err_errno(err, errno, "open %s", fa < 0 ? a : b);
    /* What is compared is to come from the disk, not from what was just written. */
    posix_fadvise(fb, 0, 0, POSIX_FADV_DONTNEED);
    for (off_t at = 0;;) {
        ssize_t n = pread(fa, x, sizeof(x), at), m = pread(fb, y, sizeof(y), at);

        if (n < 0 || m < 0)
            return err_errno(err, errno, "read %s", n < 0 ? a : b);
        if (n != m || memcmp(x, y, (size_t)n) != 0)
            return err_set(err, ERR_SAFETY, "%s and %s differ near byte %lld", a, b, (long long)at);
        if (n == 0)
            return 0;
        at += n;
        life_bytes(life, life->from += (uint64_t)n);
    }
}

static int compare_links(const char *a, const char *b, struct err *err)
{
    char x[4096], y[4096];
    ssize_t n = readlink(a, x, sizeof(x)), m = readlink(b, y, sizeof(y));

    return n >= 0 && n == m && memcmp(x, y, (size_t)n) == 0
               ? 0
               : err_set(err, ERR_SAFETY, "%s and %s lead to different places", a, b);
}

static int compare(const char *a, const char *b, bool top, struct life *life, struct err *err);

static int compare_directories(const char *a, const char *b, bool top, struct life *life,
                               struct err *err)
{
    unsigned names[2] = {0, 0};
    const char *const dirs[] = {a, b};

    for (int side = 0; side < 2; side++) {
        _cleanup_closedir_ DIR *d = opendir(dirs[side]);

        if (!d)
            return err_errno(err, errno, "open %s", dirs[side]);
        for (struct dirent *e; (e = readdir(d));) {
            if (str_eq(e->d_name, ".") || str_eq(e->d_name, "..") ||
                (top && str_eq(e->d_name, LOST)))
                continue;
            names[side]++;
            _cleanup_free_ char *x = str_fmt("%s/%s", a, e->d_name);
            _cleanup_free_ char *y = str_fmt("%s/%s", b, e->d_name);
            if (side == 0 && compare(x, y, false, life, err) < 0)
                return -1;
        }
    }
    return names[0] == names[1]
               ? 0
               : err_set(err, ERR_SAFETY, "%s has %u entries, %s %u", a, names[0], b, names[1]);
}

static int compare(const char *a, const char *b, bool top, struct life *life, struct err *err)
{
    struct stat x, y;

    if (lstat(a, &x) < 0 || lstat(b, &y) < 0)
        return err_errno(err, errno, "%s and %s", a, b);
    if (x.st_mode != y.st_mode || x.st_uid != y.st_uid || x.st_gid != y.st_gid)
        return err_set(err, ERR_SAFETY, "%s and %s have different owners or modes", a, b);
    if (S_ISDIR(x.st_mode))
        return compare_directories(a, b, top, life, err);
    if (S_ISREG(x.st_mode))
        return compare_bytes(a, b, life, err);
    return S_ISLNK(x.st_mode) ? compare_links(a, b, err) : 0;
}

/* Bytes of the files below `path`: as long as they are, or as they lie on the disk. */
static uint64_t tree_bytes(const char *path, bool on_disk)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return 0;
    uint64_t sum = on_disk               ? (uint64_t)st.st_blocks * 512
                   : S_ISREG(st.st_mode) ? (uint64_t)st.st_size
                                         : 0;
    _cleanup_closedir_ DIR *d = S_ISDIR(st.st_mode) ? opendir(path) : NULL;
    for (struct dirent *e; d && (e = readdir(d));) {
        _cleanup_free_ char *inner = str_fmt("%s/%s", path, e->d_name);

        if (!str_eq(e->d_name, ".") && !str_eq(e->d_name, ".."))
            sum += tree_bytes(inner, on_disk);
    }
    return sum;
}

int datadir_compare(const char *a, const char *b, struct run *run, struct err *err)
{
    struct life life = {.run = run,
                        .what = "compare the copy with the old directory",
                        .total = tree_bytes(a, false)};

    return compare(a, b, true, &life, err);
}

/* InnoDB holds a lock on its first file while it runs, whoever started it. */
static int nobody_has_it(const char *dir, struct err *err)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    _cleanup_free_ char *path = str_fmt("%s/ibdata1", dir);
    _cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT ? 0 : err_errno(err, errno, "open %s", path);
    if (fcntl(fd, F_GETLK, &lock) < 0)
        return err_errno(err, errno, "lock of %s", path);
    return lock.l_type == F_UNLCK
               ? 0
               : err_set(err, ERR_SAFETY, "process %d has %s open; stop it, then run again",
                         (int)lock.l_pid, path);
}

uint64_t datadir_bytes(const char *dir)
{
    _cleanup_free_ char *real = realpath(dir, NULL);

    return real ? tree_bytes(real, true) : 0;
}

/* A copy of a link, or of a file that names another place, leaves those tables where they are: two
 * directories would share them. */
static int nothing_elsewhere(const char *dir, struct err *err)
{
    _cleanup_closedir_ DIR *d = opendir(dir);

    if (!d)
        return err_errno(err, errno, "open %s", dir);
    for (struct dirent *e; (errno = 0, e = readdir(d));) {
        _cleanup_free_ char *path = str_fmt("%s/%s", dir, e->d_name);
        struct stat st;

        if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
            continue;
        if (lstat(path, &st) < 0)
            return err_errno(err, errno, "look at %s", path);
        if (S_ISLNK(st.st_mode) || (S_ISREG(st.st_mode) && str_ends(e->d_name, ".isl")))
            return err_set(err, ERR_SAFETY,
                           "%s leads to data in another place, which would not come along; move "
                           "that data to where it is named, then run again",
                           path);
        if (S_ISDIR(st.st_mode) && nothing_elsewhere(path, err) < 0)
            return -1;
    }
    return errno ? err_errno(err, errno, "read %s", dir) : 0;
}

int datadir_room(const char *dir, uint64_t bytes, struct err *err)
{
    uint64_t room = 0;

    if (fs_free(dir, &room, err) < 0)
        return -1;
    return room >= bytes
               ? 0
               : err_set(err, ERR_FAILED,
                         "No space left on %s: the data directory needs %llu MB, and %llu "
                         "MB are free; remove what is not needed there, or make the "
                         "volume larger",
                         dir, (unsigned long long)bytes / 1000000 + 1,
                         (unsigned long long)room / 1000000);
}

int datadir_copy(const char *dir, const char *to, struct run *run, struct err *err)
{
    _cleanup_free_ char *from = realpath(dir, NULL);

    if (!from)
        return err_errno(err, errno, "find %s", dir);
    _cleanup_free_ char *what = str_fmt("copy %s to %s; the old one stays", from, to);
    _cleanup_free_ char *copy = xstrdup(to);
    struct life life = {
        .run = run, .what = what, .where = dirname(copy), .total = tree_bytes(from, true)};
    _cleanup_free_ char *lost = str_fmt("%s/" LOST, to);

    if (nobody_has_it(from, err) < 0 || nothing_elsewhere(from, err) < 0 ||
        fs_remove_tree(to, err) < 0 ||
        life_run(&life,
                 PROC_ARGV("/usr/bin/cp", "--archive", "--one-file-system", "--no-target-directory",
                           "--", from, to),
                 err) < 0)
        return -1;
    if (rmdir(lost) < 0 && errno != ENOENT)
        return err_errno(err, errno, "%s holds files; see what they are", lost);
    _cleanup_close_ int fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || syncfs(fd) < 0)
        return err_errno(err, errno, "sync %s", to);
    return datadir_compare(from, to, run, err);
}
