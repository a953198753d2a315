/* SPDX-License-Identifier: Apache-2.0 */
/* The local database, over its unix socket as root (libmariadb). */
#ifndef MUSTER_AGENT_SQL_H
#define MUSTER_AGENT_SQL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/err.h"

#define SQL_SOCKET "/run/mysqld/mysqld.sock"

struct sql;

/* `timeout_s` bounds connecting and every answer. */
int sql_open(unsigned timeout_s, struct sql **ret, struct err *err);
/* Whether this account can use this schema; the connection is not kept. */
int sql_login(const char *user, const char *password, const char *database, struct err *err);
/* The process that listens; 0 when that is the system and not the server itself. */
pid_t sql_server(const struct sql *s);
void sql_close(struct sql *s);
void sql_cleanup(struct sql **s);
int sql_exec(struct sql *s, const char *text, struct err *err);
/* The first column of the first row; "" when there is none. */
int sql_text(struct sql *s, const char *query, char *ret, size_t cap, struct err *err);
/* Calls `row` for each row of a two-column result. */
int sql_pairs(struct sql *s, const char *query,
              void (*row)(void *ctx, const char *k, const char *v), void *ctx, struct err *err);
/* A quoted literal; the caller frees (it may be a secret: secret_free). */
char *sql_quote(struct sql *s, const char *text);
/* A quoted identifier; the caller frees. */
char *sql_name(const char *name);

#endif
