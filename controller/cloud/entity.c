/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cloud/entity.h"

#include <stdio.h>

#include "common/str.h"

void entity_text(const json_t *obj, const char *key, char *ret, size_t cap)
{
    const json_t *v = json_object_get(obj, key);
    char number[32];

    ret[0] = '\0';
    if (json_is_string(v))
        str_copy(ret, cap, json_string_value(v));
    else if (json_is_integer(v)) {
        snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        str_copy(ret, cap, number);
    }
}

bool entity_is(const json_t *e, const char *key, const char *want)
{
    char got[256];

    entity_text(e, key, got, sizeof(got));
    return str_eq(got, want);
}

const json_t *entity_find(const json_t *list, const char *key, const char *value)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (entity_is(json_array_get(list, i), key, value))
            return json_array_get(list, i);
    return NULL;
}

void entity_tag(const json_t *e, const char *key, char *ret, size_t cap)
{
    entity_text(entity_find(json_object_get(e, "tags"), "key", key), "value", ret, cap);
}

bool entity_has_tag(const json_t *e, const char *key, const char *value)
{
    const json_t *tags = json_object_get(e, "tags");

    for (size_t i = 0; i < json_array_size(tags); i++)
        if (entity_is(json_array_get(tags, i), "key", key) &&
            entity_is(json_array_get(tags, i), "value", value))
            return true;
    return false;
}
