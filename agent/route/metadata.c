/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/route/metadata.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/ipv4.h"
#include "common/js.h"
#include "common/proc.h"
#include "common/str.h"

#define IP "/usr/sbin/ip"
#define IP_MAX_S 30
#define WELL_KNOWN "169.254.169.254"
#define CLOUD_INIT "/var/lib/cloud/instance"
#define LEASE_MAX 65536
#define FIRST 7400 /* preferences of our rules */
#define NOT_ROOT "1-4294967294"
#define NOT_ROOT_FIRST 1
#define NOT_ROOT_LAST 4294967294
#define PORT 80

static void add(struct metadata *m, const char *text)
{
    uint32_t address;

    if (m->n == METADATA_MAX || ipv4_parse(text, &address) < 0)
        return;
    for (size_t i = 0; i < m->n; i++)
        if (str_eq(m->address[i], text))
            return;
    str_copy(m->address[m->n++], sizeof(m->address[0]), text);
}

void metadata_add_routes(struct metadata *m, const json_t *routes)
{
    const json_t *r;
    size_t i;

    add(m, WELL_KNOWN);
    json_array_foreach((json_t *)routes, i, r) add(m, js_opt_str(r, "gateway", ""));
}

void metadata_add_lease(struct metadata *m, const char *text)
{
    static const char *const keys[] = {"SERVER_ADDRESS=", "dhcp-server-identifier "};

    for (size_t k = 0; k < ARRAY_LEN(keys); k++)
        for (const char *at = text; (at = strstr(at, keys[k]));) {
            char address[16] = "";

            at += strlen(keys[k]);
            if (sscanf(at, "%15[0-9.]", address) == 1)
                add(m, address);
        }
}

static bool is_ours(const json_t *rule)
{
    uint64_t at = js_opt_u64(rule, "priority", 0);

    return at >= FIRST && at < FIRST + METADATA_MAX;
}

/* Which of them that rule is, m->n: none. */
static size_t which(const struct metadata *m, const json_t *rule)
{
    size_t i = 0;

    if (!str_eq(js_opt_str(rule, "action", ""), "prohibit") ||
        !str_eq(js_opt_str(rule, "src", "all"), "all") ||
        !str_eq(js_opt_str(rule, "ipproto", ""), "tcp") || js_opt_u64(rule, "dport", 0) != PORT ||
        js_opt_u64(rule, "uid_start", 0) != NOT_ROOT_FIRST ||
        js_opt_u64(rule, "uid_end", 0) != NOT_ROOT_LAST)
        return m->n;
    while (i < m->n && !str_eq(js_opt_str(rule, "dst", ""), m->address[i]))
        i++;
    return i;
}

bool metadata_kept(const struct metadata *m, const json_t *rules, bool ret_kept[METADATA_MAX])
{
    const json_t *r;
    bool only = true;
    size_t i;

    memset(ret_kept, 0, METADATA_MAX * sizeof(*ret_kept));
    json_array_foreach((json_t *)rules, i, r)
    {
        size_t at = is_ours(r) ? which(m, r) : 0;

        if (!is_ours(r))
            continue;
        only = only && at < m->n && !ret_kept[at];
        if (at < m->n)
            ret_kept[at] = true;
    }
    return only;
}

static int ask(const char *what, const char *of, json_t **ret, struct err *err)
{
    const struct proc_opts opts = {.timeout_s = IP_MAX_S, .quiet = true};
    _cleanup_(proc_result_free) struct proc_result said = {0};

    if (proc_run(PROC_ARGV(IP, "-4", "-json", what, "show", of), &opts, &said, err) < 0 ||
        js_parse(strbuf_str(&said.out), said.out.len, ret, err) < 0)
        return -1;
    return json_is_array(*ret) ? 0 : err_set(err, ERR_FAILED, IP " %s: not a list", what);
}

static int rules_read(json_t **ret, struct err *err)
{
    return ask("rule", NULL, ret, err);
}

int metadata_find(struct metadata *ret, struct err *err)
{
    static const char *const leases[] = {"/run/systemd/netif/leases/*", "/var/lib/dhcp/*.leases",
                                         "/run/dhclient*.lease*"};
    _cleanup_json_ json_t *routes = NULL;
    struct metadata m = {0};

    *ret = m;
    if (!fs_exists(CLOUD_INIT) || !fs_exists(IP))
        return 0;
    if (ask("route", "default", &routes, err) < 0)
        return -1;
    metadata_add_routes(&m, routes);
    for (size_t i = 0; i < ARRAY_LEN(leases); i++) {
        glob_t found = {0};

        if (glob(leases[i], 0, NULL, &found) == 0)
            for (size_t k = 0; k < found.gl_pathc; k++) {
                _cleanup_free_ char *text = NULL;
                struct err ignored;

                if (fs_read(found.gl_pathv[k], LEASE_MAX, &text, NULL, &ignored) == 0)
                    metadata_add_lease(&m, text);
            }
        globfree(&found);
    }
    *ret = m;
    return 0;
}

int metadata_check(const struct metadata *m, char ret_missing[16], bool *ret_same, struct err *err)
{
    _cleanup_json_ json_t *rules = NULL;
    bool kept[METADATA_MAX];

    ret_missing[0] = '\0';
    *ret_same = true;
    if (!m->n)
        return 0;
    if (rules_read(&rules, err) < 0)
        return -1;
    *ret_same = metadata_kept(m, rules, kept);
    for (size_t i = 0; i < m->n && !ret_missing[0]; i++)
        if (!kept[i])
            str_copy(ret_missing, 16, m->address[i]);
    return 0;
}

static int remove_at(uint64_t at, struct err *err)
{
    char text[24];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)at);
    return proc_call(PROC_ARGV(IP, "-4", "rule", "del", "pref", text), err);
}

static int make(size_t i, const char *address, struct err *err)
{
    char at[24];

    snprintf(at, sizeof(at), "%zu", FIRST + i);
    return proc_call(PROC_ARGV(IP, "-4", "rule", "add", "pref", at, "to", address, "ipproto", "tcp",
                               "dport", "80", "uidrange", NOT_ROOT, "prohibit"),
                     err);
}

/* All of ours are made again: a rule has no name by which one could be told for sure. A look before
 * it said that they differ. */
int metadata_apply(const struct metadata *m, struct err *err)
{
    _cleanup_json_ json_t *rules = NULL;
    const json_t *r;
    size_t i;

    if (!m->n)
        return 0;
    if (rules_read(&rules, err) < 0)
        return -1;
    json_array_foreach(rules, i, r)
    {
        if (is_ours(r) && remove_at(js_opt_u64(r, "priority", 0), err) < 0)
            return -1;
    }
    for (i = 0; i < m->n; i++)
        if (make(i, m->address[i], err) < 0)
            return -1;
    return 0;
}
