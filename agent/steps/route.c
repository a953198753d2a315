/* SPDX-License-Identifier: Apache-2.0 */
/* Step `route`: the private network's NIC, found by its MAC: up, with its address and the routes
 * to the other zones; in the kernel now, in the configuration for the next boot. */
#include <arpa/inet.h>
#include <dirent.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/route/guard.h"
#include "agent/route/netconf.h"
#include "agent/route/nic.h"
#include "agent/route/rtnl.h"
#include "agent/steps/step.h"
#include "agent/sys/conf.h"
#include "agent/sys/svc.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/ipv4.h"
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

/* In network byte order, as the kernel has it. */
static int cidr_read(const char *text, uint32_t *ret_addr, unsigned *ret_len, struct err *err)
{
    uint32_t address;

    if (ipv4_interface_parse(text, &address, ret_len) < 0)
        return err_set(err, ERR_USAGE, "'%.40s' must be an IPv4 network a.b.c.d/len",
                       text ? text : "");
    *ret_addr = htonl(address);
    return 0;
}

/* `via` is an address, by the table of fields. */
static uint32_t gateway_of(const struct route *r)
{
    uint32_t via = 0;

    ipv4_parse(r->via, &via);
    return htonl(via);
}

#define NETWORKD "systemd-networkd"
#define NETWORKMANAGER "NetworkManager"

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
    *ret = obj;
    return 0;
}

static const char *route_unit(const void *self, size_t i)
{
    static const char *const units[] = {NETWORKD, NETWORKMANAGER};

    (void)self;
    return i < ARRAY_LEN(units) ? units[i] : NULL;
}

/* --- for the next boot --------------------------------------------------------------------- */

static bool has_file(const char *dir, const char *suffix)
{
    _cleanup_closedir_ DIR *d = opendir(dir);

    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.' && str_ends(e->d_name, suffix))
            return true;
    return false;
}

/* A stanza "iface ..." of the text, for a NIC of its own or, with nic NULL, any but lo. */
static bool has_stanza(char *text, const char *nic)
{
    char *save = NULL, name[IF_NAMESIZE];

    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        if (sscanf(line, " iface %15s", name) == 1 &&
            (nic ? strcmp(name, nic) == 0 : strcmp(name, "lo") != 0))
            return true;
    return false;
}

#define INTERFACES "/etc/network/interfaces"

/* Of a machine whose other NICs ifupdown brings up, it brings up ours, too. */
static bool ifupdown_has_cards(void)
{
    struct err ignored;
    _cleanup_free_ char *text = NULL;
    _cleanup_closedir_ DIR *d = opendir(INTERFACES ".d");

    if (fs_read(INTERFACES, 65536, &text, NULL, &ignored) == 0 && has_stanza(text, NULL))
        return true;
    for (struct dirent *e; d && (e = readdir(d));) {
        _cleanup_free_ char *path = str_fmt(INTERFACES ".d/%s", e->d_name);
        _cleanup_free_ char *more = NULL;

        if (e->d_name[0] != '.' && fs_read(path, 65536, &more, NULL, &ignored) == 0 &&
            has_stanza(more, NULL))
            return true;
    }
    return false;
}

static int manager_find(enum netconf_manager *ret, struct err *err)
{
    struct svc_state networkd = {0}, nm = {0};
    struct err ignored;
    _cleanup_free_ char *text = NULL;

    if (svc_status_soon(NETWORKD, &networkd, err) < 0 ||
        svc_status_soon(NETWORKMANAGER, &nm, err) < 0)
        return -1;
    struct netconf_seen seen = {
        .netplan = fs_exists("/usr/sbin/netplan") &&
                   (has_file("/etc/netplan", ".yaml") || has_file("/run/netplan", ".yaml")),
        .networkd = networkd.active || networkd.busy,
        .networkmanager = nm.active || nm.busy,
        .ifupdown = fs_exists("/usr/sbin/ifup") || fs_exists("/sbin/ifup"),
        .ifupdown_nic = ifupdown_has_cards(),
    };
    *ret = netconf_choose(&seen);
    if (*ret == NETCONF_NONE)
        return err_set(
            err, ERR_FAILED,
            "none of netplan, systemd-networkd, NetworkManager and ifupdown manages this "
            "machine's network; the route would be lost at reboot. Use a template with "
            "one of them");
    if (*ret == NETCONF_IFUPDOWN &&
        (fs_read(INTERFACES, 65536, &text, NULL, &ignored) < 0 || !strstr(text, "interfaces.d")))
        return err_set(err, ERR_FAILED,
                       INTERFACES " does not read " INTERFACES ".d; the route would be lost at "
                                  "reboot. Add the line: source " INTERFACES ".d/*");
    return 0;
}

/* The file by which networkd has the NIC, unless it is ours. */
static char *networkd_file(int index, const char *own)
{
    struct err ignored;
    _cleanup_free_ char *path = str_fmt("/run/systemd/netif/links/%d", index);
    _cleanup_free_ char *text = NULL;
    char *at, *save = NULL;

    if (fs_read(path, 65536, &text, NULL, &ignored) < 0)
        return NULL;
    for (at = strtok_r(text, "\n", &save); at; at = strtok_r(NULL, "\n", &save))
        if (str_starts(at, "NETWORK_FILE=/") && strcmp(at + strlen("NETWORK_FILE="), own) != 0)
            return xstrdup(at + strlen("NETWORK_FILE="));
    return NULL;
}

static int persist_file(const struct route *r, const char *nic, int index, struct netconf_file *ret,
                        struct err *err)
{
    struct netconf c = {
        .nic = nic, .mac = r->mac, .address = r->address, .via = r->via, .to = r->to};
    enum netconf_manager m;

    if (manager_find(&m, err) < 0)
        return -1;
    netconf_write(m, &c, ret);
    _cleanup_free_ char *beside = m == NETCONF_NETWORKD ? networkd_file(index, ret->path) : NULL;
    if (beside) {
        netconf_file_free(ret);
        c.beside = beside;
        netconf_write(m, &c, ret);
    }
    return 0;
}

/* --- now -------------------------------------------------------------------------------------- */

struct nic {
    char name[IF_NAMESIZE];
    int index;
    uint32_t addr;
    unsigned len;
    struct conf conf;
    struct netconf_file file;
};

static void nic_cleanup(struct nic *n)
{
    netconf_file_free(&n->file);
}

static int nic_open(const struct route *r, struct rtnl *nl, struct nic *n, struct err *err)
{
    if (nic_find(r->mac, nl, n->name, err) < 0 || cidr_read(r->address, &n->addr, &n->len, err) < 0)
        return -1;
    n->index = (int)if_nametoindex(n->name);
    if (persist_file(r, n->name, n->index, &n->file, err) < 0)
        return -1;
    n->conf = (struct conf){.path = n->file.path, .content = n->file.text, .mode = n->file.mode};
    return 0;
}

static int route_wanted(const struct route *r, const struct nic *n, size_t i,
                        struct rtnl_route *ret, struct err *err)
{
    *ret = (struct rtnl_route){.ifindex = n->index, .via = gateway_of(r)};
    return cidr_read(json_string_value(json_array_get(r->to, i)), &ret->to, &ret->len, err);
}

/* Leaves ret as it is when nobody's path would be taken over. */
static int refuse_takeover(const struct guard *g, struct rtnl *nl, const struct rtnl_route *want,
                           const char *text, struct verdict *ret, struct err *err)
{
    const struct guarded *who = NULL;
    char address[IPV4_SIZE];

    if (guard_check(g, nl, want, &who, err) < 0)
        return -1;
    if (!who)
        return 0;
    ipv4_text(ntohl(who->addr), address);
    return verdict_refused(ret,
                           "the network %s holds %s, the address of %s, which is reached another "
                           "way now; this machine could be cut off. Choose other networks in the "
                           "file",
                           text, address, who->what);
}

static int route_refuse(const struct route *r, const struct nic *n, struct rtnl *nl,
                        struct verdict *ret, struct err *err)
{
    struct guard g = {0};
    const char *why = guard_gateway(n->addr, n->len, gateway_of(r));

    if (why)
        return verdict_refused(ret, "the gateway %s %s (%s)", r->via, why, r->address);
    guard_collect(&g, nl);
    struct rtnl_route own = {.to = n->addr, .len = n->len, .ifindex = n->index};
    if (refuse_takeover(&g, nl, &own, r->address, ret, err) < 0)
        return -1;
    for (size_t i = 0; i < json_array_size(r->to) && ret->kind != VERDICT_REFUSED; i++) {
        struct rtnl_route want, dflt;
        bool found = false;
        const char *text = json_string_value(json_array_get(r->to, i));

        if (route_wanted(r, n, i, &want, err) < 0 ||
            (want.len == 0 && rtnl_default_route(nl, &dflt, &found, err) < 0) ||
            refuse_takeover(&g, nl, &want, text, ret, err) < 0)
            return -1;
        if (found && (dflt.via != want.via || dflt.ifindex != want.ifindex))
            return verdict_refused(ret, "%s via %s would replace the default route", text, r->via);
    }
    return 0;
}

static int route_look(const struct route *r, const struct nic *n, struct rtnl *nl,
                      struct verdict *ret, struct err *err)
{
    bool yes = false;

    if (rtnl_link_is_up(nl, n->index, &yes, err) < 0)
        return -1;
    if (!yes)
        return verdict_differs(ret, "%s is down", n->name);
    if (rtnl_has_address(nl, n->index, n->addr, n->len, &yes, err) < 0)
        return -1;
    if (!yes)
        return verdict_differs(ret, "%s does not have %s", n->name, r->address);
    for (size_t i = 0; i < json_array_size(r->to); i++) {
        struct rtnl_route want;

        if (route_wanted(r, n, i, &want, err) < 0 || rtnl_has_route(nl, &want, &yes, err) < 0)
            return -1;
        if (!yes)
            return verdict_differs(ret, "no route to %s via %s",
                                   json_string_value(json_array_get(r->to, i)), r->via);
    }
    const char *why = conf_differs(&n->conf);
    return why ? verdict_differs(ret, "%s: %s", n->file.path, why) : verdict_ok(ret);
}

static int route_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    (void)run;
    const struct route *r = self;
    _cleanup_(nic_cleanup) struct nic n = {0};
    _cleanup_(rtnl_cleanup) struct rtnl *nl = NULL;

    if (rtnl_open(&nl, err) < 0 || nic_open(r, nl, &n, err) < 0 ||
        route_look(r, &n, nl, ret, err) < 0)
        return -1;
    return ret->kind == VERDICT_DIFFERS ? route_refuse(r, &n, nl, ret, err) : 0;
}

static int route_apply(const void *self, struct run *run, struct err *err)
{
    (void)run;
    const struct route *r = self;
    _cleanup_(nic_cleanup) struct nic n = {0};
    _cleanup_(rtnl_cleanup) struct rtnl *nl = NULL;
    bool has = false;

    if (rtnl_open(&nl, err) < 0 || nic_open(r, nl, &n, err) < 0 ||
        rtnl_link_up(nl, n.index, err) < 0 ||
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

const struct step_ops step_route = {"route",     route_parse, route_check,
                                    route_apply, free,        route_unit};
