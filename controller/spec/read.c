/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/spec/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"

static void add_problem(struct reading *r, const char *path, const char *fmt, va_list ap)
{
    struct spec_problems *p = r->problems;
    char msg[512];
    unsigned line, column;

    vsnprintf(msg, sizeof(msg), fmt, ap);
    yaml_doc_where(r->doc, path, &line, &column);
    strbuf_addf(&p->text, "%s:%u:%u: %s%s%s\n", r->name, line, column, path, *path ? ": " : "",
                msg);
    p->count++;
}

void problem(struct reading *r, const char *path, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add_problem(r, path, fmt, ap);
    va_end(ap);
}

void problem_at(struct reading *r, const char *path, const char *key, const char *fmt, ...)
{
    _cleanup_free_ char *inner = *path ? str_fmt("%s.%s", path, key) : xstrdup(key);
    va_list ap;

    va_start(ap, fmt);
    add_problem(r, inner, fmt, ap);
    va_end(ap);
}

static const char *nearest(const char *key, const char *const keys[])
{
    const char *best = NULL;
    size_t best_distance = 3;

    for (; *keys; keys++) {
        size_t d = str_distance(key, *keys);

        if (d < best_distance) {
            best = *keys;
            best_distance = d;
        }
    }
    return best;
}

bool read_known(struct reading *r, const char *path, const json_t *v, const char *const keys[])
{
    const char *key;
    json_t *val;

    if (!json_is_object(v)) {
        problem(r, path, "expected a mapping with %s%s%s%s", keys[0], keys[1] ? ", " : "",
                keys[1] ? keys[1] : "", keys[1] && keys[2] ? ", …" : "");
        return false;
    }
    json_object_foreach((json_t *)v, key, val)
    {
        bool known = false;
        const char *near;

        for (size_t i = 0; keys[i]; i++)
            known = known || str_eq(key, keys[i]);
        if (known)
            continue;
        near = nearest(key, keys);
        problem_at(r, path, key, "unknown key%s%s%s", near ? ", did you mean '" : "",
                   near ? near : "", near ? "'?" : "");
    }
    return true;
}

const char *as_written(const struct reading *r, const char *path, const char *key, const json_t *v)
{
    _cleanup_free_ char *inner = *path ? str_fmt("%s.%s", path, key) : xstrdup(key);

    if (!json_is_number(v) && !json_is_boolean(v))
        return json_string_value(v);
    return json_string_value(json_object_get(r->doc->plain, inner));
}

void read_text(struct reading *r, const char *path, const json_t *v, const char *key,
               const char *dflt, char *dst, size_t cap)
{
    const json_t *j = json_object_get(v, key);
    const char *s = json_is_boolean(j) ? NULL : as_written(r, path, key, j);

    if (!j) {
        if (!dflt)
            problem(r, path, "%s: missing", key);
        else
            str_copy(dst, cap, dflt);
        return;
    }
    if (!s || (!*s && !dflt))
        problem_at(r, path, key, "expected a text%s",
                   json_is_boolean(j) ? "; put it in quotes" : "");
    else if (!str_copy(dst, cap, s))
        problem_at(r, path, key, "longer than %zu bytes", cap - 1);
    else if (strpbrk(s, "\n\r\t\"\\") || strchr(s, 0x7f))
        problem_at(r, path, key, "holds a character that cannot be in a name");
}

void read_name(struct reading *r, const char *path, const json_t *v, const char *key,
               const char *dflt, char *dst, size_t cap)
{
    unsigned before = r->problems->count;
    size_t n;

    read_text(r, path, v, key, dflt, dst, cap);
    n = strlen(dst);
    if (r->problems->count != before || !n)
        return;
    if (dst[0] < 'a' || dst[0] > 'z' || dst[n - 1] == '-' ||
        strspn(dst, "abcdefghijklmnopqrstuvwxyz0123456789-") != n)
        problem_at(r, path, key,
                   "'%s': expected lower-case letters, digits and '-', starting with a letter",
                   dst);
}

static bool path_is_clean(const char *s)
{
    return !strstr(s, "/../") && !str_ends(s, "/..") && !str_starts(s, "../") && !str_eq(s, "..") &&
           !strstr(s, "//") && !strchr(s, ' ');
}

void read_path(struct reading *r, const char *path, const json_t *v, const char *key,
               const char *dflt, char *dst, size_t cap)
{
    unsigned before = r->problems->count;

    read_text(r, path, v, key, dflt, dst, cap);
    if (r->problems->count == before &&
        (dst[0] != '/' || !dst[1] || str_ends(dst, "/") || !path_is_clean(dst)))
        problem_at(r, path, key,
                   "expected an absolute path without '..', spaces or '/' at the end");
}

uint64_t read_number(struct reading *r, const char *path, const json_t *v, const char *key,
                     uint64_t dflt, uint64_t min, uint64_t max)
{
    const json_t *j = json_object_get(v, key);
    json_int_t n = json_integer_value(j);

    if (!j)
        return dflt;
    if (!json_is_integer(j) || n < 0 || (uint64_t)n < min || (uint64_t)n > max) {
        problem_at(r, path, key, "expected a number from %llu to %llu", (unsigned long long)min,
                   (unsigned long long)max);
        return dflt;
    }
    return (uint64_t)n;
}

uint64_t read_size(struct reading *r, const char *path, const json_t *v, const char *key)
{
    const char *s = json_string_value(json_object_get(v, key));
    char digits[16];
    uint64_t n = 0;
    size_t len = s ? strlen(s) : 0;
    char unit = len ? s[len - 1] : '\0';

    if (len < 2 || len > sizeof(digits) || (unit != 'G' && unit != 'T')) {
        problem_at(r, path, key, "expected a size such as 200G or 1T");
        return 0;
    }
    memcpy(digits, s, len - 1);
    digits[len - 1] = '\0';
    if (str_to_u64(digits, 65536, &n) < 0 || n == 0)
        problem_at(r, path, key, "expected a size such as 200G or 1T");
    return n * (unit == 'T' ? 1024 : 1) << 30;
}

void read_cidr(struct reading *r, const char *path, const json_t *v, const char *key,
               struct cidr *ret)
{
    const json_t *j = json_object_get(v, key);

    if (!j)
        problem(r, path, "%s: missing", key);
    else if (!json_is_string(j) || cidr_parse(json_string_value(j), ret) < 0)
        problem_at(r, path, key, "expected a network such as 10.1.1.0/24, with zero host bits");
    else if (ret->net.len > 29 || ret->net.len < 8)
        problem_at(r, path, key, "a network between /8 and /29 is needed");
}

const json_t *read_list(struct reading *r, const json_t *root, const char *key, size_t max)
{
    const json_t *j = json_object_get(root, key);

    if (!j)
        problem(r, "", "%s: missing", key);
    else if (!json_is_array(j) || json_array_size(j) == 0)
        problem(r, key, "expected a list with at least one member");
    else if (json_array_size(j) > max)
        problem(r, key, "more than %zu members", max);
    else
        return j;
    return NULL;
}

static json_t *read_strings(struct reading *r, const char *path, const json_t *v, const char *key,
                            bool (*good)(const char *s), const char *expected)
{
    const json_t *j = json_object_get(v, key);
    json_t *arr;

    if (!j)
        return NULL;
    arr = json_array();
    if (!json_is_array(j))
        problem_at(r, path, key, "expected a list");
    for (size_t i = 0; i < json_array_size(j); i++) {
        const char *s = json_string_value(json_array_get(j, i));
        _cleanup_free_ char *inner = str_fmt("%s[%zu]", key, i);

        if (!s || !good(s))
            problem_at(r, path, inner, "%s", expected);
        else
            json_array_append_new(arr, json_string(s));
    }
    return arr;
}

static bool good_module(const char *s)
{
    return *s && strlen(s) < 40 && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(s);
}

bool path_is_relative(const char *s)
{
    return *s && *s != '/' && strlen(s) < SPEC_PATH_MAX && path_is_clean(s);
}

json_t *read_names(struct reading *r, const char *path, const json_t *v, const char *key)
{
    return read_strings(r, path, v, key, good_module,
                        "expected a module's name, such as mysql or gd");
}

json_t *read_config_files(struct reading *r, const char *path, const json_t *v)
{
    json_t *arr = json_array();

    if (v && !json_is_array(v))
        problem(r, path, "expected a list of {path: …, content: …}");
    for (size_t i = 0; i < json_array_size(v); i++) {
        static const char *const keys[] = {"path", "content", "after_install", NULL};
        _cleanup_free_ char *inner = str_fmt("%s[%zu]", path, i);
        const json_t *e = json_array_get(v, i);
        const char *file, *content;

        if (!read_known(r, inner, e, keys))
            continue;
        file = json_string_value(json_object_get(e, "path"));
        content = json_string_value(json_object_get(e, "content"));
        if (!file || !path_is_relative(file))
            problem_at(r, inner, "path", "expected a path inside the application, without '..'");
        else if (!content)
            problem_at(r, inner, "content", "expected the file's text");
        else
            json_array_append_new(
                arr, json_pack("{s:s, s:s, s:b}", "path", file, "content", content, "after_install",
                               json_is_true(json_object_get(e, "after_install")) ? 1 : 0));
    }
    return arr;
}

json_t *read_values(struct reading *r, const char *path, const json_t *v, bool keep_truth)
{
    json_t *values = json_object(), *e;
    const char *key;

    if (!json_is_object(v))
        problem(r, path, "expected {name: value}");
    json_object_foreach((json_t *)v, key, e)
    {
        const char *text = as_written(r, path, key, e);

        if (keep_truth && json_is_boolean(e))
            json_object_set(values, key, e);
        else if (text)
            json_object_set_new(values, key, json_string(text));
        else
            problem_at(r, path, key,
                       json_is_null(e) ? "nothing is written here; put it in quotes: \"\""
                                       : "expected one value; put it in quotes");
    }
    return values;
}

/* A copy with its fields as they are written. */
static json_t *install_form(struct reading *r, const char *path, const json_t *e)
{
    _cleanup_free_ char *inner = str_fmt("%s.fields", path);
    json_t *copy = json_copy((json_t *)e);

    json_object_set_new(copy, "fields", read_values(r, inner, json_object_get(e, "fields"), false));
    return copy;
}

json_t *read_install_steps(struct reading *r, const char *path, const json_t *v)
{
    json_t *arr = json_array();

    if (v && !json_is_array(v))
        problem(r, path, "expected a list of {php: SCRIPT} or {form: PATH, fields: {…}}");
    for (size_t i = 0; i < json_array_size(v); i++) {
        static const char *const keys[] = {"php", "form", "fields", "expect", NULL};
        _cleanup_free_ char *inner = str_fmt("%s[%zu]", path, i);
        const json_t *e = json_array_get(v, i);
        const char *php, *form;

        if (!read_known(r, inner, e, keys))
            continue;
        php = json_string_value(json_object_get(e, "php"));
        form = json_string_value(json_object_get(e, "form"));
        if (!php == !form)
            problem(r, inner, "expected one of php and form");
        else if (php && !path_is_relative(php))
            problem_at(r, inner, "php", "expected a script inside the application");
        else if (form && (*form != '/' || strpbrk(form, " \n")))
            problem_at(r, inner, "form", "expected a path of the site, such as /install.php");
        else if (json_object_get(e, "expect") &&
                 (php || !json_string_length(json_object_get(e, "expect"))))
            problem_at(r, inner, "expect", "expected a text that the answer to the form has");
        else if (form)
            json_array_append_new(arr, install_form(r, inner, e));
        else
            json_array_append(arr, (json_t *)e);
    }
    return arr;
}
