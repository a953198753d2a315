/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/galera/settings.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/galera/sql.h"
#include "common/cleanup.h"
#include "common/str.h"

#define PROVIDER "wsrep_provider_options"
#define LOOK_MAX_S 5
#define NOT_READY 1047 /* the server's answer to a SELECT while it has no quorum */

/* What a running server takes without harm to its clients or its membership. */
static const char *const dynamic[] = {
    "wsrep_slave_threads",    "wsrep_retry_autocommit", "binlog_format",
    "default_storage_engine", "enforce_storage_engine", "innodb_flush_log_at_trx_commit",
    "extra_max_connections",
};
/* The same of Galera's options. The others count from the next start on, and are not compared: the
 * server adds to what the file says of them. */
static const char *const options[] = {
    "evs.send_window",
    "evs.user_send_window",
    "gcs.fc_limit",
    "gcs.fc_factor",
};
/* Not shown, or otherwise for one start (docs/galera.md). */
static const char *const silent[] = {"wsrep_sst_auth", "wsrep_cluster_address", "wsrep_sst_method"};

static bool one_of(const char *name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, list[i]) == 0)
            return true;
    return false;
}

/* --- values --------------------------------------------------------------------------------- */

/* 1, 0, or -1 for neither. */
static int truth(const char *s)
{
    static const char *const words[2][4] = {{"0", "OFF", "FALSE", "NO"},
                                            {"1", "ON", "TRUE", "YES"}};

    for (int v = 0; v < 2; v++)
        for (size_t i = 0; i < ARRAY_LEN(words[v]); i++)
            if (strcasecmp(s, words[v][i]) == 0)
                return v;
    return -1;
}

static bool number(const char *s, double *ret)
{
    static const char units[] = "KMGT";
    char *end = NULL;

    *ret = strtod(s, &end);
    if (end == s)
        return false;
    const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    for (const char *u = units; unit && u <= unit; u++)
        *ret *= 1024;
    return end[unit != NULL] == '\0';
}

bool settings_same(const char *want, const char *have)
{
    size_t a = strlen(want), b = strlen(have);
    double x, y;

    if (truth(want) >= 0 && truth(have) >= 0)
        return truth(want) == truth(have);
    if (number(want, &x) && number(have, &y))
        return x == y;
    while (a > 1 && want[a - 1] == '/') /* a directory */
        a--;
    while (b > 1 && have[b - 1] == '/')
        b--;
    return a == b && strncasecmp(want, have, a) == 0;
}

bool settings_option(const char *options_text, const char *key, char *ret, size_t cap)
{
    size_t len = strlen(key);

    for (const char *at = options_text; at && *at; at = strchr(at, ';'), at += at != NULL) {
        at += strspn(at, " ");
        if (strncmp(at, key, len) != 0)
            continue;
        const char *value = at + len + strspn(at + len, " ");
        if (*value != '=')
            continue;
        value += 1 + strspn(value + 1, " ");
        snprintf(ret, cap, "%.*s", (int)strcspn(value, "; "), value);
        return true;
    }
    return false;
}

/* --- the file against the server ------------------------------------------------------------ */

struct look {
    struct sql *sql;
    bool repair;
    struct settings_seen *seen;
    char value[16384]; /* what the server has */
};

static void first_pair(void *ctx, const char *k, const char *v)
{
    (void)k;
    str_copy(ctx, sizeof(((struct look *)NULL)->value), v);
}

static int have(struct look *l, const char *name, struct err *err)
{
    /* SHOW VARIABLES cuts long values. */
    _cleanup_free_ char *query = str_fmt("SELECT '%s', @@GLOBAL.%s", name, name);

    l->value[0] = '\0';
    return sql_pairs(l->sql, query, first_pair, l->value, err);
}

static int set(struct look *l, const char *name, const char *value, struct err *err)
{
    bool bare = value[strspn(value, "0123456789")] == '\0';
    _cleanup_free_ char *statement =
        str_fmt("SET GLOBAL %s = %s%s%s", name, bare ? "" : "'", value, bare ? "" : "'");

    return sql_exec(l->sql, statement, err);
}

static int provider(struct look *l, const char *want, struct err *err)
{
    if (have(l, PROVIDER, err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        char a[64], b[64];

        if (!settings_option(want, options[i], a, sizeof(a)) ||
            !settings_option(l->value, options[i], b, sizeof(b)) || settings_same(a, b))
            continue;
        snprintf(l->seen->now, sizeof(l->seen->now), "%s is %.30s, not %.30s", options[i], b, a);
        _cleanup_free_ char *one = str_fmt("%s=%s", options[i], a);
        if (l->repair && set(l, PROVIDER, one, err) < 0)
            return -1;
    }
    return 0;
}

static int compare(struct look *l, const char *name, const char *want, struct err *err)
{
    if (one_of(name, silent, ARRAY_LEN(silent)))
        return 0;
    if (strcmp(name, PROVIDER) == 0)
        return provider(l, want, err);
    if (have(l, name, err) < 0)
        return -1;
    if (settings_same(want, l->value))
        return 0;
    bool now = one_of(name, dynamic, ARRAY_LEN(dynamic));
    char *say = now ? l->seen->now : l->seen->later;
    if (!*say)
        snprintf(say, sizeof(l->seen->now), "%s is %.30s, not %.30s", name,
                 *l->value ? l->value : "empty", want);
    return now && l->repair ? set(l, name, want, err) : 0;
}

static int each(struct look *l, const char *text, struct err *err)
{
    _cleanup_free_ char *copy = xstrdup(text);
    char *save = NULL;

    for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *eq = strstr(line, " = ");

        if (*line == '#' || *line == '[' || !eq)
            continue;
        *eq = '\0';
        char *value = eq + strlen(" = ");
        size_t len = strlen(value);
        if (len >= 2 && value[0] == '"' && value[len - 1] == '"') {
            value[len - 1] = '\0';
            value++;
        }
        if (compare(l, line, value, err) < 0)
            return err_wrap(err, "setting %s", line);
    }
    return 0;
}

/* It is not to wait for the cluster, nor for a quorum. */
static int begin(struct sql *s, struct err *err)
{
    return sql_exec(s, "SET SESSION wsrep_sync_wait = 0, SESSION wsrep_dirty_reads = ON", err);
}

static int unasked(struct settings_seen *ret)
{
    *ret = (struct settings_seen){.unasked = true};
    return 0;
}

int settings_look(const char *text, struct settings_seen *ret, struct err *err)
{
    _cleanup_(sql_cleanup) struct sql *s = NULL;
    unsigned root = 0;

    *ret = (struct settings_seen){0};
    struct look l = {.seen = ret};
    if (sql_open_any(LOOK_MAX_S, &s, &root, err) < 0)
        return root >= SQL_CLIENT_ERROR ? unasked(ret) : -1;
    l.sql = s;
    if (begin(s, err) < 0 || each(&l, text, err) < 0)
        return sql_code(s) == NOT_READY || sql_code(s) >= SQL_CLIENT_ERROR ? unasked(ret) : -1;
    return 0;
}

int settings_repair(const char *text, struct err *err)
{
    _cleanup_(sql_cleanup) struct sql *s = NULL;
    struct settings_seen seen;

    if (settings_look(text, &seen, err) < 0)
        return -1;
    if (!seen.now[0])
        return 0;
    if (sql_open(LOOK_MAX_S, &s, err) < 0 || begin(s, err) < 0)
        return -1;
    seen = (struct settings_seen){0};
    struct look l = {.sql = s, .repair = true, .seen = &seen};
    return each(&l, text, err);
}
