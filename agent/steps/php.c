/* SPDX-License-Identifier: Apache-2.0 */
/* Step `php`: ini settings for the web server's PHP and the command line's, of every version that
 * is installed. */
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "agent/app/php.h"
#include "agent/steps/step.h"
#include "agent/sys/conf.h"
#include "agent/sys/svc.h"
#include "common/cleanup.h"
#include "common/str.h"

#define FILE_NAME "99-muster.ini"

struct php {
    const json_t *settings;
};

static const struct field fields[] = {FIELD(php, settings, FIELD_OBJECT)};

static bool scalar(const json_t *v)
{
    const char *s = json_string_value(v);

    return json_is_boolean(v) || json_is_number(v) || (s && !strpbrk(s, "\"\n\r"));
}

static int php_parse(const json_t *spec, void **ret, struct err *err)
{
    void *obj = NULL;
    const char *key;
    json_t *value;

    if (fields_parse(spec, fields, ARRAY_LEN(fields), sizeof(struct php), &obj, err) < 0)
        return -1;
    json_object_foreach((json_t *)((struct php *)obj)->settings, key, value)
    {
        if (scalar(value) && !strpbrk(key, "=\n\r[];\" "))
            continue;
        free(obj);
        return err_set(err, ERR_USAGE, "setting '%.64s' must be a plain name with a plain value",
                       key);
    }
    *ret = obj;
    return 0;
}

static char *ini_text(const struct php *p)
{
    struct strbuf b = {0};
    const char *key;
    json_t *v;

    strbuf_adds(&b, "; written by muster-agent\n");
    json_object_foreach((json_t *)p->settings, key, v)
    {
        _cleanup_free_ char *text = json_dumps(v, JSON_ENCODE_ANY);
        const char *value = json_is_boolean(v)  ? (json_is_true(v) ? "On" : "Off")
                            : json_is_string(v) ? json_string_value(v)
                                                : text;

        strbuf_addf(&b, "%s = \"%s\"\n", key, value);
    }
    return b.s;
}

static const char *php_unit(const void *self, size_t i)
{
    (void)self;
    return i == 0 ? WEB_SERVICE : NULL;
}

/* One file of ours; `web`: the web server reads it. Not 0: it ends here. */
typedef int one_file(const struct conf *c, bool web, void *ctx, struct err *err);

/* -1, or the number of directories. */
static int each_directory(const char *text, one_file *one, void *ctx, struct err *err)
{
    static const char *const patterns[] = {"/etc/php/*/apache2/conf.d", "/etc/php/*/cli/conf.d"};
    int n = 0;

    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        glob_t found = {0};

        if (glob(patterns[i], 0, NULL, &found) == 0)
            for (size_t k = 0; k < found.gl_pathc && n >= 0; k++) {
                _cleanup_free_ char *path = str_fmt("%s/" FILE_NAME, found.gl_pathv[k]);
                struct conf c = {.path = path, .content = text, .mode = 0644};

                n = one(&c, i == 0, ctx, err) < 0 ? -1 : n + 1;
            }
        globfree(&found);
    }
    return n;
}

struct seen {
    int64_t loaded;        /* when the web server read its files last; 0: it does not run */
    const char *why, *web; /* the first that differs; of those that the web server reads */
    const char *newer;
};

static int look(const struct conf *c, bool web, void *ctx, struct err *err)
{
    (void)err;
    struct seen *s = ctx;
    const char *why = conf_differs(c);

    if (!s->why)
        s->why = why;
    if (web && !s->web)
        s->web = why;
    if (web && svc_changed_after(c->path, s->loaded))
        s->newer = FILE_NAME;
    return 0;
}

static int put(const struct conf *c, bool web, void *ctx, struct err *err)
{
    (void)web, (void)ctx;
    return conf_write(c, NULL, err);
}

static int see(const char *text, struct seen *ret, struct err *err)
{
    struct svc_state st;

    if (svc_status_soon(WEB_SERVICE, &st, err) < 0)
        return -1;
    *ret = (struct seen){.loaded = st.active ? st.changed : 0};
    return each_directory(text, look, ret, err);
}

static int php_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    _cleanup_free_ char *text = ini_text(self);
    char module[96];
    struct seen seen;
    int n = see(text, &seen, err);

    if (n < 0)
        return -1;
    if (n == 0)
        return verdict_differs(ret, "no PHP below /etc/php");
    if (seen.why)
        return verdict_differs(ret, FILE_NAME ": %s", seen.why);
    if (php_modules_off(run->resources, module, sizeof(module)))
        return verdict_differs(ret, "module %s is not enabled", module);
    if (!seen.newer)
        seen.newer = php_modules_newer(run->resources, seen.loaded);
    if (!seen.newer && svc_notify_pending(WEB_SERVICE))
        seen.newer = FILE_NAME;
    return seen.newer ? verdict_differs(ret, WEB_SERVICE " has not read %s yet", seen.newer)
                      : verdict_ok(ret);
}

/* The web server reads again only what it reads at all. */
static int php_apply(const void *self, struct run *run, struct err *err)
{
    _cleanup_free_ char *text = ini_text(self);
    struct seen seen;
    bool web = false;
    int n = see(text, &seen, err);

    if (n < 0)
        return -1;
    if (n == 0)
        return err_set(err, ERR_FAILED,
                       "no PHP below /etc/php; the plan must install libapache2-mod-php before");
    web = seen.web || seen.newer || php_modules_newer(run->resources, seen.loaded);
    if ((web && svc_notify_note(WEB_SERVICE, err) < 0) ||
        each_directory(text, put, NULL, err) < 0 || php_modules_enable(run->resources, err) < 0)
        return -1;
    return svc_notify_serve(WEB_SERVICE, err);
}

const struct step_ops step_php = {"php", php_parse, php_check, php_apply, free, php_unit};
