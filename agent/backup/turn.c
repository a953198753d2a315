/* SPDX-License-Identifier: Apache-2.0 */
/* Whose turn it is: a row for each period in the database, which all members have the same. Two
 * that write it at the same time: Galera lets one of them. */
#include <stdlib.h>

#include "agent/backup/internal.h"
#include "common/cleanup.h"
#include "common/str.h"

#define SILENT_S 600 /* one that was not heard for so long is no more at work */
#define AGAIN_S 1800 /* after a failure, before the same node tries again */
#define SQL_S 30

static const char table[] =
    "CREATE TABLE IF NOT EXISTS muster.backup (period BIGINT UNSIGNED PRIMARY KEY, node "
    "VARCHAR(64) NOT NULL, state VARCHAR(8) NOT NULL, beat BIGINT NOT NULL) ENGINE=InnoDB";

static int open_table(struct sql **ret, struct err *err)
{
    char there[8] = "";

    if (sql_open(SQL_S, ret, err) < 0 ||
        sql_exec(*ret, "SET SESSION wsrep_sync_wait = 7", err) < 0 ||
        sql_text(*ret,
                 "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'muster' "
                 "AND TABLE_NAME = 'backup'",
                 there, sizeof(there), err) < 0)
        return -1;
    if (str_eq(there, "1"))
        return 0;
    return sql_exec(*ret, "CREATE DATABASE IF NOT EXISTS muster", err) < 0
               ? -1
               : sql_exec(*ret, table, err);
}

int backup_turn_take(const struct backup_conf *c, uint64_t period, enum backup_turn *ret,
                     struct err *err)
{
    _cleanup_(sql_cleanup) struct sql *s = NULL;
    unsigned long long p = period;
    char found[16] = "";

    if (open_table(&s, err) < 0)
        return -1;
    _cleanup_free_ char *node = sql_quote(s, c->node);
    _cleanup_free_ char *take = str_fmt(
        "INSERT INTO muster.backup VALUES (%llu, %s, 'begun', UNIX_TIMESTAMP()) ON "
        "DUPLICATE KEY UPDATE node = IF((state = 'begun' AND beat < UNIX_TIMESTAMP() - %d) "
        "OR (state = 'failed' AND (node <> %s OR beat < UNIX_TIMESTAMP() - %d)), %s, node), "
        "beat = IF(node = %s AND state <> 'done', UNIX_TIMESTAMP(), beat), state = IF(node "
        "= %s AND state = 'failed', 'begun', state)",
        p, node, SILENT_S, node, AGAIN_S, node, node, node);
    _cleanup_free_ char *look = str_fmt(
        "SELECT IF(state = 'done', 'done', IF(state = 'begun' AND node = %s, 'ours', 'taken')) "
        "FROM muster.backup WHERE period = %llu",
        node, p);
    _cleanup_free_ char *old = str_fmt("DELETE FROM muster.backup WHERE period + 100 < %llu", p);
    if (sql_exec(s, old, err) < 0 || sql_text(s, look, found, sizeof(found), err) < 0)
        return -1;
    if (!str_eq(found, "done") &&
        (sql_exec(s, take, err) < 0 || sql_text(s, look, found, sizeof(found), err) < 0))
        return -1;
    *ret = str_eq(found, "ours")   ? BACKUP_TURN_OURS
           : str_eq(found, "done") ? BACKUP_TURN_DONE
                                   : BACKUP_TURN_TAKEN;
    return 0;
}

static int set(const struct backup_conf *c, uint64_t period, const char *state, struct err *err)
{
    _cleanup_(sql_cleanup) struct sql *s = NULL;

    if (sql_open(SQL_S, &s, err) < 0)
        return -1;
    _cleanup_free_ char *node = sql_quote(s, c->node);
    _cleanup_free_ char *text = str_fmt("UPDATE muster.backup SET state = '%s', beat = "
                                        "UNIX_TIMESTAMP() WHERE period = %llu AND node = %s",
                                        state, (unsigned long long)period, node);
    return sql_exec(s, text, err);
}

int backup_turn_beat(const struct backup_conf *c, uint64_t period, struct err *err)
{
    return set(c, period, "begun", err);
}

int backup_turn_end(const struct backup_conf *c, uint64_t period, bool ok, struct err *err)
{
    return set(c, period, ok ? "done" : "failed", err);
}
