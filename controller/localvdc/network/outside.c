/* SPDX-License-Identifier: Apache-2.0 */
/* What guests may reach of the outside: the second half of sources.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"
#include "controller/localvdc/base/vdc.h"
#include "controller/localvdc/network/rules.h"
#include "controller/localvdc/network/sources.h"

static void add_unique(json_t *arr, const char *s)
{
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(arr, i, one)
    {
        if (str_eq(json_string_value(one), s))
            return;
    }
    json_array_append_new(arr, json_string(s));
}

/* Goes into configuration files: nothing but a name or an address. */
static bool is_host(const char *s)
{
    return *s && strlen(s) < 254 &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") ==
               strlen(s);
}

static int read_conf(struct outside *o, struct err *err)
{
    _cleanup_free_ char *text = NULL;

    if (!fs_exists(VDC_CONF))
        return 0;
    if (fs_read(VDC_CONF, 65536, &text, NULL, err) < 0)
        return -1;
    char *save = NULL;
    int number = 0;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char key[16] = "", value[254] = "";
        uint32_t address = 0;

        number++;
        *strchrnul(line, '#') = '\0';
        if (line[strspn(line, " \t\r")] == '\0')
            continue;
        int n = sscanf(line, " %15[a-z] = %253s", key, value);
        if (n == 2 && str_eq(key, "allow") && is_host(value))
            add_unique(o->hosts, value);
        else if (n == 2 && str_eq(key, "dns") && ipv4_parse(value, &address) == 0)
            add_unique(o->servers, value);
        else if (n == 2 && str_eq(key, "roots") &&
                 (str_eq(value, "regular") || str_eq(value, "vdc")))
            o->vdc_roots = str_eq(value, "vdc");
        else
            return err_set(err, ERR_USAGE,
                           VDC_CONF ": setting %d is none of 'allow = host', 'dns = address', "
                                    "'roots = regular' and 'roots = vdc'",
                           number);
    }
    return 0;
}

static void read_servers(const char *path, json_t *out)
{
    struct err err = {0};
    _cleanup_free_ char *text = NULL;

    if (fs_read(path, 65536, &text, NULL, &err) < 0)
        return;
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char value[64] = "";
        uint32_t address = 0;

        /* A server on the machine's own loopback cannot be reached from a router. */
        if (sscanf(line, "nameserver %63s", value) == 1 && ipv4_parse(value, &address) == 0 &&
            address >> 24 != 127)
            add_unique(out, value);
    }
}

int outside_read(struct vdb *db, struct outside *ret, struct err *err)
{
    struct outside o = {.hosts = json_array(), .servers = json_array()};
    char host[254], proxy[300];
    size_t i = 0;
    json_t *one = NULL;

    if (read_conf(&o, err) < 0) {
        outside_free(&o);
        return -1;
    }
    _cleanup_json_ json_t *sources = sources_read();
    json_array_foreach(sources, i, one)
    {
        if (sources_uri_host(vdc_str(one, "uri"), host, sizeof(host)) && is_host(host))
            add_unique(o.hosts, host);
    }
    sources_proxy(proxy, sizeof(proxy));
    if (sources_uri_host(proxy, host, sizeof(host)) && is_host(host))
        add_unique(o.hosts, host);
    _cleanup_json_ json_t *config = vdb_get(db, "meta", "config");
    json_array_foreach(json_object_get(config, "allow"), i, one)
    {
        if (is_host(json_string_value(one)))
            add_unique(o.hosts, json_string_value(one));
    }
    if (json_array_size(o.servers) == 0)
        read_servers("/etc/resolv.conf", o.servers);
    if (json_array_size(o.servers) == 0)
        read_servers("/run/systemd/resolve/resolv.conf", o.servers);
    *ret = o;
    return 0;
}

void outside_free(struct outside *o)
{
    json_decref(o->hosts);
    json_decref(o->servers);
    *o = (struct outside){0};
}
