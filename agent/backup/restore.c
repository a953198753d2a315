/* SPDX-License-Identifier: Apache-2.0 */
/* A restore goes the way of every other write: the copy's server writes its databases as
 * statements, the member that runs here takes them, and Galera takes them to all. Neither the data
 * directory nor what the coordinator has written down is touched. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/backup/internal.h"
#include "agent/galera/galera.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/proc.h"
#include "common/str.h"

#define TICK_MS 1000
#define PACKET "1073741824" /* the largest there is: a row of the dump is one statement */

/* Galera replicates InnoDB only. */
static void push_alter(void *ctx, const char *schema, const char *table)
{
    _cleanup_free_ char *a = sql_name(schema), *b = sql_name(table);
    _cleanup_free_ char *text = str_fmt("ALTER TABLE %s.%s ENGINE = InnoDB", a, b);

    js_push_str(ctx, text);
}

static int all_innodb(struct sql *s, struct err *err)
{
    _cleanup_json_ json_t *alters = json_array();
    size_t i;
    json_t *a;

    if (sql_pairs(s,
                  "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE "
                  "TABLE_TYPE = 'BASE TABLE' AND ENGINE IN ('MyISAM', 'Aria') AND TABLE_SCHEMA "
                  "NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys', 'muster')",
                  push_alter, alters, err) < 0)
        return -1;
    json_array_foreach(alters, i, a)
    {
        if (sql_exec(s, json_string_value(a), err) < 0)
            return -1;
    }
    return 0;
}

static int wait_for_end(const struct backup_work *w, struct pipeline *p, struct err *err)
{
    uint64_t begun = clock_mono_ms();
    char buf[4096];

    for (;;) {
        struct pollfd fd = {.fd = p->fd, .events = POLLIN};
        int ready = poll(&fd, 1, TICK_MS);
        ssize_t n = ready > 0 ? read(p->fd, buf, sizeof(buf)) : -1;

        if (ready > 0 && n == 0)
            return 0;
        if (ready > 0 && n < 0 && errno != EINTR)
            return err_errno(err, errno, "read from %s", p->program[1]);
        if (ready == 0)
            backup_say(w, "writes it into the cluster", (clock_mono_ms() - begun) / 1000);
    }
}

static int transfer(const struct backup_work *w, const struct scratch *s, const json_t *databases,
                    struct err *err)
{
    static const char *const options[] = {"/usr/bin/mariadb-dump",
                                          "--no-defaults",
                                          "--user=root",
                                          "--single-transaction",
                                          "--quick",
                                          "--routines",
                                          "--triggers",
                                          "--events",
                                          "--hex-blob",
                                          "--add-drop-database",
                                          "--skip-add-locks",
                                          "--skip-lock-tables",
                                          "--skip-disable-keys",
                                          "--skip-log-queries",
                                          ("--max-allowed-packet=" PACKET),
                                          "--default-character-set=utf8mb4"};
    _cleanup_free_ char *socket = str_fmt("--socket=%s", s->socket);
    size_t n = ARRAY_LEN(options), i;
    _cleanup_free_ const char **argv = xcalloc(n + json_array_size(databases) + 4, sizeof(*argv));
    struct pipeline p;
    json_t *d;

    memcpy(argv, options, sizeof(options));
    argv[n++] = socket;
    argv[n++] = "--databases";
    argv[n++] = "--";
    json_array_foreach(databases, i, d) argv[n++] = json_string_value(d);
    if (pipeline_read(argv,
                      PROC_ARGV("/usr/bin/mariadb", "--no-defaults", "--user=root", "--batch",
                                "--socket=" SQL_SOCKET, "--max-allowed-packet=" PACKET,
                                "--default-character-set=utf8mb4"),
                      &p, err) < 0)
        return -1;
    if (wait_for_end(w, &p, err) < 0) {
        pipeline_abort(&p);
        return -1;
    }
    return pipeline_end(&p, err);
}

/* A row of the dump may be longer than what clients send otherwise. */
static int with_packets(struct sql *live, const struct backup_work *w, const struct scratch *s,
                        const json_t *databases, struct err *err)
{
    struct err ignored;
    char before[24] = "";

    if (sql_text(live, "SELECT @@GLOBAL.max_allowed_packet", before, sizeof(before), err) < 0 ||
        sql_exec(live, "SET GLOBAL max_allowed_packet = " PACKET, err) < 0)
        return -1;
    int r = transfer(w, s, databases, err);
    _cleanup_free_ char *back = str_fmt("SET GLOBAL max_allowed_packet = %.20s", before);
    sql_exec(live, back, &ignored);
    return r;
}

static json_t *only_here(const json_t *live, const json_t *restored)
{
    json_t *ret = json_array(), *l, *r;
    size_t i, k;

    json_array_foreach(live, i, l)
    {
        bool found = false;

        json_array_foreach(restored, k, r) found = found || json_equal(l, r);
        if (!found)
            json_array_append(ret, l);
    }
    return ret;
}

static int database(const struct backup_work *w, const struct scratch *s, const json_t *verified,
                    json_t *done, struct err *err)
{
    _cleanup_(sql_cleanup) struct sql *copy = NULL, *live = NULL;
    _cleanup_json_ json_t *databases = NULL;
    _cleanup_json_ json_t *there = NULL;
    _cleanup_json_ json_t *wanted = NULL;
    _cleanup_json_ json_t *found = NULL;

    if (sql_open_at(s->socket, BACKUP_SQL_S, &copy, err) < 0 || all_innodb(copy, err) < 0 ||
        sql_open(BACKUP_SQL_S, &live, err) < 0 || !(databases = backup_databases(copy, err)) ||
        !(there = backup_databases(live, err)))
        return -1;
    backup_say(w, "computes the checksums of its tables", 0);
    if (backup_sums(copy, NULL, &wanted, err) < 0)
        return -1;
    if (verified && backup_sums_compare(verified, wanted, err) < 0)
        return err_wrap(err, "nothing was changed: the copy is not what was verified");
    json_object_set_new(done, "kept", only_here(there, databases));
    json_object_set(done, "databases", databases);
    json_object_set_new(done, "tables", json_integer((json_int_t)json_object_size(wanted)));
    if (!json_array_size(databases))
        return 0;
    if (backup_close_site("a restore is under way", err) < 0)
        return -1;
    backup_say(w, "writes it into the cluster", 0);
    if (with_packets(live, w, s, databases, err) < 0)
        return err_wrap(err, "the databases are restored in part; run it again");
    backup_say(w, "compares the checksums of all tables", 0);
    return backup_sums(live, databases, &found, err) < 0 ? -1
                                                         : backup_sums_compare(wanted, found, err);
}

static int possible(const struct backup_conf *c, struct err *err)
{
    char state[256];
    struct sql *s = NULL;

    if (!c->key)
        return err_set(err, ERR_USAGE,
                       "this node's plan has no backups: write 'backup: {}' into "
                       "the file; then muster up");
    if (galera_synced(state, sizeof(state)) != GALERA_SYNCED)
        return err_set(err, ERR_SAFETY,
                       "the database here is '%.200s': a restore writes into one that is Synced",
                       state);
    if (sql_open(30, &s, err) < 0)
        return -1;
    sql_close(s);
    return 0;
}

int backup_restore(const struct backup_work *w, const char *path, const json_t *sums, json_t **ret,
                   struct err *err)
{
    const struct backup_conf *c = w->conf;
    _cleanup_json_ json_t *info = NULL;
    _cleanup_json_ json_t *done = json_object();
    struct files_done files = {0};
    struct scratch s = {0};
    struct err ignored;
    int r;

    if (backup_directory(c, err) < 0 || backup_tidy(c, err) < 0 || possible(c, err) < 0)
        return -1;
    r = backup_unpack(w, path, true, &info, err);
    if (r == 0)
        r = scratch_start(w, &s, err);
    if (r == 0)
        r = database(w, &s, sums, done, err);
    scratch_stop(&s);
    if (r == 0) {
        backup_say(w, "puts the applications' files in their places", 0);
        r = backup_files_place(c, &files, err);
    }
    if (backup_tidy(c, r == 0 ? err : &ignored) < 0)
        r = -1;
    if (backup_open_site(r == 0 ? err : &ignored) < 0)
        r = -1;
    if (r < 0)
        return -1;
    json_object_set_new(done, "files", json_integer((json_int_t)files.files));
    json_object_set_new(done, "links", json_integer((json_int_t)files.links));
    *ret = TAKE(done);
    return 0;
}
