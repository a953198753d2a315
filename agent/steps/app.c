/* SPDX-License-Identifier: Apache-2.0 */
/* Step `app`: a PHP application from an archive, unpacked beside its place and swapped in, then
 * installed once per cluster: one node runs the installation and leaves a row, the others wait
 * for that row.
 *
 *   <root>      -> <root>.d/<digest>       a link; replacing it is the swap
 *   <root>.d/<digest>                      one unpacked archive; the one before it stays, too
 *   <home>                                 the directories that the site writes to (app/data.h)
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/app/archive.h"
#include "agent/app/config.h"
#include "agent/galera/sql.h"
#include "agent/steps/step.h"
#include "agent/sys/conf.h"
#include "agent/sys/webcheck.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/keys.h"
#include "common/proc.h"
#include "common/str.h"

#define INSTALL_MAX_S 1800
#define PHP "/usr/bin/php"
#define TABLE                                                                                      \
    "CREATE TABLE IF NOT EXISTS muster.app (name VARCHAR(64) PRIMARY KEY, node VARCHAR(64), "      \
    "sha256 CHAR(64), at DATETIME) ENGINE=InnoDB"

static const struct field fields[] = {
    FIELD(app, name, FIELD_NAME),     FIELD(app, archive, FIELD_OBJECT),
    FIELD(app, root, FIELD_PATH),     FIELD_OPT(app, strip, FIELD_U64),
    FIELD(app, writable, FIELD_STRS), FIELD(app, config, FIELD_ARRAY),
    FIELD(app, install, FIELD_ARRAY), FIELD(app, installer, FIELD_BOOL),
    FIELD(app, database, FIELD_NAME), FIELD_OPT(app, site, FIELD_TEXT),
    FIELD_OPT(app, home, FIELD_PATH),
};

static const struct field archive_fields[] = {
    FIELD(app, url, FIELD_STR),
    FIELD(app, sha256, FIELD_NAME),
};

struct install {
    const char *php, *form, *expect; /* expect: what the answer to the form must say */
    const json_t *fields;
};

static const struct field install_fields[] = {
    FIELD_OPT(install, php, FIELD_STR),
    FIELD_OPT(install, form, FIELD_STR),
    FIELD_OPT(install, fields, FIELD_OBJECT),
    FIELD_OPT(install, expect, FIELD_STR),
};

/* A path inside the application: relative, and never out of it. */
static bool inside(const char *path)
{
    return path[0] && path[0] != '/' && path[0] != '-' && !strstr(path, "..") &&
           !strpbrk(path, "\n\r ");
}

static int members_check(const struct app *a, struct err *err)
{
    size_t i;
    json_t *item, *value;
    const char *key;

    if (!keys_sha256_valid(a->sha256))
        return err_set(err, ERR_USAGE, "member 'archive': sha256 must be 64 lower-case hex digits");
    if (archive_url_check(a->url, err) < 0)
        return err_wrap(err, "member 'archive'");
    json_array_foreach(a->writable, i, item)
    {
        if (!inside(json_string_value(item)))
            return err_set(err, ERR_USAGE,
                           "member 'writable': directories must lie inside the root");
    }
    json_array_foreach(a->config, i, item)
    {
        struct app_config c;

        if (app_config_read(item, &c, err) < 0)
            return err_wrap(err, "config %zu", i + 1);
        if (!inside(c.path))
            return err_set(err, ERR_USAGE, "config %zu: path must lie inside the root", i + 1);
    }
    json_array_foreach(a->install, i, item)
    {
        struct install s = {0};

        if (fields_read(item, install_fields, ARRAY_LEN(install_fields), &s, err) < 0)
            return err_wrap(err, "install %zu", i + 1);
        if (!s.php == !s.form || (s.php && !inside(s.php)) || (s.form && strpbrk(s.form, " \r\n")))
            return err_set(err, ERR_USAGE,
                           "install %zu: needs either 'php' (a script inside the root) or 'form'",
                           i + 1);
        json_object_foreach((json_t *)s.fields, key, value)
        {
            if (!json_is_string(value))
                return err_set(err, ERR_USAGE, "install %zu: field '%.64s' is no text", i + 1, key);
        }
    }
    return 0;
}

static int app_parse(const json_t *spec, void **ret, struct err *err)
{
    struct app a = {0};

    if (fields_read(spec, fields, ARRAY_LEN(fields), &a, err) < 0)
        return -1;
    if (fields_read(a.archive, archive_fields, ARRAY_LEN(archive_fields), &a, err) < 0)
        return err_wrap(err, "member 'archive'");
    if (members_check(&a, err) < 0)
        return -1;
    struct app *copy = xcalloc(1, sizeof(*copy));
    *copy = a;
    *ret = copy;
    return 0;
}

/* --- the mark of the installation ----------------------------------------------------------- */

/* 1: installed, somewhere in the cluster. */
static int mark_look(const struct app *a, struct err *err)
{
    _cleanup_(sql_cleanup) struct sql *s = NULL;
    char n[8] = "";

    if (sql_open(60, &s, err) < 0)
        return -1;
    if (sql_text(s,
                 "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'muster' "
                 "AND table_name = 'app'",
                 n, sizeof(n), err) < 0)
        return -1;
    if (n[0] != '1')
        return 0;
    _cleanup_free_ char *name = sql_quote(s, a->name);
    _cleanup_free_ char *query = str_fmt("SELECT COUNT(*) FROM muster.app WHERE name = %s", name);
    return sql_text(s, query, n, sizeof(n), err) < 0 ? -1 : n[0] == '1';
}

static int mark_set(const struct app *a, const struct run *run, struct err *err)
{
    _cleanup_(sql_cleanup) struct sql *s = NULL;

    if (sql_open(60, &s, err) < 0)
        return -1;
    _cleanup_free_ char *name = sql_quote(s, a->name);
    _cleanup_free_ char *node = sql_quote(s, run->node);
    _cleanup_free_ char *insert =
        str_fmt("INSERT IGNORE INTO muster.app VALUES (%s, %s, '%s', UTC_TIMESTAMP())", name, node,
                a->sha256);
    if (sql_exec(s, "CREATE DATABASE IF NOT EXISTS muster", err) < 0 || sql_exec(s, TABLE, err) < 0)
        return -1;
    return sql_exec(s, insert, err);
}

/* --- installation ---------------------------------------------------------------------------- */

static int install_php(const struct app *a, const char *script, struct err *err)
{
    struct proc_opts opts = {.cwd = a->root, .timeout_s = INSTALL_MAX_S};

    if (conf_uid(APP_USER, &opts.uid, err) < 0 || conf_gid(APP_USER, &opts.gid, err) < 0)
        return -1;
    return proc_run(PROC_ARGV(PHP, script), &opts, NULL, err);
}

static void form_add(struct strbuf *b, const char *text)
{
    for (; *text; text++)
        if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~", *text))
            strbuf_add(b, text, 1);
        else
            strbuf_addf(b, "%%%02X", (unsigned char)*text);
}

static int install_form(const struct app *a, struct run *run, const struct install *s,
                        struct err *err)
{
    struct strbuf body = {0};
    char note[400] = "";
    const char *key;
    json_t *value;
    int r = 0;

    json_object_foreach((json_t *)s->fields, key, value)
    {
        _cleanup_secret_ char *text = NULL;

        if (r < 0 || run_expand(run, json_string_value(value), &text, err) < 0) {
            r = -1;
            continue;
        }
        if (body.len)
            strbuf_adds(&body, "&");
        form_add(&body, key);
        strbuf_adds(&body, "=");
        form_add(&body, text);
    }
    _cleanup_free_ char *path = str_fmt("%s%s", s->form[0] == '/' ? "" : "/", s->form);
    if (r == 0)
        r = webcheck_post(webcheck_port_of(run->resources), a->site ? a->site : "", path,
                          strbuf_str(&body), s->expect, note, sizeof(note), err);
    if (note[0])
        run_emit(run, EVENT_NOTE, "%s", note);
    secret_free(body.s);
    return r;
}

static int install_run(const struct app *a, struct run *run, struct err *err)
{
    size_t i;
    json_t *item;

    if (app_config_forget(a, err) < 0)
        return -1;
    json_array_foreach(a->install, i, item)
    {
        struct install s = {0};

        if (fields_read(item, install_fields, ARRAY_LEN(install_fields), &s, err) < 0)
            return -1;
        run_progress(run, "install step %zu: %s", i + 1, s.php ? s.php : s.form);
        if ((s.php ? install_php(a, s.php, err) : install_form(a, run, &s, err)) < 0)
            return err_wrap(err, "install step %zu", i + 1);
    }
    return mark_set(a, run, err);
}

static int install_wait(const struct app *a, struct run *run, struct err *err)
{
    for (int there; (there = mark_look(a, err)) != 1;) {
        if (there < 0)
            return -1;
        if (run_superseded(run))
            return err_set(err, ERR_FAILED, "a newer plan arrived");
        run_progress(run, "waits until another node has installed %s", a->name);
        clock_pause_ms(500);
    }
    return 0;
}

/* --- the step --------------------------------------------------------------------------------- */

static int app_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    const struct app *a = self;
    const char *why = NULL;

    if (app_files_refused(a, ret))
        return 0;
    if (app_files_check(a, ret, err) < 0)
        return -1;
    if (ret->kind != VERDICT_OK)
        return 0;
    int installed = json_array_size(a->install) ? mark_look(a, err) : 1;
    if (installed < 0)
        return -1;
    if (!installed)
        return verdict_differs(ret, "%s is not installed in this cluster", a->name);
    if (app_config_each(a, run, true, false, &why, err) < 0)
        return -1;
    return why ? verdict_differs(ret, "configuration: %s", why) : 0;
}

static int app_apply(const void *self, struct run *run, struct err *err)
{
    const struct app *a = self;
    const char *why = NULL;

    if (app_files_repair(a, run, err) < 0)
        return -1;
    if (app_config_each(a, run, false, true, &why, err) < 0)
        return -1;
    int installed = json_array_size(a->install) ? mark_look(a, err) : 1;
    if (installed < 0)
        return -1;
    if (!installed && (a->installer ? install_run(a, run, err) : install_wait(a, run, err)) < 0)
        return -1;
    return app_config_each(a, run, true, true, &why, err);
}

const struct step_ops step_app = {"app", app_parse, app_check, app_apply, free, NULL};
