/* SPDX-License-Identifier: Apache-2.0 */
/* Step `sql`: an account, and a schema that it owns. Every node runs this; the cluster replicates
 * it, and every statement may be repeated. */
#include <stdlib.h>
#include <string.h>

#include "agent/galera/sql.h"
#include "agent/steps/step.h"
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

struct grants {
    const char *all; /* how the server says that nothing is missing */
    bool found;
};

static void grant_row(void *ctx, const char *k, const char *v)
{
    (void)v;
    struct grants *g = ctx;

    g->found = g->found || str_starts(k, g->all);
}

/* It can log in; whether it may do all that GRANT ALL gave it, root sees. The server itself names
 * the whole set, whatever belongs to it in its version. */
static int check_rights(const struct sql_step *s, struct verdict *ret, struct err *err)
{
    _cleanup_(sql_cleanup) struct sql *db = NULL;

    if (sql_open(30, &db, err) < 0)
        return -1;
    _cleanup_free_ char *user = sql_quote(db, s->user);
    _cleanup_free_ char *schema = sql_name(s->database);
    _cleanup_free_ char *all = str_fmt("GRANT ALL PRIVILEGES ON %s.* TO ", schema);
    _cleanup_free_ char *query = str_fmt("SHOW GRANTS FOR %s@'localhost'", user);
    struct grants g = {.all = all};
    if (sql_pairs(db, query, grant_row, &g, err) < 0)
        return -1;
    return g.found ? verdict_ok(ret)
                   : verdict_differs(ret, "%s lacks rights on %s", s->user, s->database);
}

static int sql_step_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    const struct sql_step *s = self;
    _cleanup_secret_ char *password = NULL;
    unsigned code;

    if (run_expand(run, s->password, &password, err) < 0)
        return -1;
    if (sql_login(s->user, password, s->database, &code, err) < 0)
        return sql_code_of_account(code) || code == SQL_NO_DATABASE
                   ? verdict_differs(ret, "%s cannot log in: %.200s", s->user, err->msg)
                   : -1;
    return check_rights(s, ret, err);
}

static int exec_wipe(struct sql *s, char *statement, struct err *err)
{
    int r = sql_exec(s, statement, err);

    secret_free(statement);
    return r;
}

static int make_account(const struct sql_step *s, struct sql *db, const char *user, struct run *run,
                        struct err *err)
{
    _cleanup_secret_ char *password = NULL, *quoted = NULL;

    if (run_expand(run, s->password, &password, err) < 0)
        return -1;
    quoted = sql_quote(db, password);
    if (exec_wipe(
            db, str_fmt("CREATE USER IF NOT EXISTS %s@'localhost' IDENTIFIED BY %s", user, quoted),
            err) < 0)
        return -1;
    return exec_wipe(db,
                     str_fmt("ALTER USER %s@'localhost' IDENTIFIED BY %s REQUIRE NONE WITH "
                             "MAX_QUERIES_PER_HOUR 0 MAX_UPDATES_PER_HOUR 0 "
                             "MAX_CONNECTIONS_PER_HOUR 0 MAX_USER_CONNECTIONS 0 ACCOUNT UNLOCK",
                             user, quoted),
                     err);
}

static int sql_step_apply(const void *self, struct run *run, struct err *err)
{
    const struct sql_step *s = self;
    _cleanup_(sql_cleanup) struct sql *db = NULL;

    if (sql_open(60, &db, err) < 0)
        return -1;
    _cleanup_free_ char *user = sql_quote(db, s->user);
    _cleanup_free_ char *schema = sql_name(s->database);
    _cleanup_free_ char *create =
        str_fmt("CREATE DATABASE IF NOT EXISTS %s CHARACTER SET utf8mb4", schema);
    _cleanup_free_ char *grant = str_fmt("GRANT ALL ON %s.* TO %s@'localhost'", schema, user);
    if (sql_exec(db, create, err) < 0 || make_account(s, db, user, run, err) < 0)
        return -1;
    return sql_exec(db, grant, err);
}

const struct step_ops step_sql = {"sql",          sql_step_parse, sql_step_check,
                                  sql_step_apply, free,           NULL};
