/* SPDX-License-Identifier: Apache-2.0 */
/* Step `datadir`: MariaDB's data directory on the data disk, initialised beside its place and then
 * renamed. Two marks on the disk say that the agent made it, and that nothing ever ran in it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/conf.h"
#include "agent/galera.h"
#include "agent/mnt.h"
#include "agent/paths.h"
#include "agent/resource.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"

#define CONF "/etc/mysql/mariadb.conf.d/70-muster-datadir.cnf"
#define INSTALL_DB "/usr/bin/mariadb-install-db"

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
    char *ours, *fresh;
};

static void marks_cleanup(struct marks *m)
{
    free(m->ours);
    free(m->fresh);
}

static struct marks marks_of(const struct datadir *d)
{
    return (struct marks){str_fmt("%s/" DATADIR_OURS_MARK, d->mount),
                          str_fmt("%s/" DATADIR_FRESH_MARK, d->mount)};
}

static char *conf_text(const struct datadir *d)
{
    return str_fmt("# written by muster-agent\n[mariadbd]\ndatadir = %s\n", d->path);
}

static int datadir_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    (void)run;
    const struct datadir *d = self;
    _cleanup_(marks_cleanup) struct marks m = marks_of(d);
    _cleanup_free_ char *text = conf_text(d);
    struct conf c = {.path = CONF, .content = text, .mode = 0644};
    char source[256];
    bool mounted = false;
    if (mnt_look(d->mount, &mounted, source, sizeof(source), err) < 0)
        return -1;
    if (!mounted)
        return err_set(err, ERR_FAILED, "nothing is mounted on %s", d->mount);
    if (!fs_exists(d->path)) {
        if (fs_exists(m.ours) && !fs_exists(m.fresh))
            return verdict_refused(ret, "%s is gone although it was in use; not made anew",
                                   d->path);
        return verdict_differs(ret, "%s does not exist", d->path);
    }
    if (!fs_exists(m.ours))
        return verdict_refused(ret, "%s exists, and this agent did not make it", d->path);
    const char *why = conf_differs(&c);
    return why ? verdict_differs(ret, "%s: %s", CONF, why) : verdict_ok(ret);
}

static int sync_filesystem(const char *path, struct err *err)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || syncfs(fd) < 0)
        return err_errno(err, errno, "sync %s", path);
    return 0;
}

static int initialise(const struct datadir *d, const struct marks *m, struct run *run,
                      struct err *err)
{
    uid_t uid;
    gid_t gid;
    _cleanup_free_ char *fresh = str_fmt("%s.new", d->path);
    _cleanup_free_ char *option = str_fmt("--datadir=%s", fresh);
    _cleanup_free_ char *state = str_fmt("%s/" MOUNT_STATE, d->mount);
    if (conf_uid("mysql", &uid, err) < 0 || conf_gid("mysql", &gid, err) < 0 ||
        fs_remove_tree(fresh, err) < 0 || fs_mkdirs(fresh, 0700, err) < 0 ||
        fs_mkdirs(state, 0700, err) < 0)
        return -1;
    if (chown(fresh, uid, gid) < 0)
        return err_errno(err, errno, "chown %s", fresh);
    run_progress(run, "initialise %s", d->path);
    if (proc_call(PROC_ARGV(INSTALL_DB, "--no-defaults", "--user=mysql", option, "--skip-test-db",
                            "--skip-name-resolve", "--force",
                            "--auth-root-authentication-method=socket",
                            "--auth-root-socket-user=mysql"),
                  err) < 0 ||
        sync_filesystem(fresh, err) < 0 || fs_write_atomic(m->fresh, "", 0, 0600, err) < 0 ||
        fs_write_atomic(m->ours, d->path, strlen(d->path), 0600, err) < 0)
        return -1;
    if (rename(fresh, d->path) < 0)
        return err_errno(err, errno, "rename %s to %s", fresh, d->path);
    return fs_sync_parent(d->path, err);
}

static int datadir_apply(const void *self, struct run *run, struct err *err)
{
    const struct datadir *d = self;
    _cleanup_(marks_cleanup) struct marks m = marks_of(d);
    _cleanup_free_ char *text = conf_text(d);
    struct conf c = {.path = CONF, .content = text, .mode = 0644};
    if (!fs_exists(d->path) && initialise(d, &m, run, err) < 0)
        return -1;
    return conf_write(&c, NULL, err);
}

const struct resource_ops res_datadir = {"datadir", datadir_parse, datadir_check, datadir_apply,
                                         free};
