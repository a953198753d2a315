/* SPDX-License-Identifier: Apache-2.0 */
/* A SQLite file: WAL, every commit on disk before it is acknowledged. The only place that knows the
 * engine. Errors are "state database: WHAT: WHY". */
#ifndef MUSTER_DB_H
#define MUSTER_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct db;
struct db_query;

/* `create`: makes the file when it is missing. `busy_ms`: how long to wait for another's lock. */
int db_open(const char *path, bool create, int busy_ms, struct db **ret, struct err *err);
void db_close(struct db *db);

/* Statements without parameters and rows. */
int db_exec(struct db *db, const char *sql, struct err *err);

/* Ends a transaction that is open without keeping what it changed; none open: nothing. */
void db_rollback(struct db *db);

/* A statement with its parameters, one letter of `types` for each: 's' text (copied), 'i' an
 * int64_t (write DB_INT(x)). NULL on failure; db_step and db_run take that, so only they need be
 * checked. */
struct db_query *db_query(struct db *db, struct err *err, const char *sql, const char *types, ...);
#define DB_INT(x) ((int64_t)(x))
void db_query_free(struct db_query **q);
#define _cleanup_query_ _cleanup_(db_query_free)

/* 1 a row, 0 no more, -1 failed. `what` is for the error's text. */
int db_step(struct db_query *q, const char *what, struct err *err);
/* For a statement without rows. */
int db_run(struct db_query *q, const char *what, struct err *err);
/* Rows that the last statement changed. */
int db_changes(struct db *db);

/* Columns of the present row, counted from 0. A text lives until the next step; "" for NULL. */
const char *db_text(struct db_query *q, int column);
int64_t db_int(struct db_query *q, int column);
bool db_is_null(struct db_query *q, int column);

#endif
