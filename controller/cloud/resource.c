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

const struct resource_ops *resource_ops(const struct resources *resources, enum resource_kind k)
{
    return &resources->dialect->ops[k];
}

void inventory_free(struct inventory *inv)
{
    for (size_t i = 0; i < LISTINGS; i++)
        json_decref(inv->list[i]);
    *inv = (struct inventory){0};
}

void resources_free(struct resources *resources)
{
    for (size_t i = 0; i < resources->n; i++)
        json_decref(resources->v[i].entity);
    free(resources->v);
    *resources = (struct resources){0};
}

struct resource *resources_find(const struct resources *resources, enum resource_kind kind,
                                size_t index)
{
    for (size_t i = 0; i < resources->n; i++) {
        struct resource *it = &resources->v[i];

        if (it->kind == kind &&
            (kind == RESOURCE_KEYPAIR || (it->of_node ? it->node : it->zone) == index))
            return it;
    }
    return NULL;
}

struct resource *resources_named(const struct resources *resources, const char *name)
{
    for (size_t i = 0; i < resources->n; i++)
        if (str_eq(resources->v[i].name, name))
            return &resources->v[i];
    return NULL;
}

const char *resource_dep_id(const struct resources *resources, const struct resource *it,
                            enum resource_kind kind)
{
    for (size_t i = 0; i < it->n_deps; i++)
        if (resources->v[it->deps[i]].kind == kind)
            return resources->v[it->deps[i]].id;
    return "";
}

bool resource_is_ours(const struct resource *it, const struct resources *resources)
{
    if (it->foreign || it->found == FOUND_NOT)
        return false;
    if (it->owned || it->found == FOUND_BY_ID || it->found == FOUND_BY_TAG)
        return true;
    for (size_t d = 0; it->found == FOUND_BY_PLACE && d < it->n_deps; d++) {
        const struct resource *dep = &resources->v[it->deps[d]];

        if (dep->kind == RESOURCE_GATEWAY || dep->kind == RESOURCE_ADDRESS ||
            dep->kind == RESOURCE_VOLUME)
            return resource_is_ours(dep, resources);
    }
    return it->found == FOUND_BY_NAME && it->adopt;
}
