/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/localvdc/machine/power.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"
#include "controller/localvdc/base/tool.h"
#include "controller/localvdc/machine/compute.h"
#include "controller/localvdc/machine/disk.h"

#define FS_SHUTDOWN _IOR('X', 125, uint32_t) /* the same number for ext4 and xfs */
#define FS_SHUTDOWN_NOLOGFLUSH 2
#define FILL_NAME ".mvdc-fill"
#define FILL_STEP_MIN 512

int power_shut_path(const char *path, struct err *err)
{
    uint32_t how = FS_SHUTDOWN_NOLOGFLUSH;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd >= 0 && ioctl(fd, FS_SHUTDOWN, &how) == 0)
        return 0;
    if (errno == EIO)
        return 0; /* it was shut down before */
    if (errno == ENOTTY || errno == EOPNOTSUPP)
        return err_set(err, ERR_FAILED,
                       "%s: this kind of filesystem cannot lose what was not synced; "
                       "ext4 and xfs can",
                       path);
    return err_errno(err, errno, "shut down the filesystem at %s", path);
}

/* The text that a mount table has for spaces and the like, in place. */
static void unescape(char *s)
{
    char *to = s;

    for (; *s; s++, to++) {
        unsigned code = 0;

        if (s[0] == '\\' && sscanf(s + 1, "%3o", &code) == 1) {
            *to = (char)code;
            s += 3;
        } else {
            *to = *s;
        }
    }
    *to = '\0';
}

/* "7:3\n259:0\n…": the loop device of the image with its partitions. */
static void devices_of(const char *image, struct strbuf *out)
{
    int number = disk_loop_of(image);
    _cleanup_free_ char *pattern = str_fmt("/sys/block/loop%d{,/loop%dp*}/dev", number, number);
    glob_t g = {0};

    if (number >= 0 && glob(pattern, GLOB_BRACE, NULL, &g) == 0) {
        for (size_t i = 0; i < g.gl_pathc; i++) {
            struct err err = {0};
            _cleanup_free_ char *dev = NULL;

            if (fs_read(g.gl_pathv[i], 64, &dev, NULL, &err) == 0)
                strbuf_addf(out, " %s ", str_chomp(dev));
        }
    }
    globfree(&g);
}

typedef int (*visit)(const char *path, void *ctx, struct err *err);

/* Calls `fn` for each mount of these devices in the process's table; counts in *ret_n. */
static int visit_process(int pid, const char *devices, visit fn, void *ctx, size_t *ret_n,
                         struct err *err)
{
    struct err ignored = {0};
    _cleanup_free_ char *path = str_fmt("/proc/%d/mountinfo", pid), *text = NULL;

    if (fs_read(path, 16 * 1024 * 1024, &text, NULL, &ignored) < 0)
        return 0; /* ended meanwhile */
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char dev[32], at[PATH_MAX];

        if (sscanf(line, "%*d %*d %31s %*s %4095s", dev, at) != 2)
            continue;
        _cleanup_free_ char *field = str_fmt(" %s ", dev);
        if (!strstr(devices, field))
            continue;
        unescape(at);
        _cleanup_free_ char *whole = str_fmt("/proc/%d/root%s", pid, at);
        struct stat st;
        unsigned major = 0, minor = 0;
        /* Something else may be mounted over it. */
        if (stat(whole, &st) < 0 || sscanf(dev, "%u:%u", &major, &minor) != 2 ||
            st.st_dev != makedev(major, minor))
            continue;
        if (fn(whole, ctx, err) < 0)
            return -1;
        ++*ret_n;
    }
    return 0;
}

/* In all tables of mounts that the guest's processes have. */
static int visit_guest(pid_t init, const char *image, visit fn, void *ctx, size_t *ret_n,
                       struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf devices = {0};
    ino_t guest = tool_namespace(init, "pid"), last = 0;

    devices_of(image, &devices);
    _cleanup_closedir_ DIR *proc = opendir("/proc");
    for (struct dirent *e = proc ? readdir(proc) : NULL; e; e = readdir(proc)) {
        int pid = atoi(e->d_name);

        if (pid < 2 || guest == 0 || tool_namespace(pid, "pid") != guest)
            continue;
        ino_t table = tool_namespace(pid, "mnt");
        if (table != last && visit_process(pid, strbuf_str(&devices), fn, ctx, ret_n, err) < 0)
            return -1;
        last = table;
    }
    return 0;
}

static int shut(const char *path, void *ctx, struct err *err)
{
    (void)ctx;
    return power_shut_path(path, err);
}

int power_shut_image(pid_t init, const char *image, struct err *err)
{
    size_t n = 0;

    return visit_guest(init, image, shut, NULL, &n, err);
}

int power_fill_path(const char *dir, const char *name, bool undo, struct err *err)
{
    struct statvfs v;
    _cleanup_free_ char *path = str_fmt("%s/%s", dir, name);

    if (undo)
        return unlink(path) == 0 || errno == ENOENT ? 0 : err_errno(err, errno, "remove %s", path);
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || fstatvfs(fd, &v) < 0)
        return err_errno(err, errno, "make %s", path);
    off_t end = lseek(fd, 0, SEEK_END);
    for (off_t step = (off_t)(v.f_bfree * v.f_frsize); step >= FILL_STEP_MIN;) {
        if (fallocate(fd, 0, end, step) == 0)
            end += step;
        else if (errno == ENOSPC)
            step /= 2;
        else if (errno != EINTR)
            return err_errno(err, errno, "fill %s", path);
    }
    return fsync(fd) == 0 ? 0 : err_errno(err, errno, "fill %s", path);
}

static int fill(const char *path, void *ctx, struct err *err)
{
    return power_fill_path(path, FILL_NAME, *(const bool *)ctx, err);
}

int power_fill_image(pid_t init, const char *image, bool undo, struct err *err)
{
    size_t n = 0;

    if (visit_guest(init, image, fill, &undo, &n, err) < 0)
        return -1;
    return n > 0 ? 0
                 : err_set(err, ERR_FAILED, "the guest has not mounted it; mount it there first");
}

static int freeze(const char *path, void *ctx, struct err *err)
{
    struct held *held = ctx;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd < 0)
        return err_errno(err, errno, "freeze the filesystem at %s", path);
    if (held->n < HELD_MAX && ioctl(fd, FIFREEZE, 0) == 0) {
        held->fds[held->n++] = fd;
        return 0;
    }
    /* Frozen before, by us or by the guest; shut down; or of a kind without a journal. */
    int why = held->n < HELD_MAX ? errno : EMFILE;
    bool still =
        why == EBUSY || why == EIO || ((why == EOPNOTSUPP || why == ENOTTY) && syncfs(fd) == 0);
    close(fd);
    return still ? 0 : err_errno(err, why, "freeze the filesystem at %s", path);
}

int power_freeze_image(pid_t init, const char *image, struct held *ret, struct err *err)
{
    size_t n = 0;

    return visit_guest(init, image, freeze, ret, &n, err);
}

int power_thaw(struct held *held, struct err *err)
{
    int failed = 0;

    for (; held->n > 0; held->n--) {
        int fd = held->fds[held->n - 1];

        if (ioctl(fd, FITHAW, 0) < 0 && errno != EINVAL) /* thawed by somebody else */
            failed = errno;
        close(fd);
    }
    return failed ? err_errno(err, failed, "thaw a filesystem") : 0;
}

static int thaw(const char *path, void *ctx, struct err *err)
{
    (void)ctx;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd >= 0 && (ioctl(fd, FITHAW, 0) == 0 || errno != EPERM))
        return 0;
    return err_errno(err, errno, "thaw the filesystem at %s", path);
}

int power_thaw_image(pid_t init, const char *image, struct err *err)
{
    size_t n = 0;

    return visit_guest(init, image, thaw, NULL, &n, err);
}
