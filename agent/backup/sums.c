/* SPDX-License-Identifier: Apache-2.0 */
/* Checksums of the tables of a server, by its own CHECKSUM TABLE. */
#include <stdlib.h>
#include <string.h>

#include "agent/backup/internal.h"
#include "common/cleanup.h"
#include "common/js.h"
#include "common/str.h"

#define NOT_OURS "('mysql', 'information_schema', 'performance_schema', 'sys', 'muster')"
#define NAMED_MAX 8 /* tables in a message */

static void push_name(void *ctx, const char *k, const char *v)
{
    (void)v;
    js_push_str(ctx, k);
}

json_t *backup_databases(struct sql *s, struct err *err)
{
    json_t *list = json_array();

    if (sql_pairs(s,
                  "SELECT SCHEMA_NAME, 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT "
                  "IN " NOT_OURS " ORDER BY 1",
                  push_name, list, err) == 0)
        return list;
    json_decref(list);
    return NULL;
}

static void push_table(void *ctx, const char *k, const char *v)
{
    json_array_append_new(ctx, json_pack("[o, o]", js_string(k), js_string(v)));
}

static void take_sum(void *ctx, const char *k, const char *v)
{
    (void)k;
    str_copy(ctx, 32, v);
}

static bool has(const json_t *names, const char *name)
{
    size_t i;
    json_t *n;

    json_array_foreach(names, i, n)
    {
        if (str_eq(json_string_value(n), name))
            return true;
    }
    return false;
}

static int one(struct sql *s, const char *schema, const char *table, json_t *sums, struct err *err)
{
    _cleanup_free_ char *a = sql_name(schema), *b = sql_name(table);
    _cleanup_free_ char *query = str_fmt("CHECKSUM TABLE %s.%s EXTENDED", a, b);
    _cleanup_free_ char *name = str_fmt("%s.%s", schema, table);
    char sum[32] = "";

    if (sql_pairs(s, query, take_sum, sum, err) < 0)
        return err_wrap(err, "%s", name);
    if (!*sum)
        return err_set(err, ERR_FAILED, "table %s cannot be read", name);
    json_object_set_new(sums, name, json_string(sum));
    return 0;
}

int backup_sums(struct sql *s, const json_t *only, json_t **ret, struct err *err)
{
    _cleanup_json_ json_t *tables = json_array();
    _cleanup_json_ json_t *sums = json_object();
    size_t i;
    json_t *t;

    if (sql_pairs(s,
                  "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE "
                  "TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA NOT IN " NOT_OURS,
                  push_table, tables, err) < 0)
        return -1;
    json_array_foreach(tables, i, t)
    {
        const char *schema = json_string_value(json_array_get(t, 0));

        if ((!only || has(only, schema)) &&
            one(s, schema, json_string_value(json_array_get(t, 1)), sums, err) < 0)
            return -1;
    }
    *ret = TAKE(sums);
    return 0;
}

/* Adds "NAME (what)" while there is room for it. */
static void name_one(struct strbuf *b, unsigned *n, const char *name, const char *what)
{
    if (++*n <= NAMED_MAX)
        strbuf_addf(b, "%s%.80s %s", b->len ? ", " : "", name, what);
}

int backup_sums_compare(const json_t *wanted, const json_t *found, struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf b = {0};
    const char *name;
    unsigned n = 0;
    json_t *v;

    json_object_foreach((json_t *)wanted, name, v)
    {
        const json_t *other = json_object_get(found, name);

        if (!other)
            name_one(&b, &n, name, "is missing");
        else if (!json_equal(v, other))
            name_one(&b, &n, name, "differs");
    }
    json_object_foreach((json_t *)found, name, v)
    {
        if (!json_object_get(wanted, name))
            name_one(&b, &n, name, "is too many");
    }
    if (!n)
        return 0;
    return err_set(err, ERR_SAFETY, "%u table%s not as in the backup: %.300s%s", n,
                   n == 1 ? " is" : "s are", b.s, n > NAMED_MAX ? ", …" : "");
}
