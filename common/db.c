/* SPDX-License-Identifier: Apache-2.0 */
#include "common/db.h"

#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>

#include "common/str.h"

struct db {
    sqlite3 *sql;
};

struct db_query {
    sqlite3 *sql;
    sqlite3_stmt *stmt;
};

static int fail(sqlite3 *sql, const char *what, struct err *err)
{
    return err_set(err, ERR_FAILED, "state database: %.80s: %s", what, sqlite3_errmsg(sql));
}

int db_open(const char *path, bool create, int busy_ms, struct db **ret, struct err *err)
{
    struct db *db = xcalloc(1, sizeof(*db));
    int flags = SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0);

    if (sqlite3_open_v2(path, &db->sql, flags, NULL) != SQLITE_OK) {
        fail(db->sql, path, err);
        db_close(db);
        return -1;
    }
    sqlite3_busy_timeout(db->sql, busy_ms);
    if (db_exec(db, "PRAGMA journal_mode=WAL", err) < 0 ||
        db_exec(db, "PRAGMA synchronous=FULL", err) < 0) {
        db_close(db);
        return -1;
    }
    *ret = db;
    return 0;
}

void db_close(struct db *db)
{
    if (db)
        sqlite3_close(db->sql);
    free(db);
}

int db_exec(struct db *db, const char *sql, struct err *err)
{
    return sqlite3_exec(db->sql, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(db->sql, sql, err);
}

void db_rollback(struct db *db)
{
    if (!sqlite3_get_autocommit(db->sql))
        sqlite3_exec(db->sql, "ROLLBACK", NULL, NULL, NULL);
}

struct db_query *db_query(struct db *db, struct err *err, const char *sql, const char *types, ...)
{
    struct db_query *q;
    sqlite3_stmt *stmt = NULL;
    va_list ap;

    if (sqlite3_prepare_v2(db->sql, sql, -1, &stmt, NULL) != SQLITE_OK) {
        fail(db->sql, sql, err);
        return NULL;
    }
    va_start(ap, types);
    for (int i = 1; types[i - 1]; i++) {
        if (types[i - 1] == 's')
            sqlite3_bind_text(stmt, i, va_arg(ap, const char *), -1, SQLITE_TRANSIENT);
        else
            sqlite3_bind_int64(stmt, i, va_arg(ap, int64_t));
    }
    va_end(ap);
    q = xcalloc(1, sizeof(*q));
    *q = (struct db_query){.sql = db->sql, .stmt = stmt};
    return q;
}

void db_query_free(struct db_query **q)
{
    if (*q)
        sqlite3_finalize((*q)->stmt);
    free(*q);
    *q = NULL;
}

int db_step(struct db_query *q, const char *what, struct err *err)
{
    int rc;

    if (!q)
        return -1;
    rc = sqlite3_step(q->stmt);
    if (rc == SQLITE_ROW)
        return 1;
    return rc == SQLITE_DONE ? 0 : fail(q->sql, what, err);
}

int db_run(struct db_query *q, const char *what, struct err *err)
{
    if (!q)
        return -1;
    return sqlite3_step(q->stmt) == SQLITE_DONE ? 0 : fail(q->sql, what, err);
}

int db_changes(struct db *db)
{
    return sqlite3_changes(db->sql);
}

const char *db_text(struct db_query *q, int column)
{
    const char *text = (const char *)sqlite3_column_text(q->stmt, column);

    return text ? text : "";
}

int64_t db_int(struct db_query *q, int column)
{
    return sqlite3_column_int64(q->stmt, column);
}

bool db_is_null(struct db_query *q, int column)
{
    return sqlite3_column_type(q->stmt, column) == SQLITE_NULL;
}
