/* SPDX-License-Identifier: Apache-2.0 */
/* Step `mount`: the volume's filesystem, mounted by UUID now and at every boot, with a mark inside
 * that says whose it is (R8). The directory underneath cannot be written to (R12). */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/disk/disk.h"
#include "agent/ipc/paths.h"
#include "agent/steps/step.h"
#include "agent/sys/mnt.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/str.h"

struct mount {
    const char *volume, *path, *filesystem, *deployment;
};

static const struct field fields[] = {
    FIELD(mount, volume, FIELD_UUID),
    FIELD(mount, path, FIELD_PATH),
    FIELD(mount, filesystem, FIELD_NAME),
    FIELD(mount, deployment, FIELD_STR),
};

#define OPTIONS "defaults,noatime"
#define TOP_MODE 0755 /* of the filesystem's own directory */
/* At boot it is waited for, but not required: a machine without its disk still comes up as far as
 * the agent, which can then say what is missing. What needs the disk requires the mount itself. */
#define FSTAB_OPTIONS OPTIONS ",x-systemd.wanted-by=local-fs.target,x-systemd.device-timeout=30s"

static int mount_parse(const json_t *spec, void **ret, struct err *err)
{
    return fields_parse(spec, fields, ARRAY_LEN(fields), sizeof(struct mount), ret, err);
}

/* The node whose filesystem has this UUID. A guest without udev has no by-uuid links, so every
 * node below /dev is asked when there is none. */
static int find_filesystem(const struct mount *m, const char *uuid, char *ret, size_t cap,
                           struct err *err)
{
    struct disk_want w;
    struct disk_place place;
    _cleanup_free_ char *link = str_fmt("/dev/disk/by-uuid/%s", uuid);
    _cleanup_free_ char *real = realpath(link, NULL);

    if (real && str_copy(ret, cap, real))
        return 0;
    disk_want_fill(&w, m->volume, m->filesystem, 0);
    if (disk_find(&w, &place, err) < 0)
        return -1;
    return disk_partition_node(&place, NULL, 15000, ret, cap, err);
}

static char *marker_text(const struct mount *m)
{
    json_t *j = json_pack("{s:s, s:s}", "deployment", m->deployment, "volume", m->volume);
    char *text = js_text(j);

    json_decref(j);
    return text;
}

/* 1: ours. 0: none there. -1: somebody else's, or unreadable. */
static int marker_look(const struct mount *m, struct err *err)
{
    _cleanup_free_ char *path = str_fmt("%s/" MOUNT_MARKER, m->path);
    _cleanup_free_ char *want = marker_text(m);
    _cleanup_free_ char *have = NULL;
    struct stat st;

    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : err_errno(err, errno, "%s", path);
    if (!S_ISREG(st.st_mode) || st.st_uid != 0)
        return err_set(err, ERR_SAFETY, "%s is not root's regular file (R8)", path);
    if (fs_read(path, 4096, &have, NULL, err) < 0)
        return -1;
    if (strcmp(str_chomp(have), want) != 0)
        return err_set(err, ERR_SAFETY, "the disk on %s belongs to %.200s (R8)", m->path, have);
    return 1;
}

/* What the running mount has that it should not, or lacks; NULL: nothing. `noatime` is ours, the
 * rest is what `defaults` means. */
static int options_differ(const struct mount *m, const char **ret, struct err *err)
{
    static const struct {
        unsigned long flag;
        const char *name;
    } unwanted[] = {
        {ST_RDONLY, "read-only"}, {ST_NOEXEC, "noexec"},    {ST_NOSUID, "nosuid"},
        {ST_NODEV, "nodev"},      {ST_SYNCHRONOUS, "sync"}, {ST_MANDLOCK, "mand"},
    };
    struct statvfs st;

    if (statvfs(m->path, &st) < 0)
        return err_errno(err, errno, "look at %s", m->path);
    *ret = st.f_flag & ST_NOATIME ? NULL : "not noatime";
    for (size_t i = 0; i < ARRAY_LEN(unwanted) && !*ret; i++)
        if (st.f_flag & unwanted[i].flag)
            *ret = unwanted[i].name;
    return 0;
}

/* Somebody mounted it so, or the kernel after an error: then it refuses here, too. */
static int remount(const struct mount *m, struct err *err)
{
    const char *differs = NULL;

    if (options_differ(m, &differs, err) < 0)
        return -1;
    if (differs && mount(NULL, m->path, NULL, MS_REMOUNT | MS_NOATIME, NULL) < 0)
        return err_errno(err, errno,
                         "volume %s: %s is %s and cannot be made otherwise ('dmesg' on the node "
                         "says why; a restart checks the filesystem)",
                         m->volume, m->path, differs);
    return 0;
}

/* The database and the agent go through it. */
static int top_differs(const struct mount *m, bool *ret, struct err *err)
{
    struct stat st;

    if (stat(m->path, &st) < 0)
        return err_errno(err, errno, "look at %s", m->path);
    *ret = (st.st_mode & 07777) != TOP_MODE || st.st_uid != 0 || st.st_gid != 0;
    return 0;
}

static int mount_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    (void)run;
    const struct mount *m = self;
    struct disk_want w;
    char source[256], have[64];
    const char *differs = NULL;
    bool mounted = false, listed = false, top = false;

    disk_want_fill(&w, m->volume, m->filesystem, 0);
    _cleanup_free_ char *tag = str_fmt("UUID=%s", w.fs_uuid);
    if (mnt_status(m->path, &mounted, source, sizeof(source), err) < 0)
        return -1;
    if (!mounted)
        return verdict_differs(ret, "nothing is mounted on %s", m->path);
    if (disk_fs_uuid(source, have, sizeof(have), err) < 0)
        return -1;
    if (strcmp(have, w.fs_uuid) != 0)
        return verdict_refused(ret, "%s is mounted on %s: another filesystem (R8)", source,
                               m->path);
    int mark = marker_look(m, err);
    if (mark < 0)
        return err->code == ERR_SAFETY ? verdict_refused(ret, "%s", err->msg) : -1;
    if (mark == 0)
        return verdict_differs(ret, "%s has no mark of ours yet", m->path);
    if (options_differ(m, &differs, err) < 0 || top_differs(m, &top, err) < 0)
        return -1;
    if (differs)
        return verdict_differs(ret, "%s is %s", m->path, differs);
    if (top)
        return verdict_differs(ret, "%s has another mode or owner than 0755, root", m->path);
    if (mnt_fstab_has(tag, m->path, m->filesystem, FSTAB_OPTIONS, &listed, err) < 0)
        return -1;
    return listed ? verdict_ok(ret)
                  : verdict_differs(ret, "fstab has no such line for %s", m->path);
}

/* The bare directory: mode 000 and immutable, so that nothing is ever written to the root disk. */
static int directory_prepare(const char *path, struct err *err)
{
    int flags = 0;

    if (fs_mkdirs(path, 0755, err) < 0)
        return -1;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "open %s", path);
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
        return errno == ENOTTY || errno == EOPNOTSUPP ? 0
                                                      : err_errno(err, errno, "flags of %s", path);
    if (flags & FS_IMMUTABLE_FL)
        return 0;
    if (fchmod(fd, 0) < 0)
        return err_errno(err, errno, "chmod %s", path);
    flags |= FS_IMMUTABLE_FL;
    /* A container may not; then the mode alone must do. */
    if (ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0 && errno != EPERM && errno != EOPNOTSUPP)
        return err_errno(err, errno, "make %s immutable (R12)", path);
    return 0;
}

static int mount_apply(const void *self, struct run *run, struct err *err)
{
    (void)run;
    const struct mount *m = self;
    struct disk_want w;
    char source[256], have[64];
    bool mounted = false;

    disk_want_fill(&w, m->volume, m->filesystem, 0);
    _cleanup_free_ char *tag = str_fmt("UUID=%s", w.fs_uuid);
    _cleanup_free_ char *marker = str_fmt("%s/" MOUNT_MARKER, m->path);
    _cleanup_free_ char *text = marker_text(m);
    if (mnt_status(m->path, &mounted, source, sizeof(source), err) < 0)
        return -1;
    if (!mounted) {
        if (find_filesystem(m, w.fs_uuid, source, sizeof(source), err) < 0 ||
            disk_fs_uuid(source, have, sizeof(have), err) < 0)
            return -1;
        if (!have[0])
            return err_set(err, ERR_SAFETY,
                           "volume %s: the superblock on %s is damaged (R12); on the node, "
                           "'fsck.%s -n %s' shows the damage",
                           m->volume, source, m->filesystem, source);
        if (strcmp(have, w.fs_uuid) != 0)
            return err_set(err, ERR_SAFETY, "%s has filesystem '%s', not the volume's (R8)", source,
                           have);
        if (disk_check_filesystem(source, &w, err) < 0 || directory_prepare(m->path, err) < 0)
            return -1;
        if (mnt_mount(source, m->path, m->filesystem, OPTIONS, err) < 0)
            return err_wrap(err, "volume %s cannot be mounted (R12; 'dmesg' on the node says more)",
                            m->volume);
    }
    int mark = marker_look(m, err);
    if (mark < 0) {
        /* Not to be left where the database looks for its own. */
        if (!mounted)
            umount2(m->path, 0);
        return -1;
    }
    if (remount(m, err) < 0)
        return -1;
    if (chmod(m->path, TOP_MODE) < 0 || chown(m->path, 0, 0) < 0)
        return err_errno(err, errno, "mode and owner of %s", m->path);
    if (mark == 0 && fs_write_atomic(marker, text, strlen(text), 0600, err) < 0)
        return err_wrap(err, "mark %s", m->path);
    return mnt_fstab_set(tag, m->path, m->filesystem, FSTAB_OPTIONS, err);
}

const struct step_ops step_mount = {"mount", mount_parse, mount_check, mount_apply, free, NULL};
