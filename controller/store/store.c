/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/store/store.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/str.h"

#define SCHEMA_VERSION 1

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS secret (name TEXT PRIMARY KEY, sealed TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS resource (name TEXT PRIMARY KEY, id TEXT NOT NULL,"
    " job TEXT NOT NULL, state TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS node (name TEXT PRIMARY KEY, enrol_pub TEXT NOT NULL,"
    " enrol_expires INTEGER NOT NULL, bound INTEGER NOT NULL, conflict INTEGER NOT NULL,"
    " curve_pub TEXT NOT NULL, seal_pub TEXT NOT NULL, incarnation INTEGER NOT NULL,"
    " sent_rev TEXT NOT NULL, seen INTEGER NOT NULL, state TEXT, facts TEXT);"
    "CREATE TABLE IF NOT EXISTS event (n INTEGER PRIMARY KEY AUTOINCREMENT, ts INTEGER NOT NULL,"
    " node TEXT NOT NULL, incarnation INTEGER NOT NULL, rev TEXT NOT NULL, seq INTEGER NOT NULL,"
    " id TEXT NOT NULL, kind TEXT NOT NULL, ms INTEGER NOT NULL, msg TEXT NOT NULL,"
    " UNIQUE (node, incarnation, rev, seq));";

struct store {
    sqlite3 *db;
    uint8_t seal_key[KEY_SIZE];
    uint64_t next_seq;
};

static int db_error(struct store *s, const char *what, struct err *err)
{
    return err_set(err, ERR_FAILED, "state database: %s: %s", what, sqlite3_errmsg(s->db));
}

static int db_exec(struct store *s, const char *sql, struct err *err)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : db_error(s, sql, err);
}

static void finish(sqlite3_stmt **st)
{
    sqlite3_finalize(*st);
}

#define _cleanup_stmt_ _cleanup_(finish)

/* Prepares and binds: 's' text, 'i' int64. */
static sqlite3_stmt *query(struct store *s, struct err *err, const char *sql, const char *types,
                           ...)
{
    sqlite3_stmt *st = NULL;
    va_list ap;

    if (sqlite3_prepare_v2(s->db, sql, -1, &st, NULL) != SQLITE_OK) {
        db_error(s, sql, err);
        return NULL;
    }
    va_start(ap, types);
    for (int i = 1; types[i - 1]; i++) {
        if (types[i - 1] == 's')
            sqlite3_bind_text(st, i, va_arg(ap, const char *), -1, SQLITE_TRANSIENT);
        else
            sqlite3_bind_int64(st, i, va_arg(ap, sqlite3_int64));
    }
    va_end(ap);
    return st;
}

#define INT(x) ((sqlite3_int64)(x))

static int run(struct store *s, sqlite3_stmt *st, const char *what, struct err *err)
{
    if (!st)
        return -1;
    return sqlite3_step(st) == SQLITE_DONE ? 0 : db_error(s, what, err);
}

static const char *col(sqlite3_stmt *st, int i)
{
    const char *t = (const char *)sqlite3_column_text(st, i);

    return t ? t : "";
}

/* 1 row, 0 none, -1 error. */
static int step_row(struct store *s, sqlite3_stmt *st, const char *what, struct err *err)
{
    int rc;

    if (!st)
        return -1;
    rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        return 1;
    return rc == SQLITE_DONE ? 0 : db_error(s, what, err);
}

static int open_db(struct store *s, const char *path, bool create, struct err *err)
{
    int flags = SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0);

    if (sqlite3_open_v2(path, &s->db, flags, NULL) != SQLITE_OK)
        return db_error(s, path, err);
    sqlite3_busy_timeout(s->db, 10000);
    if (create && chmod(path, 0600) < 0)
        return err_errno(err, errno, "%s", path);
    if (db_exec(s, "PRAGMA journal_mode=WAL", err) < 0 ||
        db_exec(s, "PRAGMA synchronous=FULL", err) < 0)
        return -1;
    return create ? db_exec(s, schema, err) : 0;
}

static int check_version(struct store *s, bool create, struct err *err)
{
    _cleanup_free_ char *v = NULL;
    uint64_t n = 0;

    if (store_get(s, "schema", &v, err) < 0)
        return -1;
    if (!v && create)
        return store_set(s, "schema", "1", err);
    if (!v || str_to_u64(v, 1000, &n) < 0 || n != SCHEMA_VERSION)
        return err_set(err, ERR_FAILED,
                       "state database: written by another version of muster (schema %s, this "
                       "one has %d)",
                       v ? v : "unknown", SCHEMA_VERSION);
    return 0;
}

int store_open(const char *dir, bool create, struct store **ret, struct err *err)
{
    _cleanup_free_ char *path = str_fmt("%s/muster.db", dir);
    _cleanup_free_ char *key_path = str_fmt("%s/store.key", dir);
    struct store *s = xcalloc(1, sizeof(*s));
    struct curve_pair key;

    if (open_db(s, path, create, err) < 0 || check_version(s, create, err) < 0 ||
        keys_curve_load_or_new(key_path, &key, err) < 0) {
        store_close(s);
        return -1;
    }
    memcpy(s->seal_key, key.sec, KEY_SIZE);
    keys_wipe(&key, sizeof(key));
    *ret = s;
    return 0;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    sqlite3_close(s->db);
    keys_wipe(s->seal_key, sizeof(s->seal_key));
    free(s);
}

int store_begin(struct store *s, struct err *err)
{
    return db_exec(s, "BEGIN IMMEDIATE", err);
}

int store_commit(struct store *s, struct err *err)
{
    return db_exec(s, "COMMIT", err);
}

int store_get(struct store *s, const char *key, char **ret, struct err *err)
{
    _cleanup_stmt_ sqlite3_stmt *st = query(s, err, "SELECT value FROM meta WHERE key=?", "s", key);
    int rc = step_row(s, st, key, err);

    if (rc < 0)
        return -1;
    *ret = rc ? xstrdup(col(st, 0)) : NULL;
    return 0;
}

int store_set(struct store *s, const char *key, const char *value, struct err *err)
{
    _cleanup_stmt_ sqlite3_stmt *st =
        query(s, err,
              "INSERT INTO meta VALUES (?,?) ON CONFLICT (key) DO UPDATE SET value=excluded.value",
              "ss", key, value);

    return run(s, st, key, err);
}

int store_secret(struct store *s, const char *name, size_t chars, char ret[65], struct err *err)
{
    _cleanup_stmt_ sqlite3_stmt *st =
        query(s, err, "SELECT sealed FROM secret WHERE name=?", "s", name);
    _cleanup_stmt_ sqlite3_stmt *ins = NULL;
    char sealed[KEYS_SEALED_HEX_SIZE(64)];
    int rc = step_row(s, st, name, err);

    if (rc < 0)
        return -1;
    if (rc) {
        if (keys_unseal(s->seal_key, col(st, 0), ret, 65) < 0)
            return err_set(err, ERR_FAILED,
                           "secret '%s' cannot be unsealed: store.key is not the one that it was "
                           "sealed with; restore that file",
                           name);
        return 0;
    }
    keys_token(ret, chars);
    keys_seal(s->seal_key, ret, sealed, sizeof(sealed));
    ins = query(s, err, "INSERT INTO secret VALUES (?,?)", "ss", name, sealed);
    return run(s, ins, name, err);
}

int store_resources(struct store *s, store_resource_fn fn, void *ctx, struct err *err)
{
    _cleanup_stmt_ sqlite3_stmt *st =
        query(s, err, "SELECT name, id, job, state FROM resource ORDER BY name", "");
    int rc;

    while ((rc = step_row(s, st, "resources", err)) == 1) {
        struct store_resource r = {0};

        str_copy(r.name, sizeof(r.name), col(st, 0));
        str_copy(r.id, sizeof(r.id), col(st, 1));
        str_copy(r.job, sizeof(r.job), col(st, 2));
        str_copy(r.state, sizeof(r.state), col(st, 3));
        fn(ctx, &r);
    }
    return rc;
}

int store_resource_put(struct store *s, const struct store_resource *r, struct err *err)
{
    _cleanup_stmt_ sqlite3_stmt *st =
        query(s, err, "INSERT OR REPLACE INTO resource VALUES (?,?,?,?)", "ssss", r->name, r->id,
              r->job, r->state);

    return run(s, st, r->name, err);
}

int store_resource_delete(struct store *s, const char *name, struct err *err)
{
    _cleanup_stmt_ sqlite3_stmt *st = query(s, err, "DELETE FROM resource WHERE name=?", "s", name);

    return run(s, st, name, err);
}

int store_node_get(struct store *s, const char *name, struct store_node *ret, struct err *err)
{
    _cleanup_stmt_ sqlite3_stmt *st =
        query(s, err,
              "SELECT enrol_pub, enrol_expires, bound, conflict, curve_pub, seal_pub,"
              " incarnation, sent_rev, seen FROM node WHERE name=?",
              "s", name);
    int rc = step_row(s, st, name, err);

    if (rc <= 0)
        return rc;
    *ret = (struct store_node){0};
    str_copy(ret->name, sizeof(ret->name), name);
    if (keys_unhex(col(st, 0), ret->enrol_pub, KEY_SIZE) < 0)
        return err_set(err, ERR_FAILED, "state database: node %s: malformed key", name);
    ret->enrol_expires = (uint64_t)sqlite3_column_int64(st, 1);
    ret->bound = sqlite3_column_int(st, 2);
    ret->conflict = sqlite3_column_int(st, 3);
    str_copy(ret->curve_pub, sizeof(ret->curve_pub), col(st, 4));
    str_copy(ret->seal_pub, sizeof(ret->seal_pub), col(st, 5));
    ret->incarnation = (uint64_t)sqlite3_column_int64(st, 6);
    str_copy(ret->sent_rev, sizeof(ret->sent_rev), col(st, 7));
    ret->seen = (uint64_t)sqlite3_column_int64(st, 8);
    return 1;
}

int store_node_put(struct store *s, const struct store_node *n, struct err *err)
{
    _cleanup_stmt_ sqlite3_stmt *st = NULL;
    char hex[KEY_HEX_SIZE];

    keys_hex(n->enrol_pub, KEY_SIZE, hex);
    st = query(s, err,
               "INSERT INTO node VALUES (?,?,?,?,?,?,?,?,?,?,NULL,NULL) ON CONFLICT (name) DO "
               "UPDATE SET enrol_pub=excluded.enrol_pub, enrol_expires=excluded.enrol_expires,"
               " bound=excluded.bound, conflict=excluded.conflict, curve_pub=excluded.curve_pub,"
               " seal_pub=excluded.seal_pub, incarnation=excluded.incarnation,"
               " sent_rev=excluded.sent_rev, seen=excluded.seen",
               "ssiiissisi", n->name, hex, INT(n->enrol_expires), INT(n->bound), INT(n->conflict),
               n->curve_pub, n->seal_pub, INT(n->incarnation), n->sent_rev, INT(n->seen));
    return run(s, st, n->name, err);
}

int store_node_delete(struct store *s, const char *name, struct err *err)
{
    _cleanup_stmt_ sqlite3_stmt *st = query(s, err, "DELETE FROM node WHERE name=?", "s", name);

    return run(s, st, name, err);
}

int store_incarnation_next(struct store *s, const char *name, uint64_t *ret, struct err *err)
{
    _cleanup_free_ char *key = str_fmt("incarnation:%s", name);
    _cleanup_free_ char *text = NULL;
    _cleanup_stmt_ sqlite3_stmt *st =
        query(s, err,
              "SELECT max(coalesce((SELECT value+0 FROM meta WHERE key=?),0),"
              " coalesce((SELECT incarnation FROM node WHERE name=?),0),"
              " coalesce((SELECT max(incarnation) FROM event WHERE node=?),0))",
              "sss", key, name, name);

    if (step_row(s, st, key, err) != 1)
        return -1;
    *ret = (uint64_t)sqlite3_column_int64(st, 0) + 1;
    text = str_fmt("%llu", (unsigned long long)*ret);
    return store_set(s, key, text, err);
}

int store_node_bind(struct store *s, const char *name, const char *curve_hex, const char *seal_hex,
                    uint64_t now, struct err *err)
{
    _cleanup_stmt_ sqlite3_stmt *swap =
        query(s, err,
              "UPDATE node SET bound=1, curve_pub=?, seal_pub=? WHERE name=? AND conflict=0 AND"
              " ((bound=0 AND enrol_expires>?) OR (curve_pub=? AND seal_pub=?))",
              "sssiss", curve_hex, seal_hex, name, INT(now), curve_hex, seal_hex);
    _cleanup_stmt_ sqlite3_stmt *freeze = NULL;

    if (run(s, swap, name, err) < 0)
        return -1;
    if (sqlite3_changes(s->db) == 1)
        return 1;
    freeze =
        query(s, err, "UPDATE node SET conflict=1 WHERE name=? AND bound=1 AND enrol_expires>?",
              "si", name, INT(now));
    return run(s, freeze, name, err);
}

int store_node_set_state(struct store *s, const char *name, const char *state, uint64_t seen,
                         struct err *err)
{
    _cleanup_stmt_ sqlite3_stmt *st = query(s, err, "UPDATE node SET state=?, seen=? WHERE name=?",
                                            "sis", state, INT(seen), name);

    return run(s, st, name, err);
}

int store_node_set_facts(struct store *s, const char *name, const char *facts, struct err *err)
{
    _cleanup_stmt_ sqlite3_stmt *st =
        query(s, err, "UPDATE node SET facts=? WHERE name=?", "ss", facts, name);

    return run(s, st, name, err);
}

int store_node_report(struct store *s, const char *name, json_t **ret_state, json_t **ret_facts,
                      struct err *err)
{
    _cleanup_stmt_ sqlite3_stmt *st =
        query(s, err, "SELECT state, facts FROM node WHERE name=?", "s", name);
    int rc = step_row(s, st, name, err);
    struct err ignored;

    *ret_state = *ret_facts = NULL;
    if (rc <= 0)
        return rc;
    if (*col(st, 0))
        js_parse(col(st, 0), strlen(col(st, 0)), ret_state, &ignored);
    if (*col(st, 1))
        js_parse(col(st, 1), strlen(col(st, 1)), ret_facts, &ignored);
    return 0;
}

int store_event_add(struct store *s, const struct event *ev, uint64_t incarnation, struct err *err)
{
    _cleanup_stmt_ sqlite3_stmt *st =
        query(s, err,
              "INSERT OR IGNORE INTO event (ts, node, incarnation, rev, seq, id, kind, ms, msg)"
              " VALUES (?,?,?,?,?,?,?,?,?)",
              "isisissis", INT(ev->ts), ev->node, INT(incarnation), ev->rev, INT(ev->seq), ev->id,
              event_kind_name(ev->kind), INT(ev->ms), ev->msg);

    return run(s, st, "event", err) < 0 ? -1 : sqlite3_changes(s->db);
}

uint64_t store_event_last(struct store *s, const char *node, uint64_t incarnation)
{
    struct err ignored;
    _cleanup_stmt_ sqlite3_stmt *st =
        query(s, &ignored, "SELECT max(seq) FROM event WHERE node=? AND incarnation=?", "si", node,
              INT(incarnation));

    return step_row(s, st, "event", &ignored) == 1 ? (uint64_t)sqlite3_column_int64(st, 0) : 0;
}

uint64_t store_event_next_seq(struct store *s)
{
    struct err ignored;

    if (!s->next_seq) {
        _cleanup_stmt_ sqlite3_stmt *st =
            query(s, &ignored,
                  "SELECT coalesce(max(seq),0) FROM event WHERE rev='controller' AND"
                  " incarnation=0",
                  "");

        if (step_row(s, st, "event", &ignored) == 1)
            s->next_seq = (uint64_t)sqlite3_column_int64(st, 0);
    }
    return ++s->next_seq;
}

int store_events(struct store *s, uint64_t *after, store_event_fn fn, void *ctx, struct err *err)
{
    _cleanup_stmt_ sqlite3_stmt *st = query(
        s, err, "SELECT n, ts, node, rev, seq, id, kind, ms, msg FROM event WHERE n>? ORDER BY n",
        "i", INT(*after));
    int rc;

    while ((rc = step_row(s, st, "events", err)) == 1) {
        struct event ev = {.ts = (uint64_t)sqlite3_column_int64(st, 1),
                           .seq = (uint64_t)sqlite3_column_int64(st, 4),
                           .ms = (uint64_t)sqlite3_column_int64(st, 7)};

        str_copy(ev.node, sizeof(ev.node), col(st, 2));
        str_copy(ev.rev, sizeof(ev.rev), col(st, 3));
        str_copy(ev.id, sizeof(ev.id), col(st, 5));
        for (ev.kind = 0; ev.kind < EVENT_NOTE; ev.kind++)
            if (str_eq(event_kind_name(ev.kind), col(st, 6)))
                break;
        str_copy(ev.msg, sizeof(ev.msg), col(st, 8));
        *after = (uint64_t)sqlite3_column_int64(st, 0);
        fn(ctx, &ev);
    }
    return rc;
}
