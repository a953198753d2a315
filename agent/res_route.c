/* SPDX-License-Identifier: Apache-2.0 */
/* Step `route`: the private network's NIC, found by its MAC: up, with its address and the routes
 * to the other zones; in the kernel now, in the configuration for the next boot. */
#include <arpa/inet.h>
#include <dirent.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/conf.h"
#include "agent/resource.h"
#include "agent/rtnl.h"
#include "agent/svc.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"

struct route {
    const char *mac, *address, *via;
    const json_t *to;
};

static const struct field fields[] = {
    FIELD(route, mac, FIELD_STR),
    FIELD(route, address, FIELD_CIDR),
    FIELD(route, via, FIELD_ADDRESS),
    FIELD(route, to, FIELD_STRS),
};

static int cidr_read(const char *text, uint32_t *ret_addr, unsigned *ret_len, struct err *err)
{
    char buf[32];
    uint64_t len;
    struct in_addr a;
    char *slash = str_copy(buf, sizeof(buf), text) ? strchr(buf, '/') : NULL;
    if (slash)
        *slash = '\0';
    if (!slash || inet_pton(AF_INET, buf, &a) != 1 || str_to_u64(slash + 1, 32, &len) < 0)
        return err_set(err, ERR_USAGE, "'%.40s' must be an IPv4 network a.b.c.d/len", text);
    *ret_addr = a.s_addr;
    *ret_len = (unsigned)len;
    return 0;
}

#define NETWORKD "systemd-networkd"

static int route_parse(const json_t *spec, void **ret, struct err *err)
{
    void *obj = NULL;
    size_t i;
    json_t *item;
    if (fields_parse(spec, fields, ARRAY_LEN(fields), sizeof(struct route), &obj, err) < 0)
        return -1;
    json_array_foreach(((struct route *)obj)->to, i, item)
    {
        uint32_t addr;
        unsigned len;
        if (cidr_read(json_string_value(item), &addr, &len, err) < 0) {
            free(obj);
            return err_wrap(err, "member 'to'");
        }
    }
    svc_expect(NETWORKD);
    *ret = obj;
    return 0;
}

static int nic_find(const char *mac, char ret[IF_NAMESIZE], struct err *err)
{
    _cleanup_closedir_ DIR *dir = opendir("/sys/class/net");
    _cleanup_(strbuf_free) struct strbuf seen = {0};
    for (struct dirent *e; dir && (e = readdir(dir));) {
        struct err ignored;
        _cleanup_free_ char *path = str_fmt("/sys/class/net/%s/address", e->d_name);
        _cleanup_free_ char *text = NULL;
        if (e->d_name[0] == '.' || fs_read(path, 256, &text, NULL, &ignored) < 0)
            continue;
        if (strcasecmp(str_chomp(text), mac) == 0 && str_copy(ret, IF_NAMESIZE, e->d_name))
            return 0;
        strbuf_addf(&seen, " %s=%s", e->d_name, text);
    }
    return err_set(err, ERR_FAILED, "no network card with MAC %.32s; there are:%s", mac,
                   strbuf_str(&seen));
}

/* The file that the network's manager reads at boot, and its content; the caller frees both. */
static int persist_file(const struct route *r, const char *nic, char **ret_path, char **ret_text,
                        struct err *err)
{
    struct strbuf b = {0};
    struct svc_state networkd = {0};
    size_t i;
    json_t *to;
    if (svc_look_soon(NETWORKD, &networkd, err) < 0)
        return -1;
    strbuf_adds(&b, "# written by muster-agent\n");
    if (networkd.active) {
        *ret_path = str_fmt("/etc/systemd/network/60-muster-%s.network", nic);
        strbuf_addf(&b, "[Match]\nMACAddress=%s\n[Network]\nAddress=%s\n", r->mac, r->address);
        json_array_foreach(r->to, i, to)
            strbuf_addf(&b, "[Route]\nDestination=%s\nGateway=%s\n", json_string_value(to), r->via);
    } else if (fs_exists("/usr/sbin/ifup") || fs_exists("/sbin/ifup")) {
        *ret_path = str_fmt("/etc/network/interfaces.d/60-muster-%s", nic);
        strbuf_addf(&b, "auto %s\niface %s inet static\n    address %s\n", nic, nic, r->address);
        json_array_foreach(r->to, i, to)
            strbuf_addf(&b, "    post-up /sbin/ip route replace %s via %s dev %s\n",
                        json_string_value(to), r->via, nic);
    } else {
        strbuf_free(&b);
        return err_set(err, ERR_FAILED,
                       "neither ifupdown nor systemd-networkd manages this machine's network; the "
                       "route would be lost at reboot. Use a template with one of them");
    }
    *ret_text = b.s;
    return 0;
}

struct nic {
    char name[IF_NAMESIZE];
    int index;
    uint32_t addr;
    unsigned len;
    struct conf conf;
    char *path, *text; /* owned */
};

static void nic_cleanup(struct nic *n)
{
    free(n->path);
    free(n->text);
}

static int nic_open(const struct route *r, struct nic *n, struct err *err)
{
    if (nic_find(r->mac, n->name, err) < 0 || cidr_read(r->address, &n->addr, &n->len, err) < 0 ||
        persist_file(r, n->name, &n->path, &n->text, err) < 0)
        return -1;
    n->index = (int)if_nametoindex(n->name);
    n->conf = (struct conf){.path = n->path, .content = n->text, .mode = 0644};
    return 0;
}

static int route_wanted(const struct route *r, const struct nic *n, size_t i,
                        struct rtnl_route *ret, struct err *err)
{
    struct in_addr via;
    *ret = (struct rtnl_route){.ifindex = n->index};
    inet_pton(AF_INET, r->via, &via);
    ret->via = via.s_addr;
    return cidr_read(json_string_value(json_array_get(r->to, i)), &ret->to, &ret->len, err);
}

static int route_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    (void)run;
    const struct route *r = self;
    _cleanup_(nic_cleanup) struct nic n = {0};
    _cleanup_(rtnl_cleanup) struct rtnl *nl = NULL;
    bool yes = false;
    if (nic_open(r, &n, err) < 0 || rtnl_open(&nl, err) < 0 ||
        rtnl_link_is_up(nl, n.index, &yes, err) < 0)
        return -1;
    if (!yes)
        return verdict_differs(ret, "%s is down", n.name);
    if (rtnl_has_address(nl, n.index, n.addr, n.len, &yes, err) < 0)
        return -1;
    if (!yes)
        return verdict_differs(ret, "%s does not have %s", n.name, r->address);
    for (size_t i = 0; i < json_array_size(r->to); i++) {
        struct rtnl_route want;
        if (route_wanted(r, &n, i, &want, err) < 0 || rtnl_has_route(nl, &want, &yes, err) < 0)
            return -1;
        if (!yes)
            return verdict_differs(ret, "no route to %s via %s",
                                   json_string_value(json_array_get(r->to, i)), r->via);
    }
    const char *why = conf_differs(&n.conf);
    return why ? verdict_differs(ret, "%s: %s", n.path, why) : verdict_ok(ret);
}

static int route_apply(const void *self, struct run *run, struct err *err)
{
    (void)run;
    const struct route *r = self;
    _cleanup_(nic_cleanup) struct nic n = {0};
    _cleanup_(rtnl_cleanup) struct rtnl *nl = NULL;
    bool has = false;
    if (nic_open(r, &n, err) < 0 || rtnl_open(&nl, err) < 0 || rtnl_link_up(nl, n.index, err) < 0 ||
        rtnl_has_address(nl, n.index, n.addr, n.len, &has, err) < 0 ||
        (!has && rtnl_add_address(nl, n.index, n.addr, n.len, err) < 0))
        return err_wrap(err, "%s", n.name);
    for (size_t i = 0; i < json_array_size(r->to); i++) {
        struct rtnl_route want;
        if (route_wanted(r, &n, i, &want, err) < 0 || rtnl_set_route(nl, &want, err) < 0)
            return err_wrap(err, "%s via %s", json_string_value(json_array_get(r->to, i)), r->via);
    }
    return conf_write(&n.conf, NULL, err);
}

const struct resource_ops res_route = {"route", route_parse, route_check, route_apply, free};
