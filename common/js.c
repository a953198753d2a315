/* SPDX-License-Identifier: Apache-2.0 */
#include "common/js.h"

#include <stdlib.h>

#include "common/str.h"

/* jansson's own limit (2048) is compiled in; ours is checked on the text, before it recurses. */
static bool too_deep(const char *text, size_t len)
{
    int depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JS_DEPTH_MAX)
                return true;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return false;
}

int js_parse(const char *text, size_t len, json_t **ret, struct err *err)
{
    json_error_t where;
    json_t *j;

    if (too_deep(text, len))
        return err_set(err, ERR_FAILED, "JSON nested deeper than %d", JS_DEPTH_MAX);
    j = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &where);
    if (!j)
        return err_set(err, ERR_FAILED, "not JSON: line %d, column %d: %s", where.line,
                       where.column, where.text);
    *ret = j;
    return 0;
}

static int wrong(const json_t *value, const char *key, const char *want, struct err *err)
{
    if (!value)
        return err_set(err, ERR_FAILED, "member '%s': missing", key);
    return err_set(err, ERR_FAILED, "member '%s': is not %s", key, want);
}

int js_str(const json_t *obj, const char *key, const char **ret, struct err *err)
{
    const json_t *v = json_object_get(obj, key);

    if (!json_is_string(v))
        return wrong(v, key, "a string", err);
    *ret = json_string_value(v);
    return 0;
}

int js_u64(const json_t *obj, const char *key, uint64_t *ret, struct err *err)
{
    const json_t *v = json_object_get(obj, key);

    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return wrong(v, key, "a whole number", err);
    *ret = (uint64_t)json_integer_value(v);
    return 0;
}

int js_obj(const json_t *obj, const char *key, json_t **ret, struct err *err)
{
    json_t *v = json_object_get(obj, key);

    if (!json_is_object(v))
        return wrong(v, key, "an object", err);
    *ret = v;
    return 0;
}

int js_arr(const json_t *obj, const char *key, json_t **ret, struct err *err)
{
    json_t *v = json_object_get(obj, key);

    if (!json_is_array(v))
        return wrong(v, key, "an array", err);
    *ret = v;
    return 0;
}

const char *js_opt_str(const json_t *obj, const char *key, const char *dflt)
{
    const json_t *v = json_object_get(obj, key);

    return json_is_string(v) ? json_string_value(v) : dflt;
}

uint64_t js_opt_u64(const json_t *obj, const char *key, uint64_t dflt)
{
    const json_t *v = json_object_get(obj, key);

    return json_is_integer(v) && json_integer_value(v) >= 0 ? (uint64_t)json_integer_value(v)
                                                            : dflt;
}

bool js_opt_bool(const json_t *obj, const char *key, bool dflt)
{
    const json_t *v = json_object_get(obj, key);

    return json_is_boolean(v) ? json_is_true(v) : dflt;
}

char *js_text(const json_t *value)
{
    char *s = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);

    if (!s)
        abort();
    return s;
}

json_t *js_string(const char *s)
{
    json_t *j = json_string(s);
    char *copy;

    if (j)
        return j;
    copy = str_utf8(xstrdup(s));
    j = json_string(copy);
    free(copy);
    if (!j)
        abort();
    return j;
}

void js_push_str(json_t *arr, const char *s)
{
    if (json_array_append_new(arr, js_string(s)) < 0)
        abort();
}
