/* SPDX-License-Identifier: Apache-2.0 */
/* PHP's sessions in the application's database: a handler that PHP loads before each page of the
 * application, and the table that it uses. */
#ifndef MUSTER_AGENT_APP_SESSIONS_H
#define MUSTER_AGENT_APP_SESSIONS_H

#define SESSIONS_TABLE "muster_sessions"
/* Of the table, in this order. */
#define SESSIONS_COLUMNS "id,data,version,touched"
#define SESSIONS_CREATE                                                                            \
    " (id BINARY(32) PRIMARY KEY, data MEDIUMBLOB NOT NULL, version BIGINT UNSIGNED NOT NULL, "    \
    "touched BIGINT NOT NULL, KEY (touched)) ENGINE=InnoDB"

/* The handler; `dsn` as PDO takes it. It holds the password: the caller wipes and frees. */
char *sessions_code(const char *dsn, const char *user, const char *password);
/* For the web server: `code`, a path, comes before each page below `root`. The caller frees. */
char *sessions_conf(const char *root, const char *code);

#endif
