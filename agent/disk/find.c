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

static uint64_t sys_bytes(dev_t rdev, const char *attr)
{
    char text[32];
    uint64_t sectors = 0;

    if (!sys_text(rdev, attr, text, sizeof(text)) ||
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
    p->size = sys_bytes(p->rdev, "size");
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

size_t disk_list(struct disk_place **ret)
{
    struct disk_place *all = NULL;
    size_t n = 0;
    _cleanup_closedir_ DIR *dir = opendir("/dev");

    for (struct dirent *e; dir && (e = readdir(dir));) {
        struct disk_place p = {0};
        char path[300];

        snprintf(path, sizeof(path), "/dev/%s", e->d_name);
        if (e->d_type == DT_LNK || str_starts(e->d_name, "ram") || str_starts(e->d_name, "zram") ||
            !place_set(&p, path, "") || !p.size)
            continue;
        all = xrealloc(all, (n + 1) * sizeof(*all));
        all[n++] = p;
    }
    *ret = all;
    return n;
}

/* Without a serial, our own marks (R8) tell it apart from others of its size; while it is mounted
 * it is not unused any more. */
static bool has_our_marks(const struct disk_want *w, const struct disk_place *p)
{
    struct disk_look look;
    struct err err;
    _cleanup_close_ int fd = open(p->node, O_RDONLY | O_CLOEXEC);

    return fd >= 0 && disk_classify(fd, p->size, w, &look, &err) == 0 &&
           (look.kind == DISK_OURS || look.kind == DISK_TABLE_OURS || look.kind == DISK_UNFINISHED);
}

static int find_by_size(const struct disk_want *w, const struct disk_place *all, size_t n,
                        struct disk_place *ret, struct err *err)
{
    struct disk_place unused = {0}, ours = {0};
    unsigned n_unused = 0, n_ours = 0;
    _cleanup_(strbuf_free) struct strbuf seen = {0};
    char used[256], serial[SERIAL_LEN + 1];

    for (size_t i = 0; i < n; i++) {
        strbuf_addf(&seen, "%s%s %llu", seen.len ? ", " : "", all[i].node,
                    (unsigned long long)all[i].size);
        if (w->size && all[i].size != w->size)
            continue;
        if (has_our_marks(w, &all[i])) {
            n_ours++;
            ours = all[i];
        } else if (w->size && !disk_busy(&all[i]) &&
                   disk_used_by(all[i].rdev, used, sizeof(used), err) == 0 && !used[0]) {
            n_unused++;
            unused = all[i];
        }
    }
    if (n_ours == 1) {
        *ret = ours;
        str_copy(ret->how, sizeof(ret->how), "our marks on it");
        return 0;
    }
    if (n_ours == 0 && n_unused == 1) {
        *ret = unused;
        str_copy(ret->how, sizeof(ret->how), "the only unused disk of exactly this size");
        return 0;
    }
    serial_of(w->volume, serial);
    if (n_ours)
        return err_set(err, ERR_SAFETY, "%u disks carry the marks of volume %s (R1); disks: %.200s",
                       n_ours, w->volume, strbuf_str(&seen));
    return err_set(err, ERR_SAFETY,
                   "volume %s is not attached: no disk with serial %s, and %u unused disks of %llu "
                   "bytes (R1). 'muster up' attaches it again. Disks: %.160s",
                   w->volume, serial, n_unused, (unsigned long long)w->size, strbuf_str(&seen));
}

int disk_find(const struct disk_want *w, struct disk_place *ret, struct err *err)
{
    char serial[SERIAL_LEN + 1];
    struct disk_place p = {0};
    _cleanup_free_ struct disk_place *all = NULL;

    serial_of(w->volume, serial);
    if (find_by_link(serial, &p)) {
        *ret = p;
        return 0;
    }
    size_t n = disk_list(&all);
    for (size_t i = 0; i < n; i++)
        if (serial_matches(all[i].rdev, serial)) {
            *ret = all[i];
            str_copy(ret->how, sizeof(ret->how), "serial number in sysfs");
            return 0;
        }
    return find_by_size(w, all, n, ret, err);
}

/* "major:minor" of the first partition, from the disk's directory in sysfs, when its start and size
 * are those of `look`. */
static bool partition_rdev(const struct disk_place *d, const struct disk_look *look, dev_t *ret)
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
        if (fs_read(attr, 64, &text, NULL, &err) < 0 || sscanf(text, "%u:%u", &maj, &min) != 2)
            continue;
        *ret = makedev(maj, min);
        if (!look || (sys_bytes(*ret, "start") == look->part_start &&
                      sys_bytes(*ret, "size") == look->part_size))
            return true;
    }
    return false;
}

int disk_partition_node(const struct disk_place *d, const struct disk_look *look, unsigned wait_ms,
                        char *ret, size_t cap, struct err *err)
{
    uint64_t deadline = clock_mono_ms() + wait_ms;

    for (;;) {
        dev_t want = 0;
        struct stat st;
        bool known = partition_rdev(d, look, &want);
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
                                 : "the kernel does not know the partition of %s as the table "
                                   "has it (R10)",
                           d->node);
        clock_pause_ms(20);
    }
}
