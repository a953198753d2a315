/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sql.h"

#include <mysql.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/hook.h"
#include "common/str.h"

struct sql {
    MYSQL *my;
};

static int fail(struct sql *s, struct err *err)
{
    /* The server's text names objects, not values of ours: statements are never quoted. */
    return err_set(err, ERR_FAILED, "database: %s (%u)", mysql_error(s->my), mysql_errno(s->my));
}

static int connect_as(unsigned timeout_s, const char *user, const char *password,
                      const char *database, struct sql **ret, struct err *err)
{
    struct sql *s = xcalloc(1, sizeof(*s));
    s->my = mysql_init(NULL);
    if (!s->my)
        abort();
    mysql_options(s->my, MYSQL_OPT_CONNECT_TIMEOUT, &timeout_s);
    mysql_options(s->my, MYSQL_OPT_READ_TIMEOUT, &timeout_s);
    mysql_options(s->my, MYSQL_OPT_WRITE_TIMEOUT, &timeout_s);
    if (!mysql_real_connect(s->my, NULL, user, password, database, 0, SQL_SOCKET, 0)) {
        int r = fail(s, err);
        sql_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

int sql_open(unsigned timeout_s, struct sql **ret, struct err *err)
{
    return connect_as(timeout_s, "root", NULL, NULL, ret, err);
}

int sql_login(const char *user, const char *password, const char *database, struct err *err)
{
    struct sql *s = NULL;
    if (connect_as(30, user, password, database, &s, err) < 0)
        return -1;
    sql_close(s);
    return 0;
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
    if (mysql_num_fields(res) >= 2)
        for (MYSQL_ROW r; (r = mysql_fetch_row(res));)
            row(ctx, r[0] ? r[0] : "", r[1] ? r[1] : "");
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
