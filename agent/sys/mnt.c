/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sys/mnt.h"

#include <errno.h>
#include <libmount/libmount.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "common/cleanup.h"
#include "common/str.h"

#define FSTAB "/etc/fstab"

static void table_cleanup(struct libmnt_table **t)
{
    mnt_unref_table(*t);
}

static void context_cleanup(struct libmnt_context **c)
{
    mnt_free_context(*c);
}

int mnt_status(const char *path, bool *ret_found, char *ret_source, size_t cap, struct err *err)
{
    _cleanup_(table_cleanup) struct libmnt_table *t =
        mnt_new_table_from_file("/proc/self/mountinfo");

    if (!t)
        return err_set(err, ERR_FAILED, "cannot read /proc/self/mountinfo");
    struct libmnt_fs *fs = mnt_table_find_target(t, path, MNT_ITER_BACKWARD);
    *ret_found = fs != NULL;
    str_copy(ret_source, cap, fs && mnt_fs_get_source(fs) ? mnt_fs_get_source(fs) : "");
    return 0;
}

int mnt_read_only(const char *path, bool *ret, struct err *err)
{
    struct statvfs st;

    if (statvfs(path, &st) < 0)
        return err_errno(err, errno, "look at %s", path);
    *ret = st.f_flag & ST_RDONLY;
    return 0;
}

int mnt_mount(const char *source, const char *path, const char *type, const char *options,
              struct err *err)
{
    _cleanup_(context_cleanup) struct libmnt_context *c = mnt_new_context();
    char why[256] = "";

    if (!c)
        return err_set(err, ERR_FAILED, "mount: out of memory");
    mnt_context_set_source(c, source);
    mnt_context_set_target(c, path);
    mnt_context_set_fstype(c, type);
    mnt_context_set_options(c, options);
    mnt_context_disable_helpers(c, 1);
    int rc = mnt_context_mount(c);
    if (rc == 0)
        return 0;
    mnt_context_get_excode(c, rc, why, sizeof(why));
    return err_set(err, ERR_FAILED, "mount %s on %s: %s", source, path,
                   why[0] ? why : strerror(rc < 0 ? -rc : errno));
}

int mnt_fstab_has(const char *source, const char *path, const char *type, const char *options,
                  bool *ret, struct err *err)
{
    struct stat st;

    *ret = false;
    if (stat(FSTAB, &st) < 0)
        return 0;
    _cleanup_(table_cleanup) struct libmnt_table *t = mnt_new_table_from_file(FSTAB);
    if (!t)
        return err_set(err, ERR_FAILED, "cannot read " FSTAB);
    struct libmnt_fs *fs = mnt_table_find_target(t, path, MNT_ITER_BACKWARD);
    *ret =
        fs &&
        str_eq(mnt_fs_get_srcpath(fs) ? mnt_fs_get_srcpath(fs) : mnt_fs_get_source(fs), source) &&
        str_eq(mnt_fs_get_fstype(fs), type) && str_eq(mnt_fs_get_options(fs), options);
    if (fs && !*ret) {
        const char *tag = NULL, *value = NULL;

        if (mnt_fs_get_tag(fs, &tag, &value) == 0) {
            _cleanup_free_ char *text = str_fmt("%s=%s", tag, value);

            *ret = str_eq(text, source) && str_eq(mnt_fs_get_fstype(fs), type) &&
                   str_eq(mnt_fs_get_options(fs), options);
        }
    }
    return 0;
}

int mnt_fstab_set(const char *source, const char *path, const char *type, const char *options,
                  struct err *err)
{
    struct stat st;
    _cleanup_(table_cleanup) struct libmnt_table *t = mnt_new_table();

    if (t)
        mnt_table_enable_comments(t, 1);
    if (!t || (stat(FSTAB, &st) == 0 && mnt_table_parse_file(t, FSTAB) < 0))
        return err_set(err, ERR_FAILED, "cannot read " FSTAB "; it is left as it is");
    for (struct libmnt_fs *old; (old = mnt_table_find_target(t, path, MNT_ITER_BACKWARD));)
        mnt_table_remove_fs(t, old);
    struct libmnt_fs *fs = mnt_new_fs();
    if (!fs)
        return err_set(err, ERR_FAILED, "fstab: out of memory");
    mnt_fs_set_source(fs, source);
    mnt_fs_set_target(fs, path);
    mnt_fs_set_fstype(fs, type);
    mnt_fs_set_options(fs, options);
    mnt_fs_set_passno(fs, 2);
    int rc = mnt_table_add_fs(t, fs);
    mnt_unref_fs(fs);
    if (rc == 0)
        rc = mnt_table_replace_file(t, FSTAB);
    return rc < 0 ? err_errno(err, -rc, "write " FSTAB) : 0;
}
