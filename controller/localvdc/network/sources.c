/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/localvdc/network/sources.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"
#include "controller/localvdc/base/tool.h"

#define APT_CONFIG_MAX_S 10
#define FILE_MAX (256 * 1024)

bool sources_uri_host(const char *uri, char *ret, size_t cap)
{
    const char *p = strstr(uri, "://");

    if (!p)
        return false;
    p += 3;
    const char *at = strchr(p, '@');
    if (at && at < p + strcspn(p, "/"))
        p = at + 1;
    size_t n = strcspn(p, ":/");
    if (n == 0 || n >= cap)
        return false;
    memcpy(ret, p, n);
    ret[n] = '\0';
    return true;
}

static bool is_debian(const char *uri)
{
    _cleanup_free_ char *u = xstrdup(uri);
    size_t n = strlen(u);

    while (n > 0 && u[n - 1] == '/')
        u[--n] = '\0';
    return str_starts(u, "http") && (str_ends(u, "/debian") || str_ends(u, "/debian-security"));
}

static void add(json_t *out, const char *uri, const char *suite, const char *components)
{
    if (is_debian(uri) && str_starts(suite, SOURCES_SUITE))
        json_array_append_new(
            out, json_pack("{s:s,s:s,s:s}", "uri", uri, "suite", suite, "components", components));
}

/* One stanza's value, white space folded; NULL when it has no such field. */
static char *field(const char *stanza, size_t len, const char *name)
{
    size_t n = strlen(name);

    for (const char *p = stanza, *end = stanza + len; p < end;) {
        size_t line = strcspn(p, "\n");

        if (strncasecmp(p, name, n) == 0 && p[n] == ':')
            return strndup(p + n + 1, line - n - 1);
        p += line + 1;
    }
    return NULL;
}

static void parse_stanza(const char *stanza, size_t len, json_t *out)
{
    _cleanup_free_ char *types = field(stanza, len, "Types"), *uris = field(stanza, len, "URIs");
    _cleanup_free_ char *suites = field(stanza, len, "Suites");
    _cleanup_free_ char *components = field(stanza, len, "Components");
    _cleanup_free_ char *enabled = field(stanza, len, "Enabled");

    if (!types || !uris || !suites || !components || (enabled && strcasestr(enabled, "no")))
        return;
    if (!strstr(types, "deb"))
        return;
    const char *c = components + strspn(components, " \t");
    char *save_uri = NULL, *save_suite = NULL;
    for (char *u = strtok_r(uris, " \t", &save_uri); u; u = strtok_r(NULL, " \t", &save_uri)) {
        _cleanup_free_ char *copy = xstrdup(suites);

        for (char *s = strtok_r(copy, " \t", &save_suite); s;
             s = strtok_r(NULL, " \t", &save_suite))
            add(out, u, s, c);
    }
}

static void parse_line(char *line, json_t *out)
{
    char *save = NULL;
    char *word = strtok_r(line, " \t", &save);

    if (!word || strcmp(word, "deb") != 0)
        return;
    char *uri = strtok_r(NULL, " \t", &save);
    if (uri && *uri == '[') { /* options, up to "]" */
        while (uri && !strchr(uri, ']'))
            uri = strtok_r(NULL, " \t", &save);
        uri = uri ? strtok_r(NULL, " \t", &save) : NULL;
    }
    char *suite = uri ? strtok_r(NULL, " \t", &save) : NULL;
    if (suite && save && *save)
        add(out, uri, suite, save);
}

void sources_parse(const char *text, bool deb822, json_t *out)
{
    for (const char *p = text; *p;) {
        if (deb822) {
            const char *end = strstr(p, "\n\n");
            size_t n = end ? (size_t)(end - p) + 1 : strlen(p);

            parse_stanza(p, n, out);
            p += n;
            p += strspn(p, "\n");
            continue;
        }
        size_t n = strcspn(p, "\n");
        _cleanup_free_ char *line = strndup(p, n);
        *strchrnul(line, '#') = '\0';
        parse_line(line, out);
        p += n;
        if (*p)
            p++;
    }
}

static void read_glob(const char *pattern, bool deb822, json_t *out)
{
    glob_t g = {0};

    if (glob(pattern, 0, NULL, &g) == 0) {
        for (size_t i = 0; i < g.gl_pathc; i++) {
            struct err err = {0};
            _cleanup_free_ char *text = NULL;

            if (fs_read(g.gl_pathv[i], FILE_MAX, &text, NULL, &err) == 0)
                sources_parse(text, deb822, out);
        }
    }
    globfree(&g);
}

json_t *sources_read(void)
{
    json_t *out = json_array();

    read_glob("/etc/apt/sources.list", false, out);
    read_glob("/etc/apt/sources.list.d/*.list", false, out);
    read_glob("/etc/apt/sources.list.d/*.sources", true, out);
    return out;
}

void sources_proxy(char *ret, size_t cap)
{
    char path[128];
    struct err err = {0};
    struct proc_result r = {0};
    struct proc_opts opts = {.env = tool_env, .timeout_s = APT_CONFIG_MAX_S};

    *ret = '\0';
    if (tool_find("apt-config", path, sizeof(path), &err) < 0)
        return;
    if (proc_run(PROC_ARGV(path, "shell", "P", "Acquire::http::Proxy"), &opts, &r, &err) == 0) {
        const char *s = strstr(strbuf_str(&r.out), "P='"); /* P='http://host:port' */

        if (s)
            snprintf(ret, cap, "%.*s", (int)strcspn(s + 3, "'"), s + 3);
    }
    proc_result_free(&r);
}
