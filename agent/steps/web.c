/* SPDX-License-Identifier: Apache-2.0 */
/* Step `web`: Apache with its modules and PHP, and one site. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/app/web.h"
#include "agent/frontdoor/frontdoor.h"
#include "agent/ipc/paths.h"
#include "agent/steps/step.h"
#include "agent/sys/conf.h"
#include "agent/sys/svc.h"
#include "agent/sys/webcheck.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/ipv4.h"
#include "common/proc.h"
#include "common/str.h"

#define SERVICE "apache2"
#define A2ENMOD "/usr/sbin/a2enmod"
#define SITE WEB_ETC "/sites-available/muster.conf"
#define SITE_DEFAULT WEB_ETC "/sites-enabled/000-default.conf"
#define CODE WEB_ETC "/conf-available/muster-code.conf"
#define PORTS WEB_ETC "/ports.conf"
#define PEERS WEB_ETC "/conf-available/muster-peers.conf"
#define PEERS_LINK WEB_ETC "/conf-enabled/muster-peers.conf"
#define PORTS_MAX 65536

struct web {
    const char *root, *site, *page, *expect; /* the last three are the supervisor's */
    const json_t *modules;
    const json_t *proxies; /* NULL: there is no front door */
    const json_t *peers;   /* NULL: none are asked for files */
    struct web_peers with; /* `peers` */
};

static const struct field fields[] = {
    FIELD(web, root, FIELD_PATH),        FIELD(web, modules, FIELD_NAMES),
    FIELD(web, site, FIELD_TEXT),        FIELD_OPT(web, page, FIELD_STR),
    FIELD_OPT(web, expect, FIELD_TEXT),  FIELD_OPT(web, proxies, FIELD_STRS),
    FIELD_OPT(web, peers, FIELD_OBJECT),
};

static int web_parse(const json_t *spec, void **ret, struct err *err)
{
    struct web *w = NULL;
    uint32_t ignored;
    size_t i;
    json_t *p;

    if (fields_parse(spec, fields, ARRAY_LEN(fields), sizeof(*w), (void **)&w, err) < 0)
        return -1;
    json_array_foreach(w->proxies, i, p)
    {
        if (ipv4_parse(json_string_value(p), &ignored) == 0)
            continue;
        free(w);
        return err_set(err, ERR_USAGE, "proxies: expected addresses such as 10.10.1.10");
    }
    if (w->peers && web_peers_read(w->peers, &w->with, err) < 0) {
        free(w);
        return -1;
    }
    *ret = w;
    return 0;
}

static const char *web_unit(const void *self, size_t i)
{
    (void)self;
    return i == 0 ? SERVICE : NULL;
}

/* In the order in which they are written: what names a file is after it. */
enum { OF_PEM, OF_CERTS, OF_PEERS, OF_CODE, OF_PORTS, OF_SITE, FILES };

static const struct {
    const char *path;
    mode_t mode;
} paths[FILES] = {
    [OF_PEM] = {WEB_PEERS_PEM, 0600}, [OF_CERTS] = {WEB_PEERS_CERTS, 0644},
    [OF_PEERS] = {PEERS, 0644},       [OF_CODE] = {CODE, 0644},
    [OF_PORTS] = {PORTS, 0644},       [OF_SITE] = {SITE, 0644},
};

/* What there is not to be without peers, in the order in which it goes. */
static const char *const of_peers[] = {PEERS_LINK, PEERS, WEB_PEERS_PEM, WEB_PEERS_CERTS};

struct files {
    char *text[FILES]; /* NULL: not this step's */
    struct conf conf[FILES];
};

/* The ports are Debian's own until there is a front door for the first time. */
static bool owns_ports(const struct web *w)
{
    _cleanup_free_ char *text = NULL;
    struct err ignored;

    return w->proxies ||
           (fs_read(PORTS, PORTS_MAX, &text, NULL, &ignored) == 0 && str_starts(text, WEB_MARK));
}

/* The front door of an earlier plan has the port of this site. */
static bool door_left(const struct web *w)
{
    return !w->proxies && frontdoor_exists();
}

static void files_cleanup(struct files *f)
{
    for (size_t i = 0; i < FILES; i++)
        secret_free(f->text[i]);
}

static int peers_fill(const struct web *w, const struct run *run, struct files *f, struct err *err)
{
    _cleanup_secret_ char *key = NULL;

    if (run_expand(run, w->with.key, &key, err) < 0)
        return -1;
    f->text[OF_PEM] = str_fmt("%s\n%s", w->with.cert, key);
    f->text[OF_CERTS] = xstrdup(w->with.certs);
    f->text[OF_PEERS] = web_peers_text(w->root, &w->with);
    return 0;
}

static int files_fill(const struct web *w, const struct run *run, struct files *f, struct err *err)
{
    if (w->peers && peers_fill(w, run, f, err) < 0)
        return -1;
    f->text[OF_SITE] = web_site_text(w->root, w->site, w->proxies, w->peers ? &w->with : NULL);
    f->text[OF_CODE] = web_code_text();
    if (owns_ports(w))
        f->text[OF_PORTS] = web_ports_text(w->proxies);
    for (size_t i = 0; i < FILES; i++)
        f->conf[i] =
            (struct conf){.path = paths[i].path, .content = f->text[i], .mode = paths[i].mode};
    return 0;
}

static const struct {
    const char *path, *target;
    bool peers; /* only with them */
} links[] = {
    {PEERS_LINK, "../conf-available/muster-peers.conf", true},
    {WEB_ETC "/conf-enabled/muster-code.conf", "../conf-available/muster-code.conf", false},
    {WEB_ETC "/sites-enabled/muster.conf", "../sites-available/muster.conf", false},
};

static bool has_link(const struct web *w, size_t i)
{
    return w->peers || !links[i].peers;
}

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
static const char *not_read(const struct web *w, const struct files *f, int64_t loaded)
{
    for (size_t i = 0; i < FILES; i++)
        if (f->text[i] && svc_changed_after(paths[i].path, loaded))
            return paths[i].path;
    for (size_t i = 0; i < ARRAY_LEN(links); i++)
        if (has_link(w, i) && svc_changed_after(links[i].path, loaded))
            return links[i].path;
    return each_module(w, module_newer, &loaded) ? "a module's link" : web_php_newer(loaded);
}

/* Of an earlier plan, or NULL. */
static const char *peers_left(const struct web *w)
{
    for (size_t i = 0; !w->peers && i < ARRAY_LEN(of_peers); i++)
        if (fs_exists(of_peers[i]))
            return of_peers[i];
    return NULL;
}

static int files_differ(const struct web *w, const struct files *f, struct verdict *ret)
{
    if (door_left(w))
        return verdict_differs(ret, FRONTDOOR_CONF ": there is no front door any more");
    for (size_t i = 0; i < FILES; i++) {
        const char *why = f->text[i] ? conf_differs(&f->conf[i]) : NULL;

        if (why)
            return verdict_differs(ret, "%s: %s", f->conf[i].path, why);
    }
    const char *left = peers_left(w);
    if (left)
        return verdict_differs(ret, "%s: files are not asked for at peers any more", left);
    const char *module = each_module(w, module_off, NULL);
    if (module)
        return verdict_differs(ret, "module %s is not enabled", module);
    const char *php = web_php_missing(WEB_ETC);
    if (php)
        return verdict_differs(ret, "PHP is not active in Apache: %s", php);
    for (size_t i = 0; i < ARRAY_LEN(links); i++)
        if (has_link(w, i) && !conf_linked(links[i].path, links[i].target))
            return verdict_differs(ret, "%s does not lead to %s", links[i].path, links[i].target);
    return fs_exists(SITE_DEFAULT) ? verdict_differs(ret, SITE_DEFAULT " is enabled")
                                   : verdict_ok(ret);
}

static int web_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    const struct web *w = self;
    _cleanup_(files_cleanup) struct files f = {0};
    struct svc_state st;

    if (files_fill(w, run, &f, err) < 0)
        return -1;
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
    const char *newer = not_read(w, &f, st.changed);
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

/* Its configuration goes last: who is ended before that begins again. */
static int door_remove(struct err *err)
{
    static const char *const gone[] = {FRONTDOOR_PEM, FRONTDOOR_CONF};
    struct svc_state st;

    if (svc_status(FRONTDOOR_SERVICE, &st, err) < 0 ||
        (st.exists && (svc_do("stop", FRONTDOOR_SERVICE, err) < 0 ||
                       svc_do("disable", FRONTDOOR_SERVICE, err) < 0)))
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(gone); i++)
        if (unlink(gone[i]) < 0 && errno != ENOENT)
            return err_errno(err, errno, "remove %s", gone[i]);
    return 0;
}

/* The site names what the link of the peers enables. */
static int site_enable(const struct web *w, const struct files *f, struct err *err)
{
    for (size_t i = 0; i < FILES; i++)
        if (f->text[i] && conf_write(&f->conf[i], NULL, err) < 0)
            return -1;
    for (size_t i = 0; i < ARRAY_LEN(links); i++)
        if (has_link(w, i) && conf_link(links[i].path, links[i].target, err) < 0)
            return -1;
    for (size_t i = 0; !w->peers && i < ARRAY_LEN(of_peers); i++)
        if (unlink(of_peers[i]) < 0 && errno != ENOENT)
            return err_errno(err, errno, "remove %s", of_peers[i]);
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

    if (files_fill(w, run, &f, err) < 0)
        return -1;
    files_differ(w, &f, &files);
    if (svc_status(SERVICE, &st, err) < 0)
        return -1;
    if ((files.kind != VERDICT_OK || not_read(w, &f, st.changed)) &&
        svc_notify_note(SERVICE, err) < 0)
        return -1;
    if (door_left(w) && door_remove(err) < 0)
        return -1;
    if (modules_enable(w, &modules, err) < 0 || site_enable(w, &f, err) < 0 ||
        serve(modules, err) < 0)
        return -1;
    return svc_notify_drop(SERVICE, err);
}

const struct step_ops step_web = {"web", web_parse, web_check, web_apply, free, web_unit};
