/* SPDX-License-Identifier: Apache-2.0 */
/* The local database (libmariadb): over its unix socket as root, or over its extra port by an
 * account of the agent's own, which works when root is refused or all connections are used. */
#ifndef MUSTER_AGENT_GALERA_SQL_H
#define MUSTER_AGENT_GALERA_SQL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/err.h"

#define SQL_SOCKET "/run/mysqld/mysqld.sock"

/* Error codes of the server and of the client library that decide something. */
#define SQL_TOO_MANY 1040
#define SQL_NOT_THERE 1044 /* this account may not use that schema */
#define SQL_REFUSED 1045
#define SQL_NO_DATABASE 1049
#define SQL_NO_RIGHT 1142
#define SQL_NO_TABLE 1146
#define SQL_NO_VARIABLE 1193
/* Refused by a plugin that takes no password. For a user that is not there the server acts as if it
 * had the plugin of some account, so either this one or SQL_REFUSED. */
#define SQL_REFUSED_PLUGIN 1698
#define SQL_MUST_CHANGE 1820 /* an expired password, when the client can be told */
#define SQL_EXPIRED 1862
#define SQL_LOCKED 4151       /* the account */
#define SQL_CLIENT_ERROR 2000 /* this and above: the server was not reached, or went away */

struct sql;

/* `timeout_s` bounds connecting and every answer. */
int sql_open(unsigned timeout_s, struct sql **ret, struct err *err);
/* At the unix socket of another server. */
int sql_open_at(const char *socket, unsigned timeout_s, struct sql **ret, struct err *err);
/* As root, else by the agent's own account. *ret_root: the code of root's refusal; 0: none. */
int sql_open_any(unsigned timeout_s, struct sql **ret, unsigned *ret_root, struct err *err);
/* The agent's own account: whether it works, and by `root` that it does. It may only look. Named
 * after the node: its password is this node's, and accounts are the same on all members. */
bool sql_own_works(unsigned *ret_code);
int sql_own_make(struct sql *root, struct err *err);
/* The code is about the account that was used: it is not there, locked, expired, or lacks a right.
 * Any other says nothing of it. */
bool sql_code_of_account(unsigned code);
/* Code of the last error of this connection; 0: none. */
unsigned sql_code(const struct sql *s);
/* Whether this account can use this schema; the connection is not kept. *ret_code: why not. */
int sql_login(const char *user, const char *password, const char *database, unsigned *ret_code,
              struct err *err);
/* The process that listens; 0 when that is the system and not the server itself. */
pid_t sql_server(const struct sql *s);
void sql_close(struct sql *s);
void sql_cleanup(struct sql **s);
int sql_exec(struct sql *s, const char *text, struct err *err);
/* The first column of the first row; "" when there is none. */
int sql_text(struct sql *s, const char *query, char *ret, size_t cap, struct err *err);
/* Calls `row` for each row, with its first two columns; of one column `v` is "". */
int sql_pairs(struct sql *s, const char *query,
              void (*row)(void *ctx, const char *k, const char *v), void *ctx, struct err *err);
/* A quoted literal; the caller frees (it may be a secret: secret_free). */
char *sql_quote(struct sql *s, const char *text);
/* A quoted identifier; the caller frees. */
char *sql_name(const char *name);

#endif
