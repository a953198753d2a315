/* SPDX-License-Identifier: Apache-2.0 */
#include <blkid/blkid.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/disk/disk.h"
#include "common/cleanup.h"
#include "common/keys.h"
#include "common/str.h"

#define KIB 1024ULL
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)
#define ENDS (16 * MIB) /* read whole at the start and at the end */
#define SAMPLE (64 * KIB)
#define SAMPLES 64

void disk_want_fill(struct disk_want *w, const char *volume, const char *filesystem, uint64_t size)
{
    *w = (struct disk_want){.size = size};
    str_copy(w->volume, sizeof(w->volume), volume);
    str_copy(w->filesystem, sizeof(w->filesystem), filesystem);
    keys_uuid_derived("muster-partition", volume, w->part_uuid);
    keys_uuid_derived("muster-filesystem", volume, w->fs_uuid);
}

const char *disk_kind_name(enum disk_kind kind)
{
    static const char *const names[] = {
        [DISK_BLANK] = "blank",
        [DISK_TABLE_OURS] = "our partition, blank",
        [DISK_UNFINISHED] = "our partition, unfinished",
        [DISK_OURS] = "ours",
        [DISK_FOREIGN] = "foreign",
    };

    return names[kind];
}

/* A part of the disk: the whole, or our partition. */
struct span {
    int fd;
    uint64_t start, size;
};

/* 1: [off, off+len) of the span is zero; what lies beyond its end is left out. 0: it is not. */
static int zero_at(const struct span *s, uint64_t off, uint64_t len, struct err *err)
{
    static const unsigned char zeros[SAMPLE];
    unsigned char buf[SAMPLE];

    if (off >= s->size)
        return 1;
    if (len > s->size - off)
        len = s->size - off;
    while (len) {
        size_t want = len < SAMPLE ? (size_t)len : SAMPLE;
        unsigned long long at = s->start;

        at += off;
        ssize_t n = pread(s->fd, buf, want, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            err_errno(err, errno, "read at byte %llu (R5)", at);
            err->code = ERR_SAFETY;
            return -1;
        }
        if ((size_t)n != want)
            return err_set(err, ERR_SAFETY, "short read at byte %llu (R5)", at);
        if (memcmp(buf, zeros, want) != 0)
            return 0;
        off += want;
        len -= want;
    }
    return 1;
}

/* Where ext4 keeps copies of its superblock, were a filesystem to start at `base`. */
static int ext_backups_zero(const struct span *s, uint64_t base, struct err *err)
{
    static const unsigned groups[] = {1, 3, 5, 7, 9, 25, 27, 49, 81, 125, 243, 343};

    for (uint64_t bs = KIB; bs <= 4 * KIB; bs *= 2)
        for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
            uint64_t at = base + groups[i] * 8 * bs * bs + (bs == KIB ? KIB : 0);
            int r = zero_at(s, at, 4 * KIB, err);

            if (r != 1)
                return r;
        }
    return 1;
}

/* Where other formats keep copies, or what finds the rest, far from both ends. */
static int copies_zero(const struct span *s, uint64_t base, struct err *err)
{
    static const uint64_t places[] = {
        64 * MIB, 256 * GIB,                        /* btrfs */
        GIB,      10 * GIB,  100 * GIB, 1000 * GIB, /* BlueStore */
        4 * GIB,  16 * GIB,  64 * GIB,  TIB,        /* and 1, 256 GiB:    OCFS2 */
        3 * GIB,                                    /* NTFS, its table of files */
    };

    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        int r = zero_at(s, base + places[i], 4 * KIB, err);

        if (r != 1)
            return r;
    }
    return 1;
}

/* XFS starts each of its allocation groups (4 to 32 of equal size, but none is larger than 1 TiB)
 * with a header. */
static int xfs_groups_zero(const struct span *s, uint64_t base, struct err *err)
{
    for (uint64_t n = 2; n <= 32; n *= 2)
        for (uint64_t k = 1; k < n; k++) {
            uint64_t at = base + (s->size - base) / n * k / (4 * KIB) * (4 * KIB);
            int r = zero_at(s, at > 32 * KIB ? at - 32 * KIB : 0, SAMPLE, err);

            if (r != 1)
                return r;
        }
    for (uint64_t at = base + TIB; at < s->size; at += TIB) {
        int r = zero_at(s, at, 4 * KIB, err);

        if (r != 1)
            return r;
    }
    return 1;
}

/* R5: 1 blank, 0 not. */
static int span_blank(const struct span *s, struct err *err)
{
    /* A lost partition table: its first partition began at 1 MiB, or long ago at sector 63. */
    static const uint64_t bases[] = {0, MIB, 63 * 512};
    int r = zero_at(s, 0, ENDS, err);

    if (r == 1)
        r = zero_at(s, s->size > ENDS ? s->size - ENDS : 0, ENDS, err);
    for (uint64_t i = 1; i < SAMPLES && r == 1; i++)
        r = zero_at(s, s->size / SAMPLES * i / 4096 * 4096, SAMPLE, err);
    for (size_t i = 0; i < ARRAY_LEN(bases) && r == 1; i++) {
        if (bases[i] >= s->size)
            continue;
        r = ext_backups_zero(s, bases[i], err);
        if (r == 1)
            r = copies_zero(s, bases[i], err);
        if (r == 1)
            r = xfs_groups_zero(s, bases[i], err);
    }
    return r;
}

static void probe_cleanup(blkid_probe *pr)
{
    if (*pr)
        blkid_free_probe(*pr);
}

static const char *value_of(blkid_probe pr, const char *name)
{
    const char *v = NULL;

    return blkid_probe_lookup_value(pr, name, &v, NULL) == 0 && v ? v : "";
}

static blkid_probe probe_open(const struct span *s, bool partitions)
{
    blkid_probe pr = blkid_new_probe();

    if (!pr ||
        blkid_probe_set_device(pr, s->fd, (blkid_loff_t)s->start, (blkid_loff_t)s->size) < 0) {
        probe_cleanup(&pr);
        return NULL;
    }
    blkid_probe_enable_superblocks(pr, 1);
    blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_UUID |
                                              BLKID_SUBLKS_LABEL | BLKID_SUBLKS_USAGE |
                                              BLKID_SUBLKS_BADCSUM);
    blkid_probe_enable_partitions(pr, partitions);
    blkid_probe_set_partitions_flags(pr, BLKID_PARTS_FORCE_GPT | BLKID_PARTS_MAGIC);
    return pr;
}

static int __attribute__((format(printf, 4, 5)))
look(struct disk_look *ret, enum disk_kind kind, unsigned rule, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    ret->kind = kind;
    ret->rule = rule;
    vsnprintf(ret->why, sizeof(ret->why), fmt, ap);
    va_end(ap);
    size_t len = strlen(ret->why);
    snprintf(ret->why + len, sizeof(ret->why) - len, " (R%u)", rule);
    str_utf8(ret->why); /* a label may be anything */
    return 0;
}

#define foreign(ret, rule, ...) look(ret, DISK_FOREIGN, rule, __VA_ARGS__)

/* mkfs.xfs writes the superblock first, with sb_inprogress set (xfs_format.h, struct xfs_dsb), and
 * takes that back when it is through. Linux refuses to mount what still has it. */
#define XFS_INPROGRESS 126

static int xfs_unfinished(const struct span *s, struct err *err)
{
    unsigned char flag = 0;

    if (pread(s->fd, &flag, 1, (off_t)s->start + XFS_INPROGRESS) != 1)
        return err_set(err, ERR_SAFETY, "cannot read the superblock (R4)");
    return flag != 0;
}

/* Our partition is there: what is in it? */
static int classify_inside(int fd, const struct disk_want *w, struct disk_look *ret,
                           struct err *err)
{
    struct span s = {fd, ret->part_start, ret->part_size};
    _cleanup_(probe_cleanup) blkid_probe pr = probe_open(&s, true);

    if (!pr)
        return err_set(err, ERR_FAILED, "cannot probe the partition");
    int rc = blkid_do_safeprobe(pr);
    if (rc < 0)
        return foreign(ret, 4, "what is in our partition is ambiguous");
    if (rc == 1) {
        int blank = span_blank(&s, err);

        if (blank < 0)
            return -1;
        return blank ? look(ret, DISK_TABLE_OURS, 8, "our partition, nothing in it")
                     : look(ret, DISK_UNFINISHED, 11,
                            "our partition, in it neither zeros nor a format");
    }
    if (strcmp(value_of(pr, "TYPE"), w->filesystem) == 0 &&
        strcmp(value_of(pr, "UUID"), w->fs_uuid) == 0) {
        int unfinished = str_eq(w->filesystem, "xfs") ? xfs_unfinished(&s, err) : 0;

        if (unfinished < 0)
            return -1;
        return unfinished ? look(ret, DISK_UNFINISHED, 11,
                                 "our partition, in it an XFS that mkfs did not finish")
                          : look(ret, DISK_OURS, 8, "our partition and our filesystem");
    }
    return foreign(ret, 8, "our partition holds %s '%s', not our %s", value_of(pr, "TYPE"),
                   value_of(pr, "UUID"), w->filesystem);
}

static int classify_table(int fd, blkid_probe pr, const struct disk_want *w, struct disk_look *ret,
                          struct err *err)
{
    blkid_partlist ls = blkid_probe_get_partitions(pr);
    int n = ls ? blkid_partlist_numof_partitions(ls) : 0;
    blkid_partition p = n == 1 ? blkid_partlist_get_partition(ls, 0) : NULL;
    blkid_parttable table = p ? blkid_partition_get_table(p) : NULL;
    const char *type = table ? blkid_parttable_get_type(table) : value_of(pr, "PTTYPE");
    const char *name = p ? blkid_partition_get_name(p) : NULL;
    const char *uuid = p ? blkid_partition_get_uuid(p) : NULL;

    if (strcmp(type, "gpt") != 0 || n != 1)
        return foreign(ret, 8, "a %s partition table with %d partitions", type, n);
    if (!name || strcmp(name, DISK_PART_NAME) != 0)
        return foreign(ret, 8, "a GPT with one partition '%.40s'", name ? name : "");
    if (!uuid || strcmp(uuid, w->part_uuid) != 0)
        return foreign(ret, 8, "the data disk of another volume: partition %.36s",
                       uuid ? uuid : "?");
    ret->part_start = (uint64_t)blkid_partition_get_start(p) * 512;
    ret->part_size = (uint64_t)blkid_partition_get_size(p) * 512;
    return classify_inside(fd, w, ret, err);
}

int disk_classify(int fd, uint64_t size, const struct disk_want *w, struct disk_look *ret,
                  struct err *err)
{
    struct span whole = {fd, 0, size};
    _cleanup_(probe_cleanup) blkid_probe pr = probe_open(&whole, true);

    *ret = (struct disk_look){0};
    if (!pr)
        return err_set(err, ERR_FAILED, "cannot probe the disk");
    int rc = blkid_do_safeprobe(pr);
    if (rc < 0)
        return foreign(ret, 4, "what is on it is ambiguous");
    if (rc == 1) {
        int blank = span_blank(&whole, err);

        if (blank < 0)
            return -1;
        return blank ? look(ret, DISK_BLANK, 5, "all places where data could begin are zero")
                     : foreign(ret, 5, "no known format, but it is not all zeros");
    }
    if (*value_of(pr, "TYPE"))
        return foreign(ret, 4, "%s '%.40s' on the whole disk", value_of(pr, "TYPE"),
                       value_of(pr, "LABEL"));
    return classify_table(fd, pr, w, ret, err);
}

int disk_fs_uuid(const char *node, char *ret, size_t cap, struct err *err)
{
    _cleanup_(probe_cleanup) blkid_probe pr = blkid_new_probe_from_filename(node);

    if (!pr)
        return err_errno(err, errno, "open %s", node);
    blkid_probe_enable_superblocks(pr, 1);
    blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_UUID | BLKID_SUBLKS_TYPE);
    bool known = blkid_do_safeprobe(pr) == 0;
    str_copy(ret, cap, known ? value_of(pr, "UUID") : "");
    return 0;
}
