/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/route/netconf.h"

#include <stdlib.h>
#include <string.h>

#include "common/str.h"

#define HEAD "# written by muster-agent\n"

static const char *const names[NETCONF_MANAGERS] = {
    [NETCONF_NONE] = "none",
    [NETCONF_NETPLAN] = "netplan",
    [NETCONF_NETWORKD] = "systemd-networkd",
    [NETCONF_NETWORKMANAGER] = "NetworkManager",
    [NETCONF_IFUPDOWN] = "ifupdown",
};

const char *netconf_manager_name(enum netconf_manager m)
{
    return m < NETCONF_MANAGERS ? names[m] : "?";
}

enum netconf_manager netconf_choose(const struct netconf_seen *s)
{
    /* netplan writes the files of the others at every boot. NetworkManager leaves alone what
     * ifupdown names. A networkd that is only active may have no NIC at all. */
    if (s->netplan)
        return NETCONF_NETPLAN;
    if (s->ifupdown && s->ifupdown_nic)
        return NETCONF_IFUPDOWN;
    if (s->networkd)
        return NETCONF_NETWORKD;
    if (s->networkmanager)
        return NETCONF_NETWORKMANAGER;
    return s->ifupdown ? NETCONF_IFUPDOWN : NETCONF_NONE;
}

void netconf_file_free(struct netconf_file *f)
{
    free(f->path);
    free(f->text);
    *f = (struct netconf_file){0};
}

#define to_foreach(c, i, item)                                                                     \
    json_t *item;                                                                                  \
    size_t i;                                                                                      \
    json_array_foreach((c)->to, i, item)

/* A MAC alone may match what lies on the NIC, too. */
static void netplan(const struct netconf *c, struct netconf_file *f, struct strbuf *b)
{
    f->path = str_fmt("/etc/netplan/60-muster-%s.yaml", c->nic);
    f->mode = 0600; /* netplan warns of more */
    strbuf_addf(
        b,
        "network:\n  version: 2\n  ethernets:\n    %s:\n      match: {macaddress: \"%s\", name: "
        "\"%s\"}\n      addresses: [\"%s\"]\n      routes:\n",
        c->nic, c->mac, c->nic, c->address);
    to_foreach(c, i, to)
        strbuf_addf(b, "        - {to: \"%s\", via: \"%s\"}\n", json_string_value(to), c->via);
}

static void networkd(const struct netconf *c, struct netconf_file *f, struct strbuf *b)
{
    const char *slash = c->beside ? strrchr(c->beside, '/') : NULL;

    f->mode = 0644;
    if (slash) { /* the first file that matches has the NIC: ours could only stand beside it */
        f->path = str_fmt("/etc/systemd/network/%s.d/60-muster.conf", slash + 1);
    } else {
        f->path = str_fmt("/etc/systemd/network/60-muster-%s.network", c->nic);
        strbuf_addf(b, "[Match]\nMACAddress=%s\nName=%s\n", c->mac, c->nic);
    }
    strbuf_addf(b, "[Network]\nAddress=%s\n", c->address);
    to_foreach(c, i, to)
        strbuf_addf(b, "[Route]\nDestination=%s\nGateway=%s\n", json_string_value(to), c->via);
}

static void networkmanager(const struct netconf *c, struct netconf_file *f, struct strbuf *b)
{
    f->path = str_fmt("/etc/NetworkManager/system-connections/muster-%s.nmconnection", c->nic);
    f->mode = 0600; /* it ignores files that others may read */
    strbuf_addf(b,
                "[connection]\nid=muster-%s\ninterface-name=%s\ntype=ethernet\n"
                "autoconnect-priority=10\n"
                "[ethernet]\nmac-address=%s\n"
                "[ipv4]\nmethod=manual\nnever-default=true\naddress1=%s\n",
                c->nic, c->nic, c->mac, c->address);
    to_foreach(c, i, to) strbuf_addf(b, "route%zu=%s,%s\n", i + 1, json_string_value(to), c->via);
    strbuf_adds(b, "[ipv6]\nmethod=link-local\n");
}

static void ifupdown(const struct netconf *c, struct netconf_file *f, struct strbuf *b)
{
    f->path = str_fmt("/etc/network/interfaces.d/60-muster-%s", c->nic);
    f->mode = 0644;
    /* Not static: that fails when another stanza, or DHCP, gave the NIC the address already. */
    strbuf_addf(b,
                "auto %s\niface %s inet manual\n    up /sbin/ip link set dev %s up\n"
                "    up /sbin/ip address replace %s broadcast + dev %s\n",
                c->nic, c->nic, c->nic, c->address, c->nic);
    to_foreach(c, i, to) strbuf_addf(b, "    up /sbin/ip route replace %s via %s dev %s\n",
                                     json_string_value(to), c->via, c->nic);
}

void netconf_write(enum netconf_manager m, const struct netconf *c, struct netconf_file *ret)
{
    struct strbuf b = {0};

    *ret = (struct netconf_file){0};
    strbuf_adds(&b, HEAD);
    if (m == NETCONF_NETPLAN)
        netplan(c, ret, &b);
    else if (m == NETCONF_NETWORKD)
        networkd(c, ret, &b);
    else if (m == NETCONF_NETWORKMANAGER)
        networkmanager(c, ret, &b);
    else
        ifupdown(c, ret, &b);
    ret->text = b.s;
}
