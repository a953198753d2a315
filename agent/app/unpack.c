/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/app/unpack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/app/files.h"
#include "common/child.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"

#define TAR "/usr/bin/tar"
#define UNZIP "/usr/bin/unzip"
#define UNZIP_WARNED 1  /* its exit status when all was unpacked and something was odd */
#define UNPACK_ID 65533 /* user and group that nobody has: Debian keeps 65000 to 65533 free */
#define DEPTH_MAX 128
#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* --- what was unpacked ----------------------------------------------------------------------- */

struct walk {
    int top;
    const struct unpack_limits *max;
    bool take; /* make it root's; else only look */
    uint64_t bytes, entries;
    char path[PATH_MAX]; /* below top, of the entry at hand */
};

static int over(const struct walk *w, struct err *err)
{
    if (w->bytes <= w->max->bytes && w->entries <= w->max->entries)
        return 0;
    return err_set(err, ERR_SAFETY,
                   "the archive holds more than %llu MB or %llu entries; what is not part of the "
                   "application does not belong in it",
                   (unsigned long long)(w->max->bytes >> 20), (unsigned long long)w->max->entries);
}

/* Where it leads is asked of the kernel, which follows the links on the way, too. */
static int link_stays_inside(const struct walk *w, int dir, const char *name, struct err *err)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH};

    if (n < 0)
        return err_errno(err, errno, "read the link '%s' of the archive", w->path);
    target[n] = '\0';
    const char *slash = strrchr(w->path, '/');
    _cleanup_free_ char *path = str_fmt(
        "%.*s%s", target[0] == '/' || !slash ? 0 : (int)(slash + 1 - w->path), w->path, target);
    _cleanup_close_ int fd = (int)syscall(SYS_openat2, w->top, path, &how, sizeof(how));
    if (fd >= 0 || errno == ENOENT) /* inside; it may be made later */
        return 0;
    return err_set(err, ERR_SAFETY,
                   "the archive's entry '%s' is a link to '%s', which %s; only links that stay "
                   "inside are taken",
                   w->path, target, errno == EXDEV ? "leads out of it" : "cannot be followed");
}

static const char *kind_name(mode_t mode)
{
    return S_ISBLK(mode) || S_ISCHR(mode) ? "a device" : S_ISFIFO(mode) ? "a fifo" : "a socket";
}

static int walk_directory(struct walk *w, int fd, unsigned depth, struct err *err);

static int take_over(const struct walk *w, int fd, mode_t mode, struct err *err)
{
    mode_t wanted = S_ISDIR(mode) || (mode & 0111) ? 0755 : 0644;

    if (fchown(fd, 0, 0) < 0 || fchmod(fd, wanted) < 0)
        return err_errno(err, errno, "take '%s' of the archive over", w->path);
    return 0;
}

static int walk_entry(struct walk *w, int dir, const char *name, unsigned depth, struct err *err)
{
    struct stat st;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_errno(err, errno, "look at '%s' of the archive", w->path);
    w->entries++;
    w->bytes += S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    if (over(w, err) < 0)
        return -1;
    if (S_ISLNK(st.st_mode)) {
        if (!w->take)
            return link_stays_inside(w, dir, name, err);
        return fchownat(dir, name, 0, 0, AT_SYMLINK_NOFOLLOW) < 0
                   ? err_errno(err, errno, "take '%s' of the archive over", w->path)
                   : 0;
    }
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return err_set(
            err, ERR_SAFETY,
            "the archive's entry '%s' is %s; only files, directories and links inside of it "
            "are taken",
            w->path, kind_name(st.st_mode));
    if (S_ISREG(st.st_mode) && st.st_uid != UNPACK_ID && !w->take)
        return err_set(err, ERR_SAFETY, "the archive's entry '%s' is a link to a file outside",
                       w->path);
    if (S_ISREG(st.st_mode) && !w->take)
        return 0;
    _cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "open '%s' of the archive", w->path);
    if (w->take && take_over(w, fd, st.st_mode, err) < 0)
        return -1;
    return S_ISDIR(st.st_mode) ? walk_directory(w, fd, depth + 1, err) : 0;
}

static int walk_directory(struct walk *w, int fd, unsigned depth, struct err *err)
{
    size_t len = strlen(w->path);
    int own = openat(fd, ".", DIR_FLAGS); /* closed with the stream */
    _cleanup_closedir_ DIR *d = own < 0 ? NULL : fdopendir(own);

    if (!d)
        return err_errno(err, errno, "read the directory '%s' of the archive", w->path);
    for (struct dirent *e; (errno = 0, e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        size_t n = strlen(e->d_name);
        if (depth >= DEPTH_MAX || len + n + 2 > sizeof(w->path))
            return err_set(err, ERR_SAFETY, "the archive's directories are too deep at '%.200s'",
                           w->path);
        if (len)
            w->path[len] = '/';
        memcpy(w->path + len + (len > 0), e->d_name, n + 1);
        if (walk_entry(w, fd, e->d_name, depth, err) < 0)
            return -1;
        w->path[len] = '\0';
    }
    return errno ? err_errno(err, errno, "read the directory '%s' of the archive", w->path) : 0;
}

/* All is looked at before anything is changed. */
int unpack_take(const char *top, const struct unpack_limits *max, struct err *err)
{
    _cleanup_close_ int fd = open(top, DIR_FLAGS);
    struct walk look = {.top = fd, .max = max};
    struct walk take = {.top = fd, .max = max, .take = true};

    if (fd < 0)
        return err_errno(err, errno, "open %s", top);
    if (walk_directory(&look, fd, 0, err) < 0 || take_over(&take, fd, S_IFDIR, err) < 0)
        return -1;
    return walk_directory(&take, fd, 0, err);
}

/* --- unpacking ------------------------------------------------------------------------------- */

struct unpacking {
    const char *dir;
    const struct unpack_limits *max;
    struct err why; /* the first thing that was wrong */
    bool give_up;
};

static void on_tick(void *ctx)
{
    struct unpacking *u = ctx;
    _cleanup_close_ int fd = open(u->dir, DIR_FLAGS);
    struct walk w = {.top = fd, .max = u->max};
    struct err ignored = {0}; /* it changes while it is looked at */

    if (fd >= 0 && walk_directory(&w, fd, 0, &ignored) < 0 && over(&w, &u->why) < 0)
        u->give_up = true;
}

/* The last thing that tar says is only that it failed before. */
static void on_line(void *ctx, const char *line)
{
    struct unpacking *u = ctx;

    if (u->why.msg[0])
        return;
    if (strstr(line, "../") && (strstr(line, "Removing leading") || strstr(line, "skipped"))) {
        err_set(&u->why, ERR_SAFETY, "the archive has an entry that leads out of it: %.300s", line);
        u->give_up = true;
    } else if (strstr(line, ": Cannot mknod")) {
        err_set(&u->why, ERR_SAFETY,
                "the archive holds a device, which no application needs: %.300s", line);
        u->give_up = true;
    } else if (strstr(line, ": Cannot ") || strstr(line, "error")) {
        err_set(&u->why, ERR_FAILED, "unpack the archive: %.300s", line);
    }
}

static void kill_others(void *ctx)
{
    (void)ctx;
    kill(-1, SIGKILL);
}

/* Whatever the archive made run ends: from here on nobody else changes what was unpacked. */
static int end_others(struct err *err)
{
    const struct child_opts opts = {.uid = UNPACK_ID, .gid = UNPACK_ID};
    pid_t pid;

    if (child_call(kill_others, NULL, "what ends the archive's processes", &opts, &pid, err) < 0)
        return -1;
    waitpid(pid, NULL, 0);
    return 0;
}

static int run_program(const char *const argv[], int archive, struct unpacking *u, struct err *err)
{
    static const char *const env[] = {"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", NULL};
    struct proc_result said = {0};
    struct err ignored; /* there is an earlier one */
    struct proc_opts opts = {.env = env,
                             .cwd = u->dir,
                             .uid = UNPACK_ID,
                             .gid = UNPACK_ID,
                             .pass_fd = archive,
                             .on_line = on_line,
                             .on_tick = on_tick,
                             .tick_s = 1,
                             .give_up = &u->give_up,
                             .ctx = u};
    int r = proc_run(argv, &opts, &said, err);

    if (argv[0][strlen(argv[0]) - 1] == 'p' && said.status == UNZIP_WARNED)
        r = 0;
    proc_result_free(&said);
    if (end_others(r == 0 ? err : &ignored) < 0)
        r = -1;
    if (u->give_up || (r < 0 && u->why.msg[0])) {
        *err = u->why;
        r = -1;
    }
    return r;
}

int unpack_archive(const char *archive, const char *dir, const struct unpack_limits *max,
                   struct err *err)
{
    struct unpacking u = {.dir = dir, .max = max};
    bool zip = false;
    _cleanup_close_ int fd = open(archive, O_RDONLY | O_CLOEXEC);
    /* Not by its name: the directory that it is in is root's alone. */
    _cleanup_free_ char *file = str_fmt("/proc/self/fd/%d", fd);

    if (fs_is_zip(archive, &zip, err) < 0)
        return -1;
    if (fd < 0 || fchmod(fd, 0644) < 0)
        return err_errno(err, errno, "open %s", archive);
    if (zip && !fs_exists(UNZIP))
        return err_set(err, ERR_FAILED, UNZIP " is missing; the plan must install unzip");
    if (chmod(dir, 0700) < 0 || chown(dir, UNPACK_ID, UNPACK_ID) < 0)
        return err_errno(err, errno, "prepare %s", dir);
    int r = run_program(zip ? PROC_ARGV(UNZIP, "-q", "-o", file)
                            : PROC_ARGV(TAR, "-xf", file, "--no-same-owner",
                                        "--no-same-permissions", "--delay-directory-restore"),
                        fd, &u, err);
    if (chown(dir, 0, 0) < 0 && r == 0)
        r = err_errno(err, errno, "take %s back", dir);
    return r;
}
