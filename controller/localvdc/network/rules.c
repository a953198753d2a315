/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/localvdc/network/rules.h"

#include <string.h>

#include "common/ports.h"
#include "controller/localvdc/base/vdc.h"

/* "{ a, b }" from a comma-separated list, or nothing when it means everywhere. */
static void add_cidrs(struct strbuf *out, const char *key, const char *list)
{
    if (!*list || strcmp(list, "0.0.0.0/0") == 0)
        return;
    strbuf_addf(out, "%s { %s } ", key, list);
}

static void add_ports(struct strbuf *out, const char *key, const json_t *rule)
{
    json_int_t first = json_integer_value(json_object_get(rule, "startport"));
    json_int_t last = json_integer_value(json_object_get(rule, "endport"));

    if (first > 0)
        strbuf_addf(out, "%s %d-%d ", key, (int)first, (int)(last > 0 ? last : first));
}

static void add_protocol(struct strbuf *out, const json_t *rule, const char *port_key)
{
    const char *protocol = vdc_str(rule, "protocol");

    if (str_eq(protocol, "all"))
        return;
    strbuf_addf(out, "meta l4proto %s ", protocol);
    if (!str_eq(protocol, "icmp"))
        add_ports(out, port_key, rule);
}

static void add_egress(struct strbuf *out, const json_t *egress)
{
    size_t i = 0;
    json_t *rule = NULL;

    json_array_foreach(egress, i, rule)
    {
        strbuf_adds(out, "  iifname \"lan\" oifname \"pub\" ");
        add_cidrs(out, "ip saddr", vdc_str(rule, "cidrlist"));
        add_cidrs(out, "ip daddr", vdc_str(rule, "destcidrlist"));
        add_protocol(out, rule, "th dport");
        strbuf_adds(out, "jump outside\n");
    }
}

static void add_firewall(struct strbuf *out, const json_t *firewall)
{
    size_t i = 0;
    json_t *rule = NULL;

    json_array_foreach(firewall, i, rule)
    {
        strbuf_adds(out, "  ct status dnat ");
        if (*vdc_str(rule, "ipaddress"))
            strbuf_addf(out, "ct original ip daddr %s ", vdc_str(rule, "ipaddress"));
        add_cidrs(out, "ip saddr", vdc_str(rule, "cidrlist"));
        add_protocol(out, rule, "ct original proto-dst");
        strbuf_adds(out, "accept\n");
    }
}

static void add_forwards(struct strbuf *out, const char *public_ip, const json_t *forwards)
{
    size_t i = 0;
    json_t *rule = NULL;

    json_array_foreach(forwards, i, rule)
    {
        const char *first = vdc_str(rule, "publicport"), *last = vdc_str(rule, "publicendport");
        const char *to = vdc_str(rule, "privateport"), *to_last = vdc_str(rule, "privateendport");
        const char *protocol = vdc_str(rule, "protocol");
        const char *own = vdc_str(rule, "ipaddress");
        bool range = *last && !str_eq(first, last);

        strbuf_addf(out, "  ip daddr %s %s dport %s", *own ? own : public_ip, protocol, first);
        if (range)
            strbuf_addf(out, "-%s", last);
        strbuf_addf(out, " dnat to %s:%s", vdc_str(rule, "vmguestip"), to);
        if (range)
            strbuf_addf(out, "-%s", *to_last ? to_last : last);
        strbuf_adds(out, "\n");
    }
}

static void add_static_nat(struct strbuf *out, const char *before, const char *key,
                           const char *between, const char *value, const json_t *ips)
{
    size_t i = 0;
    json_t *ip = NULL;

    json_array_foreach(ips, i, ip)
    {
        if (json_is_true(json_object_get(ip, "isstaticnat")))
            strbuf_addf(out, "  %s %s %s %s\n", before, vdc_str(ip, key), between,
                        vdc_str(ip, value));
    }
}

void rules_nft(const json_t *network, const json_t *egress, const json_t *forwards,
               const json_t *firewall, const json_t *ips, struct strbuf *out)
{
    const char *pub = vdc_str(network, "_ip");
    const char *cidr = vdc_str(network, "cidr");

    /* The set is kept when it is there: the name server fills it as guests ask for names. */
    strbuf_addf(out,
                "add table ip mvdc\n"
                "add set ip mvdc allowed { type ipv4_addr; }\n"
                "flush table ip mvdc\n"
                "table ip mvdc {\n"
                " chain input {\n"
                "  type filter hook input priority 0; policy drop;\n"
                "  iifname \"lo\" accept\n"
                "  ct state established,related accept\n"
                "  icmp type echo-request accept\n"
                "  iifname \"lan\" udp dport { 53, 67 } accept\n"
                "  iifname \"lan\" tcp dport { 53, %d, %d } accept\n"
                " }\n"
                " chain outside {\n"
                "  ip daddr " VDC_POOL " accept\n"
                "  ip daddr @allowed accept\n"
                "  reject with icmp type admin-prohibited\n"
                " }\n"
                " chain forward {\n"
                "  type filter hook forward priority 0; policy drop;\n"
                "  ct state established,related accept\n"
                "  ct state invalid drop\n",
                PORT_HTTP, VDC_PASSWORD_PORT);
    add_firewall(out, firewall);
    add_egress(out, egress);
    strbuf_adds(out, " }\n"
                     " chain prerouting {\n"
                     "  type nat hook prerouting priority -100;\n");
    add_forwards(out, pub, forwards);
    add_static_nat(out, "ip daddr", "ipaddress", "dnat to", "vmipaddress", ips);
    strbuf_adds(out, " }\n"
                     " chain postrouting {\n"
                     "  type nat hook postrouting priority 100;\n");
    add_static_nat(out, "oifname \"pub\" ip saddr", "vmipaddress", "snat to", "ipaddress", ips);
    if (*pub)
        strbuf_addf(out, "  oifname \"pub\" ip saddr %s snat to %s\n", cidr, pub);
    strbuf_addf(out,
                "  oifname \"lan\" ip saddr %s ct status dnat masquerade\n"
                " }\n"
                "}\n",
                cidr);
}

void rules_nft_host(struct strbuf *out)
{
    /* Where the kernel shows bridged frames to the filter, those between our bridges' ports pass
     * here, too: none of them is to be changed. */
    strbuf_adds(out, "add table ip " VDC_NFT_TABLE "\n"
                     "flush table ip " VDC_NFT_TABLE "\n"
                     "table ip " VDC_NFT_TABLE " {\n"
                     " chain postrouting {\n"
                     "  type nat hook postrouting priority 100;\n"
                     "  ip saddr " VDC_POOL " oifname != \"mvdc*\" masquerade\n"
                     " }\n"
                     "}\n");
}

static void add_names(const struct outside *outside, struct strbuf *out)
{
    size_t i = 0;
    json_t *host = NULL;

    /* A name that is not listed is answered here: nothing of it leaves the machine. */
    strbuf_adds(out, "address=/#/\n");
    json_array_foreach(outside->hosts, i, host)
    {
        const char *name = json_string_value(host);
        uint32_t literal = 0;

        if (ipv4_parse(name, &literal) == 0)
            continue; /* put into the set by the router */
        size_t k = 0;
        json_t *server = NULL;
        json_array_foreach(outside->servers, k, server)
        {
            strbuf_addf(out, "server=/%s/%s\n", name, json_string_value(server));
        }
        strbuf_addf(out, "nftset=/%s/4#ip#mvdc#allowed\n", name);
    }
}

void rules_dnsmasq(const json_t *network, const struct outside *outside, const char *iface,
                   const char *dir, struct strbuf *out)
{
    const char *cidr = vdc_str(network, "cidr"), *gateway = vdc_str(network, "gateway");

    strbuf_addf(out,
                "interface=%s\nbind-interfaces\nexcept-interface=lo\nno-resolv\nno-hosts\n"
                "no-poll\nno-ping\ndhcp-authoritative\ndhcp-range=%.*s,static,%s,12h\n"
                "dhcp-hostsfile=%s/hosts\ndhcp-leasefile=%s/leases\npid-file=%s/dnsmasq.pid\n"
                "log-facility=%s/dnsmasq.log\nquiet-dhcp\n",
                iface, (int)strcspn(cidr, "/"), cidr, vdc_str(network, "netmask"), dir, dir, dir,
                dir);
    if (!outside) {
        strbuf_adds(out, "port=0\ndhcp-option=3\ndhcp-option=6\n");
        return;
    }
    strbuf_addf(out,
                "addn-hosts=%s/"
                "names\ndhcp-option=3,%s\ndhcp-option=6,%s\ndomain=mvdc.internal\nexpand-hosts\n"
                "local=/mvdc.internal/\naddress=/data-server/%s\naddress=/data-server."
                "mvdc.internal/%s\ncache-size=1000\nmin-cache-ttl=1\n",
                dir, gateway, gateway, gateway, gateway);
    add_names(outside, out);
}

void rules_dhcp_hosts(const char *network_id, const json_t *vms, struct strbuf *out,
                      struct strbuf *names)
{
    size_t i = 0, k = 0;
    json_t *vm = NULL, *nic = NULL;

    json_array_foreach(vms, i, vm)
    {
        json_array_foreach(json_object_get(vm, "nic"), k, nic)
        {
            if (!str_eq(vdc_str(nic, "networkid"), network_id))
                continue;
            const char *ip = vdc_str(nic, "ipaddress"), *name = vdc_str(vm, "name");
            strbuf_addf(out, "%s,%s,%s\n", vdc_str(nic, "macaddress"), ip, name);
            strbuf_addf(names, "%s %s\n", ip, name);
        }
    }
}
