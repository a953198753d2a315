/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/galera/settings.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "agent/galera/galera.h"
#include "agent/galera/sql.h"
#include "agent/ipc/paths.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"

#define PROVIDER "wsrep_provider_options"
#define LOOK_MAX_S 5
#define TRY_MAX_S 60
#define WRONG_TYPE 1232 /* a number for a setting that is a text */
#define NOT_READY 1047  /* the server's answer to a SELECT while it has no quorum */

/* What a running server takes without harm to its clients or its membership. */
static const char *const dynamic[] = {
    "wsrep_slave_threads",    "wsrep_retry_autocommit", "binlog_format",
    "default_storage_engine", "enforce_storage_engine", "innodb_flush_log_at_trx_commit",
    "extra_max_connections",
};
/* The same of Galera's options. */
static const char *const options[] = {
    "evs.send_window",       "evs.user_send_window",     "gcs.fc_limit",
    "gcs.fc_factor",         "gcs.fc_single_primary",    "gcs.max_throttle",
    "gcs.recv_q_soft_limit", "repl.causal_read_timeout",
};
/* These count from the next start on, and the server says of them what its file said. The others
 * are not compared: it adds to what the file says of them. */
static const char *const start_options[] = {
    "gcache.size",           "gcache.page_size",        "evs.keepalive_period",
    "evs.suspect_timeout",   "evs.inactive_timeout",    "evs.inactive_check_period",
    "evs.install_timeout",   "evs.join_retrans_period", "gmcast.peer_timeout",
    "gcs.recv_q_hard_limit",
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
    bool operators; /* the line is the operator's */
    char *taken;    /* of PATH_SETTINGS_TAKEN, or NULL */
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

/* In a statement numbers have no units and no quotes, and truth has fewer names than in a file. */
static int set(struct look *l, const char *name, const char *value, struct err *err)
{
    const char *quoted = strcasecmp(value, "true") == 0    ? "ON"
                         : strcasecmp(value, "false") == 0 ? "OFF"
                                                           : value;
    double n = 0;
    bool bare = number(value, &n);
    _cleanup_free_ char *as_number = str_fmt("SET GLOBAL %s = %.17g", name, n);
    _cleanup_free_ char *as_text = str_fmt("SET GLOBAL %s = '%s'", name, quoted);

    int r = sql_exec(l->sql, bare ? as_number : as_text, err);

    return r < 0 && bare && sql_code(l->sql) == WRONG_TYPE ? sql_exec(l->sql, as_text, err) : r;
}

/* --- what the server made of a value -------------------------------------------------------- */

/* It rounds some values, and cuts those that are too large: what it took for what was asked is kept
 * for as long as it runs, or every look would find a difference. */
static void taken_line(const struct look *l, const char *name, const char *want, const char *got,
                       char ret[256])
{
    snprintf(ret, 256, "%d %.64s=%.64s %.64s\n", (int)sql_server(l->sql), name, want, got);
}

static bool was_taken(const struct look *l, const char *name, const char *want)
{
    char line[256];

    taken_line(l, name, want, l->value, line);
    return l->taken && strstr(l->taken, line);
}

static void take(struct look *l, const char *name, const char *want)
{
    struct err ignored;
    char line[256];

    if (have(l, name, &ignored) < 0 || settings_same(want, l->value))
        return;
    taken_line(l, name, want, l->value, line);
    char *all = str_fmt("%s%s", l->taken ? l->taken : "", line);
    free(l->taken);
    l->taken = all;
    fs_write_atomic(PATH_SETTINGS_TAKEN, all, strlen(all), 0600, &ignored);
}

static void settable_row(void *ctx, const char *read_only, const char *scope)
{
    *(bool *)ctx = strcmp(read_only, "NO") == 0 && strcmp(scope, "SESSION ONLY") != 0;
}

/* Whether the server that runs lets `name` be set: the operator's may be any. */
static int settable(struct look *l, const char *name, bool *ret, struct err *err)
{
    _cleanup_free_ char *query =
        str_fmt("SELECT READ_ONLY, VARIABLE_SCOPE FROM information_schema.SYSTEM_VARIABLES WHERE "
                "VARIABLE_NAME = '%s'",
                name);

    *ret = one_of(name, dynamic, ARRAY_LEN(dynamic));
    return *ret || !l->operators ? 0 : sql_pairs(l->sql, query, settable_row, ret, err);
}

/* --- comparing ------------------------------------------------------------------------------ */

static bool option_differs(const struct look *l, const char *wanted, const char *name,
                           char want[64], char got[64])
{
    return settings_option(wanted, name, want, 64) && settings_option(l->value, name, got, 64) &&
           !settings_same(want, got);
}

static int provider(struct look *l, const char *want, struct err *err)
{
    char a[64], b[64];

    if (have(l, PROVIDER, err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(start_options); i++)
        if (option_differs(l, want, start_options[i], a, b) && !l->seen->later[0])
            snprintf(l->seen->later, sizeof(l->seen->later), "%s is %.30s, not %.30s",
                     start_options[i], b, a);
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if (!option_differs(l, want, options[i], a, b))
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
    if (have(l, name, err) < 0) /* some options of the server are no variables */
        return l->operators && sql_code(l->sql) == SQL_NO_VARIABLE ? 0 : -1;
    bool now = false;
    if (settings_same(want, l->value) || was_taken(l, name, want))
        return 0;
    if (settable(l, name, &now, err) < 0)
        return -1;
    char *say = now ? l->seen->now : l->seen->later;
    if (!*say)
        snprintf(say, sizeof(l->seen->now), "%s is %.30s, not %.30s", name,
                 *l->value ? l->value : "empty", want);
    if (!now || !l->repair)
        return 0;
    if (set(l, name, want, err) < 0)
        return -1;
    take(l, name, want);
    return 0;
}

/* "name = value", of `line`, which is cut; false: it is another line. */
static bool line_parts(char *line, char **ret_value)
{
    char *eq = strstr(line, " = ");

    if (*line == '#' || !eq)
        return false;
    *eq = '\0';
    char *value = eq + strlen(" = ");
    size_t len = strlen(value);
    if (len >= 2 && value[0] == '"' && value[len - 1] == '"') {
        value[len - 1] = '\0';
        value++;
    }
    *ret_value = value;
    return true;
}

static int lines(struct look *l, char *text, struct err *err)
{
    char *save = NULL, *value;
    bool server = true;

    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (*line == '[')
            server = strcmp(line, "[mariadbd]") == 0;
        l->operators = l->operators || strcmp(line, GALERA_OPERATORS) == 0;
        if (server && line_parts(line, &value) && compare(l, line, value, err) < 0)
            return err_wrap(err, "setting %s", line);
    }
    return 0;
}

static int each(struct look *l, const char *text, struct err *err)
{
    _cleanup_free_ char *copy = xstrdup(text);
    struct err ignored;

    l->operators = false;
    fs_read(PATH_SETTINGS_TAKEN, 65536, &l->taken, NULL, &ignored);
    int r = lines(l, copy, err);
    free(TAKE(l->taken));
    return r;
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

/* --- before they are written ---------------------------------------------------------------- */

/* The beginning of a name is taken for all of it, with a note: that is a mistake in writing. */
static void first_error(void *ctx, const char *line)
{
    char(*first)[256] = ctx;
    const char *error = strstr(line, "[ERROR] "),
               *note = strstr(line, "Using unique option prefix");

    if ((error || note) && !(*first)[0])
        snprintf(*first, sizeof(*first), "%s", note ? note : error + strlen("[ERROR] "));
}

int settings_try(const char *text, struct err *err)
{
    char first[256] = "";
    const char *begin = strstr(text, GALERA_OPERATORS "\n");
    _cleanup_free_ char *copy = xstrdup(begin ? begin : "");
    const char *argv[SETTINGS_MAX + 8] = {MARIADBD, "--no-defaults"};
    char *own[SETTINGS_MAX], *save = NULL, *value;
    const struct proc_opts opts = {
        .on_line = first_error, .ctx = &first, .timeout_s = TRY_MAX_S, .quiet = true};
    size_t n = 0;

    for (char *line = strtok_r(copy, "\n", &save); line && *line != '[' && n < SETTINGS_MAX;
         line = strtok_r(NULL, "\n", &save))
        if (line_parts(line, &value))
            own[n++] = str_fmt("--%s=%s", line, value);
    if (!n)
        return 0;
    memcpy(argv + 2, own, n * sizeof(*own));
    memcpy(argv + 2 + n, (const char *[]){"--help", "--verbose", NULL}, 3 * sizeof(*argv));
    struct proc_result result = {0};
    int r = proc_run(argv, &opts, &result, err);
    bool asked = result.status != PROC_NOT_STARTED && !result.timed_out;
    proc_result_free(&result);
    for (size_t i = 0; i < n; i++)
        free(own[i]);
    if (r < 0 && !asked)
        return err_wrap(err, "database.settings: whether the server takes them is not known");
    if (r == 0 && !first[0])
        return 0;
    return err_set(err, ERR_USAGE, "database.settings: the server would not start with this: %s",
                   first[0] ? first : strdupa(err->msg));
}

/* --- what counts from the next start on ----------------------------------------------------- */

void settings_note_pending(pid_t server, const char *what)
{
    _cleanup_free_ char *text = str_fmt("%d %s", (int)server, what);
    struct err ignored;

    if (!*what)
        unlink(PATH_SETTINGS_PENDING);
    else
        fs_write_atomic(PATH_SETTINGS_PENDING, text, strlen(text), 0600, &ignored);
}

char *settings_pending(pid_t server)
{
    _cleanup_free_ char *text = NULL;
    struct err ignored;

    if (fs_read(PATH_SETTINGS_PENDING, 1024, &text, NULL, &ignored) < 0 ||
        strtol(text, NULL, 10) != server)
        return NULL;
    const char *what = strchr(text, ' ');
    return what ? xstrdup(what + 1) : NULL;
}
