/* SPDX-License-Identifier: Apache-2.0 */
/* A volume that became larger: the table, then the filesystem. The copy of the table at the new end
 * is complete and synced before the first one is touched, and what changes of the first one is a
 * single block: whenever this ends, one of the two is whole. Nothing here ever makes anything
 * smaller. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/disk/disk.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/hook.h"
#include "common/proc.h"
#include "common/str.h"

#define BLOCK 4096
/* A filesystem leaves out a last group that would hold little more than its own tables. */
#define SLACK (16ULL * 1024 * 1024)

struct geometry {
    unsigned sector;
    uint64_t sectors;
};

static struct geometry geometry_of(int fd, uint64_t size)
{
    int sector = 0;
    struct stat st;

    if (fstat(fd, &st) < 0 || !S_ISBLK(st.st_mode) || ioctl(fd, BLKSSZGET, &sector) < 0 ||
        sector < 512 || sector > BLOCK)
        sector = 512;
    return (struct geometry){(unsigned)sector, size / (unsigned)sector};
}

static int read_at(int fd, void *buf, size_t len, uint64_t at, struct err *err)
{
    ssize_t n = pread(fd, buf, len, (off_t)at);

    return n == (ssize_t)len ? 0
                             : err_errno(err, n < 0 ? errno : EIO, "read at byte %llu (R13)",
                                         (unsigned long long)at);
}

static int write_at(int fd, const void *buf, size_t len, uint64_t at, struct err *err)
{
    ssize_t n = pwrite(fd, buf, len, (off_t)at);

    hook_point();
    return n == (ssize_t)len ? 0
                             : err_errno(err, n < 0 ? errno : EIO, "write at byte %llu (R13)",
                                         (unsigned long long)at);
}

static uint64_t entries_at(const struct geometry *m, bool at_end)
{
    return at_end ? (m->sectors - 1) * m->sector - GPT_ENTRIES : 2ULL * m->sector;
}

static uint64_t header_at(const struct geometry *m, bool at_end)
{
    return (at_end ? m->sectors - 1 : 1) * m->sector;
}

static int gpt_read(int fd, const struct geometry *m, bool at_end, struct gpt *ret, bool *ret_valid,
                    struct err *err)
{
    if (read_at(fd, ret->header, sizeof(ret->header), header_at(m, at_end), err) < 0 ||
        read_at(fd, ret->entries, sizeof(ret->entries), entries_at(m, at_end), err) < 0)
        return -1;
    *ret_valid = gpt_valid(ret, at_end ? m->sectors - 1 : 1, m->sectors);
    return 0;
}

int disk_table_short(int fd, uint64_t size, bool *ret, struct err *err)
{
    struct geometry m = geometry_of(fd, size);
    struct gpt first, second;
    bool first_valid, second_valid;

    if (gpt_read(fd, &m, false, &first, &first_valid, err) < 0 ||
        gpt_read(fd, &m, true, &second, &second_valid, err) < 0)
        return -1;
    *ret = !first_valid || !second_valid || !gpt_covers(&first, m.sectors, m.sector) ||
           !gpt_covers(&second, m.sectors, m.sector);
    return 0;
}

/* The first block carries the protective MBR, the header and the entries that are used. */
static int write_first(int fd, const struct geometry *m, const struct gpt *g, struct err *err)
{
    unsigned char head[BLOCK * 2 + GPT_ENTRIES];
    size_t len = 2 * m->sector + GPT_ENTRIES;
    uint64_t covered = m->sectors - 1 < UINT32_MAX ? m->sectors - 1 : UINT32_MAX;

    if (read_at(fd, head, len, 0, err) < 0)
        return -1;
    for (int i = 0; head[450] == 0xEE && i < 4; i++)
        head[458 + i] = (unsigned char)(covered >> (8 * i));
    memcpy(head + m->sector, g->header, sizeof(g->header));
    memcpy(head + 2 * m->sector, g->entries, GPT_ENTRIES);
    if (write_at(fd, head, BLOCK, 0, err) < 0)
        return -1;
    return write_at(fd, head + BLOCK, len - BLOCK, BLOCK, err);
}

int disk_table_grow(int fd, uint64_t size, struct err *err)
{
    struct geometry m = geometry_of(fd, size);
    struct gpt g;
    bool valid;

    if (gpt_read(fd, &m, false, &g, &valid, err) < 0 ||
        (!valid && gpt_read(fd, &m, true, &g, &valid, err) < 0))
        return -1;
    if (!valid)
        return err_set(err, ERR_SAFETY, "neither copy of the partition table is whole (R13)");
    gpt_stretch(&g, m.sectors, m.sector);
    gpt_seal(&g, true, m.sectors, m.sector);
    if (write_at(fd, g.entries, GPT_ENTRIES, entries_at(&m, true), err) < 0 ||
        write_at(fd, g.header, sizeof(g.header), header_at(&m, true), err) < 0)
        return -1;
    if (fsync(fd) < 0)
        return err_errno(err, errno, "sync the table (R13)");
    gpt_seal(&g, false, m.sectors, m.sector);
    if (write_first(fd, &m, &g, err) < 0)
        return -1;
    return fsync(fd) < 0 ? err_errno(err, errno, "sync the table (R13)") : 0;
}

/* --- filesystems ---------------------------------------------------------------------------- */

/* XFS_IOC_FSGEOMETRY_V1 of the kernel; the header with it belongs to another package. */
struct xfs_geometry {
    uint32_t blocksize, rtextsize, agblocks, agcount, logblocks, sectsize, inodesize, imaxpct;
    uint64_t datablocks, rtblocks, rtextents, logstart;
    unsigned char uuid[16];
    uint32_t sunit, swidth, version, flags, logsectsize, rtsectsize, dirblocksize;
};
#define XFS_GEOMETRY _IOR('X', 100, struct xfs_geometry)

/* Asked of the mounted filesystem: its block on the disk is written later. */
static int xfs_bytes(const char *path, uint64_t *ret, struct err *err)
{
    struct xfs_geometry x = {0};
    _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || ioctl(fd, XFS_GEOMETRY, &x) < 0)
        return err_errno(err, errno, "size of the filesystem on %s (R13)", path);
    *ret = x.datablocks * x.blocksize;
    return 0;
}

/* The superblock through the partition's own cache, which a mounted ext4 shares. */
static int ext4_bytes(int fd, uint64_t *ret, struct err *err)
{
    unsigned char sb[1024];

    if (read_at(fd, sb, sizeof(sb), 1024, err) < 0)
        return -1;
    uint64_t blocks = 0;
    for (int i = 3; i >= 0; i--)
        blocks = blocks << 8 | sb[0x150 + i];
    if (!(sb[0x60] & 0x80)) /* without "64bit" the upper half means nothing */
        blocks = 0;
    for (int i = 3; i >= 0; i--)
        blocks = blocks << 8 | sb[4 + i];
    *ret = blocks * (1024ULL << (sb[0x18] & 7));
    return 0;
}

int disk_fs_short(const char *node, const char *path, const char *filesystem, bool *ret,
                  struct err *err)
{
    uint64_t room = 0, used = 0;
    _cleanup_close_ int fd = open(node, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || ioctl(fd, BLKGETSIZE64, &room) < 0)
        return err_errno(err, errno, "size of %s (R13)", node);
    if ((str_eq(filesystem, "xfs") ? xfs_bytes(path, &used, err) : ext4_bytes(fd, &used, err)) < 0)
        return -1;
    *ret = room > used && room - used > SLACK;
    return 0;
}

int disk_fs_grow(const char *node, const char *path, const char *filesystem, struct err *err)
{
    const char *const *ext4 = PROC_ARGV("/usr/sbin/resize2fs", node);
    const char *const *xfs = PROC_ARGV("/usr/sbin/xfs_growfs", "-d", path);
    const char *const *argv = str_eq(filesystem, "xfs") ? xfs : ext4;

    if (argv == ext4 && prctl(PR_CAPBSET_READ, CAP_SYS_RESOURCE) == 0)
        return err_set(err, ERR_FAILED,
                       "grow %s (R13): ext4 grows while mounted only with CAP_SYS_RESOURCE, which "
                       "this container lacks. Type there: systemctl stop muster-agent mariadb; "
                       "umount %s && e2fsck -fp %s && resize2fs %s; systemctl start muster-agent",
                       path, path, node, node);
    return proc_call(argv, err) < 0 ? err_wrap(err, "grow %s (R13)", path) : 0;
}
