/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/apt/dpkg.h"

#include <string.h>

#include "common/cleanup.h"

struct slice {
    const char *s;
    size_t len;
};

static bool is(struct slice a, const char *text)
{
    return a.len == strlen(text) && memcmp(a.s, text, a.len) == 0;
}

/* The value when the line is "KEY: value". */
static bool field(struct slice line, const char *key, struct slice *ret)
{
    size_t n = strlen(key);

    if (line.len < n || memcmp(line.s, key, n) != 0)
        return false;
    line.s += n;
    line.len -= n;
    while (line.len && (line.s[0] == ' ' || line.s[0] == '\t'))
        line.s++, line.len--;
    while (line.len && (line.s[line.len - 1] == ' ' || line.s[line.len - 1] == '\r'))
        line.len--;
    *ret = line;
    return true;
}

/* "want flag status": only the third word counts, and the second when it is an error. */
static enum dpkg_state state_of(struct slice status)
{
    struct slice word[3] = {{0}};
    size_t k = 0;

    for (size_t i = 0; i < status.len && k < 3;) {
        size_t from = i;

        while (i < status.len && status.s[i] != ' ')
            i++;
        word[k++] = (struct slice){status.s + from, i - from};
        while (i < status.len && status.s[i] == ' ')
            i++;
    }
    if (k < 3 || is(word[2], "not-installed") || is(word[2], "config-files"))
        return DPKG_ABSENT;
    return is(word[2], "installed") && is(word[1], "ok") ? DPKG_INSTALLED : DPKG_BROKEN;
}

/* "a, b (= 1.2), c" */
static bool in_list(struct slice list, const char *name)
{
    for (size_t i = 0; i < list.len;) {
        size_t from = i;

        while (i < list.len && !strchr(", (", list.s[i]))
            i++;
        if (is((struct slice){list.s + from, i - from}, name))
            return true;
        while (i < list.len && list.s[i] != ',')
            i++;
        while (i < list.len && strchr(", ", list.s[i]))
            i++;
    }
    return false;
}

struct stanza {
    struct slice package, status, provides;
};

static void note(const struct stanza *a, const char *const names[], size_t n, enum dpkg_state *ret)
{
    enum dpkg_state s = a->package.len ? state_of(a->status) : DPKG_ABSENT;

    for (size_t i = 0; i < n; i++)
        if (s > ret[i] &&
            (is(a->package, names[i]) || (s == DPKG_INSTALLED && in_list(a->provides, names[i]))))
            ret[i] = s;
}

void dpkg_scan(const char *text, size_t len, const char *const names[], size_t n,
               enum dpkg_state *ret)
{
    struct stanza a = {0};

    for (size_t i = 0; i < n; i++)
        ret[i] = DPKG_ABSENT;
    for (size_t at = 0; at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        struct slice line = {text + at, end ? (size_t)(end - text) - at : len - at};

        at += line.len + 1;
        if (line.len == 0) {
            note(&a, names, n, ret);
            a = (struct stanza){0};
        } else if (!field(line, "Package:", &a.package) && !field(line, "Status:", &a.status)) {
            field(line, "Provides:", &a.provides);
        }
    }
    note(&a, names, n, ret);
}

static bool among(const char *names, struct slice package, struct slice arch)
{
    _cleanup_free_ char *plain = str_fmt("\n%.*s\n", (int)package.len, package.s);
    _cleanup_free_ char *full =
        str_fmt("\n%.*s:%.*s\n", (int)package.len, package.s, (int)arch.len, arch.s);

    return strstr(names, plain) || strstr(names, full);
}

void dpkg_keep(const char *text, size_t len, const char *names, struct strbuf *ret)
{
    for (size_t at = 0; at < len;) {
        struct slice package = {"", 0}, arch = {"", 0};
        size_t from = at, line_len;

        do {
            const char *end = memchr(text + at, '\n', len - at);
            struct slice line = {text + at, end ? (size_t)(end - text) - at : len - at};

            line_len = line.len;
            at += line.len + (end ? 1 : 0);
            if (!field(line, "Package:", &package))
                field(line, "Architecture:", &arch);
        } while (line_len && at < len);
        if (package.len && among(names, package, arch))
            strbuf_addf(ret, "%.*s", (int)(at - from), text + from);
    }
}
