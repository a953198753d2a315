/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/localvdc/api/xml.h"

#include <ctype.h>

static void add_text(struct strbuf *out, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        switch (*c) {
        case '&':
            strbuf_adds(out, "&amp;");
            break;
        case '<':
            strbuf_adds(out, "&lt;");
            break;
        case '>':
            strbuf_adds(out, "&gt;");
            break;
        case '\r': /* as a character it would become a line end */
            strbuf_adds(out, "&#13;");
            break;
        default:
            strbuf_add(out, *c >= 0x20 || isspace(*c) ? (const char *)c : "?", 1);
        }
    }
}

/* Names of elements: details of a guest may have been named by a client. */
static void add_name(struct strbuf *out, const char *name)
{
    if (!isalpha((unsigned char)*name) && *name != '_')
        strbuf_adds(out, "_");
    for (; *name; name++)
        strbuf_add(out, isalnum((unsigned char)*name) ? name : "_", 1);
}

static void add_members(struct strbuf *out, const json_t *object);

static void add_value(struct strbuf *out, const json_t *value)
{
    if (json_is_object(value))
        add_members(out, value);
    else if (json_is_string(value))
        add_text(out, json_string_value(value));
    else if (json_is_integer(value))
        strbuf_addf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        strbuf_addf(out, "%.17g", json_real_value(value));
    else if (json_is_boolean(value))
        strbuf_adds(out, json_is_true(value) ? "true" : "false");
}

static void add_element(struct strbuf *out, const char *name, const json_t *value)
{
    strbuf_adds(out, "<");
    add_name(out, name);
    strbuf_adds(out, ">");
    add_value(out, value);
    strbuf_adds(out, "</");
    add_name(out, name);
    strbuf_adds(out, ">");
}

static void add_members(struct strbuf *out, const json_t *object)
{
    const char *name = NULL;
    json_t *value = NULL, *one = NULL;
    size_t i = 0;

    json_object_foreach((json_t *)object, name, value)
    {
        if (!json_is_array(value))
            add_element(out, name, value);
        json_array_foreach(value, i, one)
        {
            add_element(out, name, one);
        }
    }
}

void xml_write(const char *root, const json_t *object, struct strbuf *out)
{
    strbuf_addf(out,
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><%s cloud-stack-version=\"4.18.0.0\">",
                root);
    add_members(out, object);
    strbuf_addf(out, "</%s>", root);
}
