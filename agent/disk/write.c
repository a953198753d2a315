/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <libfdisk/libfdisk.h>
#include <linux/blkpg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/disk/disk.h"
#include "agent/sys/life.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"

/* Bits of the exit status of fsck.ext4. */
#define FSCK_REPAIRED (1 | 2) /* which may want a reboot */
#define FSCK_LEFT 4           /* something is left as it was */

static void fdisk_cleanup(struct fdisk_context **c)
{
    fdisk_unref_context(*c);
}

static void partition_cleanup(struct fdisk_partition **p)
{
    fdisk_unref_partition(*p);
}

static void table_cleanup(struct fdisk_table **t)
{
    fdisk_unref_table(*t);
}

static int add_partition(struct fdisk_context *c, const struct disk_want *w, struct err *err)
{
    _cleanup_(partition_cleanup) struct fdisk_partition *p = fdisk_new_partition();

    if (!p)
        return err_set(err, ERR_FAILED, "partition: out of memory");
    fdisk_partition_partno_follow_default(p, 1);
    fdisk_partition_start_follow_default(p, 1);
    fdisk_partition_end_follow_default(p, 1);
    fdisk_partition_set_name(p, DISK_PART_NAME);
    fdisk_partition_set_uuid(p, w->part_uuid);
    int rc = fdisk_add_partition(c, p, NULL);
    return rc < 0 ? err_errno(err, -rc, "add a partition") : 0;
}

int disk_write_table(int fd, const struct disk_place *d, const struct disk_want *w, struct err *err)
{
    _cleanup_(fdisk_cleanup) struct fdisk_context *c = fdisk_new_context();
    _cleanup_(table_cleanup) struct fdisk_table *before = NULL;

    if (!c)
        return err_set(err, ERR_FAILED, "out of memory");
    fdisk_disable_dialogs(c, 1);
    int rc = fdisk_assign_device_by_fd(c, fd, d->node, 0);
    if (rc < 0)
        return err_errno(err, -rc, "open %s for partitioning", d->node);
    fdisk_get_partitions(c, &before);
    if (!before)
        before = fdisk_new_table();
    if ((rc = fdisk_create_disklabel(c, "gpt")) < 0)
        return err_errno(err, -rc, "make a GPT on %s", d->node);
    if (add_partition(c, w, err) < 0)
        return -1;
    if ((rc = fdisk_write_disklabel(c)) < 0)
        return err_errno(err, -rc, "write the GPT of %s", d->node);
    if (fsync(fd) < 0)
        return err_errno(err, errno, "fsync %s", d->node);
    if ((rc = fdisk_reread_changes(c, before)) < 0)
        return err_errno(err, -rc, "tell the kernel of the partition of %s (R10)", d->node);
    return 0;
}

int disk_notify_kernel(int fd, const struct disk_look *look, struct err *err)
{
    struct blkpg_partition part = {
        .pno = 1, .start = (long long)look->part_start, .length = (long long)look->part_size};
    struct blkpg_ioctl_arg arg = {
        .op = BLKPG_ADD_PARTITION, .datalen = sizeof(part), .data = &part};

    if (ioctl(fd, BLKPG, &arg) == 0)
        return 0;
    arg.op = BLKPG_RESIZE_PARTITION; /* it knows one there, maybe smaller */
    if (errno != EBUSY || ioctl(fd, BLKPG, &arg) < 0)
        return err_errno(err, errno, "tell the kernel of the partition (R10)");
    return 0;
}

int disk_make_filesystem(const char *node, const struct disk_want *w, struct run *run,
                         struct err *err)
{
    _cleanup_free_ char *xfs_uuid = str_fmt("uuid=%s", w->fs_uuid);
    const char *const *ext4 =
        PROC_ARGV("/usr/sbin/mkfs.ext4", "-q", "-F", "-U", w->fs_uuid, "-E",
                  "lazy_itable_init=1,lazy_journal_init=1", "-L", DISK_PART_NAME, node);
    const char *const *xfs =
        PROC_ARGV("/usr/sbin/mkfs.xfs", "-q", "-f", "-m", xfs_uuid, "-L", DISK_PART_NAME, node);
    const char *const *argv = strcmp(w->filesystem, "xfs") == 0 ? xfs : ext4;

    if (!fs_exists(argv[0]))
        return err_set(err, ERR_FAILED,
                       "%s is not installed; the plan must install %s before this step", argv[0],
                       argv == xfs ? "xfsprogs" : "e2fsprogs");
    _cleanup_free_ char *what = str_fmt("make %s on %s", w->filesystem, node);
    return life_run(&(struct life){.run = run, .what = what, .where = node}, argv, err);
}

/* xfs has no such program: it recovers when it is mounted, or does not mount. */
int disk_check_filesystem(const char *node, const struct disk_want *w, struct err *err)
{
    struct proc_result said = {0};

    if (strcmp(w->filesystem, "ext4") != 0)
        return 0;
    int r = proc_run(PROC_ARGV("/usr/sbin/fsck.ext4", "-p", node), NULL, &said, err);
    bool repaired = (said.status & ~FSCK_REPAIRED) == 0;
    bool damaged = said.status < PROC_NOT_STARTED && (said.status & FSCK_LEFT);
    proc_result_free(&said);
    if (r == 0 || repaired)
        return 0;
    if (!damaged)
        return err_wrap(err, "volume %s cannot be checked (R12; 'fsck.ext4 -n %s' on the node)",
                        w->volume, node);
    return err_set(err, ERR_SAFETY,
                   "volume %s: the filesystem on %s is damaged, and repairing it is your decision "
                   "(R12); on the node, 'fsck.ext4 -n %s' shows the damage, without -n it asks for "
                   "each repair",
                   w->volume, node, node);
}
