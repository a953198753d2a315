/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/disk/disk.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"

#define BUSY_MS 3000 /* mkfs of a run that was killed may still be ending */
#define DEPTH_MAX 8  /* LVM on LUKS on RAID on a partition needs four */

static dev_t dev_read(const char *path)
{
    unsigned maj, min;
    struct err err;
    _cleanup_free_ char *text = NULL;

    if (fs_read(path, 64, &text, NULL, &err) < 0 || sscanf(text, "%u:%u", &maj, &min) != 2)
        return 0;
    return makedev(maj, min);
}

/* The device is the disk, a partition of it, or made of one of those. */
static bool on_disk(dev_t dev, dev_t disk, int depth)
{
    if (!dev || depth > DEPTH_MAX)
        return false;
    if (dev == disk)
        return true;
    _cleanup_free_ char *directory = str_fmt("/sys/dev/block/%u:%u", major(dev), minor(dev));
    _cleanup_free_ char *partition = str_fmt("%s/partition", directory);
    _cleanup_free_ char *parent = str_fmt("%s/../dev", directory);
    if (fs_exists(partition) && on_disk(dev_read(parent), disk, depth + 1))
        return true;
    _cleanup_free_ char *slaves = str_fmt("%s/slaves", directory);
    _cleanup_closedir_ DIR *dir = opendir(slaves);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        _cleanup_free_ char *inner = str_fmt("%s/%s/dev", slaves, e->d_name);

        if (e->d_name[0] != '.' && on_disk(dev_read(inner), disk, depth + 1))
            return true;
    }
    return false;
}

static dev_t node_dev(const char *path)
{
    struct stat st;

    return path[0] == '/' && stat(path, &st) == 0 && S_ISBLK(st.st_mode) ? st.st_rdev : 0;
}

static bool any_line(const char *path,
                     bool (*on)(const char *line, dev_t disk, char *ret, size_t cap), dev_t disk,
                     char *ret, size_t cap, int *ret_rc, struct err *err)
{
    _cleanup_free_ char *text = NULL;
    char *save = NULL;

    *ret_rc = fs_read(path, 4 * 1024 * 1024, &text, NULL, err);
    for (char *line = *ret_rc == 0 ? strtok_r(text, "\n", &save) : NULL; line;
         line = strtok_r(NULL, "\n", &save))
        if (on(line, disk, ret, cap))
            return true;
    return false;
}

static bool mounted(const char *line, dev_t disk, char *ret, size_t cap)
{
    unsigned maj, min;
    char where[512], source[512] = "";
    const char *rest = strstr(line, " - ");

    if (sscanf(line, "%*u %*u %u:%u %*s %511s", &maj, &min, where) != 3)
        return false;
    /* btrfs gives a number of its own and names its device only here. */
    if (rest)
        sscanf(rest, " - %*s %511s", source);
    if (!on_disk(makedev(maj, min), disk, 0) && !on_disk(node_dev(source), disk, 0))
        return false;
    str_copy(ret, cap, where);
    return true;
}

static bool swapped(const char *line, dev_t disk, char *ret, size_t cap)
{
    char source[512];

    if (sscanf(line, "%511s", source) != 1 || !on_disk(node_dev(source), disk, 0))
        return false;
    str_copy(ret, cap, "swap");
    return true;
}

int disk_used_by(dev_t disk, char *ret, size_t cap, struct err *err)
{
    struct err ignored;
    int rc = 0, optional = 0;

    ret[0] = '\0';
    if (any_line("/proc/self/mountinfo", mounted, disk, ret, cap, &rc, err) || rc < 0)
        return rc;
    any_line("/proc/swaps", swapped, disk, ret, cap, &optional, &ignored);
    return 0;
}

bool disk_busy(const struct disk_place *d)
{
    uint64_t deadline = clock_mono_ms() + BUSY_MS;

    for (;;) {
        _cleanup_close_ int fd = open(d->node, O_RDONLY | O_EXCL | O_CLOEXEC);

        if (fd >= 0 || errno != EBUSY)
            return false;
        if (clock_mono_ms() >= deadline)
            return true;
        clock_pause_ms(20);
    }
}

bool disk_readonly(const struct disk_place *d)
{
    struct err err;
    _cleanup_free_ char *path = str_fmt("/sys/dev/block/%u:%u/ro", major(d->rdev), minor(d->rdev));
    _cleanup_free_ char *text = NULL;

    return fs_read(path, 16, &text, NULL, &err) == 0 && text[0] == '1';
}
