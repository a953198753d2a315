/* SPDX-License-Identifier: Apache-2.0 */
/* Items against the cloud's words: recognising what is listed, writing the create calls, reading
 * their answers. */
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/str.h"
#include "controller/cloud.h"
#include "controller/items.h"

static bool text_is(const json_t *e, const char *key, const char *want)
{
    char got[256];

    cloud_text(e, key, got, sizeof(got));
    return str_eq(got, want);
}

static const json_t *by_member(const json_t *list, const char *key, const char *value)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (text_is(json_array_get(list, i), key, value))
            return json_array_get(list, i);
    return NULL;
}

static bool in_zone(const json_t *e, const struct spec *s, const struct inventory *inv, size_t z)
{
    const json_t *zone = by_member(inv->list[LIST_ZONES], "name", s->zones[z].name);
    char id[64];

    cloud_text(zone, "id", id, sizeof(id));
    return text_is(e, "zonename", s->zones[z].name) || (id[0] && text_is(e, "zoneid", id));
}

static const char *dep_id(const struct items *items, const struct item *it, enum item_kind kind)
{
    for (size_t i = 0; i < it->n_deps; i++)
        if (items->v[it->deps[i]].kind == kind)
            return items->v[it->deps[i]].id;
    return "";
}

static bool vm_is_gone(const json_t *e)
{
    return text_is(e, "state", "Destroyed") || text_is(e, "state", "Expunging") ||
           text_is(e, "state", "Error");
}

static bool matches(const json_t *e, const struct item *it, const struct items *items,
                    const struct spec *s, const struct inventory *inv)
{
    char number[8];

    switch (it->kind) {
    case ITEM_GROUP:
    case ITEM_KEYPAIR:
        return text_is(e, "name", it->label);
    case ITEM_GATEWAY:
    case ITEM_PRIVATE:
        return (text_is(e, "displaytext", it->label) || text_is(e, "name", it->label)) &&
               in_zone(e, s, inv, it->zone);
    case ITEM_EGRESS: {
        const char *network = dep_id(items, it, ITEM_GATEWAY);

        return *network && text_is(e, "networkid", network) && text_is(e, "protocol", "all");
    }
    case ITEM_ADDRESS: {
        const char *network = dep_id(items, it, ITEM_GATEWAY);

        return *network && text_is(e, "associatednetworkid", network);
    }
    case ITEM_VOLUME:
        return text_is(e, "name", it->label) && in_zone(e, s, inv, it->zone);
    case ITEM_VM:
        return text_is(e, "name", it->label) && !vm_is_gone(e) && in_zone(e, s, inv, it->zone);
    case ITEM_FORWARD: {
        const char *address = dep_id(items, it, ITEM_ADDRESS);

        snprintf(number, sizeof(number), "%u", it->port.public_port);
        return *address && text_is(e, "ipaddressid", address) && text_is(e, "publicport", number) &&
               text_is(e, "protocol", "tcp");
    }
    case ITEM_ATTACH: {
        const char *vm = dep_id(items, it, ITEM_VM), *volume = dep_id(items, it, ITEM_VOLUME);

        return *vm && *volume && text_is(e, "id", volume) && text_is(e, "virtualmachineid", vm);
    }
    case ITEM_KINDS:
        break;
    }
    return false;
}

static void take_entity(struct item *it, const json_t *e)
{
    json_decref(it->entity);
    it->entity = json_incref((json_t *)e);
    cloud_text(e, it->kind == ITEM_KEYPAIR ? "name" : "id", it->id, sizeof(it->id));
}

int item_recognise(struct item *it, const struct items *items, const struct spec *s,
                   const struct inventory *inv, const char *known_id, struct err *err)
{
    const json_t *list = inv->list[item_ops(it->kind)->list];
    const json_t *found = NULL;

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *e = json_array_get(list, i);

        if (known_id[0] && text_is(e, "id", known_id) &&
            (it->kind != ITEM_ATTACH || matches(e, it, items, s, inv)) &&
            (it->kind != ITEM_VM || !vm_is_gone(e))) {
            take_entity(it, e);
            return 1;
        }
        if (!matches(e, it, items, s, inv))
            continue;
        if (found && it->kind != ITEM_ADDRESS)
            return err_set(err, ERR_CLOUD,
                           "%s '%s' is there twice at the cloud; delete the one that is not used, "
                           "then run again",
                           item_ops(it->kind)->what, it->label);
        if (!found)
            found = e;
    }
    if (!found)
        return 0;
    take_entity(it, found);
    return 1;
}

int item_settled(const struct item *it, struct err *err)
{
    const json_t *provisioned = json_object_get(it->entity, "isprovisioned");

    if (it->kind == ITEM_PRIVATE)
        return !json_is_false(provisioned) && !text_is(it->entity, "isprovisioned", "false");
    if (it->kind == ITEM_VM) {
        if (vm_is_gone(it->entity))
            return err_set(err, ERR_CLOUD, "%s: the VM ended in a failed state at the cloud",
                           it->name);
        return text_is(it->entity, "state", "Running");
    }
    return 1;
}

bool item_is_stopped(const struct item *it)
{
    return it->kind == ITEM_VM && text_is(it->entity, "state", "Stopped");
}

static void param(struct pairs *p, const char *name, const char *value)
{
    pairs_add(p, name, value);
}

static int catalogue_id(const struct inventory *inv, enum listing l, const char *name, size_t zone,
                        const struct spec *s, char ret[64], struct err *err)
{
    const json_t *list = inv->list[l];

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *e = json_array_get(list, i);

        if (!text_is(e, "name", name))
            continue;
        if (l == LIST_TEMPLATES && json_object_get(e, "zoneid") && !in_zone(e, s, inv, zone))
            continue;
        cloud_text(e, "id", ret, 64);
        return 0;
    }
    return err_set(err, ERR_CLOUD, "%s has no '%s'", listing_call(l)->member, name);
}

static int vm_params(const struct item *it, const struct items *items, const struct spec *s,
                     const struct inventory *inv, const char *user_data, struct pairs *p,
                     struct err *err)
{
    const struct spec_node *node = &s->nodes[it->node];
    const char *private = dep_id(items, it, ITEM_PRIVATE);
    char zone[64], template[64], offering[64];
    _cleanup_free_ char *networks = NULL;

    if (catalogue_id(inv, LIST_ZONES, s->zones[it->zone].name, it->zone, s, zone, err) < 0 ||
        catalogue_id(inv, LIST_TEMPLATES, node->template, it->zone, s, template, err) < 0 ||
        catalogue_id(inv, LIST_OFFERINGS, node->offering, it->zone, s, offering, err) < 0)
        return -1;
    /* the gateway network first: it becomes the default one of the VM */
    networks = str_fmt("%s%s%s", dep_id(items, it, ITEM_GATEWAY), *private ? "," : "", private);
    param(p, "zoneid", zone);
    param(p, "templateid", template);
    param(p, "serviceofferingid", offering);
    param(p, "networkids", networks);
    param(p, "name", it->label);
    param(p, "displayname", it->label);
    param(p, "keypair", dep_id(items, it, ITEM_KEYPAIR));
    param(p, "userdata", user_data);
    return 0;
}

int item_create_params(const struct item *it, const struct items *items, const struct spec *s,
                       const struct inventory *inv, const char *user_data, const char *public_key,
                       struct pairs *ret, struct err *err)
{
    const struct spec_zone *zone = &s->zones[it->zone];
    char text[64];

    switch (it->kind) {
    case ITEM_GROUP:
        param(ret, "name", it->label);
        return 0;
    case ITEM_GATEWAY:
    case ITEM_PRIVATE:
        cidr_host(it->kind == ITEM_GATEWAY ? &zone->gateway : &zone->private, 1, text);
        param(ret, "displaytext", it->label);
        param(ret, "zonename", zone->name);
        param(ret, "cidr", it->kind == ITEM_GATEWAY ? zone->gateway.text : zone->private.text);
        param(ret, "gateway", text);
        if (it->kind == ITEM_PRIVATE)
            param(ret, "dcgid", dep_id(items, it, ITEM_GROUP));
        return 0;
    case ITEM_EGRESS:
        param(ret, "networkid", dep_id(items, it, ITEM_GATEWAY));
        param(ret, "protocol", "all");
        param(ret, "cidrlist", zone->gateway.text);
        return 0;
    case ITEM_KEYPAIR:
        param(ret, "name", it->label);
        param(ret, "publickey", public_key);
        return 0;
    case ITEM_VOLUME: {
        const struct spec_disk *d = &s->nodes[it->node].disk;

        param(ret, "name", it->label);
        if (catalogue_id(inv, LIST_ZONES, zone->name, it->zone, s, text, err) < 0)
            return -1;
        param(ret, "zoneid", text);
        if (catalogue_id(inv, LIST_DISK_OFFERINGS, d->offering, it->zone, s, text, err) < 0)
            return -1;
        param(ret, "diskofferingid", text);
        snprintf(text, sizeof(text), "%llu", (unsigned long long)(d->size >> 30));
        param(ret, "size", text);
        return 0;
    }
    case ITEM_VM:
        return vm_params(it, items, s, inv, user_data, ret, err);
    case ITEM_FORWARD:
        param(ret, "ipaddressid", dep_id(items, it, ITEM_ADDRESS));
        param(ret, "virtualmachineid", dep_id(items, it, ITEM_VM));
        param(ret, "protocol", "tcp");
        snprintf(text, sizeof(text), "%u", it->port.public_port);
        param(ret, "publicport", text);
        snprintf(text, sizeof(text), "%u", it->port.private_port);
        param(ret, "privateport", text);
        param(ret, "openfirewall", "true");
        return 0;
    case ITEM_ATTACH:
        param(ret, "id", dep_id(items, it, ITEM_VOLUME));
        param(ret, "virtualmachineid", dep_id(items, it, ITEM_VM));
        return 0;
    case ITEM_ADDRESS:
    case ITEM_KINDS:
        break;
    }
    return err_set(err, ERR_FAILED, "%s: cannot be created by itself", it->name);
}

/* {"id":…} | {"network":{…}} | {"localnetwork":[{…}]} */
int item_take_answer(struct item *it, const json_t *answer, struct err *err)
{
    const json_t *e = answer;
    const char *key;
    json_t *v;

    if (!json_object_get(answer, "id"))
        json_object_foreach((json_t *)answer, key, v)
        {
            if (json_is_array(v) && json_array_size(v))
                v = json_array_get(v, 0);
            if (json_is_object(v))
                e = v;
        }
    take_entity(it, e);
    if (!it->id[0])
        return err_set(err, ERR_CLOUD, "%s: the cloud's answer to %s has no id", it->name,
                       item_ops(it->kind)->create);
    return 0;
}

static void missing(struct strbuf *lines, const struct inventory *inv, enum listing l,
                    const char *what, const char *name)
{
    strbuf_addf(lines, "%s '%s' is not offered; there is:", what, name);
    for (size_t i = 0; i < json_array_size(inv->list[l]) && i < 12; i++) {
        char other[SPEC_LABEL_MAX];

        cloud_text(json_array_get(inv->list[l], i), "name", other, sizeof(other));
        strbuf_addf(lines, "%s %s", i ? "," : "", other);
    }
    strbuf_adds(lines, "\n");
}

int items_check_catalogue(const struct spec *s, const struct inventory *inv, struct strbuf *lines)
{
    char id[64];
    struct err ignored;
    size_t before = lines->len;

    for (size_t z = 0; z < s->n_zones; z++)
        if (catalogue_id(inv, LIST_ZONES, s->zones[z].name, z, s, id, &ignored) < 0)
            missing(lines, inv, LIST_ZONES, "zone", s->zones[z].name);
    for (size_t n = 0; n < s->n_nodes; n++) {
        const struct spec_node *node = &s->nodes[n];

        if (catalogue_id(inv, LIST_TEMPLATES, node->template, node->zone, s, id, &ignored) < 0)
            missing(lines, inv, LIST_TEMPLATES, "template", node->template);
        if (catalogue_id(inv, LIST_OFFERINGS, node->offering, node->zone, s, id, &ignored) < 0)
            missing(lines, inv, LIST_OFFERINGS, "service offering", node->offering);
        if (node->disk.present && catalogue_id(inv, LIST_DISK_OFFERINGS, node->disk.offering,
                                               node->zone, s, id, &ignored) < 0)
            missing(lines, inv, LIST_DISK_OFFERINGS, "disk offering", node->disk.offering);
    }
    return lines->len == before ? 0 : -1;
}
