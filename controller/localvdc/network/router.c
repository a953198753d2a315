/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/localvdc/network/router.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"
#include "controller/localvdc/base/spawn.h"
#include "controller/localvdc/base/tool.h"
#include "controller/localvdc/base/vdc.h"
#include "controller/localvdc/network/netns.h"
#include "controller/localvdc/network/relay.h"
#include "controller/localvdc/network/rules.h"
#include "controller/localvdc/network/sources.h"

/* The names of one router's parts, derived from the document. */
struct router {
    const json_t *network;
    const char *id;
    bool is_private;
    const char *group, *zone;  /* of a private one */
    char ns[VDC_NETNS_MAX];    /* its namespace, or that of its zone in the group */
    char iface[VDC_NAME_MAX];  /* inside: towards the guests */
    char bridge[VDC_NAME_MAX]; /* on the host */
    char veth[VDC_NAME_MAX];   /* bridge to router */
    char uplink[VDC_NAME_MAX]; /* public bridge to router */
    char dir[128];
    char pidfile[160], conf[160], metadata_pid[160];
};

bool router_is_private(const json_t *network)
{
    return str_eq(vdc_str(network, "subtype"), "privatedirectconnect");
}

static struct router router_of(const json_t *network)
{
    struct router r = {.network = network,
                       .id = vdc_str(network, "id"),
                       .is_private = router_is_private(network),
                       .group = vdc_str(network, "dcgid"),
                       .zone = vdc_str(network, "zoneid")};

    if (r.is_private)
        relay_zone_ns(r.group, r.zone, r.ns);
    else
        vdc_name(VDC_NETNS, r.id, r.ns);
    if (r.is_private)
        vdc_name("p", r.id, r.iface);
    else
        str_copy(r.iface, sizeof(r.iface), "lan");
    vdc_name("mvdcb", r.id, r.bridge);
    vdc_name("mvdcr", r.id, r.veth);
    vdc_name("mvdcp", r.id, r.uplink);
    snprintf(r.dir, sizeof(r.dir), VDC_DIR "/net/%s", r.id);
    snprintf(r.pidfile, sizeof(r.pidfile), "%s/dnsmasq.pid", r.dir);
    snprintf(r.conf, sizeof(r.conf), "%s/dnsmasq.conf", r.dir);
    snprintf(r.metadata_pid, sizeof(r.metadata_pid), "%s/metadata.pid", r.dir);
    return r;
}

/* The router's way out: the network's own public address, and others. */
static void add_uplink(struct vdb *db, const struct router *r, struct strbuf *host,
                       struct strbuf *inside)
{
    _cleanup_json_ json_t *ips = vdb_find(db, "ip", "associatednetworkid", r->id);
    char address[32];
    size_t i = 0;
    json_t *ip = NULL;

    if (*vdc_str(r->network, "_ip")) {
        snprintf(address, sizeof(address), "%s/24", vdc_str(r->network, "_ip"));
        link_veth(r->uplink, VDC_PUBLIC_BRIDGE, r->ns, "pub", address, host, inside);
        strbuf_adds(inside, "route replace default via " VDC_HOST_ADDRESS "\n");
    }
    json_array_foreach(ips, i, ip)
    {
        if (!json_is_true(json_object_get(ip, "issourcenat")))
            strbuf_addf(inside, "addr replace %s/24 dev pub\n", vdc_str(ip, "ipaddress"));
    }
}

static int ensure_links(struct vdb *db, const struct router *r, struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf host = {0}, inside = {0};
    char address[32];
    const char *slash = strchr(vdc_str(r->network, "cidr"), '/');

    snprintf(address, sizeof(address), "%s%s", vdc_str(r->network, "gateway"),
             slash ? slash : "/24");
    /* Networks of one zone and group share a namespace, and are made side by side. */
    _cleanup_close_ int lock = r->is_private ? relay_lock(r->group, err) : -1;
    if (r->is_private && (lock < 0 || relay_zone_ensure(r->group, r->zone, err) < 0))
        return -1;
    if (netns_make(r->ns, err) < 0)
        return -1;
    link_bridge(r->bridge, &host);
    link_veth(r->veth, r->bridge, r->ns, r->iface, address, &host, &inside);
    if (!r->is_private)
        add_uplink(db, r, &host, &inside);
    if (ip_run(NULL, &host, err) < 0 || ip_run(r->ns, &inside, err) < 0)
        return -1;
    return r->is_private ? relay_ensure(r->group, err) : 0;
}

/* Writes when the content differs; *ret_changed is set then, and left alone otherwise. */
static int put_file(const struct router *r, const char *name, const struct strbuf *text,
                    bool *ret_changed, struct err *err)
{
    _cleanup_free_ char *path = str_fmt("%s/%s", r->dir, name), *old = NULL;
    struct err ignored = {0};

    if (fs_read(path, 1024 * 1024, &old, NULL, &ignored) == 0 && strcmp(old, strbuf_str(text)) == 0)
        return 0;
    *ret_changed = true;
    return fs_write_atomic(path, strbuf_str(text), text->len, 0644, err);
}

/* Inside the router's namespace. Leases are no state here: every address is reserved by its NIC,
 * and an old lease would only keep a new guest from the address of one that is gone. */
static int ensure_dnsmasq(struct vdb *db, const struct router *r, const struct outside *o,
                          struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf conf = {0}, hosts = {0}, names = {0};
    _cleanup_json_ json_t *vms = vdb_list(db, "vm");
    bool changed = false;

    rules_dnsmasq(r->network, r->is_private ? NULL : o, r->iface, r->dir, &conf);
    rules_dhcp_hosts(r->id, vms, &hosts, &names);
    if (put_file(r, "dnsmasq.conf", &conf, &changed, err) < 0 ||
        put_file(r, "hosts", &hosts, &changed, err) < 0 ||
        put_file(r, "names", &names, &changed, err) < 0)
        return -1;
    if (!changed && tool_pid(r->pidfile, r->conf))
        return 0;
    tool_stop(r->pidfile, r->conf);
    _cleanup_free_ char *leases = str_fmt("%s/leases", r->dir);
    _cleanup_free_ char *arg = str_fmt("--conf-file=%s", r->conf);
    unlink(leases);
    return TOOL("dnsmasq", err, arg);
}

static int ensure_filter(struct vdb *db, const struct router *r, const struct outside *o,
                         struct err *err)
{
    _cleanup_json_ json_t *egress = vdb_find(db, "egress", "networkid", r->id);
    _cleanup_json_ json_t *forwards = vdb_find(db, "forward", "networkid", r->id);
    _cleanup_json_ json_t *firewall = vdb_find(db, "firewall", "networkid", r->id);
    _cleanup_(strbuf_free) struct strbuf nft = {0};
    _cleanup_json_ json_t *ips = vdb_find(db, "ip", "associatednetworkid", r->id);

    rules_nft(r->network, egress, forwards, firewall, ips, &nft);
    size_t i = 0;
    json_t *host = NULL;
    json_array_foreach(o->hosts, i, host)
    {
        uint32_t literal = 0;

        if (ipv4_parse(json_string_value(host), &literal) == 0)
            strbuf_addf(&nft, "add element ip mvdc allowed { %s }\n", json_string_value(host));
    }
    return tool_run("nft", (const char *const[]){"-f", "-", NULL}, strbuf_str(&nft), err);
}

static int ensure_metadata(const struct router *r, struct err *err)
{
    if (r->is_private || tool_pid(r->metadata_pid, r->id))
        return 0;
    _cleanup_free_ char *log = str_fmt("%s/metadata.log", r->dir);
    return spawn_daemon((const char *const[]){"metadata", r->id, NULL}, log, err);
}

static int ensure_services(struct vdb *db, const struct router *r, struct err *err)
{
    _cleanup_(outside_free) struct outside o = {0};
    _cleanup_(netns_leave) int back = -1;

    if (!r->is_private && outside_read(db, &o, err) < 0)
        return -1;
    if (netns_enter(r->ns, &back, err) < 0 || sysctl_set("net/ipv4/ip_forward", "1", err) < 0)
        return -1;
    if (!r->is_private && ensure_filter(db, r, &o, err) < 0)
        return -1;
    return ensure_dnsmasq(db, r, &o, err) < 0 ? -1 : ensure_metadata(r, err);
}

int router_lock(const char *network_id, struct err *err)
{
    _cleanup_free_ char *path = str_fmt(VDC_DIR "/lock/net-%s", network_id);

    return fs_lock(path, true, err);
}

int router_ensure(struct vdb *db, const char *network_id, struct err *err)
{
    _cleanup_close_ int held = router_lock(network_id, err);
    _cleanup_json_ json_t *network = held >= 0 ? vdb_get(db, "network", network_id) : NULL;

    if (held < 0)
        return -1;
    if (!network)
        return 0; /* deleted meanwhile */
    struct router r = router_of(network);
    if (fs_mkdirs(r.dir, 0755, err) < 0 || ensure_links(db, &r, err) < 0 ||
        ensure_services(db, &r, err) < 0)
        return err_wrap(err, "router of network %s", vdc_str(network, "name"));
    json_t *done = json_pack("{s:s}", "state", "Implemented");
    if (json_object_get(network, "isprovisioned"))
        json_object_set_new(done, "isprovisioned", json_true());
    return vdb_patch(db, "network", network_id, done, err);
}

bool router_wanted(const json_t *network)
{
    return !json_is_true(json_object_get(network, "_lazy")) ||
           str_eq(vdc_str(network, "state"), "Implemented");
}

int router_update(struct vdb *db, const char *network_id, struct err *err)
{
    _cleanup_json_ json_t *network = vdb_get(db, "network", network_id);

    return network && router_wanted(network) ? router_ensure(db, network_id, err) : 0;
}

int router_restart(struct vdb *db, const char *network_id, struct err *err)
{
    _cleanup_json_ json_t *network = vdb_get(db, "network", network_id);

    if (!network || !router_wanted(network))
        return 0;
    struct router r = router_of(network);
    tool_stop(r.metadata_pid, r.id);
    tool_stop(r.pidfile, r.conf);
    return router_ensure(db, network_id, err);
}

void router_drop_address(const json_t *network, const char *address)
{
    struct err gone_already = {0};
    struct router r = router_of(network);
    _cleanup_free_ char *with_bits = str_fmt("%s/24", address);

    TOOL("ip", &gone_already, "-n", r.ns, "addr", "del", with_bits, "dev", "pub");
}

static int remove_zone(const struct router *r, struct err *err)
{
    _cleanup_close_ int lock = relay_lock(r->group, err);

    return lock < 0 ? -1 : relay_zone_remove(r->group, r->zone, err);
}

int router_remove(const json_t *network, struct err *err)
{
    struct router r = router_of(network);

    tool_stop(r.metadata_pid, r.id);
    tool_stop(r.pidfile, r.conf);
    if (link_remove(r.veth, err) < 0 || link_remove(r.uplink, err) < 0 ||
        link_remove(r.bridge, err) < 0)
        return -1;
    if ((r.is_private ? remove_zone(&r, err) : netns_remove(r.ns, err)) < 0)
        return -1;
    return fs_remove_tree(r.dir, err);
}

bool router_alive(const json_t *network)
{
    struct router r = router_of(network);

    return netns_exists(r.ns) && link_exists(r.veth) && tool_pid(r.pidfile, r.conf) &&
           (r.is_private ? relay_alive(r.group) : tool_pid(r.metadata_pid, r.id) != 0);
}
