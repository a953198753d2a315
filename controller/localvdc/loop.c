/* SPDX-License-Identifier: Apache-2.0 */
/* Loop devices: the first half of disk.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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
#include "controller/localvdc/disk.h"

#define LOOP_MAJOR 7
#define ATTACH_TRIES 50

int disk_make(const char *path, uint64_t bytes, struct err *err)
{
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_errno(err, errno, "make disk %s", path);
    if (st.st_size > 0)
        return 0;
    if (ftruncate(fd, (off_t)bytes) != 0 || fsync(fd) != 0)
        return err_errno(err, errno, "make disk %s of %llu bytes", path, (unsigned long long)bytes);
    return fs_sync_parent(path, err);
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
            str_eq(str_chomp(backing), path))
            return atoi(e->d_name + strlen("loop"));
    }
    return -1;
}

static int open_loop(int number, char ret_dev[32])
{
    snprintf(ret_dev, 32, "/dev/loop%d", number);
    /* Without udev nobody makes the nodes above those that came with the machine. */
    if (access(ret_dev, F_OK) != 0)
        mknod(ret_dev, S_IFBLK | 0660, makedev(LOOP_MAJOR, (unsigned)number));
    return open(ret_dev, O_RDWR | O_CLOEXEC);
}

int disk_attach(const char *path, char ret_dev[32], struct err *err)
{
    int number = disk_loop_of(path);
    if (number >= 0) {
        _cleanup_close_ int there = open_loop(number, ret_dev);
        return there < 0 ? err_errno(err, errno, "open %s", ret_dev) : 0;
    }
    _cleanup_close_ int file = open(path, O_RDWR | O_CLOEXEC);
    _cleanup_close_ int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (file < 0 || control < 0)
        return err_errno(err, errno, "attach %s", path);
    struct loop_config config = {.fd = (uint32_t)file, .info = {.lo_flags = LO_FLAGS_PARTSCAN}};
    for (int i = 0; i < ATTACH_TRIES; i++) {
        number = ioctl(control, LOOP_CTL_GET_FREE);
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

/* Exclusive opening fails while a filesystem on it, or on one of its partitions, is mounted
 * anywhere; what CLR_FD finds in use it would detach later, behind everybody's back. */
static int check_unused(const char *path, const char *dev, struct err *err)
{
    for (int i = 0; i < 20; i++) {
        _cleanup_close_ int alone = open(dev, O_RDONLY | O_EXCL | O_CLOEXEC);
        if (alone >= 0)
            return 0;
        if (errno != EBUSY)
            return err_errno(err, errno, "open %s", dev);
        clock_pause_ms(20); /* an unmount may be on its way */
    }
    return err_set(err, ERR_FAILED, "detach %s from %s: it is in use; unmount it in the guest",
                   path, dev);
}

static int clear(const char *path, int number, char dev[32], struct err *err)
{
    _cleanup_close_ int loop = open_loop(number, dev);
    if (loop < 0)
        return err_errno(err, errno, "open %s", dev);
    if (check_unused(path, dev, err) != 0)
        return -1;
    if (ioctl(loop, LOOP_CLR_FD) != 0 && errno != ENXIO)
        return err_errno(err, errno, "detach %s from %s", path, dev);
    return 0;
}

/* The device goes when its last user closes it, which may be a moment later. */
int disk_detach(const char *path, struct err *err)
{
    char dev[32];
    int number = disk_loop_of(path);
    if (number < 0)
        return 0;
    if (clear(path, number, dev, err) != 0)
        return -1;
    for (int i = 0; i < 100; i++) {
        if (disk_loop_of(path) < 0)
            return 0;
        clock_pause_ms(20);
    }
    return err_set(err, ERR_FAILED, "detach %s from %s: some program still has it open", path, dev);
}
