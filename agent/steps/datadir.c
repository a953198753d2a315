/* SPDX-License-Identifier: Apache-2.0 */
/* Step `datadir`: MariaDB's data directory on the data disk, initialised beside its place and then
 * renamed; or copied from the package's own, which stays, when databases are there. Two marks on
 * the disk say that the agent made it, and that nothing ever ran in it. The service starts only
 * while the disk is mounted. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/galera/datadir.h"
#include "agent/galera/galera.h"
#include "agent/ipc/paths.h"
#include "agent/steps/step.h"
#include "agent/sys/conf.h"
#include "agent/sys/mnt.h"
#include "agent/sys/svc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"

#define CONF "/etc/mysql/mariadb.conf.d/70-muster-datadir.cnf"
#define PACKAGE_DIR "/var/lib/mysql"
#define FRESH_BYTES 300000000 /* logs, system tables, and the cluster's cache of writes */

struct datadir {
    const char *path, *mount, *service;
};

static const struct field fields[] = {
    FIELD(datadir, path, FIELD_PATH),
    FIELD(datadir, mount, FIELD_PATH),
    FIELD(datadir, service, FIELD_NAME),
};

static int datadir_parse(const json_t *spec, void **ret, struct err *err)
{
    if (fields_parse(spec, fields, ARRAY_LEN(fields), sizeof(struct datadir), ret, err) < 0)
        return -1;
    const struct datadir *d = *ret;
    size_t len = strlen(d->mount);
    if (strncmp(d->path, d->mount, len) == 0 && d->path[len] == '/')
        return 0;
    free(*ret);
    *ret = NULL;
    return err_set(err, ERR_USAGE, "member 'path' must lie below member 'mount'");
}

struct marks {
    char *ours, *fresh, *moving; /* moving: what is to be here is still in the old place */
};

static void marks_cleanup(struct marks *m)
{
    free(m->ours);
    free(m->fresh);
    free(m->moving);
}

static struct marks marks_of(const struct datadir *d)
{
    return (struct marks){str_fmt("%s/" DATADIR_OURS_MARK, d->mount),
                          str_fmt("%s/" DATADIR_FRESH_MARK, d->mount),
                          str_fmt("%s/" DATADIR_MOVING_MARK, d->mount)};
}

/* The settings come last: while they are missing, the step is not done. */
struct confs {
    char *path, *text[2];
    struct conf unit, settings;
};

static void confs_cleanup(struct confs *c)
{
    free(c->path);
    free(c->text[0]);
    free(c->text[1]);
}

static void confs_fill(const struct datadir *d, struct confs *c)
{
    c->path = str_fmt("/etc/systemd/system/%s%s.d/50-muster-datadir.conf", d->service,
                      str_ends(d->service, ".service") ? "" : ".service");
    c->text[0] = str_fmt("# written by muster-agent: never without the data disk\n[Unit]\n"
                         "RequiresMountsFor=%s\nAssertPathIsMountPoint=%s\n",
                         d->path, d->mount);
    c->text[1] = str_fmt("# written by muster-agent\n[mariadbd]\ndatadir = %s\n", d->path);
    c->unit = (struct conf){.path = c->path, .content = c->text[0], .mode = 0644};
    c->settings = (struct conf){.path = CONF, .content = c->text[1], .mode = 0644};
}

/* A disk that was in another machine has that machine's numbers; what others may write, they may
 * destroy. *ret: what differs, or NULL. */
static int owned(const struct datadir *d, const char **ret, struct err *err)
{
    uid_t uid;
    gid_t gid;
    struct stat st;

    if (conf_uid("mysql", &uid, err) < 0 || conf_gid("mysql", &gid, err) < 0)
        return -1;
    if (lstat(d->path, &st) < 0)
        return err_errno(err, errno, "%s", d->path);
    *ret = st.st_uid != uid || st.st_gid != gid ? "is not mysql's"
           : (st.st_mode & (S_IRWXU | S_IWGRP | S_IWOTH)) != S_IRWXU
               ? "can be written by others, or not by mysql"
               : NULL;
    return 0;
}

enum where { ENDED, HERE, ELSEWHERE };

/* Where the server that runs has its data: it works in its data directory. -1: that cannot be seen.
 */
static int runs_where(const struct datadir *d, int pid, enum where *ret, struct err *err)
{
    struct stat here, there;
    _cleanup_free_ char *cwd = str_fmt("/proc/%d/cwd", pid);

    *ret = ENDED;
    if (stat(cwd, &there) < 0)
        return errno == ENOENT
                   ? 0
                   : err_errno(err, errno,
                               "a database runs, and where its data is cannot be seen: %s", cwd);
    if (stat(d->path, &here) < 0)
        return err_errno(err, errno, "%s", d->path);
    *ret = here.st_dev == there.st_dev && here.st_ino == there.st_ino ? HERE : ELSEWHERE;
    return 0;
}

static int datadir_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    (void)run;
    const struct datadir *d = self;
    _cleanup_(marks_cleanup) struct marks m = marks_of(d);
    _cleanup_(confs_cleanup) struct confs c = {0};
    char source[256];
    bool mounted = false;
    const char *why = NULL;
    int64_t loaded = 0;
    struct svc_state st;
    enum where where = ENDED;

    confs_fill(d, &c);
    if (mnt_status(d->mount, &mounted, source, sizeof(source), err) < 0)
        return -1;
    if (!mounted)
        return err_set(err, ERR_FAILED, "nothing is mounted on %s", d->mount);
    if (!fs_exists(d->path)) {
        if (fs_exists(m.ours) && !fs_exists(m.fresh) && !fs_exists(m.moving))
            return verdict_refused(ret, "%s is gone although it was in use; not recreated",
                                   d->path);
        return verdict_differs(ret, "%s does not exist", d->path);
    }
    if (!fs_exists(m.ours))
        return verdict_refused(ret, "%s exists, and this agent did not make it", d->path);
    if (fs_exists(m.moving))
        return verdict_differs(ret, "%s was moved here just now", d->path);
    if (owned(d, &why, err) < 0 || svc_units_loaded(&loaded, err) < 0)
        return -1;
    if (why)
        return verdict_differs(ret, "%s %s", d->path, why);
    why = conf_differs(&c.unit);
    if (!why && svc_changed_after(c.unit.path, loaded))
        why = "systemd has not read it";
    if (why)
        return verdict_differs(ret, "%s: %s", c.unit.path, why);
    int allowed = apparmor_check(d->path, err);
    if (allowed < 0)
        return -1;
    if (!allowed)
        return verdict_differs(ret, "AppArmor keeps the database out of %s", d->path);
    why = conf_differs(&c.settings);
    if (why)
        return verdict_differs(ret, "%s: %s", CONF, why);
    if (svc_status_soon(d->service, &st, err) < 0)
        return -1;
    if (st.active && runs_where(d, st.main_pid, &where, err) < 0)
        return -1;
    return where == ELSEWHERE ? verdict_note(ret, "the database that runs has its data elsewhere; "
                                                  "that changes when it starts next")
                              : verdict_ok(ret);
}

static const char *datadir_unit(const void *self, size_t i)
{
    return i == 0 ? ((const struct datadir *)self)->service : NULL;
}

/* Stops a server that is known to run elsewhere, with settings from before these; one that has its
 * data here already goes on. A server that is told to end while it begins may do neither, and its
 * unit forbids to kill it: what it is at comes to its end first. */
static int stop_elsewhere(const struct datadir *d, struct err *err)
{
    struct svc_state st;
    enum where where;

    for (;; clock_pause_ms(100)) {
        if (svc_status(d->service, &st, err) < 0)
            return -1;
        if (st.busy && st.main_pid)
            continue;
        if (!st.active || !fs_exists(d->path))
            return st.active || st.busy ? svc_do("stop", d->service, err) : 0;
        if (runs_where(d, st.main_pid, &where, err) < 0)
            return err_wrap(err, "not stopped");
        if (where != ENDED)
            return where == HERE ? 0 : svc_do("stop", d->service, err);
    }
}

static int make(const struct datadir *d, const struct marks *m, struct run *run, struct err *err)
{
    _cleanup_free_ char *fresh = str_fmt("%s.new", d->path);
    _cleanup_free_ char *state = str_fmt("%s/" MOUNT_STATE, d->mount);
    bool used = datadir_used(PACKAGE_DIR);

    if (fs_remove_tree(fresh, err) < 0 ||
        datadir_room(d->mount, used ? datadir_bytes(PACKAGE_DIR) : FRESH_BYTES, err) < 0 ||
        fs_mkdirs(state, 0700, err) < 0)
        return -1;
    if (used) {
        if (stop_elsewhere(d, err) < 0 || datadir_copy(PACKAGE_DIR, fresh, run, err) < 0)
            return -1;
    } else {
        run_progress(run, "initialise %s", d->path);
        if (datadir_install(fresh, err) < 0)
            return -1;
    }
    if (fs_sync_filesystem(fresh, err) < 0 ||
        fs_write_atomic(used ? m->moving : m->fresh, "", 0, 0600, err) < 0 ||
        fs_write_atomic(m->ours, d->path, strlen(d->path), 0600, err) < 0)
        return -1;
    if (rename(fresh, d->path) < 0)
        return err_errno(err, errno, "rename %s to %s", fresh, d->path);
    return fs_sync_parent(d->path, err);
}

/* chown ends with the directory itself, whose owner the check looks at. A server that runs is
 * mysql's: it only gets back what it had. */
static int own(const struct datadir *d, struct err *err)
{
    const char *differs = NULL;

    if (owned(d, &differs, err) < 0)
        return -1;
    if (!differs)
        return 0;
    if (proc_call(PROC_ARGV("/usr/bin/chown", "--recursive", "--no-dereference", "--",
                            "mysql:mysql", d->path),
                  err) < 0)
        return -1;
    return chmod(d->path, DATADIR_MODE) < 0 ? err_errno(err, errno, "chmod %s", d->path) : 0;
}

static int datadir_apply(const void *self, struct run *run, struct err *err)
{
    const struct datadir *d = self;
    _cleanup_(marks_cleanup) struct marks m = marks_of(d);
    _cleanup_(confs_cleanup) struct confs c = {0};

    confs_fill(d, &c);
    if (!fs_exists(d->path) && make(d, &m, run, err) < 0)
        return -1;
    if (unlink(m.moving) < 0 && errno != ENOENT)
        return err_errno(err, errno, "remove %s", m.moving);
    if ((conf_differs(&c.settings) && stop_elsewhere(d, err) < 0) || own(d, err) < 0 ||
        conf_write(&c.unit, NULL, err) < 0 || svc_daemon_reload(err) < 0 ||
        apparmor_apply(d->path, err) < 0)
        return -1;
    return conf_write(&c.settings, NULL, err);
}

const struct step_ops step_datadir = {"datadir",     datadir_parse, datadir_check,
                                      datadir_apply, free,          datadir_unit};
