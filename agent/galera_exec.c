/* SPDX-License-Identifier: Apache-2.0 */
/* The coordinator's actions: reading the position, and starting the database through its gate.
 * Nothing here has a wall-clock limit: a transfer takes as long as it takes. */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/conf.h"
#include "agent/galera.h"
#include "agent/grastate.h"
#include "agent/mnt.h"
#include "agent/paths.h"
#include "agent/sql.h"
#include "agent/svc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"

#define MARIADBD "/usr/sbin/mariadbd"
#define START_SEEN_MS 15000 /* systemd takes up a start within this */

static bool below(const char *dir, const char *name)
{
    _cleanup_free_ char *path = str_fmt("%s/%s", dir, name);
    return fs_exists(path);
}

/* --- position ------------------------------------------------------------------------------ */

struct recovery {
    char uuid[37];
    int64_t seqno;
    unsigned lines;
    bool prepared; /* transactions whose outcome only an operator may decide */
};

static void recovery_line(void *ctx, const char *line)
{
    struct recovery *r = ctx;
    if (grastate_recovered(line, r->uuid, &r->seqno))
        r->lines++;
    if (strstr(line, "prepared transaction") && strstr(line, "Found"))
        r->prepared = true;
}

/* Real crash recovery, from a pipe of our own (I11). */
static int recover(struct recovery *r, struct err *err)
{
    struct proc_opts opts = {.on_line = recovery_line, .ctx = r};
    *r = (struct recovery){.seqno = -1};
    if (proc_run(PROC_ARGV("/usr/bin/install", "-m", "755", "-o", "mysql", "-g", "root", "-d",
                           "/run/mysqld"),
                 NULL, NULL, err) < 0 ||
        proc_run(PROC_ARGV(MARIADBD, "--user=mysql", "--wsrep-recover", "--disable-log-error",
                           "--skip-networking", "--bind-address=127.0.0.1"),
                 &opts, NULL, err) < 0)
        return err_wrap(err, "recover the position");
    if (r->prepared)
        return err_set(err, ERR_SAFETY,
                       "the database has prepared transactions; an operator must "
                       "decide them");
    if (r->lines != 1)
        return err_set(err, ERR_FAILED, "recover the position: %u answers instead of one",
                       r->lines);
    return 0;
}

static int position_of_data(const struct galera *g, struct cluster_position *p, struct err *err)
{
    struct grastate st = {0};
    struct recovery r;
    struct err why;
    _cleanup_free_ char *path = str_fmt("%s/grastate.dat", g->datadir);
    _cleanup_free_ char *text = NULL;
    bool trusted =
        fs_read(path, 4096, &text, NULL, &why) == 0 && grastate_parse(text, &st, &why) == 0;
    bool zero = !trusted || strcmp(st.uuid, UUID_ZERO) == 0;
    p->safe = trusted && st.safe;
    if (!zero && st.seqno >= 0) {
        p->kind = DATADIR_OK;
        p->clean = true;
        p->seqno = st.seqno;
        memcpy(p->uuid, st.uuid, sizeof(p->uuid));
        return 0;
    }
    if (recover(&r, err) < 0)
        return -1;
    if (strcmp(r.uuid, UUID_ZERO) == 0 || r.seqno < 0) {
        p->kind = DATADIR_EMPTY;
        return 0;
    }
    p->kind = zero ? DATADIR_TAINTED : DATADIR_OK;
    p->seqno = r.seqno;
    memcpy(p->uuid, r.uuid, sizeof(p->uuid));
    return 0;
}

int galera_position(const struct galera *g, struct cluster_position *ret, struct err *err)
{
    struct cluster_position p = {.kind = DATADIR_UNREADABLE, .seqno = -1};
    struct svc_state st;
    char source[256];
    bool mounted = false;
    *ret = p;
    /* An action that was killed leaves its permit, and maybe a database. */
    galera_permit_close();
    if (svc_look(GALERA_SERVICE, &st, err) < 0)
        return -1;
    if (st.active || st.busy)
        return err_set(err, ERR_FAILED, "the database runs; its position cannot be read");
    if (mnt_look(g->mount, &mounted, source, sizeof(source), err) < 0)
        return -1;
    if (!mounted || !below(g->mount, MOUNT_MARKER)) {
        ret->kind = DATADIR_NOT_MOUNTED;
        return err_set(err, ERR_FAILED, "the data disk is not mounted on %s", g->mount);
    }
    if (!below(g->mount, DATADIR_OURS_MARK))
        return err_set(err, ERR_SAFETY, "%s was not made by this agent; an operator must adopt it",
                       g->datadir);
    if (below(g->mount, DATADIR_FRESH_MARK))
        p.kind = DATADIR_FRESH;
    else if (below(g->datadir, ".sst") || !below(g->datadir, "ibdata1"))
        p.kind = DATADIR_SST_PARTIAL;
    else if (position_of_data(g, &p, err) < 0)
        return -1;
    *ret = p;
    return 0;
}

/* --- starting and stopping ------------------------------------------------------------------ */

static int forget_fresh(const struct galera *g, struct err *err)
{
    _cleanup_free_ char *path = str_fmt("%s/" DATADIR_FRESH_MARK, g->mount);
    if (unlink(path) < 0 && errno != ENOENT)
        return err_errno(err, errno, "remove %s", path);
    return fs_sync_parent(path, err);
}

/* Galera refuses to bootstrap without its flag; uuid and seqno are left alone (G6). */
static int mark_safe(const struct galera *g, struct err *err)
{
    _cleanup_free_ char *path = str_fmt("%s/grastate.dat", g->datadir);
    _cleanup_free_ char *text = NULL;
    struct stat st;
    if (stat(path, &st) < 0)
        return errno == ENOENT ? 0 : err_errno(err, errno, "%s", path);
    if (fs_read(path, 4096, &text, NULL, err) < 0)
        return -1;
    char *flag = strstr(text, "safe_to_bootstrap: 0");
    if (!flag)
        return 0;
    flag[strlen("safe_to_bootstrap: ")] = '1';
    return fs_write_atomic_as(path, text, strlen(text), st.st_mode & 07777, st.st_uid, st.st_gid,
                              err);
}

static int wait_synced(struct err *err)
{
    uint64_t begun = clock_mono_ms();
    bool seen = false, closed = false;
    for (;;) {
        struct svc_state st;
        char state[64];
        if (svc_look(GALERA_SERVICE, &st, err) < 0)
            return -1;
        seen = seen || st.active || st.busy;
        if (!closed && (st.active || (st.busy && st.main_pid))) {
            galera_permit_close();
            closed = true;
        }
        if (st.active && galera_synced(state, sizeof(state)))
            return 0;
        if (seen && !st.active && !st.busy)
            return err_set(err, ERR_FAILED,
                           "the database ended while it started; 'journalctl -u mariadb' says why");
        if (!seen && (st.failed || clock_mono_ms() - begun > START_SEEN_MS))
            return err_set(err, ERR_FAILED, "systemd did not start the database");
        clock_pause_ms(100);
    }
}

static int start(const char *kind, uint64_t epoch, const char *options, struct err *err)
{
    struct err ignored;
    svc_do("reset-failed", GALERA_SERVICE, &ignored);
    if (galera_permit_open(kind, epoch, options, err) < 0)
        return -1;
    int r = proc_call(PROC_ARGV(SYSTEMCTL, "start", "--no-block", GALERA_SERVICE), err);
    if (r == 0)
        r = wait_synced(err);
    galera_permit_close();
    return r;
}

static char *start_position(const struct cluster_position *p)
{
    bool known =
        (p->kind == DATADIR_OK || p->kind == DATADIR_TAINTED) && p->uuid[0] && p->seqno >= 0;
    return known ? str_fmt("--wsrep_start_position=%s:%lld", p->uuid, (long long)p->seqno)
                 : xstrdup("");
}

int galera_boot(const struct galera *g, uint64_t epoch, const struct cluster_position *p,
                struct err *err)
{
    _cleanup_free_ char *position = start_position(p);
    _cleanup_free_ char *options = str_fmt("--wsrep-new-cluster %s", position);
    if (forget_fresh(g, err) < 0 || mark_safe(g, err) < 0)
        return -1;
    return start("boot", epoch, options, err);
}

/* mariabackup's script rests for ten seconds in the middle, whatever there is to copy; rsync's does
 * not, and that its donor takes no writes while it copies is over in a moment. It fails once where
 * the donor has no rsync: the next join is an ordinary one. */
int galera_join(const struct galera *g, uint64_t epoch, const struct cluster_position *p,
                bool small, struct err *err)
{
    _cleanup_free_ char *options = small ? xstrdup("--wsrep-sst-method=rsync") : start_position(p);
    if (forget_fresh(g, err) < 0)
        return -1;
    return start("join", epoch, options, err);
}

int galera_stop(struct err *err)
{
    return svc_do("stop", GALERA_SERVICE, err);
}

int galera_abandon(struct err *err)
{
    return proc_call(PROC_ARGV(SYSTEMCTL, "kill", "--signal=KILL", GALERA_SERVICE), err);
}

int galera_row(const struct galera *g, uint64_t epoch, const struct cluster_value *v,
               struct err *err)
{
    _cleanup_(sql_cleanup) struct sql *s = NULL;
    if (sql_open(30, &s, err) < 0)
        return -1;
    _cleanup_free_ char *node = sql_quote(s, g->node);
    _cleanup_free_ char *id = sql_quote(s, v->cluster_id);
    _cleanup_free_ char *uuid = sql_quote(s, v->uuid);
    _cleanup_free_ char *insert =
        str_fmt("INSERT IGNORE INTO muster.epoch VALUES (%llu, %s, %s, %s, %lld, UTC_TIMESTAMP())",
                (unsigned long long)epoch, id, node, uuid, (long long)v->base);
    if (sql_exec(s, "CREATE DATABASE IF NOT EXISTS muster", err) < 0 ||
        sql_exec(s,
                 "CREATE TABLE IF NOT EXISTS muster.epoch (e BIGINT UNSIGNED PRIMARY KEY, "
                 "cluster_id CHAR(36), node VARCHAR(64), base_uuid VARCHAR(36), base_seqno BIGINT, "
                 "at DATETIME) ENGINE=InnoDB",
                 err) < 0)
        return -1;
    return sql_exec(s, insert, err);
}
