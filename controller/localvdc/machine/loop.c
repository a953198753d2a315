/* SPDX-License-Identifier: Apache-2.0 */
/* Loop devices: the first half of disk.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"
#include "controller/localvdc/base/tool.h"
#include "controller/localvdc/machine/disk.h"

#define LOOP_MAJOR 7
#define ATTACH_TRIES 50
#define RELEASE_TRIES 25
#define ABANDONED_SIZE 512 /* what is left of a device that was abandoned: one sector */

int disk_make(const char *path, uint64_t bytes, struct err *err)
{
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(err, errno, "make disk %s", path);
    if (st.st_size > 0)
        return 0;
    if (ftruncate(fd, (off_t)bytes) < 0 || fsync(fd) < 0)
        return err_errno(err, errno, "make disk %s of %llu bytes", path, (unsigned long long)bytes);
    return fs_sync_parent(path, err);
}

/* See disk_forsake. */
static bool is_abandoned(const char *loop)
{
    struct err err = {0};
    _cleanup_free_ char *file = str_fmt("/sys/block/%s/loop/sizelimit", loop), *text = NULL;

    return fs_read(file, 32, &text, NULL, &err) == 0 && atoll(text) == ABANDONED_SIZE;
}

int disk_loop_of(const char *path)
{
    _cleanup_closedir_ DIR *dir = opendir("/sys/block");

    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        if (!str_starts(e->d_name, "loop"))
            continue;
        _cleanup_free_ char *file = str_fmt("/sys/block/%s/loop/backing_file", e->d_name);
        _cleanup_free_ char *backing = NULL;
        struct err err = {0};
        if (access(file, R_OK) == 0 && fs_read(file, 4096, &backing, NULL, &err) == 0 &&
            str_eq(str_chomp(backing), path) && !is_abandoned(e->d_name))
            return atoi(e->d_name + strlen("loop"));
    }
    return -1;
}

static int open_loop(int number, char ret_dev[32])
{
    snprintf(ret_dev, 32, "/dev/loop%d", number);
    /* Without udev nobody makes the nodes above those that came with the machine. */
    if (access(ret_dev, F_OK) < 0)
        mknod(ret_dev, S_IFBLK | 0660, makedev(LOOP_MAJOR, (unsigned)number));
    return open(ret_dev, O_RDWR | O_CLOEXEC);
}

int disk_grow(const char *path, uint64_t bytes, struct err *err)
{
    char dev[32];
    struct stat st;
    _cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(err, errno, "grow %s", path);
    if ((uint64_t)st.st_size < bytes && (ftruncate(fd, (off_t)bytes) < 0 || fsync(fd) < 0))
        return err_errno(err, errno, "grow %s to %llu bytes", path, (unsigned long long)bytes);
    int number = disk_loop_of(path);
    _cleanup_close_ int loop = number >= 0 ? open_loop(number, dev) : -1;
    if (number >= 0 && (loop < 0 || ioctl(loop, LOOP_SET_CAPACITY, 0) < 0))
        return err_errno(err, errno, "grow %s on %s", path, dev);
    return 0;
}

/* What was left to go with its last user (see disk_release) is wanted again. */
static int keep(int loop, const char *path, struct err *err)
{
    struct loop_info64 info = {0};

    if (ioctl(loop, LOOP_GET_STATUS64, &info) < 0)
        return err_errno(err, errno, "look at the loop device of %s", path);
    if (!(info.lo_flags & LO_FLAGS_AUTOCLEAR))
        return 0;
    info.lo_flags &= ~(uint32_t)LO_FLAGS_AUTOCLEAR;
    if (ioctl(loop, LOOP_SET_STATUS64, &info) < 0)
        return err_errno(err, errno, "keep the loop device of %s", path);
    return 0;
}

int disk_attach(const char *path, char ret_dev[32], struct err *err)
{
    for (int i = 0, number = disk_loop_of(path); number >= 0; number = disk_loop_of(path)) {
        _cleanup_close_ int there = open_loop(number, ret_dev);

        if (there < 0)
            return err_errno(err, errno, "open %s", ret_dev);
        if (keep(there, path, err) == 0)
            return 0;
        if (++i >= ATTACH_TRIES) /* it went between the two calls, or goes */
            return -1;
        clock_pause_ms(10);
    }
    _cleanup_close_ int file = open(path, O_RDWR | O_CLOEXEC);
    _cleanup_close_ int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (file < 0 || control < 0)
        return err_errno(err, errno, "attach %s", path);
    struct loop_config config = {.fd = (uint32_t)file, .info = {.lo_flags = LO_FLAGS_PARTSCAN}};
    for (int i = 0; i < ATTACH_TRIES; i++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);

        if (number < 0)
            return err_errno(err, errno, "attach %s: no free loop device", path);
        _cleanup_close_ int loop = open_loop(number, ret_dev);
        if (loop < 0)
            return err_errno(err, errno, "open %s", ret_dev);
        if (ioctl(loop, LOOP_CONFIGURE, &config) == 0)
            return 0;
        if (errno != EBUSY)
            return err_errno(err, errno, "attach %s to %s", path, ret_dev);
        clock_pause_ms(10); /* somebody else took it between the two calls */
    }
    return err_set(err, ERR_FAILED, "attach %s: every free loop device was taken by others", path);
}

/* Whether a filesystem on the device or on one of its partitions is in a table of mounts. */
static bool in_mounts(int number, const char *mountinfo)
{
    _cleanup_free_ char *pattern = str_fmt("/sys/block/loop%d{,/loop%dp*}/dev", number, number);
    glob_t g = {0};
    bool found = false;

    if (glob(pattern, GLOB_BRACE, NULL, &g) == 0) {
        for (size_t i = 0; i < g.gl_pathc && !found; i++) {
            struct err err = {0};
            _cleanup_free_ char *dev = NULL;

            if (fs_read(g.gl_pathv[i], 64, &dev, NULL, &err) < 0)
                continue;
            _cleanup_free_ char *field = str_fmt(" %s ", str_chomp(dev)); /* id, parent, device */
            found = strstr(mountinfo, field) != NULL;
        }
    }
    globfree(&g);
    return found;
}

enum holder { HOLDER_NONE, HOLDER_OTHER, HOLDER_GUEST };

/* Who has it mounted: a process of the guest (`init` is its first, 0: it does not run), or only
 * processes elsewhere, as a tool that copied the host's table of mounts for itself. */
static enum holder holder_of(int number, pid_t init)
{
    enum holder found = HOLDER_NONE;
    ino_t guest = init > 0 ? tool_namespace(init, "pid") : 0;
    _cleanup_closedir_ DIR *proc = opendir("/proc");

    for (struct dirent *e = proc ? readdir(proc) : NULL; e; e = readdir(proc)) {
        struct err err = {0};
        int pid = atoi(e->d_name);
        _cleanup_free_ char *path = str_fmt("/proc/%s/mountinfo", e->d_name), *text = NULL;

        if (pid < 1 || fs_read(path, 16 * 1024 * 1024, &text, NULL, &err) < 0 ||
            !in_mounts(number, text))
            continue;
        if (guest != 0 && tool_namespace(pid, "pid") == guest)
            return HOLDER_GUEST;
        found = HOLDER_OTHER;
    }
    return found;
}

/* An exclusive open fails while a filesystem on it, or on one of its partitions, is mounted
 * anywhere, or a program has it for itself (swap, mkfs). */
static int check_unused(const char *path, int number, pid_t init, struct err *err)
{
    char dev[32];

    for (int i = 0; i < 20; i++) {
        _cleanup_close_ int loop = open_loop(number, dev);
        _cleanup_close_ int alone = open(dev, O_RDONLY | O_EXCL | O_CLOEXEC);

        if (loop < 0 || (alone < 0 && errno != EBUSY))
            return err_errno(err, errno, "open %s", dev);
        if (alone >= 0)
            return 0;
        clock_pause_ms(20); /* an unmount may be on its way */
    }
    if (holder_of(number, init) == HOLDER_OTHER)
        return 0;
    return err_set(err, ERR_FAILED, "detach %s from %s: it is in use; unmount it in the guest",
                   path, dev);
}

/* The kernel takes it off at once, or, while somebody uses it, when the last user lets go. */
static int clear(int number, const char *path, struct err *err)
{
    char dev[32];
    _cleanup_close_ int loop = open_loop(number, dev);

    if (loop < 0)
        return err_errno(err, errno, "open %s", dev);
    if (ioctl(loop, LOOP_CLR_FD) < 0 && errno != ENXIO)
        return err_errno(err, errno, "detach %s from %s", path, dev);
    return 0;
}

int disk_release(const char *path, struct err *err)
{
    for (int i = 0, number = disk_loop_of(path); number >= 0 && i < RELEASE_TRIES; i++) {
        if (clear(number, path, err) < 0)
            return -1;
        if ((number = disk_loop_of(path)) >= 0)
            clock_pause_ms(20);
    }
    return 0;
}

int disk_detach(const char *path, pid_t init, struct err *err)
{
    int number = disk_loop_of(path);

    if (number < 0)
        return 0;
    return check_unused(path, number, init, err) < 0 ? -1 : disk_release(path, err);
}

int disk_forsake(const char *path, struct err *err)
{
    char dev[32];

    if (disk_release(path, err) < 0)
        return -1;
    int number = disk_loop_of(path);
    _cleanup_close_ int loop = number >= 0 ? open_loop(number, dev) : -1;
    struct loop_info64 info = {0};
    if (number < 0 || (loop >= 0 && ioctl(loop, LOOP_GET_STATUS64, &info) < 0 && errno == ENXIO))
        return 0;
    info.lo_sizelimit = ABANDONED_SIZE;
    if (loop < 0 || ioctl(loop, LOOP_SET_STATUS64, &info) < 0)
        return err_errno(err, errno, "cut %s off from %s", dev, path);
    return 0;
}
