/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/galera/datadir.h"
#include "agent/galera/galera.h"
#include "agent/ipc/paths.h"
#include "agent/sys/conf.h"
#include "agent/sys/mnt.h"
#include "agent/sys/svc.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"

#define INSTALL_DB "/usr/bin/mariadb-install-db"

/* The last line of its output says only that it gives up. */
static void note_reason(void *ctx, const char *line)
{
    struct err *reason = ctx;

    if (!reason->msg[0] && strstr(line, "[ERROR]"))
        err_set(reason, ERR_FAILED, INSTALL_DB ": %s", line);
}

int datadir_install(const char *dir, struct err *err)
{
    struct err reason = {0};
    const struct proc_opts opts = {.on_line = note_reason, .ctx = &reason};
    uid_t uid;
    gid_t gid;
    _cleanup_free_ char *option = str_fmt("--datadir=%s", dir);

    if (conf_uid("mysql", &uid, err) < 0 || conf_gid("mysql", &gid, err) < 0 ||
        fs_mkdirs(dir, DATADIR_MODE, err) < 0)
        return -1;
    if (chown(dir, uid, gid) < 0)
        return err_errno(err, errno, "chown %s", dir);
    /* Its thousand syncs are left out: one of the whole filesystem follows, and the name after it.
     */
    int r = proc_run(PROC_ARGV(INSTALL_DB, "--no-defaults", "--user=mysql", option,
                               "--skip-test-db", "--skip-name-resolve", "--force",
                               "--auth-root-authentication-method=socket",
                               "--auth-root-socket-user=mysql", "--loose-debug-no-sync"),
                     &opts, NULL, err);
    if (r < 0 && reason.msg[0])
        *err = reason;
    return r;
}

/* While its copy is fetched both are on the disk. */
static int keep(const char *dir, const char *mount, char **ret, struct err *err)
{
    time_t now = time(NULL);
    char date[32] = "";
    struct tm tm;

    if (datadir_room(mount, datadir_bytes(dir), err) < 0)
        return err_wrap(err, "the old data is kept, and a copy is fetched beside it");
    if (!gmtime_r(&now, &tm) || !strftime(date, sizeof(date), "%Y%m%d-%H%M%S", &tm))
        return err_set(err, ERR_FAILED, "the date cannot be told");
    *ret = str_fmt("%s.kept-%s", dir, date);
    if (fs_exists(*ret) || rename(dir, *ret) < 0)
        return err_errno(err, fs_exists(*ret) ? EEXIST : errno, "rename %s to %s", dir, *ret);
    return fs_sync_parent(dir, err);
}

int datadir_aside(const char *dir, const char *mount, char **ret, struct err *err)
{
    _cleanup_free_ char *fresh = str_fmt("%s.new", dir);
    _cleanup_free_ char *mark = str_fmt("%s/" DATADIR_FRESH_MARK, mount);
    char source[256];
    bool mounted = false;
    struct svc_state st;
    struct stat there;

    *ret = NULL;
    if (svc_status(GALERA_SERVICE, &st, err) < 0 ||
        mnt_status(mount, &mounted, source, sizeof(source), err) < 0)
        return -1;
    if (!mounted)
        return err_set(err, ERR_FAILED, "nothing is mounted on %s", mount);
    if (st.active || st.busy || st.main_pid)
        return err_set(err, ERR_SAFETY, "the database runs");
    bool exists = lstat(dir, &there) == 0;
    if (!exists && errno != ENOENT)
        return err_errno(err, errno, "look at %s", dir);
    if (exists && keep(dir, mount, ret, err) < 0)
        return -1;
    if (fs_remove_tree(fresh, err) < 0 || datadir_install(fresh, err) < 0 ||
        fs_sync_filesystem(fresh, err) < 0 || fs_write_atomic(mark, "", 0, 0600, err) < 0)
        return -1;
    if (rename(fresh, dir) < 0)
        return err_errno(err, errno, "rename %s to %s", fresh, dir);
    return fs_sync_parent(dir, err);
}
