/* SPDX-License-Identifier: Apache-2.0 */
/* Step `php`: ini settings for the web server's PHP and the command line's, of every version that
 * is installed. */
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "agent/steps/step.h"
#include "agent/sys/conf.h"
#include "agent/sys/svc.h"
#include "common/cleanup.h"
#include "common/str.h"

#define FILE_NAME "99-muster.ini"
#define WEB_SERVICE "apache2"

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

/* Calls conf_differs or conf_write for each directory; returns how many directories there are. */
static int each_directory(const char *text, const char **ret_why, bool write, struct err *err)
{
    static const char *const patterns[] = {"/etc/php/*/apache2/conf.d", "/etc/php/*/cli/conf.d"};
    int n = 0;

    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        glob_t found = {0};

        if (glob(patterns[i], 0, NULL, &found) == 0)
            for (size_t k = 0; k < found.gl_pathc && n >= 0; k++) {
                _cleanup_free_ char *path = str_fmt("%s/" FILE_NAME, found.gl_pathv[k]);
                struct conf c = {.path = path, .content = text, .mode = 0644};

                n++;
                if (!*ret_why)
                    *ret_why = conf_differs(&c);
                if (write && conf_write(&c, NULL, err) < 0)
                    n = -1;
            }
        globfree(&found);
    }
    return n;
}

static int php_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    (void)run;
    _cleanup_free_ char *text = ini_text(self);
    const char *why = NULL;

    if (each_directory(text, &why, false, err) == 0)
        return verdict_differs(ret, "no PHP below /etc/php");
    if (why)
        return verdict_differs(ret, FILE_NAME ": %s", why);
    return svc_notify_pending(WEB_SERVICE)
               ? verdict_differs(ret, WEB_SERVICE " has not read it yet")
               : verdict_ok(ret);
}

static int php_apply(const void *self, struct run *run, struct err *err)
{
    (void)run;
    _cleanup_free_ char *text = ini_text(self);
    const char *why = NULL;

    if (svc_notify_note(WEB_SERVICE, err) < 0)
        return -1;
    int n = each_directory(text, &why, true, err);
    if (n == 0)
        return err_set(err, ERR_FAILED,
                       "no PHP below /etc/php; the plan must install libapache2-mod-php before");
    return n < 0 ? -1 : svc_notify_serve(WEB_SERVICE, err);
}

const struct step_ops step_php = {"php", php_parse, php_check, php_apply, free, NULL};
