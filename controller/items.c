/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/items.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/str.h"

static const struct item_ops ops_table[ITEM_KINDS] = {
    [ITEM_GROUP] = {"group", "Direct Connect Group", LIST_GROUPS, "createDirectConnectGroup", NULL,
                    true},
    [ITEM_GATEWAY] = {"gateway", "gateway network", LIST_NETWORKS, "createLocalNetwork",
                      "deleteNetwork", false},
    [ITEM_PRIVATE] = {"private", "private network", LIST_NETWORKS, "createPrivateDirectConnect",
                      "deleteNetwork", false},
    [ITEM_EGRESS] = {"egress", "egress rule", LIST_EGRESS, "createEgressFirewallRule",
                     "deleteEgressFirewallRule", false},
    [ITEM_ADDRESS] = {"address", "public address", LIST_ADDRESSES, NULL, NULL, false},
    [ITEM_KEYPAIR] = {"keypair", "SSH key pair", LIST_KEYPAIRS, "registerSSHKeyPair",
                      "deleteSSHKeyPair", true},
    [ITEM_VOLUME] = {"volume", "data disk", LIST_VOLUMES, "createVolume", "deleteVolume", false},
    [ITEM_VM] = {"vm", "VM", LIST_VMS, "deployVirtualMachine", "destroyVirtualMachine", false},
    [ITEM_FORWARD] = {"forward", "port forward", LIST_FORWARDS, "createPortForwardingRule",
                      "deletePortForwardingRule", false},
    [ITEM_ATTACH] = {"attach", "disk attachment", LIST_VOLUMES, "attachVolume", "detachVolume",
                     false},
};

static const struct listing_call list_table[LISTINGS] = {
    [LIST_ZONES] = {"listZones", "zone", NULL, NULL},
    [LIST_TEMPLATES] = {"listTemplates", "template", "templatefilter", "executable"},
    [LIST_OFFERINGS] = {"listServiceOfferings", "serviceoffering", NULL, NULL},
    [LIST_DISK_OFFERINGS] = {"listDiskOfferings", "diskoffering", NULL, NULL},
    [LIST_GROUPS] = {"listDirectConnectGroups", "directconnectgroups", NULL, NULL},
    [LIST_NETWORKS] = {"listNetworks", "network", NULL, NULL},
    [LIST_EGRESS] = {"listEgressFirewallRules", "firewallrule", NULL, NULL},
    [LIST_ADDRESSES] = {"listPublicIpAddresses", "publicipaddress", NULL, NULL},
    [LIST_KEYPAIRS] = {"listSSHKeyPairs", "sshkeypair", NULL, NULL},
    [LIST_VOLUMES] = {"listVolumes", "volume", NULL, NULL},
    [LIST_VMS] = {"listVirtualMachines", "virtualmachine", NULL, NULL},
    [LIST_FORWARDS] = {"listPortForwardingRules", "portforwardingrule", NULL, NULL},
};

const struct item_ops *item_ops(enum item_kind k)
{
    return &ops_table[k];
}

const struct listing_call *listing_call(enum listing l)
{
    return &list_table[l];
}

void inventory_free(struct inventory *inv)
{
    for (size_t i = 0; i < LISTINGS; i++)
        json_decref(inv->list[i]);
    *inv = (struct inventory){0};
}

/* "Frankfurt (ESX)" -> "frankfurt-esx". */
static void slug(const char *s, char *ret, size_t cap)
{
    size_t n = 0;

    for (; *s && n + 1 < cap; s++) {
        if (isalnum((unsigned char)*s))
            ret[n++] = (char)tolower((unsigned char)*s);
        else if (n && ret[n - 1] != '-')
            ret[n++] = '-';
    }
    while (n && ret[n - 1] == '-')
        n--;
    ret[n] = '\0';
}

static struct item *add(struct items *items, enum item_kind kind, const char *key,
                        const char *label)
{
    struct item *it;

    items->v = xrealloc(items->v, (items->n + 1) * sizeof(*items->v));
    it = &items->v[items->n++];
    *it = (struct item){.kind = kind};
    snprintf(it->name, sizeof(it->name), "%s:%s", ops_table[kind].prefix, key);
    str_copy(it->label, sizeof(it->label), label);
    return it;
}

/* The last added item needs `dep`. */
static void needs(struct items *items, const struct item *dep)
{
    struct item *it = &items->v[items->n - 1];

    if (dep && it->n_deps < ITEM_DEPS_MAX)
        it->deps[it->n_deps++] = (size_t)(dep - items->v);
}

static void add_zone(struct items *items, const struct spec *s, size_t z)
{
    const struct spec_zone *zone = &s->zones[z];
    char short_name[SPEC_LABEL_MAX];
    _cleanup_free_ char *label = NULL;
    _cleanup_free_ char *private_label = NULL;

    slug(zone->name, short_name, sizeof(short_name));
    label = str_fmt("%s-gateway-%s", s->deployment, short_name);
    private_label = str_fmt("%s-private-%s", s->deployment, short_name);
    add(items, ITEM_GATEWAY, short_name, label)->zone = z;
    add(items, ITEM_ADDRESS, short_name, short_name)->zone = z;
    needs(items, items_find(items, ITEM_GATEWAY, z));
    if (zone->egress_all) {
        add(items, ITEM_EGRESS, short_name, short_name)->zone = z;
        needs(items, items_find(items, ITEM_GATEWAY, z));
    }
    if (!zone->has_private)
        return;
    add(items, ITEM_PRIVATE, short_name, private_label)->zone = z;
    for (size_t i = 0; i < items->n; i++)
        if (items->v[i].kind == ITEM_GROUP && str_eq(items->v[i].label, zone->group))
            needs(items, &items->v[i]);
}

static void add_node(struct items *items, const struct spec *s, size_t n)
{
    const struct spec_node *node = &s->nodes[n];
    _cleanup_free_ char *vm_label = str_fmt("%s-%s", s->deployment, node->name);
    _cleanup_free_ char *disk_label = str_fmt("%s-%s-data", s->deployment, node->name);

#define OF_NODE(kind, key, label)                                                                  \
    do {                                                                                           \
        struct item *it_ = add(items, kind, key, label);                                           \
        it_->zone = node->zone;                                                                    \
        it_->node = n;                                                                             \
        it_->of_node = true;                                                                       \
    } while (0)

    if (node->disk.present)
        OF_NODE(ITEM_VOLUME, node->name, disk_label);
    OF_NODE(ITEM_VM, node->name, vm_label);
    needs(items, items_find(items, ITEM_GATEWAY, node->zone));
    needs(items, items_find(items, ITEM_PRIVATE, node->zone));
    needs(items, items_find(items, ITEM_EGRESS, node->zone));
    needs(items, items_find(items, ITEM_KEYPAIR, 0));
    for (size_t p = 0; p < node->n_ports; p++) {
        _cleanup_free_ char *key = str_fmt("%s/%u", node->name, node->ports[p].public_port);

        OF_NODE(ITEM_FORWARD, key, key);
        items->v[items->n - 1].port = node->ports[p];
        needs(items, items_find(items, ITEM_VM, n));
        needs(items, items_find(items, ITEM_ADDRESS, node->zone));
    }
    if (node->disk.present) {
        OF_NODE(ITEM_ATTACH, node->name, disk_label);
        needs(items, items_find(items, ITEM_VM, n));
        needs(items, items_find(items, ITEM_VOLUME, n));
    }
#undef OF_NODE
}

void items_build(const struct spec *s, struct items *ret)
{
    struct items items = {0};

    for (size_t z = 0; z < s->n_zones; z++) {
        bool known = !s->zones[z].has_private;

        for (size_t i = 0; i < items.n; i++)
            known = known || str_eq(items.v[i].label, s->zones[z].group);
        if (!known)
            add(&items, ITEM_GROUP, s->zones[z].group, s->zones[z].group);
    }
    add(&items, ITEM_KEYPAIR, s->keypair, s->keypair);
    for (size_t z = 0; z < s->n_zones; z++)
        add_zone(&items, s, z);
    for (size_t n = 0; n < s->n_nodes; n++)
        add_node(&items, s, n);
    *ret = items;
}

void items_free(struct items *items)
{
    for (size_t i = 0; i < items->n; i++)
        json_decref(items->v[i].entity);
    free(items->v);
    *items = (struct items){0};
}

struct item *items_find(const struct items *items, enum item_kind kind, size_t index)
{
    for (size_t i = 0; i < items->n; i++) {
        struct item *it = &items->v[i];

        if (it->kind == kind &&
            (kind == ITEM_KEYPAIR || (it->of_node ? it->node : it->zone) == index))
            return it;
    }
    return NULL;
}
