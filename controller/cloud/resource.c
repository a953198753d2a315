/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cloud/resource.h"

#include <stdlib.h>

#include "common/str.h"

static const struct listing_call list_table[LISTINGS] = {
    [LIST_GROUPS] = {"listDirectConnectGroups", "directconnectgroups", NULL, NULL},
    [LIST_NETWORKS] = {"listNetworks", "network", NULL, NULL},
    [LIST_EGRESS] = {"listEgressFirewallRules", "firewallrule", NULL, NULL},
    [LIST_ADDRESSES] = {"listPublicIpAddresses", "publicipaddress", NULL, NULL},
    [LIST_KEYPAIRS] = {"listSSHKeyPairs", "sshkeypair", NULL, NULL},
    [LIST_VOLUMES] = {"listVolumes", "volume", "type", "DATADISK"},
    [LIST_VMS] = {"listVirtualMachines", "virtualmachine", NULL, NULL},
    [LIST_FORWARDS] = {"listPortForwardingRules", "portforwardingrule", NULL, NULL},
    [LIST_FIREWALL] = {"listFirewallRules", "firewallrule", NULL, NULL},
    [LIST_ZONES] = {"listZones", "zone", NULL, NULL},
    [LIST_TEMPLATES] = {"listTemplates", "template", "templatefilter", "executable"},
    [LIST_OFFERINGS] = {"listServiceOfferings", "serviceoffering", NULL, NULL},
    [LIST_DISK_OFFERINGS] = {"listDiskOfferings", "diskoffering", NULL, NULL},
    [LIST_NETWORK_OFFERINGS] = {"listNetworkOfferings", "networkoffering", NULL, NULL},
};

const struct listing_call *listing_call(enum listing l)
{
    return &list_table[l];
}

const struct item_ops *item_ops(const struct items *items, enum item_kind k)
{
    return &items->dialect->ops[k];
}

void inventory_free(struct inventory *inv)
{
    for (size_t i = 0; i < LISTINGS; i++)
        json_decref(inv->list[i]);
    *inv = (struct inventory){0};
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

struct item *items_named(const struct items *items, const char *name)
{
    for (size_t i = 0; i < items->n; i++)
        if (str_eq(items->v[i].name, name))
            return &items->v[i];
    return NULL;
}

const char *item_dep_id(const struct items *items, const struct item *it, enum item_kind kind)
{
    for (size_t i = 0; i < it->n_deps; i++)
        if (items->v[it->deps[i]].kind == kind)
            return items->v[it->deps[i]].id;
    return "";
}

bool item_is_ours(const struct item *it, const struct items *items)
{
    if (it->foreign || it->found == FOUND_NOT)
        return false;
    if (it->owned || it->found == FOUND_BY_ID || it->found == FOUND_BY_TAG)
        return true;
    for (size_t d = 0; it->found == FOUND_BY_PLACE && d < it->n_deps; d++) {
        const struct item *dep = &items->v[it->deps[d]];

        if (dep->kind == ITEM_GATEWAY || dep->kind == ITEM_ADDRESS || dep->kind == ITEM_VOLUME)
            return item_is_ours(dep, items);
    }
    return it->found == FOUND_BY_NAME && it->adopt;
}
