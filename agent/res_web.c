/* SPDX-License-Identifier: Apache-2.0 */
/* Step `web`: Apache with its modules, one site, and a page that answers this node's health: 200
 * when the database here is Synced in a Primary, else 503. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/conf.h"
#include "agent/paths.h"
#include "agent/plan.h"
#include "agent/resource.h"
#include "agent/svc.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"

#define SERVICE "apache2"
#define A2ENMOD "/usr/sbin/a2enmod"
#define SITE "/etc/apache2/sites-available/muster.conf"
#define SITE_LINK "/etc/apache2/sites-enabled/muster.conf"
#define SITE_DEFAULT "/etc/apache2/sites-enabled/000-default.conf"
#define HEALTH_DIR "/var/www/muster-health"
#define HEALTH_PAGE HEALTH_DIR "/health.php"

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
    svc_expect(SERVICE);
    return fields_parse(spec, fields, ARRAY_LEN(fields), sizeof(struct web), ret, err);
}

static char *site_text(const struct web *w)
{
    return str_fmt("# written by muster-agent\n"
                   "<VirtualHost *:80>\n"
                   "    DocumentRoot %s\n"
                   "    ErrorLog ${APACHE_LOG_DIR}/error.log\n"
                   "    CustomLog ${APACHE_LOG_DIR}/access.log combined\n"
                   "    <Directory %s>\n"
                   "        Options FollowSymLinks\n"
                   "        AllowOverride All\n"
                   "        Require all granted\n"
                   "    </Directory>\n"
                   "    Alias %s " HEALTH_PAGE "\n"
                   "    <Directory " HEALTH_DIR ">\n"
                   "        AllowOverride None\n"
                   "        Require all granted\n"
                   "    </Directory>\n"
                   "</VirtualHost>\n",
                   w->root, w->root, w->health);
}

static char *health_text(const struct run *run)
{
    static const char with_db[] =
        "mysqli_report(MYSQLI_REPORT_OFF);\n"
        "$m = @new mysqli('localhost', 'www-data');\n"
        "$s = [];\n"
        "if (!$m->connect_errno && ($r = $m->query(\"SHOW GLOBAL STATUS LIKE 'wsrep_%'\"))) \n"
        "    while ($row = $r->fetch_row()) $s[$row[0]] = $row[1];\n"
        "$db = $s['wsrep_local_state_comment'] ?? 'Stopped';\n"
        "$size = (int)($s['wsrep_cluster_size'] ?? 0);\n"
        "$ok = $db === 'Synced' && ($s['wsrep_cluster_status'] ?? '') === 'Primary';\n";
    bool db = plan_find(run->plan, "galera") != NULL;
    struct strbuf b = {0};
    strbuf_adds(&b, "<?php /* written by muster-agent */\n");
    if (db)
        strbuf_adds(&b, with_db);
    else
        strbuf_adds(&b, "$db = null; $size = 0; $ok = true;\n");
    strbuf_adds(&b, "$agent = json_decode(@file_get_contents('" PATH_STATUS "') ?: '{}', true);\n");
    strbuf_addf(&b,
                "http_response_code($ok ? 200 : 503);\n"
                "header('Content-Type: application/json');\n"
                "header('Cache-Control: no-store');\n"
                "echo json_encode(['node' => '%s', 'db' => $db, 'cluster_size' => $size,\n"
                "    'drift' => $agent['drift'] ?? []]), \"\\n\";\n",
                run->plan->node);
    return b.s;
}

struct files {
    char *text[2];
    struct conf conf[2];
};

static void files_cleanup(struct files *f)
{
    free(f->text[0]);
    free(f->text[1]);
}

static void files_fill(const struct web *w, const struct run *run, struct files *f)
{
    f->text[0] = site_text(w);
    f->text[1] = health_text(run);
    f->conf[0] = (struct conf){.path = SITE, .content = f->text[0], .mode = 0644};
    f->conf[1] = (struct conf){.path = HEALTH_PAGE, .content = f->text[1], .mode = 0644};
}

static const char *module_missing(const struct web *w)
{
    size_t i;
    json_t *m;
    json_array_foreach(w->modules, i, m)
    {
        _cleanup_free_ char *path =
            str_fmt("/etc/apache2/mods-enabled/%s.load", json_string_value(m));
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
    if (!fs_exists(SITE_LINK) || fs_exists(SITE_DEFAULT))
        return verdict_differs(ret, "the site is not enabled");
    if (svc_look_soon(SERVICE, &st, err) < 0)
        return -1;
    if (!st.active || !st.enabled)
        return verdict_differs(ret, SERVICE " %s",
                               st.active ? "does not start at boot" : "does not run");
    return svc_notify_pending(SERVICE) ? verdict_differs(ret, SERVICE " has not read its files yet")
                                       : verdict_ok(ret);
}

static int site_enable(struct err *err)
{
    if (symlink("../sites-available/muster.conf", SITE_LINK) < 0 && errno != EEXIST)
        return err_errno(err, errno, "link " SITE_LINK);
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
    if (site_enable(err) < 0 || svc_look(SERVICE, &st, err) < 0)
        return -1;
    if (!st.enabled && svc_do("enable", SERVICE, err) < 0)
        return -1;
    /* A module that was just enabled needs a restart; reload-or-restart does not do that. */
    if (svc_do(st.active ? "restart" : "start", SERVICE, err) < 0)
        return -1;
    return svc_notify_drop(SERVICE, err);
}

const struct resource_ops res_web = {"web", web_parse, web_check, web_apply, free};
