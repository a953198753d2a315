/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/localvdc/machine/image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"

#define BLOCK 65536

void image_part(const char *path, char *ret, size_t cap)
{
    snprintf(ret, cap, "%s.part", path);
}

int image_begin(const char *disk, const char *path, struct image *ret, struct err *err)
{
    struct image m = {.from = open(disk, O_RDONLY | O_CLOEXEC), .to = -1};

    if (m.from < 0)
        return err_errno(err, errno, "open %s", disk);
    str_copy(m.path, sizeof(m.path), path);
    image_part(path, m.part, sizeof(m.part));
    m.to = open(m.part, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (m.to < 0) {
        err_errno(err, errno, "make %s", m.part);
        close(m.from);
        return -1;
    }
    *ret = m;
    return 0;
}

static int size_of(int fd, uint64_t *ret, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_errno(err, errno, "look at a disk");
    *ret = (uint64_t)st.st_size;
    return 0;
}

int image_share(struct image *m, struct err *err)
{
    if (ioctl(m->to, FICLONE, m->from) < 0) {
        if (errno == EOPNOTSUPP || errno == EXDEV || errno == EINVAL || errno == ENOTTY)
            return 0;
        return err_errno(err, errno, "copy to %s", m->part);
    }
    return size_of(m->to, &m->size, err) < 0 ? -1 : 1;
}

int image_check_space(const struct image *m, struct err *err)
{
    struct stat st;
    struct statvfs v;

    if (fstat(m->from, &st) < 0 || fstatvfs(m->to, &v) < 0)
        return err_errno(err, errno, "look at %s", m->part);
    uint64_t needed = (uint64_t)st.st_blocks * 512, there = (uint64_t)v.f_bavail * v.f_frsize;
    if (needed <= there)
        return 0;
    return err_set(err, ERR_FAILED,
                   "the copy needs %llu MiB and %llu are free on the disk of %s; free some, then "
                   "try again",
                   (unsigned long long)needed >> 20, (unsigned long long)there >> 20, m->path);
}

/* Reads all of it; what is beyond the end is zero. */
static int read_block(int fd, off_t at, char *buf, size_t n, struct err *err)
{
    for (size_t got = 0; got < n;) {
        ssize_t r = pread(fd, buf + got, n - got, at + (off_t)got);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_errno(err, errno, "read a disk at %lld", (long long)at);
        if (r == 0) {
            memset(buf + got, 0, n - got);
            return 0;
        }
        got += (size_t)r;
    }
    return 0;
}

static int write_block(const struct image *m, off_t at, const char *buf, size_t n, struct err *err)
{
    for (size_t done = 0; done < n;) {
        ssize_t r = pwrite(m->to, buf + done, n - done, at + (off_t)done);

        if (r < 0 && errno != EINTR)
            return err_errno(err, errno, "write %s", m->part);
        done += r > 0 ? (size_t)r : 0;
    }
    return 0;
}

static int update_range(const struct image *m, off_t at, off_t end, struct err *err)
{
    static char theirs[BLOCK], ours[BLOCK]; /* each job is a process of its own */

    for (; at < end; at += BLOCK) {
        size_t n = end - at < BLOCK ? (size_t)(end - at) : BLOCK;

        if (read_block(m->from, at, theirs, n, err) < 0 || read_block(m->to, at, ours, n, err) < 0)
            return -1;
        if (memcmp(theirs, ours, n) != 0 && write_block(m, at, theirs, n, err) < 0)
            return -1;
    }
    return 0;
}

/* The disk has nothing there; what an earlier pass found goes. */
static int clear_range(const struct image *m, off_t at, off_t end, struct err *err)
{
    off_t data = lseek(m->to, at, SEEK_DATA);

    if (data < 0 ? errno == ENXIO : data >= end)
        return 0;
    if (fallocate(m->to, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, end - at) == 0)
        return 0;
    if (errno != EOPNOTSUPP)
        return err_errno(err, errno, "write %s", m->part);
    return update_range(m, at, end, err);
}

int image_update(struct image *m, struct err *err)
{
    if (size_of(m->from, &m->size, err) < 0)
        return -1;
    if (ftruncate(m->to, (off_t)m->size) < 0)
        return err_errno(err, errno, "make %s", m->part);
    for (off_t at = 0, size = (off_t)m->size; at < size;) {
        off_t data = lseek(m->from, at, SEEK_DATA);

        if (data < 0)
            data = errno == ENXIO ? size : at; /* without holes all is data */
        data = data < size ? data : size;
        if (data > at && clear_range(m, at, data, err) < 0)
            return -1;
        off_t end = data < size ? lseek(m->from, data, SEEK_HOLE) : size;
        if (end < 0 || end > size)
            end = size;
        if (update_range(m, data, end, err) < 0)
            return -1;
        at = end;
    }
    return fsync(m->to) == 0 ? 0 : err_errno(err, errno, "write %s", m->part);
}

int image_grow(struct image *m, uint64_t bytes, struct err *err)
{
    if (bytes <= m->size)
        return 0;
    if (ftruncate(m->to, (off_t)bytes) < 0)
        return err_errno(err, errno, "make %s of %llu bytes", m->part, (unsigned long long)bytes);
    m->size = bytes;
    return 0;
}

int image_commit(struct image *m, struct err *err)
{
    if (fsync(m->to) < 0)
        return err_errno(err, errno, "write %s", m->part);
    if (rename(m->part, m->path) < 0)
        return err_errno(err, errno, "rename %s", m->part);
    m->part[0] = '\0';
    return fs_sync_parent(m->path, err);
}

void image_drop(struct image *m)
{
    if (m->from >= 0)
        close(m->from);
    if (m->to >= 0)
        close(m->to);
    if (m->part[0])
        unlink(m->part);
    *m = (struct image){.from = -1, .to = -1};
}

int image_lock(const char *disk, struct err *err)
{
    int fd = open(disk, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return err_errno(err, errno, "open %s", disk);
    while (flock(fd, LOCK_EX) < 0) {
        if (errno == EINTR)
            continue;
        err_errno(err, errno, "lock %s", disk);
        close(fd);
        return -1;
    }
    return fd;
}
