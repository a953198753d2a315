/* SPDX-License-Identifier: Apache-2.0 */
/* Step `web`: Apache with its modules, one site, and a page that answers this node's health: 200
 * when the database here takes writes as a member of a Primary, else 503. */
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
#define SITE_LINK WEB_ETC "/sites-enabled/muster.conf"
#define SITE_DEFAULT WEB_ETC "/sites-enabled/000-default.conf"
#define CODE WEB_ETC "/conf-available/muster-code.conf"
#define CODE_LINK WEB_ETC "/conf-enabled/muster-code.conf"

struct web {
    const char *root, *health;
    const json_t *modules;
};

static const struct field fields[] = {
    FIELD(web, root, FIELD_PATH),
    FIELD(web, modules, FIELD_NAMES),
    FIELD(web, health, FIELD_PATH),
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

#define FILES 3

struct files {
    char *text[FILES];
    struct conf conf[FILES];
};

static void files_cleanup(struct files *f)
{
    for (size_t i = 0; i < FILES; i++)
        free(f->text[i]);
}

static void files_fill(const struct web *w, const struct run *run, struct files *f)
{
    static const char *const paths[FILES] = {SITE, WEB_HEALTH_PAGE, CODE};

    f->text[0] = web_site_text(w->root, w->health, WEB_HEALTH_PAGE);
    f->text[1] = web_health_text(run->node, run_has(run, "galera"));
    f->text[2] = web_code_text();
    for (size_t i = 0; i < FILES; i++)
        f->conf[i] = (struct conf){.path = paths[i], .content = f->text[i], .mode = 0644};
}

static const char *module_missing(const struct web *w)
{
    size_t i;
    json_t *m;

    json_array_foreach(w->modules, i, m)
    {
        _cleanup_free_ char *path = str_fmt(WEB_ETC "/mods-enabled/%s.load", json_string_value(m));

        if (!fs_exists(path))
            return json_string_value(m);
    }
    return NULL;
}

static int web_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    const struct web *w = self;
    _cleanup_(files_cleanup) struct files f = {0};
    struct svc_state st;

    files_fill(w, run, &f);
    for (size_t i = 0; i < ARRAY_LEN(f.conf); i++) {
        const char *why = conf_differs(&f.conf[i]);

        if (why)
            return verdict_differs(ret, "%s: %s", f.conf[i].path, why);
    }
    const char *module = module_missing(w);
    if (module)
        return verdict_differs(ret, "module %s is not enabled", module);
    const char *php = web_php_missing(WEB_ETC);
    if (php)
        return verdict_differs(ret, "PHP is not active in Apache: %s", php);
    if (!fs_exists(SITE_LINK) || fs_exists(SITE_DEFAULT))
        return verdict_differs(ret, "the site is not enabled");
    if (!fs_exists(CODE_LINK))
        return verdict_differs(ret, CODE_LINK " is missing");
    if (svc_look_soon(SERVICE, &st, err) < 0)
        return -1;
    if (!st.active || !st.enabled)
        return verdict_differs(ret, SERVICE " %s",
                               st.active ? "does not start at boot" : "does not run");
    if (svc_notify_pending(SERVICE))
        return verdict_differs(ret, SERVICE " has not read its files yet");
    /* By its files it is; the server that runs may have read others. */
    return webcheck_status(w->health) == WEBCHECK_NO_PHP
               ? verdict_differs(ret,
                                 "PHP is not active in Apache: it does not run the health page")
               : verdict_ok(ret);
}

static int site_enable(struct err *err)
{
    if (symlink("../sites-available/muster.conf", SITE_LINK) < 0 && errno != EEXIST)
        return err_errno(err, errno, "link " SITE_LINK);
    if (symlink("../conf-available/muster-code.conf", CODE_LINK) < 0 && errno != EEXIST)
        return err_errno(err, errno, "link " CODE_LINK);
    if (unlink(SITE_DEFAULT) < 0 && errno != ENOENT)
        return err_errno(err, errno, "remove " SITE_DEFAULT);
    return 0;
}

static int web_apply(const void *self, struct run *run, struct err *err)
{
    const struct web *w = self;
    _cleanup_(files_cleanup) struct files f = {0};
    struct svc_state st;
    size_t i;
    json_t *m;

    files_fill(w, run, &f);
    if (svc_notify_note(SERVICE, err) < 0)
        return -1;
    for (i = 0; i < ARRAY_LEN(f.conf); i++)
        if (conf_write(&f.conf[i], NULL, err) < 0)
            return -1;
    json_array_foreach(w->modules, i, m)
    {
        if (proc_call(PROC_ARGV(A2ENMOD, "-q", json_string_value(m)), err) < 0)
            return -1;
    }
    if (web_php_missing(WEB_ETC) && web_php_enable(err) < 0)
        return -1;
    if (site_enable(err) < 0 || svc_look(SERVICE, &st, err) < 0)
        return -1;
    if (!st.enabled && svc_do("enable", SERVICE, err) < 0)
        return -1;
    /* A module that was just enabled needs a restart; reload-or-restart does not do that. */
    if (svc_do(st.active ? "restart" : "start", SERVICE, err) < 0)
        return -1;
    return svc_notify_drop(SERVICE, err);
}

const struct step_ops step_web = {"web", web_parse, web_check, web_apply, free, web_unit};
