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

#include "agent/disk.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"

#define SERIAL_LEN 20

/* A number or a text of a device in sysfs; false when there is none. */
static bool sys_text(dev_t rdev, const char *attr, char *ret, size_t cap)
{
    struct err err;
    char path[128];
    _cleanup_free_ char *text = NULL;
    snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(rdev), minor(rdev), attr);
    return fs_read(path, 65536, &text, NULL, &err) == 0 && str_copy(ret, cap, str_chomp(text));
}

static uint64_t sys_size(dev_t rdev)
{
    char text[32];
    uint64_t sectors = 0;
    if (!sys_text(rdev, "size", text, sizeof(text)) ||
        str_to_u64(text, UINT64_MAX / 512, &sectors) < 0)
        return 0;
    return sectors * 512;
}

static bool sys_exists(dev_t rdev, const char *attr)
{
    char path[128];
    snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(rdev), minor(rdev), attr);
    return access(path, F_OK) == 0;
}

static bool node_whole_disk(const char *path, dev_t *ret)
{
    struct stat st;
    if (stat(path, &st) < 0 || !S_ISBLK(st.st_mode) || sys_exists(st.st_rdev, "partition"))
        return false;
    *ret = st.st_rdev;
    return sys_exists(st.st_rdev, "size");
}

static void serial_of(const char *volume, char ret[SERIAL_LEN + 1])
{
    size_t n = 0;
    for (; *volume && n < SERIAL_LEN; volume++)
        if (*volume != '-')
            ret[n++] = *volume;
    ret[n] = '\0';
}

static bool place_set(struct disk_place *p, const char *path, const char *how)
{
    _cleanup_free_ char *real = realpath(path, NULL);
    if (!real || !node_whole_disk(real, &p->rdev) || !str_copy(p->node, sizeof(p->node), real))
        return false;
    p->size = sys_size(p->rdev);
    snprintf(p->how, sizeof(p->how), "%s", how);
    return true;
}

static bool serial_matches(dev_t rdev, const char *serial)
{
    char text[128];
    if (sys_text(rdev, "serial", text, sizeof(text)) && strcmp(text, serial) == 0)
        return true;
    /* SCSI VPD page 0x80: four bytes of header, then the serial */
    char path[128], page[256] = "";
    snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/device/vpd_pg80", major(rdev), minor(rdev));
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, page, sizeof(page) - 1);
    return n > 4 && strncmp(page + 4, serial, SERIAL_LEN) == 0;
}

static bool find_by_link(const char *serial, struct disk_place *ret)
{
    static const char *const prefixes[] = {"virtio-", "scsi-0QEMU_QEMU_HARDDISK_"};
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        _cleanup_free_ char *path = str_fmt("/dev/disk/by-id/%s%s", prefixes[i], serial);
        if (place_set(ret, path, path + strlen("/dev/disk/")))
            return true;
    }
    return false;
}

/* The folder in sysfs, e.g. /sys/devices/.../block/sdb/sdb1; the caller frees; NULL: none. */
static char *sys_folder(dev_t rdev)
{
    char link[64];
    snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", major(rdev), minor(rdev));
    return realpath(link, NULL);
}

static bool on_disk(dev_t dev, dev_t disk)
{
    _cleanup_free_ char *folder = sys_folder(dev);
    _cleanup_free_ char *whole = sys_folder(disk);
    size_t len = whole ? strlen(whole) : 0;
    return dev == disk || (folder && len && strncmp(folder, whole, len) == 0 && folder[len] == '/');
}

int disk_used_by(dev_t disk, const char *own, char *ret, size_t cap, struct err *err)
{
    _cleanup_free_ char *text = NULL;
    char *save = NULL;
    ret[0] = '\0';
    if (fs_read("/proc/self/mountinfo", 4 * 1024 * 1024, &text, NULL, err) < 0)
        return -1;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        unsigned maj, min;
        char where[512];
        if (sscanf(line, "%*u %*u %u:%u %*s %511s", &maj, &min, where) != 3)
            continue;
        if (on_disk(makedev(maj, min), disk) && !(own && strcmp(where, own) == 0)) {
            str_copy(ret, cap, where);
            return 0;
        }
    }
    return 0;
}

static bool held(dev_t rdev)
{
    char path[128];
    snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/holders", major(rdev), minor(rdev));
    _cleanup_closedir_ DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (e->d_name[0] != '.')
            return true;
    return false;
}

int disk_find(const struct disk_want *w, struct disk_place *ret, struct err *err)
{
    char serial[SERIAL_LEN + 1];
    struct disk_place p = {0}, fit = {0};
    unsigned n = 0;
    _cleanup_(strbuf_free) struct strbuf seen = {0};
    serial_of(w->volume, serial);
    if (find_by_link(serial, &p)) {
        *ret = p;
        return 0;
    }
    _cleanup_closedir_ DIR *dir = opendir("/dev");
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char path[300], used[256] = "";
        dev_t rdev;
        snprintf(path, sizeof(path), "/dev/%s", e->d_name);
        if (e->d_type == DT_LNK || !node_whole_disk(path, &rdev))
            continue;
        if (serial_matches(rdev, serial) && place_set(ret, path, "serial number in sysfs"))
            return 0;
        uint64_t size = sys_size(rdev);
        if (size)
            strbuf_addf(&seen, "%s%s %llu", seen.len ? ", " : "", path, (unsigned long long)size);
        if (size != w->size || held(rdev) ||
            disk_used_by(rdev, NULL, used, sizeof(used), err) < 0 || used[0])
            continue;
        n++;
        place_set(&fit, path, "the only unused disk of exactly this size");
    }
    if (n != 1)
        return err_set(
            err, ERR_SAFETY,
            "no disk with serial %s, and %u unused disks of %llu bytes (R1); disks: %.200s", serial,
            n, (unsigned long long)w->size, strbuf_str(&seen));
    *ret = fit;
    return 0;
}

/* "major:minor" of the first partition, from the disk's folder in sysfs. */
static bool partition_rdev(const struct disk_place *d, dev_t *ret)
{
    char path[128];
    snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(d->rdev), minor(d->rdev));
    _cleanup_closedir_ DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        unsigned maj, min;
        struct err err;
        char attr[420];
        _cleanup_free_ char *text = NULL;
        snprintf(attr, sizeof(attr), "%s/%s/partition", path, e->d_name);
        if (access(attr, F_OK) < 0)
            continue;
        snprintf(attr, sizeof(attr), "%s/%s/dev", path, e->d_name);
        if (fs_read(attr, 64, &text, NULL, &err) == 0 && sscanf(text, "%u:%u", &maj, &min) == 2) {
            *ret = makedev(maj, min);
            return true;
        }
    }
    return false;
}

int disk_partition_node(const struct disk_place *d, unsigned wait_ms, char *ret, size_t cap,
                        struct err *err)
{
    uint64_t deadline = clock_mono_ms() + wait_ms;
    for (;;) {
        dev_t want = 0;
        struct stat st;
        bool known = partition_rdev(d, &want);
        static const char *const suffixes[] = {"1", "p1", "-part1"};
        for (size_t i = 0; known && i < ARRAY_LEN(suffixes); i++) {
            snprintf(ret, cap, "%s%s", d->node, suffixes[i]);
            if (stat(ret, &st) == 0 && S_ISBLK(st.st_mode) && st.st_rdev == want)
                return 0;
        }
        if (clock_mono_ms() >= deadline)
            return err_set(err, ERR_FAILED,
                           known ? "the kernel knows the partition of %s, but its node in /dev did "
                                   "not appear (R10)"
                                 : "the kernel does not know the partition of %s (R10)",
                           d->node);
        clock_pause_ms(20);
    }
}
