/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cloud/resources.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/str.h"
#include "controller/cloud/dialect.h"
#include "controller/cloud/entity.h"
#include "controller/cloud/recognise.h"

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

static struct resource *add(struct resources *resources, enum resource_kind kind, const char *key,
                            const char *label)
{
    struct resource *it;

    resources->v = xrealloc(resources->v, (resources->n + 1) * sizeof(*resources->v));
    it = &resources->v[resources->n++];
    *it = (struct resource){.kind = kind, .zone = RESOURCE_NO_INDEX, .node = RESOURCE_NO_INDEX};
    snprintf(it->name, sizeof(it->name), "%s:%s", resource_ops(resources, kind)->prefix, key);
    str_copy(it->label, sizeof(it->label), label);
    return it;
}

/* The last added resource needs `dep`. */
static void needs(struct resources *resources, const struct resource *dep)
{
    struct resource *it = &resources->v[resources->n - 1];

    if (dep && it->n_deps < RESOURCE_DEPS_MAX)
        it->deps[it->n_deps++] = (size_t)(dep - resources->v);
}

static struct resource *last(struct resources *resources)
{
    return &resources->v[resources->n - 1];
}

static void add_zone(struct resources *resources, const struct spec *s, size_t z)
{
    const struct spec_zone *zone = &s->zones[z];
    char short_name[SPEC_LABEL_MAX];
    _cleanup_free_ char *label = NULL;
    _cleanup_free_ char *private_label = NULL;

    slug(zone->name, short_name, sizeof(short_name));
    label = str_fmt("%s-gateway-%s", s->deployment, short_name);
    private_label = str_fmt("%s-private-%s", s->deployment, short_name);
    add(resources, RESOURCE_GATEWAY, short_name, label)->zone = z;
    add(resources, RESOURCE_ADDRESS, short_name, short_name)->zone = z;
    needs(resources, resources_find(resources, RESOURCE_GATEWAY, z));
    if (zone->egress_all) {
        add(resources, RESOURCE_EGRESS, short_name, short_name)->zone = z;
        needs(resources, resources_find(resources, RESOURCE_GATEWAY, z));
    }
    if (!zone->has_private)
        return;
    add(resources, RESOURCE_PRIVATE, short_name, zone->network[0] ? zone->network : private_label)
        ->zone = z;
    last(resources)->foreign = zone->network[0] != '\0';
    for (size_t i = 0; i < resources->n; i++)
        if (resources->v[i].kind == RESOURCE_GROUP && str_eq(resources->v[i].label, zone->group))
            needs(resources, &resources->v[i]);
}

static void add_of_node(struct resources *resources, enum resource_kind kind, const char *key,
                        const char *label, const struct spec *s, size_t n)
{
    struct resource *it = add(resources, kind, key, label);

    it->zone = s->nodes[n].zone;
    it->node = n;
    it->of_node = true;
}

static void add_port(struct resources *resources, const struct spec *s, size_t n,
                     const struct spec_port *port)
{
    _cleanup_free_ char *key = str_fmt("%s/%u", s->nodes[n].name, port->public_port);
    size_t zone = s->nodes[n].zone;

    add_of_node(resources, RESOURCE_FORWARD, key, key, s, n);
    last(resources)->port = *port;
    needs(resources, resources_find(resources, RESOURCE_VM, n));
    needs(resources, resources_find(resources, RESOURCE_ADDRESS, zone));
    add_of_node(resources, RESOURCE_FIREWALL, key, key, s, n);
    last(resources)->port = *port;
    needs(resources, &resources->v[resources->n - 2]);
    needs(resources, resources_find(resources, RESOURCE_ADDRESS, zone));
}

static void add_node(struct resources *resources, const struct spec *s, size_t n)
{
    const struct spec_node *node = &s->nodes[n];
    _cleanup_free_ char *vm_label = str_fmt("%s-%s", s->deployment, node->name);
    _cleanup_free_ char *disk_label = str_fmt("%s-%s-data", s->deployment, node->name);

    if (node->disk.present)
        add_of_node(resources, RESOURCE_VOLUME, node->name, disk_label, s, n);
    add_of_node(resources, RESOURCE_VM, node->name, vm_label, s, n);
    needs(resources, resources_find(resources, RESOURCE_GATEWAY, node->zone));
    needs(resources, resources_find(resources, RESOURCE_PRIVATE, node->zone));
    needs(resources, resources_find(resources, RESOURCE_EGRESS, node->zone));
    needs(resources, resources_find(resources, RESOURCE_KEYPAIR, 0));
    for (size_t p = 0; p < node->n_ports; p++)
        add_port(resources, s, n, &node->ports[p]);
    if (node->disk.present) {
        add_of_node(resources, RESOURCE_ATTACH, node->name, disk_label, s, n);
        needs(resources, resources_find(resources, RESOURCE_VM, n));
        needs(resources, resources_find(resources, RESOURCE_VOLUME, n));
    }
}

void resources_build(const struct spec *s, struct resources *ret)
{
    struct resources resources = {.dialect = dialect_of(s)};

    str_copy(resources.deployment, sizeof(resources.deployment), s->deployment);
    if (s->cloud == CLOUD_NONE) {
        *ret = resources;
        return;
    }
    for (size_t z = 0; z < s->n_zones; z++) {
        bool known = !s->zones[z].has_private || !resources.dialect->lists[LIST_GROUPS];

        for (size_t i = 0; i < resources.n; i++)
            known = known || str_eq(resources.v[i].label, s->zones[z].group);
        if (!known)
            add(&resources, RESOURCE_GROUP, s->zones[z].group, s->zones[z].group);
    }
    add(&resources, RESOURCE_KEYPAIR, s->keypair, s->keypair);
    for (size_t z = 0; z < s->n_zones; z++)
        add_zone(&resources, s, z);
    for (size_t n = 0; n < s->n_nodes; n++)
        add_node(&resources, s, n);
    *ret = resources;
}

/* ---- what is there and not in the file ---- */

struct resource *resources_add_gone(struct resources *resources, const char *name, const char *id)
{
    const char *key = strchr(name, ':');
    struct resource *it;

    if (!key || resources_named(resources, name))
        return NULL;
    for (int k = 0; k < RESOURCE_KINDS; k++) {
        const char *prefix = resource_ops(resources, (enum resource_kind)k)->prefix;

        if (strncmp(name, prefix, strlen(prefix)) != 0 || name + strlen(prefix) != key)
            continue;
        it = add(resources, (enum resource_kind)k, key + 1, key + 1);
        it->want = k == RESOURCE_VOLUME ? WANT_LEFT : WANT_GONE;
        str_copy(it->id, sizeof(it->id), id);
        return it;
    }
    return NULL;
}

static bool is_known(const struct resources *resources, enum resource_kind kind, const char *id)
{
    for (size_t i = 0; i < resources->n; i++)
        if (resources->v[i].kind == kind && str_eq(resources->v[i].id, id))
            return true;
    return false;
}

/* Whether a rule belongs to one of our networks or addresses. */
static bool is_ours(const struct resources *resources, const json_t *e, enum resource_kind kind)
{
    enum resource_kind of = kind == RESOURCE_EGRESS ? RESOURCE_GATEWAY : RESOURCE_ADDRESS;
    char id[64];

    entity_text(e, kind == RESOURCE_EGRESS ? "networkid" : "ipaddressid", id, sizeof(id));
    if ((kind != RESOURCE_EGRESS && kind != RESOURCE_FORWARD && kind != RESOURCE_FIREWALL) ||
        !id[0])
        return false;
    for (size_t i = 0; i < resources->n; i++)
        if (resources->v[i].kind == of && str_eq(resources->v[i].id, id))
            return resource_is_ours(&resources->v[i], resources);
    return false;
}

static void add_found(struct resources *resources, enum resource_kind kind, const json_t *e)
{
    _cleanup_free_ char *name = NULL;
    char id[64], tag[160] = "";
    const json_t *tags = json_object_get(e, "tags");
    struct resource *it;

    entity_text(e, "id", id, sizeof(id));
    if (!id[0] || is_known(resources, kind, id) || (kind == RESOURCE_VOLUME && volume_is_gone(e)))
        return;
    for (size_t i = 0; i < json_array_size(tags); i++)
        if (entity_is(json_array_get(tags, i), "key", TAG_RESOURCE))
            entity_text(json_array_get(tags, i), "value", tag, sizeof(tag));
    if (tag[0] && entity_has_tag(e, TAG_DEPLOYMENT, resources->deployment) &&
        !resources_named(resources, tag))
        name = xstrdup(tag);
    else if (is_ours(resources, e, kind))
        name = str_fmt("%s:%s", resource_ops(resources, kind)->prefix, id);
    else
        return;
    it = resources_add_gone(resources, name, id);
    if (it && it->kind == kind) {
        it->found = FOUND_BY_TAG;
        it->entity = json_incref((json_t *)e);
    }
}

void resources_add_found(struct resources *resources, const struct inventory *inv)
{
    for (int k = 0; k < RESOURCE_KINDS; k++) {
        enum resource_kind kind = (enum resource_kind)k;
        const json_t *list = inv->list[resource_ops(resources, kind)->list];

        for (size_t i = 0; kind != RESOURCE_ATTACH && i < json_array_size(list); i++)
            add_found(resources, kind, json_array_get(list, i));
    }
}
