/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sys/fields.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/ipv4.h"
#include "common/str.h"
#include "common/uuid.h"

static bool name_valid(const char *s)
{
    if (!*s || *s == '-' || strlen(s) > 128)
        return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && !strchr("._@+:-", *s))
            return false;
    return true;
}

static bool path_valid(const char *s)
{
    size_t len = strlen(s);

    if (*s != '/' || len > 1000 || strstr(s, "/../") || strchr(s, '\n'))
        return false;
    return len < 3 || strcmp(s + len - 3, "/..") != 0;
}

static bool cidr_valid(const char *s)
{
    uint32_t address;
    unsigned len;

    return ipv4_interface_parse(s, &address, &len) == 0;
}

static bool address_valid(const char *s)
{
    uint32_t address;

    return ipv4_parse(s, &address) == 0;
}

static bool strs_valid(const json_t *v, bool names)
{
    size_t i;
    json_t *item;

    if (!json_is_array(v))
        return false;
    json_array_foreach(v, i, item)
    {
        const char *s = json_string_value(item);

        if (!s || !*s || (names && !name_valid(s)))
            return false;
    }
    return true;
}

static const char *const kind_texts[] = {
    [FIELD_STR] = "a text that is not empty",
    [FIELD_TEXT] = "a text",
    [FIELD_PATH] = "an absolute path without '..'",
    [FIELD_NAME] = "a name (letters, digits and ._@+:-)",
    [FIELD_UUID] = "a UUID in lower case",
    [FIELD_ADDRESS] = "an IPv4 address",
    [FIELD_CIDR] = "an IPv4 address with prefix length",
    [FIELD_U64] = "a whole number",
    [FIELD_BOOL] = "true or false",
    [FIELD_STRS] = "a list of texts",
    [FIELD_NAMES] = "a list of names",
    [FIELD_ARRAY] = "a list",
    [FIELD_OBJECT] = "an object",
};

static bool field_store(const struct field *f, const json_t *v, void *slot)
{
    const char *s = json_string_value(v);

    switch (f->kind) {
    case FIELD_U64:
        if (!json_is_integer(v) || json_integer_value(v) < 0)
            return false;
        *(uint64_t *)slot = (uint64_t)json_integer_value(v);
        return true;
    case FIELD_BOOL:
        *(bool *)slot = json_is_true(v);
        return json_is_boolean(v);
    case FIELD_STRS:
    case FIELD_NAMES:
        *(const json_t **)slot = v;
        return strs_valid(v, f->kind == FIELD_NAMES);
    case FIELD_ARRAY:
        *(const json_t **)slot = v;
        return json_is_array(v);
    case FIELD_OBJECT:
        *(const json_t **)slot = v;
        return json_is_object(v);
    case FIELD_STR:
    case FIELD_TEXT:
    case FIELD_PATH:
    case FIELD_NAME:
    case FIELD_UUID:
    case FIELD_ADDRESS:
    case FIELD_CIDR:
        break;
    }
    if (!s)
        return false;
    *(const char **)slot = s;
    return f->kind == FIELD_TEXT || (f->kind == FIELD_STR && *s) ||
           (f->kind == FIELD_PATH && path_valid(s)) || (f->kind == FIELD_NAME && name_valid(s)) ||
           (f->kind == FIELD_UUID && uuid_valid(s)) ||
           (f->kind == FIELD_ADDRESS && address_valid(s)) ||
           (f->kind == FIELD_CIDR && cidr_valid(s));
}

static bool field_known(const char *name, const struct field *fields, size_t n)
{
    if (strcmp(name, "type") == 0 || strcmp(name, "id") == 0 || strcmp(name, "ahead") == 0)
        return true;
    for (size_t i = 0; i < n; i++)
        if (strcmp(fields[i].name, name) == 0)
            return true;
    return false;
}

int fields_read(const json_t *spec, const struct field *fields, size_t n, void *obj,
                struct err *err)
{
    const char *key;
    json_t *value;

    if (!json_is_object(spec))
        return err_set(err, ERR_USAGE, "is not an object");
    json_object_foreach((json_t *)spec, key, value)
    {
        if (!field_known(key, fields, n))
            return err_set(err, ERR_USAGE,
                           "member '%.64s' is not known; a newer agent may be needed", key);
    }
    for (size_t i = 0; i < n; i++) {
        json_t *v = json_object_get(spec, fields[i].name);

        if (!v && fields[i].required)
            return err_set(err, ERR_USAGE, "member '%s' is missing", fields[i].name);
        if (v && !field_store(&fields[i], v, (char *)obj + fields[i].offset))
            return err_set(err, ERR_USAGE, "member '%s' must be %s", fields[i].name,
                           kind_texts[fields[i].kind]);
    }
    return 0;
}

int fields_parse(const json_t *spec, const struct field *fields, size_t n, size_t size, void **ret,
                 struct err *err)
{
    void *obj = xcalloc(1, size);

    if (fields_read(spec, fields, n, obj, err) < 0) {
        free(obj);
        return -1;
    }
    *ret = obj;
    return 0;
}
