/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/localvdc/base/vdb.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/str.h"

struct vdb {
    sqlite3 *sql;
    bool in_transaction;
};

static const char schema[] =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
    "CREATE TABLE IF NOT EXISTS object(seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL,"
    " id TEXT NOT NULL, doc TEXT NOT NULL, UNIQUE(kind, id));"
    "CREATE INDEX IF NOT EXISTS object_name ON object(kind, json_extract(doc, '$.name'));"
    "CREATE INDEX IF NOT EXISTS object_open ON object(kind, json_extract(doc, '$._open'));"
    "CREATE TABLE IF NOT EXISTS counter(name TEXT PRIMARY KEY, value INTEGER NOT NULL);";

static int fail(struct vdb *db, struct err *err, const char *what)
{
    return err_set(err, ERR_FAILED, "state: %s: %s", what, sqlite3_errmsg(db->sql));
}

static void stmt_free(sqlite3_stmt **st)
{
    sqlite3_finalize(*st);
}

#define _cleanup_stmt_ _cleanup_(stmt_free)

static sqlite3_stmt *prepare(struct vdb *db, const char *sql, const char *const *texts, size_t n)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(db->sql, sql, -1, &st, NULL) != SQLITE_OK)
        return NULL;
    for (size_t i = 0; i < n; i++)
        sqlite3_bind_text(st, (int)i + 1, texts[i], -1, SQLITE_TRANSIENT);
    return st;
}

#define PREPARE(db, sql, ...)                                                                      \
    prepare((db), (sql), (const char *const[]){__VA_ARGS__},                                       \
            sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static int run(struct vdb *db, sqlite3_stmt *st, struct err *err, const char *what)
{
    if (!st || sqlite3_step(st) != SQLITE_DONE)
        return fail(db, err, what);
    return 0;
}

int vdb_open(const char *path, bool make, struct vdb **ret, struct err *err)
{
    struct vdb *db = xcalloc(1, sizeof(*db));
    int flags = SQLITE_OPEN_READWRITE | (make ? SQLITE_OPEN_CREATE : 0);
    if (sqlite3_open_v2(path, &db->sql, flags, NULL) != SQLITE_OK) {
        err_set(err, ERR_FAILED, "open %s: %s", path, sqlite3_errmsg(db->sql));
        vdb_close(&db);
        return -1;
    }
    sqlite3_busy_timeout(db->sql, 30000);
    if (sqlite3_exec(db->sql, schema, NULL, NULL, NULL) != SQLITE_OK) {
        fail(db, err, path);
        vdb_close(&db);
        return -1;
    }
    *ret = db;
    return 0;
}

void vdb_close(struct vdb **db)
{
    if (*db)
        sqlite3_close(TAKE((*db)->sql));
    free(TAKE(*db));
}

int vdb_begin(struct vdb *db, struct err *err)
{
    if (sqlite3_exec(db->sql, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        return fail(db, err, "begin");
    db->in_transaction = true;
    return 0;
}

int vdb_commit(struct vdb *db, struct err *err)
{
    if (sqlite3_exec(db->sql, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
        fail(db, err, "commit");
        vdb_rollback(db);
        return -1;
    }
    db->in_transaction = false;
    return 0;
}

void vdb_rollback(struct vdb *db)
{
    if (db->in_transaction)
        sqlite3_exec(db->sql, "ROLLBACK", NULL, NULL, NULL);
    db->in_transaction = false;
}

int vdb_put(struct vdb *db, const char *kind, const char *id, const json_t *doc, struct err *err)
{
    _cleanup_free_ char *text = json_dumps(doc, JSON_COMPACT);
    _cleanup_stmt_ sqlite3_stmt *st =
        PREPARE(db,
                "INSERT INTO object(kind, id, doc) VALUES(?1, ?2, ?3)"
                " ON CONFLICT(kind, id) DO UPDATE SET doc = excluded.doc",
                kind, id, text);
    return run(db, st, err, "put");
}

static int patch_within(struct vdb *db, const char *kind, const char *id, json_t *members,
                        struct err *err)
{
    _cleanup_json_ json_t *doc = vdb_get(db, kind, id);
    if (!doc)
        return err_set(err, ERR_FAILED, "state: no %s %s", kind, id);
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(members, key, value)
    {
        if (json_is_null(value))
            json_object_del(doc, key);
        else
            json_object_set(doc, key, value);
    }
    return vdb_put(db, kind, id, doc, err);
}

int vdb_patch(struct vdb *db, const char *kind, const char *id, json_t *members, struct err *err)
{
    _cleanup_json_ json_t *m = members;
    if (db->in_transaction)
        return patch_within(db, kind, id, m, err);
    if (vdb_begin(db, err) != 0)
        return -1;
    if (patch_within(db, kind, id, m, err) != 0) {
        vdb_rollback(db);
        return -1;
    }
    return vdb_commit(db, err);
}

int vdb_del(struct vdb *db, const char *kind, const char *id, struct err *err)
{
    _cleanup_stmt_ sqlite3_stmt *st =
        PREPARE(db, "DELETE FROM object WHERE kind = ?1 AND id = ?2", kind, id);
    return run(db, st, err, "delete");
}

int vdb_del_below(struct vdb *db, const char *kind, const char *key, const char *value,
                  struct err *err)
{
    _cleanup_free_ char *path = str_fmt("$.%s", key);
    _cleanup_stmt_ sqlite3_stmt *st = PREPARE(
        db, "DELETE FROM object WHERE kind = ?1 AND json_extract(doc, ?2) < ?3", kind, path, value);
    return run(db, st, err, "delete");
}

static json_t *column_json(sqlite3_stmt *st)
{
    const char *text = (const char *)sqlite3_column_text(st, 0);
    return text ? json_loads(text, 0, NULL) : NULL;
}

json_t *vdb_get(struct vdb *db, const char *kind, const char *id)
{
    _cleanup_stmt_ sqlite3_stmt *st =
        PREPARE(db, "SELECT doc FROM object WHERE kind = ?1 AND id = ?2", kind, id);
    if (!st || sqlite3_step(st) != SQLITE_ROW)
        return NULL;
    return column_json(st);
}

static json_t *collect(sqlite3_stmt *st)
{
    json_t *all = json_array();
    while (st && sqlite3_step(st) == SQLITE_ROW) {
        json_t *doc = column_json(st);
        if (doc)
            json_array_append_new(all, doc);
    }
    return all;
}

json_t *vdb_list(struct vdb *db, const char *kind)
{
    _cleanup_stmt_ sqlite3_stmt *st =
        PREPARE(db, "SELECT doc FROM object WHERE kind = ?1 ORDER BY seq", kind);
    return collect(st);
}

json_t *vdb_find(struct vdb *db, const char *kind, const char *key, const char *value)
{
    /* Spelled out, so that it is the expression of an index. */
    _cleanup_free_ char *sql = str_fmt("SELECT doc FROM object WHERE kind = ?1 AND"
                                       " json_extract(doc, '$.%s') = ?2 ORDER BY seq",
                                       key);
    _cleanup_stmt_ sqlite3_stmt *st = PREPARE(db, sql, kind, value);
    return collect(st);
}

json_t *vdb_members(struct vdb *db, const char *kind, const char *array, const char *key,
                    const char *value, const char *want)
{
    _cleanup_free_ char *sql =
        str_fmt("SELECT json_extract(m.value, '$.%s') FROM object, json_each(doc, '$.%s') AS m"
                " WHERE kind = ?1 AND json_extract(m.value, '$.%s') = ?2",
                want, array, key);
    _cleanup_stmt_ sqlite3_stmt *st = PREPARE(db, sql, kind, value);
    json_t *all = json_array();
    while (st && sqlite3_step(st) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(st, 0);
        if (text)
            json_array_append_new(all, json_string(text));
    }
    return all;
}

int vdb_next(struct vdb *db, const char *counter, long long *ret, struct err *err)
{
    _cleanup_stmt_ sqlite3_stmt *st =
        PREPARE(db,
                "INSERT INTO counter(name, value) VALUES(?1, 1)"
                " ON CONFLICT(name) DO UPDATE SET value = value + 1 RETURNING value",
                counter);
    if (!st || sqlite3_step(st) != SQLITE_ROW)
        return fail(db, err, "counter");
    *ret = sqlite3_column_int64(st, 0);
    return 0;
}
