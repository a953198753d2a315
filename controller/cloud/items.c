/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cloud/items.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/str.h"
#include "controller/cloud/dialect.h"
#include "controller/cloud/entity.h"

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
    *it = (struct item){.kind = kind, .zone = ITEM_NO_INDEX, .node = ITEM_NO_INDEX};
    snprintf(it->name, sizeof(it->name), "%s:%s", item_ops(items, kind)->prefix, key);
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

static struct item *last(struct items *items)
{
    return &items->v[items->n - 1];
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
    add(items, ITEM_PRIVATE, short_name, zone->network[0] ? zone->network : private_label)->zone =
        z;
    last(items)->foreign = zone->network[0] != '\0';
    for (size_t i = 0; i < items->n; i++)
        if (items->v[i].kind == ITEM_GROUP && str_eq(items->v[i].label, zone->group))
            needs(items, &items->v[i]);
}

static void add_of_node(struct items *items, enum item_kind kind, const char *key,
                        const char *label, const struct spec *s, size_t n)
{
    struct item *it = add(items, kind, key, label);

    it->zone = s->nodes[n].zone;
    it->node = n;
    it->of_node = true;
}

static void add_port(struct items *items, const struct spec *s, size_t n,
                     const struct spec_port *port)
{
    _cleanup_free_ char *key = str_fmt("%s/%u", s->nodes[n].name, port->public_port);
    size_t zone = s->nodes[n].zone;

    add_of_node(items, ITEM_FORWARD, key, key, s, n);
    last(items)->port = *port;
    needs(items, items_find(items, ITEM_VM, n));
    needs(items, items_find(items, ITEM_ADDRESS, zone));
    add_of_node(items, ITEM_FIREWALL, key, key, s, n);
    last(items)->port = *port;
    needs(items, &items->v[items->n - 2]);
    needs(items, items_find(items, ITEM_ADDRESS, zone));
}

static void add_node(struct items *items, const struct spec *s, size_t n)
{
    const struct spec_node *node = &s->nodes[n];
    _cleanup_free_ char *vm_label = str_fmt("%s-%s", s->deployment, node->name);
    _cleanup_free_ char *disk_label = str_fmt("%s-%s-data", s->deployment, node->name);

    if (node->disk.present)
        add_of_node(items, ITEM_VOLUME, node->name, disk_label, s, n);
    add_of_node(items, ITEM_VM, node->name, vm_label, s, n);
    needs(items, items_find(items, ITEM_GATEWAY, node->zone));
    needs(items, items_find(items, ITEM_PRIVATE, node->zone));
    needs(items, items_find(items, ITEM_EGRESS, node->zone));
    needs(items, items_find(items, ITEM_KEYPAIR, 0));
    for (size_t p = 0; p < node->n_ports; p++)
        add_port(items, s, n, &node->ports[p]);
    if (node->disk.present) {
        add_of_node(items, ITEM_ATTACH, node->name, disk_label, s, n);
        needs(items, items_find(items, ITEM_VM, n));
        needs(items, items_find(items, ITEM_VOLUME, n));
    }
}

void items_build(const struct spec *s, struct items *ret)
{
    struct items items = {.dialect = dialect_of(s)};

    str_copy(items.deployment, sizeof(items.deployment), s->deployment);
    for (size_t z = 0; z < s->n_zones; z++) {
        bool known = !s->zones[z].has_private || !items.dialect->lists[LIST_GROUPS];

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

/* ---- what is there and not in the file ---- */

struct item *items_add_gone(struct items *items, const char *name, const char *id)
{
    const char *key = strchr(name, ':');
    struct item *it;

    if (!key || items_named(items, name))
        return NULL;
    for (int k = 0; k < ITEM_KINDS; k++) {
        const char *prefix = item_ops(items, (enum item_kind)k)->prefix;

        if (strncmp(name, prefix, strlen(prefix)) != 0 || name + strlen(prefix) != key)
            continue;
        it = add(items, (enum item_kind)k, key + 1, key + 1);
        it->want = k == ITEM_VOLUME ? WANT_LEFT : WANT_GONE;
        str_copy(it->id, sizeof(it->id), id);
        return it;
    }
    return NULL;
}

static bool is_known(const struct items *items, enum item_kind kind, const char *id)
{
    for (size_t i = 0; i < items->n; i++)
        if (items->v[i].kind == kind && str_eq(items->v[i].id, id))
            return true;
    return false;
}

/* Whether a rule belongs to one of our networks or addresses. */
static bool is_ours(const struct items *items, const json_t *e, enum item_kind kind)
{
    enum item_kind of = kind == ITEM_EGRESS ? ITEM_GATEWAY : ITEM_ADDRESS;
    char id[64];

    entity_text(e, kind == ITEM_EGRESS ? "networkid" : "ipaddressid", id, sizeof(id));
    if ((kind != ITEM_EGRESS && kind != ITEM_FORWARD && kind != ITEM_FIREWALL) || !id[0])
        return false;
    for (size_t i = 0; i < items->n; i++)
        if (items->v[i].kind == of && str_eq(items->v[i].id, id))
            return item_is_ours(&items->v[i], items);
    return false;
}

static void add_found(struct items *items, enum item_kind kind, const json_t *e)
{
    _cleanup_free_ char *name = NULL;
    char id[64], tag[160] = "";
    const json_t *tags = json_object_get(e, "tags");
    struct item *it;

    entity_text(e, "id", id, sizeof(id));
    if (!id[0] || is_known(items, kind, id))
        return;
    for (size_t i = 0; i < json_array_size(tags); i++)
        if (entity_is(json_array_get(tags, i), "key", TAG_RESOURCE))
            entity_text(json_array_get(tags, i), "value", tag, sizeof(tag));
    if (tag[0] && entity_has_tag(e, TAG_DEPLOYMENT, items->deployment) && !items_named(items, tag))
        name = xstrdup(tag);
    else if (is_ours(items, e, kind))
        name = str_fmt("%s:%s", item_ops(items, kind)->prefix, id);
    else
        return;
    it = items_add_gone(items, name, id);
    if (it && it->kind == kind) {
        it->found = FOUND_BY_TAG;
        it->entity = json_incref((json_t *)e);
    }
}

void items_add_found(struct items *items, const struct inventory *inv)
{
    for (int k = 0; k < ITEM_KINDS; k++) {
        enum item_kind kind = (enum item_kind)k;
        const json_t *list = inv->list[item_ops(items, kind)->list];

        for (size_t i = 0; kind != ITEM_ATTACH && i < json_array_size(list); i++)
            add_found(items, kind, json_array_get(list, i));
    }
}
