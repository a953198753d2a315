/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/localvdc/machine/rootfs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"
#include "controller/localvdc/base/tool.h"
#include "controller/localvdc/base/vdc.h"
#include "controller/localvdc/machine/disk.h"

#define PATH_SIZE 160
#define UNMOUNT_TRIES 60

void guest_path(const char *vm_id, const char *file, char *ret, size_t cap)
{
    snprintf(ret, cap, VDC_DIR "/vms/mvdc-%.8s%s%s", vm_id, file ? "/" : "", file ? file : "");
}

static bool is_mount_point(const char *path)
{
    struct stat at, above;
    _cleanup_free_ char *parent = str_fmt("%s/..", path);

    return lstat(path, &at) == 0 && stat(parent, &above) == 0 && at.st_dev != above.st_dev;
}

/* A kill in the middle of mkfs leaves only the temporary file. */
static int ensure_image(const char *image, uint64_t bytes, struct err *err)
{
    if (fs_exists(image))
        return 0;
    _cleanup_free_ char *tmp = str_fmt("%s.tmp", image);
    unlink(tmp);
    if (disk_make(tmp, bytes, err) < 0 || TOOL("mkfs.ext4", err, "-q", "-F", "-m", "0", "-E",
                                               "lazy_itable_init=1", "-L", "root", tmp) < 0)
        return -1;
    if (rename(tmp, image) < 0)
        return err_errno(err, errno, "rename %s", tmp);
    return fs_sync_parent(image, err);
}

static int mount_image(const char *image, const char *at, struct err *err)
{
    char dev[32];

    if (is_mount_point(at))
        return 0;
    if (disk_attach(image, dev, err) < 0)
        return -1;
    if (mount(dev, at, "ext4", MS_NOATIME, NULL) < 0)
        return err_errno(err, errno, "mount %s at %s", dev, at);
    return 0;
}

int rootfs_mount(const json_t *vm, struct err *err)
{
    char image[PATH_SIZE], disk[PATH_SIZE], root[PATH_SIZE], upper[PATH_SIZE], work[PATH_SIZE];
    const char *id = vdc_str(vm, "id"), *lower = vdc_str(vm, "_template");

    guest_path(id, "disk.img", image, sizeof(image));
    guest_path(id, "disk", disk, sizeof(disk));
    guest_path(id, "rootfs", root, sizeof(root));
    guest_path(id, "disk/upper", upper, sizeof(upper));
    guest_path(id, "disk/work", work, sizeof(work));
    uint64_t bytes = (uint64_t)json_integer_value(json_object_get(vm, "_rootsize"));
    if (fs_mkdirs(disk, 0711, err) < 0 || fs_mkdirs(root, 0755, err) < 0 ||
        ensure_image(image, bytes, err) < 0 || mount_image(image, disk, err) < 0 ||
        fs_mkdirs(upper, 0755, err) < 0 || fs_mkdirs(work, 0755, err) < 0)
        return err_wrap(err, "root disk of %s", vdc_str(vm, "name"));
    if (is_mount_point(root))
        return 0;
    _cleanup_free_ char *options =
        str_fmt("lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work);
    if (mount("mvdc", root, "overlay", 0, options) < 0)
        return err_errno(err, errno, "root disk of %s: mount the overlay", vdc_str(vm, "name"));
    return 0;
}

/* The guest's last processes may take a moment to let go. Who else is in there (somebody's shell)
 * keeps what he has; the guest's root goes out of the host's sight all the same. */
static int unmount(const char *path, struct err *err)
{
    for (int i = 0; is_mount_point(path); i++) {
        int how = UMOUNT_NOFOLLOW | (i < UNMOUNT_TRIES ? 0 : MNT_DETACH);

        if (umount2(path, how) == 0)
            continue;
        if (errno != EBUSY || i > UNMOUNT_TRIES)
            return err_errno(err, errno, "unmount %s", path);
        clock_pause_ms(50);
    }
    return 0;
}

/* Processes with a table of mounts of their own may hold copies of these mounts and with them the
 * disk: it goes with the last of them. */
int rootfs_unmount(const char *vm_id, struct err *err)
{
    char image[PATH_SIZE], disk[PATH_SIZE], root[PATH_SIZE];

    guest_path(vm_id, "disk.img", image, sizeof(image));
    guest_path(vm_id, "disk", disk, sizeof(disk));
    guest_path(vm_id, "rootfs", root, sizeof(root));
    if (unmount(root, err) < 0 || unmount(disk, err) < 0)
        return -1;
    return disk_release(image, err);
}

int rootfs_remove(const char *vm_id, struct err *err)
{
    char dir[PATH_SIZE];

    guest_path(vm_id, NULL, dir, sizeof(dir));
    if (rootfs_unmount(vm_id, err) < 0)
        return -1;
    return fs_remove_tree(dir, err);
}
