/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of MyISAM and Aria become InnoDB. Galera replicates the definition of such a table, and
 * not its rows: each member has those that were written through it. So the rows are copied into a
 * table of InnoDB on the member that has them, the names are exchanged, and every member adds what
 * it still has in the table that was put away, which it then drops for itself.
 *
 * Not by the server: enforce_storage_engine refuses the definition under Galera (error 1290), and
 * its appliers refuse it, too, which leaves the members with different tables; wsrep_mode's
 * REPLICATE_MYISAM takes the total order after the table's lock, and hangs with any DDL on it. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/galera/galera.h"
#include "agent/galera/sql.h"
#include "common/cleanup.h"
#include "common/js.h"
#include "common/str.h"

#define TIMEOUT_S 3600 /* a large table takes as long as it takes */
#define SETTLED_S 3    /* an empty table gets its first rows within this */
#define PUT_AWAY "muster_put_away_"
#define NAME_MAX_BYTES 48 /* with the prefix, the server's bound of 64 */

#define OTHER_ENGINES                                                                              \
    "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE TABLE_TYPE = 'BASE "     \
    "TABLE' AND ENGINE IN ('MyISAM', 'Aria') AND TABLE_SCHEMA NOT IN ('mysql', "                   \
    "'information_schema', 'performance_schema', 'sys', 'muster') AND TABLE_NAME NOT LIKE "        \
    "'muster\\_copy\\_%'"

struct conversion {
    struct sql *s;
    const char *schema_text, *table_text;
    char *schema, *table, *copy, *away; /* quoted names */
    char *name;                         /* "schema.table", to be shown */
    bool counted;                       /* `copied` is of the copy, under the lock */
    uint64_t copied;
};

static void conversion_fill(struct conversion *c)
{
    _cleanup_free_ char *copy = str_fmt("muster_copy_%s", c->table_text);
    _cleanup_free_ char *away = str_fmt(PUT_AWAY "%s", c->table_text);

    c->schema = sql_name(c->schema_text);
    c->table = sql_name(c->table_text);
    c->copy = sql_name(copy);
    c->away = sql_name(away);
    c->name = str_fmt("%s.%s", c->schema_text, c->table_text);
}

static void conversion_cleanup(struct conversion *c)
{
    free(c->schema);
    free(c->table);
    free(c->copy);
    free(c->away);
    free(c->name);
}

__attribute__((format(printf, 3, 4))) static int run_sql(struct conversion *c, struct err *err,
                                                         const char *fmt, ...)
{
    va_list ap;
    char *text = NULL;

    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        abort();
    int r = sql_exec(c->s, text, err);
    free(text);
    return r;
}

static int count(struct conversion *c, const char *table, uint64_t *ret, struct err *err)
{
    char text[32] = "";
    _cleanup_free_ char *query = str_fmt("SELECT COUNT(*) FROM %s.%s", c->schema, table);

    if (sql_text(c->s, query, text, sizeof(text), err) < 0)
        return -1;
    return str_to_u64(text, INT64_MAX, ret) < 0 ? err_set(err, ERR_FAILED, "count: %s", text) : 0;
}

static int holds_claim(struct conversion *c, bool *ret, struct err *err)
{
    char n[8] = "";
    _cleanup_free_ char *quoted = sql_quote(c->s, c->name);
    _cleanup_free_ char *query = str_fmt(
        "SELECT COUNT(*) FROM muster.conversion WHERE name = %s AND node = @@wsrep_node_name",
        quoted);
    int r = sql_text(c->s, query, n, sizeof(n), err);

    *ret = r == 0 && n[0] == '1';
    return r;
}

/* A row that only one member can insert: certification decides. One that is left by an agent that
 * was killed is taken over. */
static int claim(struct conversion *c, bool *ret_mine, struct err *err)
{
    struct err ignored;
    _cleanup_free_ char *quoted = sql_quote(c->s, c->name);

    *ret_mine = false;
    if (sql_exec(c->s,
                 "CREATE TABLE IF NOT EXISTS muster.conversion (name VARCHAR(130) PRIMARY KEY, "
                 "node VARCHAR(64), at DATETIME) ENGINE=InnoDB",
                 err) < 0 ||
        run_sql(c, err,
                "DELETE FROM muster.conversion WHERE name = %s AND at < UTC_TIMESTAMP() - INTERVAL "
                "1 DAY",
                quoted) < 0 ||
        sql_exec(c->s, "SET SESSION wsrep_sync_wait = 1", err) < 0)
        return -1;
    /* Whose insert is rolled back was not the first. */
    run_sql(c, &ignored,
            "INSERT IGNORE INTO muster.conversion VALUES (%s, @@wsrep_node_name, UTC_TIMESTAMP())",
            quoted);
    int r = holds_claim(c, ret_mine, err);
    sql_exec(c->s, "SET SESSION wsrep_sync_wait = 0", &ignored);
    return r;
}

static void release(struct conversion *c)
{
    struct err ignored;
    _cleanup_free_ char *quoted = sql_quote(c->s, c->name);

    run_sql(c, &ignored, "DELETE FROM muster.conversion WHERE name = %s", quoted);
}

static int still_other(struct conversion *c, bool *ret, struct err *err)
{
    char engine[64] = "";
    _cleanup_free_ char *schema = sql_quote(c->s, c->schema_text);
    _cleanup_free_ char *table = sql_quote(c->s, c->table_text);
    _cleanup_free_ char *query = str_fmt("SELECT ENGINE FROM information_schema.TABLES WHERE "
                                         "TABLE_SCHEMA = %s AND TABLE_NAME = %s",
                                         schema, table);

    if (sql_text(c->s, query, engine, sizeof(engine), err) < 0)
        return -1;
    *ret = strcmp(engine, "MyISAM") == 0 || strcmp(engine, "Aria") == 0;
    return 0;
}

/* Copy, under a lock that keeps this member's writers out, and exchange. */
static int convert(struct conversion *c, struct err *err)
{
    bool other = false;

    if (strlen(c->table_text) > NAME_MAX_BYTES)
        return err_set(err, ERR_FAILED, "its name is longer than %d bytes", NAME_MAX_BYTES);
    if (still_other(c, &other, err) < 0)
        return -1;
    if (!other)
        return err_set(err, ERR_FAILED, "another member has just done so");
    if (run_sql(c, err, "DROP TABLE IF EXISTS %s.%s", c->schema, c->copy) < 0 ||
        run_sql(c, err, "CREATE TABLE %s.%s LIKE %s.%s", c->schema, c->copy, c->schema, c->table) <
            0 ||
        run_sql(c, err, "ALTER TABLE %s.%s ENGINE=InnoDB", c->schema, c->copy) < 0)
        return -1;
    int r = run_sql(c, err, "LOCK TABLES %s.%s READ, %s.%s WRITE", c->schema, c->table, c->schema,
                    c->copy);
    if (r == 0)
        r = run_sql(c, err, "INSERT INTO %s.%s SELECT * FROM %s.%s", c->schema, c->copy, c->schema,
                    c->table);
    struct err ignored;
    c->counted = r == 0 && count(c, c->copy, &c->copied, &ignored) == 0;
    sql_exec(c->s, "UNLOCK TABLES", &ignored);
    if (r == 0)
        r = run_sql(c, err, "RENAME TABLE %s.%s TO %s.%s, %s.%s TO %s.%s", c->schema, c->table,
                    c->schema, c->away, c->schema, c->copy, c->schema, c->table);
    if (r < 0)
        run_sql(c, &ignored, "DROP TABLE IF EXISTS %s.%s", c->schema, c->copy);
    return r;
}

/* A table that was put away is dropped by each member for itself. */
static int drop_here(struct conversion *c, const char *table, struct err *err)
{
    struct err ignored;

    if (sql_exec(c->s, "SET SESSION wsrep_on = OFF", err) < 0)
        return -1;
    int r = run_sql(c, err, "DROP TABLE %s.%s", c->schema, table);
    sql_exec(c->s, "SET SESSION wsrep_on = ON", &ignored);
    return r;
}

struct engines {
    bool first; /* of the members: it takes the tables that nobody has rows of */
    json_t *changed;
    unsigned pending;
    char failed[512];
};

static int has_key(struct conversion *c, bool *ret, struct err *err)
{
    char keys[8] = "";
    _cleanup_free_ char *schema = sql_quote(c->s, c->schema_text);
    _cleanup_free_ char *table = sql_quote(c->s, c->table_text);
    _cleanup_free_ char *query =
        str_fmt("SELECT COUNT(*) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = %s AND "
                "TABLE_NAME = %s AND NON_UNIQUE = 0",
                schema, table);
    int r = sql_text(c->s, query, keys, sizeof(keys), err);

    *ret = strcmp(keys, "0") != 0;
    return r;
}

/* On the member that copied: rows that came between its lock and the exchange. Without a key they
 * are those after as many as were copied: the engine keeps their order. */
static int finish(struct conversion *c, struct err *err)
{
    uint64_t copied = c->copied, had = 0;
    bool key = false;

    if (count(c, c->away, &had, err) < 0 || (!c->counted && count(c, c->table, &copied, err) < 0) ||
        has_key(c, &key, err) < 0)
        return -1;
    /* What was copied is not known any more: with a key no row comes twice. */
    bool rest = had > copied || (key && !c->counted);
    if (rest && run_sql(c, err, "INSERT %s INTO %s.%s SELECT * FROM %s.%s LIMIT %llu, %lld",
                        key ? "IGNORE" : "", c->schema, c->table, c->schema, c->away,
                        key ? 0ULL : (unsigned long long)copied, (long long)INT64_MAX) < 0)
        return -1;
    if (drop_here(c, c->away, err) < 0)
        return -1;
    release(c);
    return 0;
}

/* A table that was put away is here: what only this member had is added. */
static int merge(struct conversion *c, struct err *err)
{
    uint64_t here = 0;
    bool mine = false;
    _cleanup_(conversion_cleanup) struct conversion base = {
        .s = c->s,
        .schema_text = c->schema_text,
        .table_text = c->table_text + strlen(PUT_AWAY),
    };

    conversion_fill(&base);
    if (holds_claim(&base, &mine, err) < 0)
        return -1;
    if (mine)
        return finish(&base, err); /* it was interrupted */
    if (count(c, c->table, &here, err) < 0 ||
        (here && run_sql(c, err, "INSERT IGNORE INTO %s.%s SELECT * FROM %s.%s", c->schema,
                         base.table, c->schema, c->table) < 0))
        return -1;
    return drop_here(c, c->table, err);
}

static int one(struct engines *e, struct conversion *c, struct err *err)
{
    uint64_t here = 0;
    bool mine = false;
    char age[32] = "";

    if (strncmp(c->table_text, PUT_AWAY, strlen(PUT_AWAY)) == 0)
        return merge(c, err);
    if (count(c, c->table, &here, err) < 0)
        return -1;
    e->pending++;
    if (here == 0) {
        _cleanup_free_ char *schema = sql_quote(c->s, c->schema_text);
        _cleanup_free_ char *table = sql_quote(c->s, c->table_text);
        _cleanup_free_ char *query =
            str_fmt("SELECT CREATE_TIME < NOW() - INTERVAL %d SECOND FROM "
                    "information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s",
                    SETTLED_S, schema, table);

        if (!e->first || sql_text(c->s, query, age, sizeof(age), err) < 0 || age[0] != '1')
            return 0;
    }
    if (claim(c, &mine, err) < 0)
        return -1;
    if (!mine)
        return 0;
    if (convert(c, err) < 0) {
        release(c);
        return -1;
    }
    js_push_str(e->changed, c->name);
    return finish(c, err);
}

static void table_row(void *ctx, const char *schema, const char *table)
{
    json_t *pair = json_array();

    js_push_str(pair, schema);
    js_push_str(pair, table);
    json_array_append_new(ctx, pair);
}

json_t *galera_engines(bool first)
{
    struct err err = {0};
    size_t i;
    json_t *pair;
    _cleanup_(sql_cleanup) struct sql *s = NULL;
    _cleanup_json_ json_t *tables = json_array();
    struct engines e = {.first = first, .changed = json_array()};

    /* What cannot be asked now is looked at the next time. */
    if (sql_open(TIMEOUT_S, &s, &err) == 0)
        sql_pairs(s, OTHER_ENGINES, table_row, tables, &err);
    json_array_foreach(tables, i, pair)
    {
        _cleanup_(conversion_cleanup) struct conversion c = {
            .s = s,
            .schema_text = json_string_value(json_array_get(pair, 0)),
            .table_text = json_string_value(json_array_get(pair, 1)),
        };

        conversion_fill(&c);
        if (one(&e, &c, &err) < 0 && sql_code(s) != SQL_NO_TABLE)
            snprintf(e.failed, sizeof(e.failed),
                     "table %.130s cannot be made InnoDB: its rows are on one member only (%.200s)",
                     c.name, err.msg);
    }
    return json_pack("{s:o, s:b, s:o}", "changed", e.changed, "pending", e.pending > 0, "failed",
                     js_string(e.failed));
}
