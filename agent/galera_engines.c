/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "agent/galera.h"
#include "agent/sql.h"
#include "common/cleanup.h"
#include "common/js.h"
#include "common/str.h"

#define PATIENCE_S 3600 /* a large table takes as long as it takes */

#define OTHER_ENGINES                                                                              \
    "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE TABLE_TYPE = 'BASE "     \
    "TABLE' AND ENGINE IN ('MyISAM', 'Aria') AND TABLE_SCHEMA NOT IN ('mysql', "                   \
    "'information_schema', 'performance_schema', 'sys')"

static void table_row(void *ctx, const char *schema, const char *table)
{
    json_t *pair = json_array();
    js_push_str(pair, schema);
    js_push_str(pair, table);
    json_array_append_new(ctx, pair);
}

json_t *galera_engines(void)
{
    struct err err = {0};
    size_t i;
    json_t *pair;
    _cleanup_(sql_cleanup) struct sql *s = NULL;
    json_t *answer = json_object(), *changed = json_array();
    _cleanup_json_ json_t *tables = json_array();
    json_object_set_new(answer, "changed", changed);
    /* What cannot be asked now is looked at the next time. */
    if (sql_open(PATIENCE_S, &s, &err) < 0 ||
        sql_pairs(s, OTHER_ENGINES, table_row, tables, &err) < 0)
        return answer;
    json_array_foreach(tables, i, pair)
    {
        const char *schema_text = json_string_value(json_array_get(pair, 0));
        const char *table_text = json_string_value(json_array_get(pair, 1));
        _cleanup_free_ char *schema = sql_name(schema_text);
        _cleanup_free_ char *table = sql_name(table_text);
        _cleanup_free_ char *name = str_fmt("%s.%s", schema_text, table_text);
        _cleanup_free_ char *alter = str_fmt("ALTER TABLE %s.%s ENGINE=InnoDB", schema, table);
        if (sql_exec(s, alter, &err) == 0) {
            js_push_str(changed, name);
            continue;
        }
        if (sql_code(s) == SQL_NO_TABLE) /* it was there for a moment only */
            continue;
        _cleanup_free_ char *why =
            str_fmt("table %s is not InnoDB and cannot be made so (%s): its statements are "
                    "replicated, its rows are not certified; change its definition",
                    name, err.msg);
        json_object_set_new(answer, "failed", json_string(why));
    }
    return answer;
}
