/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cloud/recognise.h"

#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/ports.h"
#include "common/str.h"
#include "controller/cloud/entity.h"

static bool in_zone(const json_t *e, const struct spec *s, const struct inventory *inv, size_t z)
{
    const json_t *zone = entity_find(inv->list[LIST_ZONES], "name", s->zones[z].name);
    char id[64];

    entity_text(zone, "id", id, sizeof(id));
    return entity_is(e, "zonename", s->zones[z].name) || (id[0] && entity_is(e, "zoneid", id));
}

static bool vm_is_gone(const json_t *e)
{
    return entity_is(e, "state", "Destroyed") || entity_is(e, "state", "Expunging");
}

bool volume_is_gone(const json_t *e)
{
    static const char *const states[] = {"Destroy", "Destroyed", "Expunging", "Expunged"};

    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        if (entity_is(e, "state", states[i]))
            return true;
    return false;
}

static long number_of(const json_t *e, const char *key)
{
    char text[32];
    uint64_t n;

    entity_text(e, key, text, sizeof(text));
    return str_to_u64(text, PORT_MAX, &n) == 0 ? (long)n : -1;
}

static bool same_port(const json_t *e, const char *key, uint16_t port)
{
    return number_of(e, key) == port;
}

static bool is_tcp(const json_t *e)
{
    return entity_is(e, "protocol", "tcp") || entity_is(e, "protocol", "TCP");
}

/* By its place: what it is a part of is ours. */
static bool place_matches(const json_t *e, const struct resource *it,
                          const struct resources *resources)
{
    const char *network = resource_dep_id(resources, it, RESOURCE_GATEWAY);
    const char *ip = resource_dep_id(resources, it, RESOURCE_ADDRESS);
    const char *volume = resource_dep_id(resources, it, RESOURCE_VOLUME);

    switch (it->kind) {
    case RESOURCE_EGRESS:
        return *network && entity_is(e, "networkid", network) && entity_is(e, "protocol", "all");
    case RESOURCE_ADDRESS:
        /* the one that comes with the network, unless addresses are asked for one by one */
        return *network && entity_is(e, "associatednetworkid", network) &&
               (!resource_ops(resources, it->kind)->create ||
                !json_is_true(json_object_get(e, "issourcenat")));
    case RESOURCE_FORWARD:
        return *ip && entity_is(e, "ipaddressid", ip) &&
               same_port(e, "publicport", it->port.public_port) && is_tcp(e);
    case RESOURCE_FIREWALL:
        return *ip && entity_is(e, "ipaddressid", ip) && is_tcp(e) &&
               same_port(e, "startport", it->port.public_port) &&
               same_port(e, "endport", it->port.public_port);
    case RESOURCE_ATTACH: {
        char vm[64];

        entity_text(e, "virtualmachineid", vm, sizeof(vm));
        return *volume && entity_is(e, "id", volume) && vm[0];
    }
    default:
        return false;
    }
}

static bool name_matches(const json_t *e, const struct resource *it, const struct spec *s,
                         const struct inventory *inv)
{
    switch (it->kind) {
    case RESOURCE_GROUP:
    case RESOURCE_KEYPAIR:
        return entity_is(e, "name", it->label);
    case RESOURCE_GATEWAY:
    case RESOURCE_PRIVATE:
        return (entity_is(e, "displaytext", it->label) || entity_is(e, "name", it->label)) &&
               in_zone(e, s, inv, it->zone);
    case RESOURCE_VM:
        return entity_is(e, "name", it->label) && !vm_is_gone(e) && in_zone(e, s, inv, it->zone);
    case RESOURCE_VOLUME:
        return entity_is(e, "name", it->label) && in_zone(e, s, inv, it->zone);
    default:
        return false;
    }
}

static bool tag_matches(const json_t *e, const struct resource *it,
                        const struct resources *resources)
{
    return it->kind != RESOURCE_ATTACH &&
           entity_has_tag(e, TAG_DEPLOYMENT, resources->deployment) &&
           entity_has_tag(e, TAG_RESOURCE, it->name) && (it->kind != RESOURCE_VM || !vm_is_gone(e));
}

static bool is_in_file(const struct resource *it)
{
    return it->zone != RESOURCE_NO_INDEX || it->kind == RESOURCE_GROUP ||
           it->kind == RESOURCE_KEYPAIR;
}

static enum resource_found how(const json_t *e, const struct resource *it,
                               const struct resources *resources, const struct spec *s,
                               const struct inventory *inv, const char *known_id)
{
    if ((it->kind == RESOURCE_VOLUME || it->kind == RESOURCE_ATTACH) && volume_is_gone(e))
        return FOUND_NOT;
    if (it->kind == RESOURCE_ATTACH)
        return place_matches(e, it, resources) ? FOUND_BY_PLACE : FOUND_NOT;
    if (known_id[0] && entity_is(e, it->kind == RESOURCE_KEYPAIR ? "name" : "id", known_id))
        return FOUND_BY_ID;
    if (tag_matches(e, it, resources))
        return FOUND_BY_TAG;
    if (!is_in_file(it))
        return FOUND_NOT;
    if (place_matches(e, it, resources))
        return FOUND_BY_PLACE;
    return name_matches(e, it, s, inv) ? FOUND_BY_NAME : FOUND_NOT;
}

static void take_entity(struct resource *it, const json_t *e)
{
    json_t *old = it->entity;

    it->entity = json_incref((json_t *)e);
    json_decref(old);
    entity_text(e, it->kind == RESOURCE_KEYPAIR ? "name" : "id", it->id, sizeof(it->id));
    if (!is_in_file(it))
        entity_text(e, json_object_get(e, "name") ? "name" : "id", it->label, sizeof(it->label));
}

int resource_recognise(struct resource *it, const struct resources *resources, const struct spec *s,
                       const struct inventory *inv, const char *known_id, struct err *err)
{
    const json_t *list = inv->list[resource_ops(resources, it->kind)->list];
    const json_t *best = NULL;
    bool twice = false;

    it->found = FOUND_NOT;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *e = json_array_get(list, i);
        enum resource_found f = how(e, it, resources, s, inv, known_id);

        if (f == FOUND_NOT || (it->found != FOUND_NOT && f > it->found))
            continue;
        twice = f == it->found && f == FOUND_BY_NAME;
        if (f != it->found) {
            best = e;
            it->found = f;
        }
    }
    if (twice)
        return err_set(err, ERR_CLOUD,
                       "%s '%s' is there twice at the cloud; delete the one that is not used, "
                       "then run again",
                       resource_ops(resources, it->kind)->what, it->label);
    if (best) {
        take_entity(it, best);
    } else {
        json_decref(it->entity);
        it->entity = NULL;
        it->id[0] = '\0';
    }
    str_copy(it->lost, sizeof(it->lost),
             it->kind == RESOURCE_VOLUME && !best && it->settled ? known_id : "");
    return 0;
}

/* {"id":…} | {"network":{…}} | {"localnetwork":[{…}]} */
int resource_take_answer(struct resource *it, const struct resources *resources,
                         const json_t *answer, struct err *err)
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
    if (it->kind == RESOURCE_ATTACH ||
        it->kind == RESOURCE_KEYPAIR) /* neither has an id of its own */
        str_copy(it->id, sizeof(it->id), it->label);
    else
        entity_text(e, "id", it->id, sizeof(it->id));
    if (!it->id[0])
        return err_set(err, ERR_CLOUD, "%s: the cloud's answer to %s has no id", it->name,
                       resource_ops(resources, it->kind)->create);
    return 0;
}
