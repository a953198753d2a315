/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/spec/yaml.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "common/cleanup.h"
#include "common/js.h"
#include "common/str.h"

struct reader {
    yaml_parser_t parser;
    const char *name;
    json_t *marks, *plain;
    int depth;
    struct err *err;
};

static int fail_at(struct reader *r, yaml_mark_t at, const char *what)
{
    return err_set(r->err, ERR_USAGE, "%s:%zu:%zu: %s", r->name, at.line + 1, at.column + 1, what);
}

static int next_event(struct reader *r, yaml_event_t *ev)
{
    if (yaml_parser_parse(&r->parser, ev))
        return 0;
    return err_set(r->err, ERR_USAGE, "%s:%zu:%zu: not YAML: %s%s%s", r->name,
                   r->parser.problem_mark.line + 1, r->parser.problem_mark.column + 1,
                   r->parser.problem ? r->parser.problem : "unreadable",
                   r->parser.context ? " " : "", r->parser.context ? r->parser.context : "");
}

static void mark(struct reader *r, const char *path, yaml_mark_t at)
{
    json_object_set_new(
        r->marks, path,
        json_integer((json_int_t)(at.line + 1) * 65536 + (json_int_t)at.column + 1));
}

static bool one_of(const char *s, const char *const names[])
{
    for (; *names; names++)
        if (str_eq(s, *names))
            return true;
    return false;
}

/* The core schema: what a plain scalar means. */
static json_t *plain_value(const char *s)
{
    char *end;
    long long i;
    double d;

    if (one_of(s, (const char *const[]){"", "~", "null", "Null", "NULL", NULL}))
        return json_null();
    if (one_of(s, (const char *const[]){"true", "True", "TRUE", NULL}))
        return json_true();
    if (one_of(s, (const char *const[]){"false", "False", "FALSE", NULL}))
        return json_false();
    if (strspn(s, "+-0123456789") == strlen(s)) {
        errno = 0;
        i = strtoll(s, &end, 10);
        if (!*end && end != s && !errno)
            return json_integer(i);
    }
    if (strpbrk(s, ".eE") && strspn(s, "+-.0123456789eE") == strlen(s)) {
        d = strtod(s, &end);
        if (!*end && end != s && isfinite(d))
            return json_real(d);
    }
    return json_string(s);
}

static json_t *scalar_value(const yaml_event_t *ev)
{
    const char *s = (const char *)ev->data.scalar.value;

    if (strlen(s) != ev->data.scalar.length)
        return NULL; /* a NUL inside */
    return ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? plain_value(s) : json_string(s);
}

static int read_node(struct reader *r, yaml_event_t *ev, const char *path, json_t **ret);

static int read_mapping(struct reader *r, const char *path, json_t *obj)
{
    for (;;) {
        _cleanup_(yaml_event_delete) yaml_event_t key = {0};
        _cleanup_(yaml_event_delete) yaml_event_t val = {0};
        _cleanup_free_ char *inner = NULL;
        json_t *v = NULL;
        const char *k;

        if (next_event(r, &key) < 0)
            return -1;
        if (key.type == YAML_MAPPING_END_EVENT)
            return 0;
        if (key.type != YAML_SCALAR_EVENT)
            return fail_at(r, key.start_mark, "a key must be a plain text");
        k = (const char *)key.data.scalar.value;
        if (strlen(k) != key.data.scalar.length || !*k)
            return fail_at(r, key.start_mark, "a key must be a plain text");
        if (json_object_get(obj, k))
            return fail_at(r, key.start_mark, "this key is here twice");
        inner = *path ? str_fmt("%s.%s", path, k) : xstrdup(k);
        mark(r, inner, key.start_mark);
        if (next_event(r, &val) < 0 || read_node(r, &val, inner, &v) < 0)
            return -1;
        if (json_object_set_new(obj, k, v) < 0)
            return fail_at(r, key.start_mark, "this key is not UTF-8");
    }
}

static int read_sequence(struct reader *r, const char *path, json_t *arr)
{
    for (size_t i = 0;; i++) {
        _cleanup_(yaml_event_delete) yaml_event_t ev = {0};
        _cleanup_free_ char *inner = str_fmt("%s[%zu]", path, i);
        json_t *v = NULL;

        if (next_event(r, &ev) < 0)
            return -1;
        if (ev.type == YAML_SEQUENCE_END_EVENT)
            return 0;
        mark(r, inner, ev.start_mark);
        if (read_node(r, &ev, inner, &v) < 0)
            return -1;
        json_array_append_new(arr, v);
    }
}

static int refuse_extras(struct reader *r, const yaml_event_t *ev, const yaml_char_t *anchor,
                         const yaml_char_t *tag)
{
    if (anchor)
        return fail_at(r, ev->start_mark, "anchors are not supported; write the value out");
    if (tag)
        return fail_at(r, ev->start_mark, "tags are not supported; write the value alone");
    return 0;
}

static int read_node(struct reader *r, yaml_event_t *ev, const char *path, json_t **ret)
{
    _cleanup_json_ json_t *v = NULL;
    int rc = 0;

    if (++r->depth > JS_DEPTH_MAX)
        return fail_at(r, ev->start_mark, "nested too deeply");
    switch (ev->type) {
    case YAML_SCALAR_EVENT:
        rc = refuse_extras(r, ev, ev->data.scalar.anchor, ev->data.scalar.tag);
        if (rc == 0 && !(v = scalar_value(ev)))
            rc = fail_at(r, ev->start_mark, "this text holds bytes that are not UTF-8 text");
        if (rc == 0 && !json_is_string(v))
            json_object_set_new(r->plain, path, json_string((const char *)ev->data.scalar.value));
        break;
    case YAML_MAPPING_START_EVENT:
        v = json_object();
        rc = refuse_extras(r, ev, ev->data.mapping_start.anchor, ev->data.mapping_start.tag);
        if (rc == 0)
            rc = read_mapping(r, path, v);
        break;
    case YAML_SEQUENCE_START_EVENT:
        v = json_array();
        rc = refuse_extras(r, ev, ev->data.sequence_start.anchor, ev->data.sequence_start.tag);
        if (rc == 0)
            rc = read_sequence(r, path, v);
        break;
    case YAML_ALIAS_EVENT:
        rc = fail_at(r, ev->start_mark, "aliases are not supported; write the value out");
        break;
    default:
        rc = fail_at(r, ev->start_mark, "expected a value");
    }
    r->depth--;
    if (rc == 0)
        *ret = TAKE(v);
    return rc;
}

static int read_document(struct reader *r, json_t **ret)
{
    _cleanup_json_ json_t *root = NULL;

    for (;;) {
        _cleanup_(yaml_event_delete) yaml_event_t ev = {0};

        if (next_event(r, &ev) < 0)
            return -1;
        switch (ev.type) {
        case YAML_STREAM_START_EVENT:
        case YAML_DOCUMENT_END_EVENT:
            break;
        case YAML_DOCUMENT_START_EVENT:
            if (root)
                return fail_at(r, ev.start_mark, "a second document; one file holds one");
            break;
        case YAML_STREAM_END_EVENT:
            if (!root)
                return fail_at(r, ev.start_mark, "the file is empty");
            *ret = TAKE(root);
            return 0;
        default:
            if (read_node(r, &ev, "", &root) < 0)
                return -1;
        }
    }
}

int yaml_doc_parse(const char *name, const char *text, size_t len, struct yaml_doc *ret,
                   struct err *err)
{
    struct reader r = {.name = name, .marks = json_object(), .plain = json_object(), .err = err};
    json_t *root = NULL;
    int rc;

    if (!yaml_parser_initialize(&r.parser))
        abort();
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
    rc = read_document(&r, &root);
    yaml_parser_delete(&r.parser);
    if (rc < 0) {
        json_decref(r.marks);
        json_decref(r.plain);
        return -1;
    }
    *ret = (struct yaml_doc){.root = root, .marks = r.marks, .plain = r.plain};
    return 0;
}

void yaml_doc_where(const struct yaml_doc *doc, const char *path, unsigned *ret_line,
                    unsigned *ret_column)
{
    _cleanup_free_ char *p = xstrdup(path);

    *ret_line = *ret_column = 1;
    while (*p) {
        const json_t *m = json_object_get(doc->marks, p);
        char *cut = p + strlen(p) - 1;

        if (m) {
            *ret_line = (unsigned)(json_integer_value(m) / 65536);
            *ret_column = (unsigned)(json_integer_value(m) % 65536);
            return;
        }
        while (cut > p && *cut != '.' && *cut != '[')
            cut--;
        *cut = '\0';
    }
}

void yaml_doc_free(struct yaml_doc *doc)
{
    json_decref(doc->root);
    json_decref(doc->marks);
    json_decref(doc->plain);
    *doc = (struct yaml_doc){0};
}
