/* SPDX-License-Identifier: Apache-2.0 */
/* The coordinator's actions: starting the database through its gate, and stopping it.
 * Nothing here has a wall-clock limit: a transfer takes as long as it takes. */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/galera/datadir.h"
#include "agent/galera/grastate.h"
#include "agent/galera/internal.h"
#include "agent/galera/sql.h"
#include "agent/galera/transfer.h"
#include "agent/ipc/paths.h"
#include "agent/ipc/permit.h"
#include "agent/sys/svc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/proc.h"
#include "common/str.h"

#define JOURNAL_MAX_S 20
#define LEFT_MS 10000       /* so long without a group, though it is up: it does not come back */
#define START_SEEN_MS 15000 /* systemd takes up a start within this */

#define MB 1000000

static char note[256];

const char *galera_note(void)
{
    return note;
}

void galera_note_set(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(note, sizeof(note), fmt, ap);
    va_end(ap);
    log_warn("%s", note);
}

/* What an earlier transfer left would keep the next one from its begin; beside a server that runs,
 * it may be of the one that is under way. */
static int forget_transfer(const struct galera *g, struct err *err)
{
    struct svc_state st;

    if (svc_status(GALERA_SERVICE, &st, err) < 0)
        return -1;
    return st.active || st.busy || st.main_pid ? 0 : transfer_forget(g->datadir, err);
}

static int forget_fresh(const struct galera *g, struct err *err)
{
    _cleanup_free_ char *path = str_fmt("%s/" DATADIR_FRESH_MARK, g->mount);

    return fs_unlink(path, err);
}

/* Of write sets; and the pages that it overflows into. */
static int forget_cache(const struct galera *g, struct err *err)
{
    _cleanup_closedir_ DIR *d = opendir(g->datadir);
    struct dirent *e;

    while (d && (e = readdir(d)))
        if ((strcmp(e->d_name, "galera.cache") == 0 || str_starts(e->d_name, "gcache.page.")) &&
            unlinkat(dirfd(d), e->d_name, 0) < 0)
            return err_errno(err, errno, "remove %s/%s", g->datadir, e->d_name);
    return d ? fs_sync_filesystem(g->datadir, err) : err_errno(err, errno, "%s", g->datadir);
}

/* The server zeroes the UUID in its state file while a table's definition is changed, and a loss of
 * power may tear the file: it would begin a history of its own then. InnoDB has the position, and
 * a change of a definition that was cut off has happened there or has not; where it has, the
 * position does not say so. So the others take whole copies: there are no write sets for them. */
static int trust(const struct galera *g, const struct cluster_position *p, struct err *err)
{
    _cleanup_free_ char *path = str_fmt("%s/grastate.dat", g->datadir);
    _cleanup_free_ char *text = grastate_text(p->uuid);
    struct stat st;

    if (stat(g->datadir, &st) < 0)
        return err_errno(err, errno, "%s", g->datadir);
    if (forget_cache(g, err) < 0 ||
        fs_write_atomic_as(path, text, strlen(text), 0660, st.st_uid, st.st_gid, err) < 0)
        return -1;
    galera_note_set(
        "the database did not trust its state (%.8s:%lld), and nobody has newer data: a change "
        "of a table's definition was cut off, or its state file; the others take whole copies",
        p->uuid, (long long)p->seqno);
    return 0;
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

/* The server's own reason for its end: the first line marked as an error since it was started. */
static void first_error(void *ctx, const char *line)
{
    char(*first)[256] = ctx;
    const char *error = strstr(line, "[ERROR]");

    if (error && !(*first)[0])
        snprintf(*first, sizeof(*first), "%s", error);
}

static int ended(time_t since, struct err *err)
{
    char first[256] = "";
    struct err ignored;
    struct proc_opts opts = {.on_line = first_error, .ctx = &first, .timeout_s = JOURNAL_MAX_S};
    _cleanup_free_ char *from = str_fmt("--since=@%lld", (long long)since);

    proc_run(PROC_ARGV("/usr/bin/journalctl", "--unit=" GALERA_SERVICE, "--output=cat",
                       "--no-pager", from),
             &opts, NULL, &ignored);
    return err_set(err, ERR_FAILED, "the database ended while it started: %s",
                   first[0] ? first : "'journalctl -u mariadb' says why");
}

static int wait_synced(struct err *err)
{
    uint64_t begun = clock_mono_ms(), left = 0;
    time_t since = time(NULL);
    bool seen = false, closed = false;

    for (;;) {
        struct svc_state st;
        char state[256];

        if (svc_status(GALERA_SERVICE, &st, err) < 0)
            return -1;
        seen = seen || st.active || st.busy;
        if (!closed && (st.active || (st.busy && st.main_pid))) {
            permit_close();
            closed = true;
        }
        enum galera_seen is = st.active ? galera_synced(state, sizeof(state)) : GALERA_UNKNOWN;
        if (is == GALERA_SYNCED)
            return 0;
        /* A copy or an applier failed in it: it answers, and waits for nothing any more. */
        left = is != GALERA_LEFT ? 0 : left ? left : clock_mono_ms();
        if (left && clock_mono_ms() - left > LEFT_MS)
            return svc_do("stop", GALERA_SERVICE, err) < 0 ? -1 : ended(since, err);
        if (seen && !st.active && !st.busy)
            return ended(since, err);
        if (!seen && (st.failed || clock_mono_ms() - begun > START_SEEN_MS))
            return err_set(err, ERR_FAILED, "systemd did not start the database");
        clock_pause_ms(100);
    }
}

static int start(const char *kind, uint64_t epoch, const char *options, struct err *err)
{
    struct err ignored;

    svc_do("reset-failed", GALERA_SERVICE, &ignored);
    if (permit_open(kind, epoch, options, err) < 0)
        return -1;
    int r = proc_call(PROC_ARGV(SYSTEMCTL, "start", "--no-block", GALERA_SERVICE), err);
    if (r == 0)
        r = wait_synced(err);
    permit_close();
    return r;
}

static char *start_position(const struct cluster_position *p)
{
    bool known =
        (p->kind == DATADIR_OK || p->kind == DATADIR_TAINTED) && p->uuid[0] && p->seqno >= 0;

    return known ? str_fmt("--wsrep_start_position=%s:%lld", p->uuid, (long long)p->seqno)
                 : xstrdup("");
}

/* A torn log of Aria keeps the server from starting; its tables are checked when they are opened.
 * What is moved aside is kept. */
static int set_aria_aside(const struct galera *g, uint64_t epoch, struct err *err)
{
    struct dirent *e;
    _cleanup_free_ char *dir =
        str_fmt("%s/" MOUNT_STATE "/aria-log-%llu", g->mount, (unsigned long long)epoch);

    if (fs_mkdirs(dir, 0700, err) < 0)
        return -1;
    DIR *d = opendir(g->datadir);
    if (!d)
        return err_errno(err, errno, "%s", g->datadir);
    int r = 0;
    while (r == 0 && (e = readdir(d))) {
        if (strncmp(e->d_name, "aria_log", strlen("aria_log")) != 0)
            continue;
        _cleanup_free_ char *from = str_fmt("%s/%s", g->datadir, e->d_name);
        _cleanup_free_ char *to = str_fmt("%s/%s", dir, e->d_name);
        if (rename(from, to) < 0)
            r = err_errno(err, errno, "move %s to %s", from, to);
    }
    closedir(d);
    if (r < 0)
        return -1;
    galera_note_set("the torn log of Aria was moved to %s", dir);
    return fs_sync_filesystem(g->datadir, err);
}

int galera_boot(const struct galera *g, uint64_t epoch, const struct cluster_position *p,
                struct err *err)
{
    _cleanup_free_ char *position = start_position(p);
    _cleanup_free_ char *options = str_fmt("--wsrep-new-cluster %s", position);

    if (galera_writable(g, err) < 0 || forget_fresh(g, err) < 0 ||
        (p->kind == DATADIR_TAINTED && trust(g, p, err) < 0) || mark_safe(g, err) < 0 ||
        galera_set_torn_aside(g, err) < 0 || (p->aria && set_aria_aside(g, epoch, err) < 0))
        return -1;
    return start("boot", epoch, options, err);
}

/* Without its state file the server asks for a whole copy, before its engines start. */
static int ask_for_copy(const struct galera *g, struct err *err)
{
    _cleanup_free_ char *from = str_fmt("%s/grastate.dat", g->datadir);
    _cleanup_free_ char *to = str_fmt("%s/" MOUNT_STATE "/grastate.before-copy", g->mount);

    if (rename(from, to) < 0 && errno != ENOENT)
        return err_errno(err, errno, "move %s to %s", from, to);
    return fs_sync_parent(from, err);
}

/* What a whole copy replaces makes room for it. mariabackup's script removes the old data before
 * the new has come, so one that does not fit ends with nothing. */
static int has_room(const struct galera *g, uint64_t bytes, struct err *err)
{
    uint64_t room = 0;

    if (fs_free(g->mount, &room, err) < 0)
        return -1;
    if (room >= bytes)
        return 0;
    uint64_t own = datadir_bytes(g->datadir);
    return room + own >= bytes
               ? 0
               : err_set(err, ERR_FAILED,
                         "no whole copy is begun: a donor has %llu MB, and %s has room for "
                         "%llu MB; make the volume larger (datadisk.size, muster up), or "
                         "remove what does not belong there",
                         (unsigned long long)(bytes / MB), g->mount,
                         (unsigned long long)((room + own) / MB));
}

/* While it joins it does not count in the quorum: one that dies in the middle must not take the
 * Primary with it, which of two members it would (G10).
 * mariabackup's script rests for ten seconds in the middle, whatever there is to copy; rsync's does
 * not, and that its donor takes no writes while it copies is over in a moment. It fails once where
 * the donor has no rsync: the next join is an ordinary one. What a copy brought is on the disk
 * before the join counts: the copy itself syncs nothing. */
int galera_join(const struct galera *g, uint64_t epoch, const struct cluster_position *p,
                bool small, bool whole, uint64_t bytes, struct err *err)
{
    bool copy = p->aria || p->kind == DATADIR_SST_PARTIAL || p->kind == DATADIR_EMPTY;
    struct err why;
    _cleanup_free_ char *weightless = galera_options(g, 0);
    _cleanup_free_ char *how = small  ? xstrdup("--wsrep-sst-method=rsync")
                               : copy ? xstrdup("")
                                      : start_position(p);
    _cleanup_free_ char *options = str_fmt("--wsrep-provider-options=%s %s", weightless, how);

    if (galera_writable(g, err) < 0 || (whole && has_room(g, bytes, err) < 0) ||
        forget_fresh(g, err) < 0 || galera_set_torn_aside(g, err) < 0 ||
        forget_transfer(g, err) < 0 || (copy && ask_for_copy(g, err) < 0) ||
        start("join", epoch, options, err) < 0)
        return -1;
    if (galera_weight(g, &why) < 0) /* the coordinator asks for it until it is so */
        log_warn("the database serves without its weight in the quorum: %s", why.msg);
    return fs_sync_filesystem(g->datadir, err);
}

/* Only a database that says now that it has no quorum is stopped. */
int galera_stop(struct err *err)
{
    char state[256];
    struct svc_state st;

    if (svc_status(GALERA_SERVICE, &st, err) < 0)
        return -1;
    if (!st.active && !st.busy)
        return 0;
    enum galera_seen seen = galera_synced(state, sizeof(state));
    if (seen == GALERA_UNKNOWN)
        return err_set(err, ERR_FAILED, "not stopped: the database cannot be asked: %.200s", state);
    if (seen != GALERA_NOT_PRIMARY && seen != GALERA_LEFT)
        return err_set(err, ERR_FAILED, "not stopped: the database is part of a Primary");
    return svc_do("stop", GALERA_SERVICE, err);
}

int galera_abandon(struct err *err)
{
    return proc_call(PROC_ARGV(SYSTEMCTL, "kill", "--signal=KILL", GALERA_SERVICE), err);
}

int galera_reject(struct err *err)
{
    _cleanup_(sql_cleanup) struct sql *s = NULL;

    return sql_open(30, &s, err) < 0 ? -1
                                     : sql_exec(s, "SET GLOBAL wsrep_reject_queries = ALL", err);
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
    _cleanup_free_ char *lost = sql_quote(s, v->lost);
    _cleanup_free_ char *insert =
        str_fmt("REPLACE INTO muster.epoch VALUES (%llu, %s, %s, %s, %lld, UTC_TIMESTAMP(), %s)",
                (unsigned long long)epoch, id, node, uuid, (long long)v->base, lost);
    if (sql_exec(s, "CREATE DATABASE IF NOT EXISTS muster", err) < 0 ||
        sql_exec(s,
                 "CREATE TABLE IF NOT EXISTS muster.epoch (e BIGINT UNSIGNED PRIMARY KEY, "
                 "cluster_id CHAR(36), node VARCHAR(64), base_uuid VARCHAR(36), base_seqno BIGINT, "
                 "at DATETIME) ENGINE=InnoDB",
                 err) < 0 ||
        sql_exec(s,
                 "ALTER TABLE muster.epoch ADD COLUMN IF NOT EXISTS lost VARCHAR(255) NOT NULL "
                 "DEFAULT ''",
                 err) < 0)
        return -1;
    return sql_exec(s, insert, err);
}
