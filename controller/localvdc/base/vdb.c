/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/localvdc/base/vdb.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/db.h"
#include "common/str.h"

struct vdb {
    struct db *sql;
    bool in_transaction;
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS object(seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL,"
    " id TEXT NOT NULL, doc TEXT NOT NULL, UNIQUE(kind, id));"
    "CREATE INDEX IF NOT EXISTS object_name ON object(kind, json_extract(doc, '$.name'));"
    "CREATE INDEX IF NOT EXISTS object_open ON object(kind, json_extract(doc, '$._open'));"
    "CREATE TABLE IF NOT EXISTS counter(name TEXT PRIMARY KEY, value INTEGER NOT NULL);";

#define BUSY_MS 30000

int vdb_open(const char *path, bool make, struct vdb **ret, struct err *err)
{
    struct vdb *db = xcalloc(1, sizeof(*db));

    if (db_open(path, make, BUSY_MS, &db->sql, err) < 0 || db_exec(db->sql, schema, err) < 0) {
        vdb_close(&db);
        return -1;
    }
    *ret = db;
    return 0;
}

void vdb_close(struct vdb **db)
{
    if (*db)
        db_close(TAKE((*db)->sql));
    free(TAKE(*db));
}

int vdb_begin(struct vdb *db, struct err *err)
{
    if (db_exec(db->sql, "BEGIN IMMEDIATE", err) < 0)
        return -1;
    db->in_transaction = true;
    return 0;
}

int vdb_commit(struct vdb *db, struct err *err)
{
    if (db_exec(db->sql, "COMMIT", err) < 0) {
        vdb_rollback(db);
        return -1;
    }
    db->in_transaction = false;
    return 0;
}

void vdb_rollback(struct vdb *db)
{
    db_rollback(db->sql);
    db->in_transaction = false;
}

int vdb_put(struct vdb *db, const char *kind, const char *id, const json_t *doc, struct err *err)
{
    _cleanup_free_ char *text = json_dumps(doc, JSON_COMPACT);
    _cleanup_query_ struct db_query *st =
        db_query(db->sql, err,
                 "INSERT INTO object(kind, id, doc) VALUES(?1, ?2, ?3)"
                 " ON CONFLICT(kind, id) DO UPDATE SET doc = excluded.doc",
                 "sss", kind, id, text);

    return db_run(st, "put", err);
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
    if (vdb_begin(db, err) < 0)
        return -1;
    if (patch_within(db, kind, id, m, err) < 0) {
        vdb_rollback(db);
        return -1;
    }
    return vdb_commit(db, err);
}

int vdb_del(struct vdb *db, const char *kind, const char *id, struct err *err)
{
    _cleanup_query_ struct db_query *st =
        db_query(db->sql, err, "DELETE FROM object WHERE kind = ?1 AND id = ?2", "ss", kind, id);

    return db_run(st, "delete", err);
}

int vdb_del_below(struct vdb *db, const char *kind, const char *key, const char *value,
                  struct err *err)
{
    _cleanup_free_ char *path = str_fmt("$.%s", key);
    _cleanup_query_ struct db_query *st =
        db_query(db->sql, err, "DELETE FROM object WHERE kind = ?1 AND json_extract(doc, ?2) < ?3",
                 "sss", kind, path, value);

    return db_run(st, "delete", err);
}

static json_t *column_json(struct db_query *st)
{
    return json_loads(db_text(st, 0), 0, NULL);
}

json_t *vdb_get(struct vdb *db, const char *kind, const char *id)
{
    struct err ignored;
    _cleanup_query_ struct db_query *st = db_query(
        db->sql, &ignored, "SELECT doc FROM object WHERE kind = ?1 AND id = ?2", "ss", kind, id);

    if (db_step(st, kind, &ignored) != 1)
        return NULL;
    return column_json(st);
}

static json_t *collect(struct db_query *st)
{
    json_t *all = json_array();
    struct err ignored;

    while (db_step(st, "list", &ignored) == 1) {
        json_t *doc = column_json(st);

        if (doc)
            json_array_append_new(all, doc);
    }
    return all;
}

json_t *vdb_list(struct vdb *db, const char *kind)
{
    struct err ignored;
    _cleanup_query_ struct db_query *st = db_query(
        db->sql, &ignored, "SELECT doc FROM object WHERE kind = ?1 ORDER BY seq", "s", kind);

    return collect(st);
}

json_t *vdb_find(struct vdb *db, const char *kind, const char *key, const char *value)
{
    struct err ignored;
    /* Spelled out, so that it is the expression of an index. */
    _cleanup_free_ char *sql = str_fmt("SELECT doc FROM object WHERE kind = ?1 AND"
                                       " json_extract(doc, '$.%s') = ?2 ORDER BY seq",
                                       key);
    _cleanup_query_ struct db_query *st = db_query(db->sql, &ignored, sql, "ss", kind, value);

    return collect(st);
}

json_t *vdb_members(struct vdb *db, const char *kind, const char *array, const char *key,
                    const char *value, const char *want)
{
    struct err ignored;
    _cleanup_free_ char *sql =
        str_fmt("SELECT json_extract(m.value, '$.%s') FROM object, json_each(doc, '$.%s') AS m"
                " WHERE kind = ?1 AND json_extract(m.value, '$.%s') = ?2",
                want, array, key);
    _cleanup_query_ struct db_query *st = db_query(db->sql, &ignored, sql, "ss", kind, value);
    json_t *all = json_array();

    while (db_step(st, kind, &ignored) == 1) {
        if (!db_is_null(st, 0))
            json_array_append_new(all, json_string(db_text(st, 0)));
    }
    return all;
}

int vdb_next(struct vdb *db, const char *counter, long long *ret, struct err *err)
{
    _cleanup_query_ struct db_query *st =
        db_query(db->sql, err,
                 "INSERT INTO counter(name, value) VALUES(?1, 1)"
                 " ON CONFLICT(name) DO UPDATE SET value = value + 1 RETURNING value",
                 "s", counter);

    if (db_step(st, "counter", err) != 1)
        return -1;
    *ret = db_int(st, 0);
    return 0;
}
