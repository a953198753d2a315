/* SPDX-License-Identifier: Apache-2.0 */
/* Step `sql`: a schema and an account for it. Every node runs it; the cluster replicates it, and
 * every statement may be repeated. */
#include <stdlib.h>

#include "agent/resource.h"
#include "agent/sql.h"
#include "common/cleanup.h"
#include "common/str.h"

struct sql_step {
    const char *database, *user, *password;
};

static const struct field fields[] = {
    FIELD(sql_step, database, FIELD_NAME),
    FIELD(sql_step, user, FIELD_NAME),
    FIELD(sql_step, password, FIELD_STR),
};

static int sql_step_parse(const json_t *spec, void **ret, struct err *err)
{
    return fields_parse(spec, fields, ARRAY_LEN(fields), sizeof(struct sql_step), ret, err);
}

static int sql_step_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    const struct sql_step *s = self;
    _cleanup_secret_ char *password = NULL;
    struct err why;
    if (run_expand(run, s->password, &password, err) < 0)
        return -1;
    if (sql_login(s->user, password, s->database, &why) < 0)
        return verdict_differs(ret, "%s cannot use %s: %.200s", s->user, s->database, why.msg);
    return verdict_ok(ret);
}

static int exec_wipe(struct sql *s, char *statement, struct err *err)
{
    int r = sql_exec(s, statement, err);
    secret_free(statement);
    return r;
}

static int sql_step_apply(const void *self, struct run *run, struct err *err)
{
    const struct sql_step *s = self;
    _cleanup_(sql_cleanup) struct sql *db = NULL;
    _cleanup_secret_ char *password = NULL;
    if (run_expand(run, s->password, &password, err) < 0 || sql_open(60, &db, err) < 0)
        return -1;
    _cleanup_free_ char *schema = sql_name(s->database);
    _cleanup_free_ char *user = sql_quote(db, s->user);
    _cleanup_secret_ char *quoted = sql_quote(db, password);
    _cleanup_free_ char *create =
        str_fmt("CREATE DATABASE IF NOT EXISTS %s CHARACTER SET utf8mb4", schema);
    _cleanup_free_ char *grant = str_fmt("GRANT ALL ON %s.* TO %s@'localhost'", schema, user);
    if (sql_exec(db, create, err) < 0 ||
        exec_wipe(
            db, str_fmt("CREATE USER IF NOT EXISTS %s@'localhost' IDENTIFIED BY %s", user, quoted),
            err) < 0 ||
        exec_wipe(db, str_fmt("ALTER USER %s@'localhost' IDENTIFIED BY %s", user, quoted), err) < 0)
        return -1;
    return sql_exec(db, grant, err);
}

const struct resource_ops res_sql = {"sql", sql_step_parse, sql_step_check, sql_step_apply, free};
