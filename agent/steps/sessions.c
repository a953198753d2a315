/* SPDX-License-Identifier: Apache-2.0 */
/* Step `sessions`: PHP's sessions of the application are in its database, or, without one, as PHP
 * has them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/app/files.h"
#include "agent/app/php.h"
#include "agent/app/sessions.h"
#include "agent/app/web.h"
#include "agent/galera/sql.h"
#include "agent/steps/step.h"
#include "agent/sys/conf.h"
#include "agent/sys/svc.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"

#define CODE WEB_ETC "/muster/sessions.php"
#define CONF WEB_ETC "/conf-available/muster-sessions.conf"
#define LINK WEB_ETC "/conf-enabled/muster-sessions.conf"
#define LINK_TARGET "../conf-available/muster-sessions.conf"
#define SQL_MAX_S 60

struct sessions {
    const char *root;
    const char *database, *user, *password; /* NULL: as PHP has them */
};

static const struct field fields[] = {
    FIELD(sessions, root, FIELD_PATH),
    FIELD_OPT(sessions, database, FIELD_NAME),
    FIELD_OPT(sessions, user, FIELD_NAME),
    FIELD_OPT(sessions, password, FIELD_STR),
};

/* What there is not to be without them, in the order in which it goes. */
static const char *const all[] = {LINK, CONF, CODE};

static int sessions_parse(const json_t *spec, void **ret, struct err *err)
{
    struct sessions *s = NULL;

    if (fields_parse(spec, fields, ARRAY_LEN(fields), sizeof(*s), (void **)&s, err) < 0)
        return -1;
    if (!s->database != !s->user || !s->database != !s->password) {
        free(s);
        return err_set(err, ERR_USAGE, "members 'database', 'user' and 'password' belong together");
    }
    *ret = s;
    return 0;
}

static const char *sessions_unit(const void *self, size_t i)
{
    (void)self;
    return i == 0 ? WEB_SERVICE : NULL;
}

enum { OF_CODE, OF_CONF, FILES };

struct files {
    char *code, *text;
    struct conf conf[FILES];
};

static void files_cleanup(struct files *f)
{
    secret_free(f->code);
    free(f->text);
}

static int files_fill(const struct sessions *s, const struct run *run, struct files *f,
                      struct err *err)
{
    _cleanup_free_ char *dsn =
        str_fmt("mysql:unix_socket=" SQL_SOCKET ";dbname=%s;charset=binary", s->database);
    _cleanup_secret_ char *password = NULL;
    gid_t gid;

    if (run_expand(run, s->password, &password, err) < 0 || conf_gid(APP_USER, &gid, err) < 0)
        return -1;
    f->code = sessions_code(dsn, s->user, password);
    f->text = sessions_conf(s->root, CODE);
    f->conf[OF_CODE] = (struct conf){.path = CODE, .content = f->code, .mode = 0640, .gid = gid};
    f->conf[OF_CONF] = (struct conf){.path = CONF, .content = f->text, .mode = 0644};
    return 0;
}

/* --- the table -------------------------------------------------------------------------------- */

/* 1: it is there; 0: it is not; -1: another one of its name is, or it is not known. */
static int table_look(struct sql *db, const struct sessions *s, struct err *err)
{
    _cleanup_free_ char *schema = sql_quote(db, s->database);
    _cleanup_free_ char *query = str_fmt(
        "SELECT CONCAT(t.engine, ' ', (SELECT GROUP_CONCAT(c.column_name ORDER BY "
        "c.ordinal_position) FROM information_schema.columns c WHERE c.table_schema = "
        "t.table_schema AND c.table_name = t.table_name)) FROM information_schema.tables t WHERE "
        "t.table_schema = %s AND t.table_name = '" SESSIONS_TABLE "'",
        schema);
    char have[256];

    if (sql_text(db, query, have, sizeof(have), err) < 0)
        return -1;
    if (!*have)
        return 0;
    return strcmp(have, "InnoDB " SESSIONS_COLUMNS) == 0
               ? 1
               : err_set(err, ERR_SAFETY,
                         "%s." SESSIONS_TABLE " is there and not the table for sessions (%.100s); "
                         "rename it",
                         s->database, have);
}

static int table_make(const struct sessions *s, struct err *err)
{
    _cleanup_(sql_cleanup) struct sql *db = NULL;

    if (sql_open(SQL_MAX_S, &db, err) < 0)
        return -1;
    int there = table_look(db, s, err);
    if (there)
        return there < 0 ? -1 : 0;
    _cleanup_free_ char *schema = sql_name(s->database);
    _cleanup_free_ char *create =
        str_fmt("CREATE TABLE IF NOT EXISTS %s." SESSIONS_TABLE SESSIONS_CREATE, schema);
    return sql_exec(db, create, err);
}

/* --- the step --------------------------------------------------------------------------------- */

/* What of the files differs, without the table. */
static void files_differ(const struct sessions *s, const struct files *f, struct verdict *ret)
{
    for (size_t i = 0; !s->database && i < ARRAY_LEN(all); i++)
        if (fs_exists(all[i])) {
            verdict_differs(ret, "%s: sessions are not in the database any more", all[i]);
            return;
        }
    for (size_t i = 0; s->database && i < FILES; i++) {
        const char *why = conf_differs(&f->conf[i]);

        if (why) {
            verdict_differs(ret, "%s: %s", f->conf[i].path, why);
            return;
        }
    }
    if (s->database && !conf_linked(LINK, LINK_TARGET))
        verdict_differs(ret, LINK " does not lead to " LINK_TARGET);
    else
        verdict_ok(ret);
}

/* The code is read for each page, the rest when the server reads its files. */
static const char *not_read(const struct sessions *s, int64_t loaded)
{
    return !s->database                      ? NULL
           : svc_changed_after(CONF, loaded) ? CONF
           : svc_changed_after(LINK, loaded) ? LINK
                                             : NULL;
}

static int sessions_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    const struct sessions *s = self;
    _cleanup_(files_cleanup) struct files f = {0};
    _cleanup_(sql_cleanup) struct sql *db = NULL;
    struct svc_state st;

    if (s->database && files_fill(s, run, &f, err) < 0)
        return -1;
    files_differ(s, &f, ret);
    if (ret->kind != VERDICT_OK || !s->database)
        return 0;
    if (svc_status_soon(WEB_SERVICE, &st, err) < 0)
        return -1;
    const char *newer = st.active ? not_read(s, st.changed) : NULL;
    if (svc_notify_pending(WEB_SERVICE) || newer)
        return verdict_differs(ret, WEB_SERVICE " has not read %s yet",
                               newer ? newer : "its files");
    if (sql_open(SQL_MAX_S, &db, err) < 0)
        return -1;
    int there = table_look(db, s, err);
    if (there < 0)
        return -1;
    return there ? verdict_ok(ret)
                 : verdict_differs(ret, "%s." SESSIONS_TABLE " is not there", s->database);
}

/* What PHP is told to load is there before that. */
static int put(const struct files *f, struct err *err)
{
    for (size_t i = 0; i < FILES; i++)
        if (conf_write(&f->conf[i], NULL, err) < 0)
            return -1;
    return conf_link(LINK, LINK_TARGET, err);
}

/* The code stays until the server does not ask for it any more. */
static int turn_off(struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (i + 1 == ARRAY_LEN(all) && svc_notify_serve(WEB_SERVICE, err) < 0)
            return -1;
        if (unlink(all[i]) < 0 && errno != ENOENT)
            return err_errno(err, errno, "remove %s", all[i]);
    }
    return 0;
}

static int sessions_apply(const void *self, struct run *run, struct err *err)
{
    const struct sessions *s = self;
    _cleanup_(files_cleanup) struct files f = {0};
    struct verdict files;
    struct svc_state st;

    if (s->database && (files_fill(s, run, &f, err) < 0 || table_make(s, err) < 0))
        return -1;
    files_differ(s, &f, &files);
    if (svc_status(WEB_SERVICE, &st, err) < 0 ||
        ((files.kind != VERDICT_OK || not_read(s, st.changed)) &&
         svc_notify_note(WEB_SERVICE, err) < 0))
        return -1;
    if (!s->database)
        return turn_off(err);
    return put(&f, err) < 0 ? -1 : svc_notify_serve(WEB_SERVICE, err);
}

const struct step_ops step_sessions = {"sessions",     sessions_parse, sessions_check,
                                       sessions_apply, free,           sessions_unit};
