/* SPDX-License-Identifier: Apache-2.0 */
#include "common/pairs.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "common/cleanup.h"
#include "common/str.h"

static void pairs_take(struct pairs *p, char *name, char *value)
{
    p->v = xrealloc(p->v, (p->n + 1) * sizeof(p->v[0]));
    p->v[p->n++] = (struct pair){name, value};
}

void pairs_add(struct pairs *p, const char *name, const char *value)
{
    pairs_take(p, xstrdup(name), xstrdup(value));
}

const char *pairs_get(const struct pairs *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++) {
        if (strcmp(p->v[i].name, name) == 0)
            return p->v[i].value;
    }
    return NULL;
}

const char *pairs_get_nocase(const struct pairs *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++) {
        if (strcasecmp(p->v[i].name, name) == 0)
            return p->v[i].value;
    }
    return NULL;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decodes escapes; NULL when malformed or when the text would hold a NUL. The caller frees. */
static char *form_decode(const char *s, size_t len)
{
    _cleanup_free_ char *out = xcalloc(1, len + 1);
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        char c = s[i];

        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            bool whole = i + 2 < len;
            int hi = whole ? hex_digit(s[i + 1]) : -1;
            int lo = whole ? hex_digit(s[i + 2]) : -1;

            if (hi < 0 || lo < 0)
                return NULL;
            c = (char)(hi * 16 + lo);
            i += 2;
        }
        if (c == '\0')
            return NULL;
        out[n++] = c;
    }
    return TAKE(out);
}

int pairs_parse(struct pairs *p, const char *text, size_t len, size_t max, struct err *err)
{
    for (size_t at = 0; at < len;) {
        const char *start = text + at;
        const char *amp = memchr(start, '&', len - at);
        size_t part = amp ? (size_t)(amp - start) : len - at;

        at += part + 1;
        if (part == 0)
            continue;
        if (p->n >= max)
            return err_set(err, ERR_USAGE, "more than %zu parameters", max);
        const char *eq = memchr(start, '=', part);
        size_t name_len = eq ? (size_t)(eq - start) : part;
        _cleanup_free_ char *name = form_decode(start, name_len);
        _cleanup_free_ char *value = eq ? form_decode(eq + 1, part - name_len - 1) : xstrdup("");
        if (!name || !value)
            return err_set(err, ERR_USAGE, "a parameter is not properly URL-encoded");
        pairs_take(p, TAKE(name), TAKE(value));
    }
    return 0;
}

void pairs_free(struct pairs *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->v[i].name);
        free(p->v[i].value);
    }
    free(p->v);
    *p = (struct pairs){0};
}
