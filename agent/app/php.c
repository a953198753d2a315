/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/app/php.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>

#include "agent/sys/svc.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/proc.h"
#include "common/str.h"

#define PHPENMOD "/usr/sbin/phpenmod"
#define ETC "/etc/php/"

struct module {
    const char *version, *sapi, *name;
    bool web;
};

/* Not 0: it ends here, with that. */
typedef int one_module(const struct module *m, void *ctx, struct err *err);

/* Of one version: what the package brought is in /usr/share/phpVERSION-STEM. */
static int each_of(const char *version, const char *stem, one_module *one, void *ctx,
                   struct err *err)
{
    static const char *const sapis[] = {"apache2", "cli"};
    _cleanup_free_ char *pattern = str_fmt("/usr/share/php%s-%s/*/*.ini", version, stem);
    glob_t found = {0};
    int r = 0;

    if (glob(pattern, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++)
            for (size_t k = 0; k < ARRAY_LEN(sapis) && r == 0; k++) {
                const char *base = strrchr(found.gl_pathv[i], '/') + 1;
                _cleanup_free_ char *name = strndup(base, strlen(base) - strlen(".ini"));
                _cleanup_free_ char *dir = str_fmt(ETC "%s/%s/conf.d", version, sapis[k]);
                struct module m = {version, sapis[k], name, k == 0};

                r = fs_exists(dir) ? one(&m, ctx, err) : 0;
            }
    globfree(&found);
    return r;
}

static int each_version(const char *stem, one_module *one, void *ctx, struct err *err)
{
    glob_t found = {0};
    int r = 0;

    if (glob(ETC "[0-9]*", 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc && r == 0; i++)
            r = each_of(found.gl_pathv[i] + strlen(ETC), stem, one, ctx, err);
    globfree(&found);
    return r;
}

static int each(const json_t *resources, one_module *one, void *ctx, struct err *err)
{
    size_t i, k;
    json_t *step, *package;
    int r = each_version("common", one, ctx, err);

    json_array_foreach((json_t *)resources, i, step)
    {
        if (strcmp(js_opt_str(step, "type", ""), "package") != 0)
            continue;
        json_array_foreach(json_object_get(step, "names"), k, package)
        {
            const char *name = json_string_value(package);

            if (r == 0 && str_starts(name, "php-"))
                r = each_version(name + strlen("php-"), one, ctx, err);
        }
    }
    return r;
}

/* Its link, with a number in front; the caller frees. NULL: none, or one that leads nowhere. */
static char *link_of(const struct module *m)
{
    _cleanup_free_ char *pattern =
        str_fmt(ETC "%s/%s/conf.d/[0-9][0-9]-%s.ini", m->version, m->sapi, m->name);
    glob_t found = {0};
    char *path = NULL;

    if (glob(pattern, 0, NULL, &found) == 0 && fs_exists(found.gl_pathv[0]))
        path = xstrdup(found.gl_pathv[0]);
    globfree(&found);
    return path;
}

struct text {
    char *s;
    size_t cap;
};

static int find_off(const struct module *m, void *ctx, struct err *err)
{
    (void)err;
    struct text *t = ctx;
    _cleanup_free_ char *path = link_of(m);

    if (!path)
        snprintf(t->s, t->cap, "%s (%s)", m->name, m->sapi);
    return !path;
}

bool php_modules_off(const json_t *resources, char *ret, size_t cap)
{
    struct text t = {ret, cap};
    struct err none;

    return each(resources, find_off, &t, &none) == 1;
}

static int find_newer(const struct module *m, void *ctx, struct err *err)
{
    (void)err;
    _cleanup_free_ char *path = m->web ? link_of(m) : NULL;

    return path && svc_changed_after(path, *(const int64_t *)ctx);
}

const char *php_modules_newer(const json_t *resources, int64_t loaded)
{
    struct err none;

    return each(resources, find_newer, &loaded, &none) == 1 ? "a module of PHP" : NULL;
}

static int enable(const struct module *m, void *ctx, struct err *err)
{
    (void)ctx;
    _cleanup_free_ char *path = link_of(m);

    if (path)
        return 0;
    if ((m->web && svc_notify_note(WEB_SERVICE, err) < 0))
        return -1;
    return proc_call(PROC_ARGV(PHPENMOD, "-v", m->version, "-s", m->sapi, m->name), err);
}

int php_modules_enable(const json_t *resources, struct err *err)
{
    return each(resources, enable, NULL, err);
}
