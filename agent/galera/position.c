/* SPDX-License-Identifier: Apache-2.0 */
/* The coordinator's look at the data of a database that does not run: what kind it is, and its
 * position. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/cluster/store.h"
#include "agent/galera/grastate.h"
#include "agent/galera/internal.h"
#include "agent/galera/tclog.h"
#include "agent/ipc/paths.h"
#include "agent/ipc/permit.h"
#include "agent/sys/mnt.h"
#include "agent/sys/svc.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/proc.h"
#include "common/str.h"

#define PATH_MYSQLD "/run/mysqld" /* of Debian's package */

/* Whether a name is there; -1: it could not be seen whether. */
static int below(const char *dir, const char *name, bool *ret, struct err *err)
{
    _cleanup_free_ char *path = str_fmt("%s/%s", dir, name);
    struct stat st;

    *ret = lstat(path, &st) == 0;
    return *ret || errno == ENOENT ? 0 : err_errno(err, errno, "look at %s", path);
}

/* Only beside a server that is known not to run. */
int galera_set_torn_aside(const struct galera *g, struct err *err)
{
    _cleanup_free_ char *dir = str_fmt("%s/" MOUNT_STATE, g->mount);
    _cleanup_free_ char *to = NULL;
    struct svc_state st;
    bool torn = false;

    if (tclog_torn(g->datadir, &torn, err) < 0)
        return -1;
    if (!torn)
        return 0;
    if (svc_status(GALERA_SERVICE, &st, err) < 0)
        return -1;
    if (st.active || st.busy || st.main_pid)
        return err_set(err, ERR_FAILED, "the database runs, and its tc.log is torn");
    if (tclog_set_aside(g->datadir, dir, &to, err) < 0)
        return -1;
    if (to) {
        galera_note_set("the torn tc.log of the database was moved to %s", to);
    }
    return 0;
}

/* The kernel does so after a fault of the disk; the server would only say that it cannot start. */
int galera_writable(const struct galera *g, struct err *err)
{
    bool read_only = false;

    if (mnt_read_only(g->mount, &read_only, err) < 0)
        return -1;
    return read_only
               ? err_set(err, ERR_FAILED,
                         "the data disk on %s is read-only: as a rule it had a fault ('dmesg' "
                         "says which); nothing is started on it. When the disk is well: "
                         "mount -o remount,rw %s, or muster up",
                         g->mount, g->mount)
               : 0;
}

#define SILENT_S 60 /* what comes before InnoDB says nothing for so long: it loops */
#define TICK_S 10

struct recovering {
    struct grastate_recovery r;
    unsigned silent_s;
    bool stuck;
};

static void recovery_line(void *ctx, const char *line)
{
    struct recovering *w = ctx;

    grastate_recovery_line(&w->r, line);
}

/* With a log of Aria that ends too early the server loops for ever before it comes to InnoDB, which
 * tells of its progress every 15 s. */
static void recovery_silent(void *ctx)
{
    struct recovering *w = ctx;

    w->silent_s += TICK_S;
    if (w->r.innodb || w->silent_s < SILENT_S)
        return;
    w->stuck = w->r.aria = true;
}

/* Real crash recovery, from a pipe of our own (I11). `option` may be NULL. */
static int recover_with(const char *option, struct grastate_recovery *r, struct err *err)
{
    struct recovering w = {.r.seqno = -1};
    const struct proc_opts opts = {.on_line = recovery_line,
                                   .on_tick = recovery_silent,
                                   .tick_s = TICK_S,
                                   .give_up = &w.stuck,
                                   .ctx = &w};
    int result =
        proc_run(PROC_ARGV(MARIADBD, "--user=mysql", "--wsrep-recover", "--disable-log-error",
                           "--skip-networking", "--bind-address=127.0.0.1", option),
                 &opts, NULL, err);

    *r = w.r;
    if (w.stuck)
        return err_set(err, ERR_FAILED,
                       "recover the position: the server said nothing for %d s before InnoDB",
                       SILENT_S);
    if (result < 0)
        return err_set(err, ERR_FAILED, "recover the position: %s",
                       r->first[0] ? r->first : strdupa(err->msg));
    if (r->prepared)
        return err_set(err, ERR_SAFETY,
                       "the database has prepared transactions; an operator must decide them: %s",
                       r->first);
    if (r->lines != 1)
        return err_set(err, ERR_FAILED, "recover the position: %u answers instead of one",
                       r->lines);
    return 0;
}

/* Aria has only system tables, and its log may be torn after a loss of power while InnoDB is whole:
 * the position is read with an empty log of Aria in another place, where mysql may write, and the
 * real one is left as it is. */
static int recover_without_aria(struct grastate_recovery *r, struct err *err)
{
    static const char dir[] = PATH_MYSQLD "/aria-scratch";
    struct err ignored;

    if (fs_remove_tree(dir, err) < 0 ||
        proc_call(PROC_ARGV("/usr/bin/install", "-m", "700", "-o", "mysql", "-d", dir), err) < 0)
        return -1;
    int result = recover_with("--aria-log-dir-path=" PATH_MYSQLD "/aria-scratch", r, err);
    fs_remove_tree(dir, &ignored);
    return result;
}

static int recover(struct grastate_recovery *r, bool *ret_aria, struct err *err)
{
    *ret_aria = false;
    if (proc_call(PROC_ARGV("/usr/bin/install", "-m", "755", "-o", "mysql", "-g", "root", "-d",
                            PATH_MYSQLD),
                  err) < 0)
        return -1;
    if (recover_with(NULL, r, err) == 0)
        return 0;
    if (!r->aria || r->prepared)
        return -1;
    log_warn("%s", err->msg);
    *ret_aria = true;
    return recover_without_aria(r, err);
}

static int position_of_data(const struct galera *g, struct cluster_position *p, struct err *err)
{
    struct grastate st = {0};
    struct grastate_recovery r;
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
    if (galera_set_torn_aside(g, err) < 0 || recover(&r, &p->aria, err) < 0) {
        p->kind = DATADIR_UNREADABLE;
        return -1;
    }
    if (strcmp(r.uuid, UUID_ZERO) == 0 || r.seqno < 0) {
        p->kind = DATADIR_EMPTY;
        return 0;
    }
    p->kind = zero ? DATADIR_TAINTED : DATADIR_OK;
    p->seqno = r.seqno;
    memcpy(p->uuid, r.uuid, sizeof(p->uuid));
    return 0;
}

/* The gate was opened over this disk: the record on the disk itself says so. One that cannot be
 * read says nothing, and nothing that lies here counts as a member's then. */
static bool opened_here(const struct galera *g)
{
    _cleanup_free_ char *dir = str_fmt("%s/" MOUNT_STATE, g->mount);
    const char *const dirs[2] = {dir, NULL};
    struct cluster_record rec;
    uint64_t generation;
    struct err ignored;

    return cluster_store_load(dirs, &rec, &generation, &ignored) == 1 && rec.data && !rec.new_disk;
}

static int look_at_disk(const struct galera *g, struct cluster_position *p, struct err *err)
{
    char source[256];
    bool mounted = false, marker = false, ours = false;

    if (mnt_status(g->mount, &mounted, source, sizeof(source), err) < 0 ||
        (mounted && below(g->mount, MOUNT_MARKER, &marker, err) < 0))
        return -1;
    if (!mounted || !marker) {
        p->kind = DATADIR_NOT_MOUNTED;
        return err_set(err, ERR_FAILED, "the data disk is not mounted on %s", g->mount);
    }
    if (galera_writable(g, err) < 0 || below(g->mount, DATADIR_OURS_MARK, &ours, err) < 0)
        return -1;
    return ours ? 0
                : err_set(err, ERR_SAFETY,
                          "%s was not made by this agent; an operator must adopt it", g->datadir);
}

int galera_position(const struct galera *g, struct cluster_position *ret, struct err *err)
{
    struct cluster_position p = {.kind = DATADIR_UNKNOWN, .seqno = -1};
    struct svc_state st;
    bool fresh, staging, innodb;

    *ret = p;
    /* An action that was killed leaves its permit, and maybe a database. */
    permit_close();
    if (svc_status(GALERA_SERVICE, &st, err) < 0)
        return -1;
    if (st.active || st.busy)
        return err_set(err, ERR_FAILED, "the database runs; its position cannot be read");
    if (look_at_disk(g, ret, err) < 0 || below(g->mount, DATADIR_FRESH_MARK, &fresh, err) < 0 ||
        below(g->datadir, ".sst", &staging, err) < 0 ||
        below(g->datadir, "ibdata1", &innodb, err) < 0)
        return -1;
    p.opened = opened_here(g);
    int r = 0;
    if (fresh)
        p.kind = DATADIR_FRESH;
    else if (staging || !innodb)
        p.kind = DATADIR_SST_PARTIAL;
    else
        r = position_of_data(g, &p, err);
    *ret = p;
    return r;
}
