/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/galera/sql.h"

#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/ipc/paths.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/hook.h"
#include "common/js.h"
#include "common/keys.h"
#include "common/ports.h"
#include "common/str.h"

#define OWN_HOST "127.0.0.1"

struct sql {
    MYSQL *my;
};

static int fail(struct sql *s, struct err *err)
{
    /* The server's text names objects, not values of ours: statements are never quoted. */
    return err_set(err, ERR_FAILED, "database: %s (%u)", mysql_error(s->my), mysql_errno(s->my));
}

struct login {
    const char *host;   /* NULL: a unix socket */
    const char *socket; /* NULL: the database's */
    const char *user, *password, *database;
};

static int connect_as(unsigned timeout_s, const struct login *l, struct sql **ret,
                      unsigned *ret_code, struct err *err)
{
    struct sql *s = xcalloc(1, sizeof(*s));

    s->my = mysql_init(NULL);
    if (!s->my)
        abort();
    mysql_options(s->my, MYSQL_OPT_CONNECT_TIMEOUT, &timeout_s);
    mysql_options(s->my, MYSQL_OPT_READ_TIMEOUT, &timeout_s);
    mysql_options(s->my, MYSQL_OPT_WRITE_TIMEOUT, &timeout_s);
    if (!mysql_real_connect(s->my, l->host, l->user, l->password, l->database,
                            l->host ? PORT_SQL_EXTRA : 0,
                            l->host     ? NULL
                            : l->socket ? l->socket
                                        : SQL_SOCKET,
                            0)) {
        int r = fail(s, err);

        *ret_code = mysql_errno(s->my);
        sql_close(s);
        return r;
    }
    *ret_code = 0;
    *ret = s;
    return 0;
}

int sql_open(unsigned timeout_s, struct sql **ret, struct err *err)
{
    unsigned code;

    return connect_as(timeout_s, &(struct login){.user = "root"}, ret, &code, err);
}

int sql_open_at(const char *socket, unsigned timeout_s, struct sql **ret, struct err *err)
{
    unsigned code;

    return connect_as(timeout_s, &(struct login){.user = "root", .socket = socket}, ret, &code,
                      err);
}

/* --- the agent's own account --------------------------------------------------------------- */

/* Its account is per node, since its password is: accounts are the same on all members. */
static int own_login(json_t **ret, struct login *l, struct err *err)
{
    _cleanup_free_ char *text = NULL;
    size_t len = 0;

    if (fs_read(PATH_DB_LOGIN, 4096, &text, &len, err) < 0 || js_parse(text, len, ret, err) < 0)
        return -1;
    *l = (struct login){.host = OWN_HOST,
                        .user = js_opt_str(*ret, "user", ""),
                        .password = js_opt_str(*ret, "password", "")};
    explicit_bzero(text, len);
    return 0;
}

int sql_open_any(unsigned timeout_s, struct sql **ret, unsigned *ret_root, struct err *err)
{
    struct login l = {.user = "root"};
    struct err ignored;
    unsigned code;
    _cleanup_json_ json_t *own = NULL;

    if (connect_as(timeout_s, &l, ret, ret_root, err) == 0)
        return 0;
    if (own_login(&own, &l, &ignored) < 0)
        return -1;
    return connect_as(timeout_s, &l, ret, &code, &ignored);
}

bool sql_code_of_account(unsigned code)
{
    return code == SQL_REFUSED || code == SQL_REFUSED_PLUGIN || code == SQL_NOT_THERE ||
           code == SQL_NO_RIGHT || code == SQL_MUST_CHANGE || code == SQL_EXPIRED ||
           code == SQL_LOCKED;
}

/* What galera_status asks by it; a table that is not made yet is no matter of rights. */
static unsigned own_rights(struct sql *s)
{
    static const char *const looks[] = {"SELECT COUNT(*) FROM mysql.wsrep_cluster_members",
                                        "SELECT COUNT(*) FROM muster.epoch"};
    struct err ignored;
    char n[24];

    for (size_t i = 0; i < ARRAY_LEN(looks); i++)
        if (sql_text(s, looks[i], n, sizeof(n), &ignored) < 0 && sql_code_of_account(sql_code(s)))
            return sql_code(s);
    return 0;
}

bool sql_own_works(unsigned *ret_code)
{
    struct login l;
    struct err ignored;
    struct sql *s = NULL;
    _cleanup_json_ json_t *own = NULL;

    *ret_code = SQL_REFUSED;
    if (own_login(&own, &l, &ignored) < 0 || connect_as(5, &l, &s, ret_code, &ignored) < 0 || !s)
        return false;
    *ret_code = own_rights(s);
    sql_close(s);
    return *ret_code == 0;
}

int sql_own_make(struct sql *root, struct err *err)
{
    uint8_t random[24];
    char password[2 * sizeof(random) + 1], node[64] = "";
    static const char *const statements[] = {
        "CREATE USER IF NOT EXISTS 'muster-%s'@'" OWN_HOST "' IDENTIFIED BY '%s'",
        "ALTER USER 'muster-%s'@'" OWN_HOST "' IDENTIFIED BY '%s' REQUIRE NONE ACCOUNT UNLOCK",
        "GRANT SELECT ON muster.* TO 'muster-%s'@'" OWN_HOST "'",
        "GRANT SELECT ON mysql.wsrep_cluster_members TO 'muster-%s'@'" OWN_HOST "'",
    };

    if (sql_text(root, "SELECT @@wsrep_node_name", node, sizeof(node), err) < 0)
        return -1;
    keys_random(random, sizeof(random));
    keys_hex(random, sizeof(random), password);
    _cleanup_free_ char *text =
        str_fmt("{\"user\": \"muster-%s\", \"password\": \"%s\"}", node, password);
    if (fs_write_atomic(PATH_DB_LOGIN, text, strlen(text), 0600, err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(statements); i++) {
        char statement[512];

        snprintf(statement, sizeof(statement), statements[i], node, password);
        if (sql_exec(root, statement, err) < 0)
            return err_wrap(err, "the agent's own account");
    }
    return 0;
}

unsigned sql_code(const struct sql *s)
{
    return mysql_errno(s->my);
}

int sql_login(const char *user, const char *password, const char *database, unsigned *ret_code,
              struct err *err)
{
    struct login l = {.user = user, .password = password, .database = database};
    struct sql *s = NULL;

    if (connect_as(30, &l, &s, ret_code, err) < 0 || !s)
        return -1;
    int r = sql_exec(s, "DO 0", err);
    *ret_code = sql_code(s);
    sql_close(s);
    return r;
}

pid_t sql_server(const struct sql *s)
{
    struct ucred peer = {0};
    socklen_t len = sizeof(peer);

    return getsockopt(mysql_get_socket(s->my), SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
                   peer.pid > 1
               ? peer.pid
               : 0;
}

void sql_close(struct sql *s)
{
    if (!s)
        return;
    mysql_close(s->my);
    free(s);
}

void sql_cleanup(struct sql **s)
{
    sql_close(*s);
}

int sql_exec(struct sql *s, const char *text, struct err *err)
{
    if (mysql_query(s->my, text) != 0)
        return fail(s, err);
    MYSQL_RES *res = mysql_store_result(s->my);
    if (res)
        mysql_free_result(res);
    hook_point();
    return 0;
}

int sql_text(struct sql *s, const char *query, char *ret, size_t cap, struct err *err)
{
    if (mysql_query(s->my, query) != 0)
        return fail(s, err);
    MYSQL_RES *res = mysql_store_result(s->my);
    if (!res)
        return fail(s, err);
    MYSQL_ROW row = mysql_fetch_row(res);
    str_copy(ret, cap, row && row[0] ? row[0] : "");
    mysql_free_result(res);
    return 0;
}

int sql_pairs(struct sql *s, const char *query,
              void (*row)(void *ctx, const char *k, const char *v), void *ctx, struct err *err)
{
    if (mysql_query(s->my, query) != 0)
        return fail(s, err);
    MYSQL_RES *res = mysql_store_result(s->my);
    if (!res)
        return fail(s, err);
    bool two = mysql_num_fields(res) >= 2;
    for (MYSQL_ROW r; (r = mysql_fetch_row(res));)
        row(ctx, r[0] ? r[0] : "", two && r[1] ? r[1] : "");
    mysql_free_result(res);
    return 0;
}

char *sql_quote(struct sql *s, const char *text)
{
    size_t len = strlen(text);
    char *q = xcalloc(2 * len + 3, 1);

    q[0] = '\'';
    unsigned long n = mysql_real_escape_string(s->my, q + 1, text, len);
    q[n + 1] = '\'';
    return q;
}

char *sql_name(const char *name)
{
    struct strbuf b = {0};

    strbuf_adds(&b, "`");
    for (; *name; name++) {
        if (*name == '`')
            strbuf_adds(&b, "`");
        strbuf_add(&b, name, 1);
    }
    strbuf_adds(&b, "`");
    return b.s;
}
