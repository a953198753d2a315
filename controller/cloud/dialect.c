/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cloud/dialect.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/str.h"
#include "controller/cloud/catalogue.h"
#include "controller/cloud/entity.h"

/* ---- parameters of the create calls ---- */

static void add_number(struct pairs *p, const char *name, unsigned long long value)
{
    char text[24];

    snprintf(text, sizeof(text), "%llu", value);
    pairs_add(p, name, text);
}

static void add_dep(struct pairs *p, const char *name, const struct request *m,
                    const struct resource *it, enum resource_kind kind)
{
    pairs_add(p, name, resource_dep_id(m->resources, it, kind));
}

static int named(const struct request *m, const struct resource *it, struct pairs *p,
                 struct err *err)
{
    (void)err;
    pairs_add(p, "name", it->label);
    if (it->kind == RESOURCE_KEYPAIR)
        pairs_add(p, "publickey", m->public_key);
    return 0;
}

static const struct cidr *cidr_of(const struct request *m, const struct resource *it)
{
    const struct spec_zone *zone = &m->spec->zones[it->zone];

    return it->kind == RESOURCE_GATEWAY ? &zone->gateway : &zone->private;
}

static int vdc_network(const struct request *m, const struct resource *it, struct pairs *p,
                       struct err *err)
{
    char gateway[16];

    (void)err;
    cidr_host(cidr_of(m, it), 1, gateway);
    pairs_add(p, "displaytext", it->label);
    pairs_add(p, "zonename", m->spec->zones[it->zone].name);
    pairs_add(p, "cidr", cidr_of(m, it)->text);
    pairs_add(p, "gateway", gateway);
    if (it->kind == RESOURCE_PRIVATE)
        add_dep(p, "dcgid", m, it, RESOURCE_GROUP);
    return 0;
}

static int stock_network(const struct request *m, const struct resource *it, struct pairs *p,
                         struct err *err)
{
    const struct spec_zone *zone = &m->spec->zones[it->zone];
    const struct cidr *cidr = cidr_of(m, it);
    char id[64], text[16];

    if (it->kind == RESOURCE_PRIVATE && !zone->vpc[0])
        return err_set(err, ERR_CLOUD,
                       "%s: the cloud has no network '%s' in zone '%s'; the file says that it is "
                       "there already (private.network)",
                       it->name, it->label, zone->name);
    if (catalogue_id(m->inv, m->spec, it, LIST_ZONES, zone->name, id, err) < 0)
        return -1;
    pairs_add(p, "name", it->label);
    pairs_add(p, "displaytext", it->label);
    pairs_add(p, "zoneid", id);
    if (catalogue_id(m->inv, m->spec, it, LIST_NETWORK_OFFERINGS,
                     it->kind == RESOURCE_GATEWAY ? zone->gateway_offering : zone->private_offering,
                     id, err) < 0)
        return -1;
    pairs_add(p, "networkofferingid", id);
    cidr_host(cidr, 1, text);
    pairs_add(p, "gateway", text);
    ipv4_text(ipv4_mask(cidr->net.len), text);
    pairs_add(p, "netmask", text);
    if (it->kind == RESOURCE_PRIVATE)
        pairs_add(p, "vpcid", zone->vpc);
    return 0;
}

static int address(const struct request *m, const struct resource *it, struct pairs *p,
                   struct err *err)
{
    (void)err;
    add_dep(p, "networkid", m, it, RESOURCE_GATEWAY);
    return 0;
}

static int egress(const struct request *m, const struct resource *it, struct pairs *p,
                  struct err *err)
{
    (void)err;
    add_dep(p, "networkid", m, it, RESOURCE_GATEWAY);
    pairs_add(p, "protocol", "all");
    pairs_add(p, "cidrlist", m->spec->zones[it->zone].gateway.text);
    return 0;
}

static int volume(const struct request *m, const struct resource *it, struct pairs *p,
                  struct err *err)
{
    const struct spec_disk *d = &m->spec->nodes[it->node].disk;
    char id[64];

    pairs_add(p, "name", it->label);
    if (catalogue_id(m->inv, m->spec, it, LIST_ZONES, m->spec->zones[it->zone].name, id, err) < 0)
        return -1;
    pairs_add(p, "zoneid", id);
    if (catalogue_id(m->inv, m->spec, it, LIST_DISK_OFFERINGS, d->offering, id, err) < 0)
        return -1;
    pairs_add(p, "diskofferingid", id);
    add_number(p, "size", d->size >> 30);
    return 0;
}

static int vm(const struct request *m, const struct resource *it, struct pairs *p, struct err *err)
{
    const struct spec_node *node = &m->spec->nodes[it->node];
    const char *inner = resource_dep_id(m->resources, it, RESOURCE_PRIVATE);
    _cleanup_free_ char *networks = NULL;
    char id[64];

    if (catalogue_id(m->inv, m->spec, it, LIST_ZONES, m->spec->zones[it->zone].name, id, err) < 0)
        return -1;
    pairs_add(p, "zoneid", id);
    if (catalogue_id(m->inv, m->spec, it, LIST_TEMPLATES, node->template, id, err) < 0)
        return -1;
    pairs_add(p, "templateid", id);
    if (catalogue_id(m->inv, m->spec, it, LIST_OFFERINGS, node->offering, id, err) < 0)
        return -1;
    pairs_add(p, "serviceofferingid", id);
    /* the gateway network first: it becomes the default one of the VM */
    networks = str_fmt("%s%s%s", resource_dep_id(m->resources, it, RESOURCE_GATEWAY),
                       *inner ? "," : "", inner);
    pairs_add(p, "networkids", networks);
    pairs_add(p, "name", it->label);
    pairs_add(p, "displayname", it->label);
    add_dep(p, "keypair", m, it, RESOURCE_KEYPAIR);
    if (m->spec->hypervisor[0])
        pairs_add(p, "hypervisor", m->spec->hypervisor);
    pairs_add(p, "userdata", m->user_data);
    return 0;
}

static int forward(const struct request *m, const struct resource *it, struct pairs *p,
                   struct err *err)
{
    (void)err;
    add_dep(p, "ipaddressid", m, it, RESOURCE_ADDRESS);
    add_dep(p, "virtualmachineid", m, it, RESOURCE_VM);
    pairs_add(p, "protocol", "tcp");
    add_number(p, "publicport", it->port.public_port);
    add_number(p, "privateport", it->port.private_port);
    pairs_add(p, "openfirewall", "true");
    return 0;
}

static int firewall(const struct request *m, const struct resource *it, struct pairs *p,
                    struct err *err)
{
    (void)err;
    add_dep(p, "ipaddressid", m, it, RESOURCE_ADDRESS);
    pairs_add(p, "protocol", "tcp");
    add_number(p, "startport", it->port.public_port);
    add_number(p, "endport", it->port.public_port);
    pairs_add(p, "cidrlist", "0.0.0.0/0");
    return 0;
}

static int attach(const struct request *m, const struct resource *it, struct pairs *p,
                  struct err *err)
{
    (void)err;
    add_dep(p, "id", m, it, RESOURCE_VOLUME);
    add_dep(p, "virtualmachineid", m, it, RESOURCE_VM);
    return 0;
}

/* ---- the tables ---- */

/* What both clouds call the same. */
/* clang-format off */
#define COMMON_OPS                                                                                 \
    [RESOURCE_EGRESS] = {"egress", "egress rule", LIST_EGRESS, "createEgressFirewallRule", egress,     \
                     "deleteEgressFirewallRule", 1, "FirewallRule", false, false},                 \
    [RESOURCE_KEYPAIR] = {"keypair", "SSH key pair", LIST_KEYPAIRS, "registerSSHKeyPair", named,       \
                      "deleteSSHKeyPair", 5, NULL, true, false},                                   \
    [RESOURCE_VOLUME] = {"volume", "data disk", LIST_VOLUMES, "createVolume", volume,                  \
                     "deleteVolume", 1, "Volume", false, false},                                   \
    [RESOURCE_VM] = {"vm", "VM", LIST_VMS, "deployVirtualMachine", vm,                                 \
                 "destroyVirtualMachine", 0, "UserVm", false, false},                              \
    [RESOURCE_FORWARD] = {"forward", "port forward", LIST_FORWARDS, "createPortForwardingRule",        \
                      forward, "deletePortForwardingRule", 1, "PortForwardingRule", false, false}, \
    [RESOURCE_FIREWALL] = {"firewall", "firewall rule", LIST_FIREWALL, "createFirewallRule", firewall,    \
                      "deleteFirewallRule", 2, "FirewallRule", false, false},                      \
    [RESOURCE_ATTACH] = {"attach", "disk attachment", LIST_VOLUMES, "attachVolume", attach,            \
                     NULL, 0, NULL, false, false}

#define COMMON_LISTS                                                                               \
    [LIST_NETWORKS] = true, [LIST_EGRESS] = true, [LIST_ADDRESSES] = true,                         \
    [LIST_KEYPAIRS] = true, [LIST_VOLUMES] = true, [LIST_VMS] = true, [LIST_FORWARDS] = true,      \
    [LIST_FIREWALL] = true, [LIST_ZONES] = true, [LIST_TEMPLATES] = true,                          \
    [LIST_OFFERINGS] = true, [LIST_DISK_OFFERINGS] = true

#define SNAPSHOT_OPS {"createSnapshot", "listSnapshots", "snapshot", "deleteSnapshot", "Snapshot"}

static const struct dialect vdc = {
    .name = "vdc",
    .region = true,
    .ops = {
        COMMON_OPS,
        [RESOURCE_GROUP] = {"group", "Direct Connect Group", LIST_GROUPS, "createDirectConnectGroup",
                        named, NULL, 0, NULL, true, true},
        [RESOURCE_GATEWAY] = {"gateway", "gateway network", LIST_NETWORKS, "createLocalNetwork",
                          vdc_network, "deleteNetwork", 4, "Network", false, false},
        [RESOURCE_PRIVATE] = {"private", "private network", LIST_NETWORKS, "createPrivateDirectConnect",
                          vdc_network, "deleteNetwork", 4, "Network", false, true},
        [RESOURCE_ADDRESS] = {"address", "public address", LIST_ADDRESSES, NULL,
                          NULL, NULL, 0, "PublicIpAddress", false, false},
    },
    .lists = {COMMON_LISTS, [LIST_GROUPS] = true},
    .snapshots = SNAPSHOT_OPS,
};

static const struct dialect cloudstack = {
    .name = "cloudstack",
    .ops = {
        COMMON_OPS,
        [RESOURCE_GROUP] = {"group", "group", LIST_GROUPS, NULL, NULL, NULL, 0, NULL, true, true},
        [RESOURCE_GATEWAY] = {"gateway", "gateway network", LIST_NETWORKS, "createNetwork",
                          stock_network, "deleteNetwork", 4, "Network", false, false},
        [RESOURCE_PRIVATE] = {"private", "private network", LIST_NETWORKS, "createNetwork",
                          stock_network, "deleteNetwork", 4, "Network", false, false},
        [RESOURCE_ADDRESS] = {"address", "public address", LIST_ADDRESSES, "associateIpAddress",
                          address, "disassociateIpAddress", 3, "PublicIpAddress", false, false},
    },
    .lists = {COMMON_LISTS, [LIST_NETWORK_OFFERINGS] = true},
    .snapshots = SNAPSHOT_OPS,
};
/* clang-format on */

const struct dialect *dialect_of(const struct spec *s)
{
    return s->stock ? &cloudstack : &vdc;
}

/* ---- parameters of the other calls ---- */

void params_destroy(const struct resource *it, bool expunge, struct pairs *ret)
{
    pairs_add(ret, it->kind == RESOURCE_KEYPAIR ? "name" : "id", it->id);
    if (expunge && it->kind == RESOURCE_VM && !entity_is(it->entity, "state", "Destroyed"))
        pairs_add(ret, "expunge", "true");
}

static void add_tags(const struct resources *resources, const char *id, const char *type,
                     const char *name, struct pairs *ret)
{
    pairs_add(ret, "resourceids", id);
    pairs_add(ret, "resourcetype", type);
    pairs_add(ret, "tags[0].key", TAG_DEPLOYMENT);
    pairs_add(ret, "tags[0].value", resources->deployment);
    pairs_add(ret, "tags[1].key", TAG_RESOURCE);
    pairs_add(ret, "tags[1].value", name);
}

void params_tags(const struct resources *resources, const struct resource *it, struct pairs *ret)
{
    add_tags(resources, it->id, resource_ops(resources, it->kind)->tag, it->name, ret);
}

void params_grow(const struct request *m, const struct resource *it, struct pairs *ret)
{
    pairs_add(ret, "id", it->id);
    add_number(ret, "size", m->spec->nodes[it->node].disk.size >> 30);
}

void params_snapshot(const char *volume_id, const char *name, struct pairs *ret)
{
    pairs_add(ret, "volumeid", volume_id);
    pairs_add(ret, "name", name);
}

void params_snapshot_tags(const struct resources *resources, const char *id, const char *volume,
                          const char *because, struct pairs *ret)
{
    add_tags(resources, id, resources->dialect->snapshots.tag, volume, ret);
    if (!because)
        return;
    pairs_add(ret, "tags[2].key", TAG_BECAUSE);
    pairs_add(ret, "tags[2].value", because);
}
