/* SPDX-License-Identifier: Apache-2.0 */
/* Step `web`: Apache with its modules and PHP, and one site. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/app/web.h"
#include "agent/ipc/paths.h"
#include "agent/steps/step.h"
#include "agent/sys/conf.h"
#include "agent/sys/svc.h"
#include "agent/sys/webcheck.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"

#define SERVICE "apache2"
#define A2ENMOD "/usr/sbin/a2enmod"
#define SITE WEB_ETC "/sites-available/muster.conf"
#define SITE_DEFAULT WEB_ETC "/sites-enabled/000-default.conf"
#define CODE WEB_ETC "/conf-available/muster-code.conf"

struct web {
    const char *root, *site, *page, *expect; /* the last three are the supervisor's */
    const json_t *modules;
};

static const struct field fields[] = {
    FIELD(web, root, FIELD_PATH),       FIELD(web, modules, FIELD_NAMES),
    FIELD(web, site, FIELD_TEXT),       FIELD_OPT(web, page, FIELD_STR),
    FIELD_OPT(web, expect, FIELD_TEXT),
};

static int web_parse(const json_t *spec, void **ret, struct err *err)
{
    return fields_parse(spec, fields, ARRAY_LEN(fields), sizeof(struct web), ret, err);
}

static const char *web_unit(const void *self, size_t i)
{
    (void)self;
    return i == 0 ? SERVICE : NULL;
}

#define FILES 2

struct files {
    char *text[FILES];
    struct conf conf[FILES];
};

static void files_cleanup(struct files *f)
{
    for (size_t i = 0; i < FILES; i++)
        free(f->text[i]);
}

static void files_fill(const struct web *w, struct files *f)
{
    static const char *const paths[FILES] = {SITE, CODE};

    f->text[0] = web_site_text(w->root);
    f->text[1] = web_code_text();
    for (size_t i = 0; i < FILES; i++)
        f->conf[i] = (struct conf){.path = paths[i], .content = f->text[i], .mode = 0644};
}

static const struct {
    const char *path, *target;
} links[] = {
    {WEB_ETC "/sites-enabled/muster.conf", "../sites-available/muster.conf"},
    {WEB_ETC "/conf-enabled/muster-code.conf", "../conf-available/muster-code.conf"},
};

/* Calls `one` for the link of each module until it says true: the module's name, or NULL. */
static const char *each_module(const struct web *w,
                               bool (*one)(const char *path, const char *target, void *ctx),
                               void *ctx)
{
    size_t i;
    json_t *m;

    json_array_foreach(w->modules, i, m)
    {
        const char *name = json_string_value(m);
        _cleanup_free_ char *path = str_fmt(WEB_ETC "/mods-enabled/%s.load", name);
        _cleanup_free_ char *target = str_fmt("../mods-available/%s.load", name);

        if (one(path, target, ctx))
            return name;
    }
    return NULL;
}

static bool module_off(const char *path, const char *target, void *ctx)
{
    (void)ctx;
    return !conf_linked(path, target) || !fs_exists(path);
}

static bool module_newer(const char *path, const char *target, void *ctx)
{
    (void)target;
    return svc_changed_after(path, *(const int64_t *)ctx);
}

/* What the server that runs has not read: a literal, or NULL. */
static const char *not_read(const struct web *w, int64_t loaded)
{
    static const char *const read[] = {SITE, CODE};

    for (size_t i = 0; i < ARRAY_LEN(read); i++)
        if (svc_changed_after(read[i], loaded))
            return read[i];
    for (size_t i = 0; i < ARRAY_LEN(links); i++)
        if (svc_changed_after(links[i].path, loaded))
            return links[i].path;
    return each_module(w, module_newer, &loaded) ? "a module's link" : web_php_newer(loaded);
}

static int files_differ(const struct web *w, const struct files *f, struct verdict *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(f->conf); i++) {
        const char *why = conf_differs(&f->conf[i]);

        if (why)
            return verdict_differs(ret, "%s: %s", f->conf[i].path, why);
    }
    const char *module = each_module(w, module_off, NULL);
    if (module)
        return verdict_differs(ret, "module %s is not enabled", module);
    const char *php = web_php_missing(WEB_ETC);
    if (php)
        return verdict_differs(ret, "PHP is not active in Apache: %s", php);
    for (size_t i = 0; i < ARRAY_LEN(links); i++)
        if (!conf_linked(links[i].path, links[i].target))
            return verdict_differs(ret, "%s does not lead to %s", links[i].path, links[i].target);
    return fs_exists(SITE_DEFAULT) ? verdict_differs(ret, SITE_DEFAULT " is enabled")
                                   : verdict_ok(ret);
}

static int web_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    const struct web *w = self;
    _cleanup_(files_cleanup) struct files f = {0};
    struct svc_state st;

    (void)run;
    files_fill(w, &f);
    files_differ(w, &f, ret);
    if (ret->kind != VERDICT_OK)
        return 0;
    if (svc_status_soon(SERVICE, &st, err) < 0)
        return -1;
    if (st.masked || !st.active || !st.enabled)
        return verdict_differs(ret, SERVICE " %s",
                               st.masked   ? "is masked: nothing can start it"
                               : st.active ? "does not start at boot"
                                           : "does not run");
    const char *newer = not_read(w, st.changed);
    if (svc_notify_pending(SERVICE) || newer)
        return verdict_differs(ret, SERVICE " has not read %s yet", newer ? newer : "its files");
    /* By its files it is; the server that runs may have read others. */
    return webcheck_php(WEBCHECK_PID_FILE) == 0
               ? verdict_differs(ret, "PHP is not active in Apache: the server that runs has not "
                                      "loaded it")
               : verdict_ok(ret);
}

/* Enables what is not; *ret_changed: something was. */
static int modules_enable(const struct web *w, bool *ret_changed, struct err *err)
{
    for (const char *name; (name = each_module(w, module_off, NULL));) {
        _cleanup_free_ char *path = str_fmt(WEB_ETC "/mods-enabled/%s.load", name);
        _cleanup_free_ char *target = str_fmt("../mods-available/%s.load", name);

        *ret_changed = true;
        if (unlink(path) < 0 && errno != ENOENT)
            return err_errno(err, errno, "remove %s", path);
        if (proc_call(PROC_ARGV(A2ENMOD, "-q", name), err) < 0)
            return -1;
        if (module_off(path, target, NULL))
            return err_set(err, ERR_FAILED, A2ENMOD " did not make %s", path);
    }
    if (!web_php_missing(WEB_ETC))
        return 0;
    *ret_changed = true;
    return web_php_enable(err);
}

static int site_enable(struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(links); i++)
        if (conf_link(links[i].path, links[i].target, err) < 0)
            return -1;
    if (unlink(SITE_DEFAULT) < 0 && errno != ENOENT)
        return err_errno(err, errno, "remove " SITE_DEFAULT);
    return 0;
}

/* A module that was just enabled, or PHP that is not at work, needs a restart; the site's files a
 * reload; what only systemd keeps, neither. */
static int serve(bool modules, struct err *err)
{
    struct svc_state st;

    if (svc_status_boot(SERVICE, &st, err) < 0 ||
        (st.masked && svc_do("unmask", SERVICE, err) < 0) ||
        ((!st.enabled || st.masked) && svc_do("enable", SERVICE, err) < 0))
        return -1;
    if (!st.active || modules || webcheck_php(WEBCHECK_PID_FILE) == 0)
        return svc_do(st.active ? "restart" : "start", SERVICE, err);
    return svc_notify_serve(SERVICE, err);
}

static int web_apply(const void *self, struct run *run, struct err *err)
{
    const struct web *w = self;
    _cleanup_(files_cleanup) struct files f = {0};
    struct verdict files;
    struct svc_state st;
    bool modules = svc_notify_pending(SERVICE); /* who was ended before may have enabled some */

    (void)run;
    files_fill(w, &f);
    files_differ(w, &f, &files);
    if (svc_status(SERVICE, &st, err) < 0)
        return -1;
    if ((files.kind != VERDICT_OK || not_read(w, st.changed)) && svc_notify_note(SERVICE, err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(f.conf); i++)
        if (conf_write(&f.conf[i], NULL, err) < 0)
            return -1;
    if (modules_enable(w, &modules, err) < 0 || site_enable(err) < 0 || serve(modules, err) < 0)
        return -1;
    return svc_notify_drop(SERVICE, err);
}

const struct step_ops step_web = {"web", web_parse, web_check, web_apply, free, web_unit};
