/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cloud/catalogue.h"

#include "common/str.h"
#include "controller/cloud/entity.h"

static const json_t *offered(const struct inventory *inv, enum listing l, const char *name,
                             const char *zone)
{
    const json_t *zone_entity = entity_find(inv->list[LIST_ZONES], "name", zone);

    for (size_t i = 0; i < json_array_size(inv->list[l]); i++) {
        const json_t *e = json_array_get(inv->list[l], i);
        char id[64];

        entity_text(zone_entity, "id", id, sizeof(id));
        if (entity_is(e, "name", name) &&
            (l != LIST_TEMPLATES || !json_object_get(e, "zoneid") || entity_is(e, "zoneid", id) ||
             entity_is(e, "zonename", zone)))
            return e;
    }
    return NULL;
}

int catalogue_id(const struct inventory *inv, const struct spec *s, const struct resource *it,
                 enum listing l, const char *name, char ret[64], struct err *err)
{
    entity_text(offered(inv, l, name, s->zones[it->zone].name), "id", ret, 64);
    return ret[0] ? 0
                  : err_set(err, ERR_CLOUD, "%s: the cloud has no %s '%s'", it->name,
                            listing_call(l)->member, name);
}

static void missing(struct strbuf *lines, const struct inventory *inv, enum listing l,
                    const char *what, const char *name)
{
    unsigned told = 0;

    strbuf_addf(lines, "%s '%s' is not offered; there is:", what, name);
    for (size_t i = 0; i < json_array_size(inv->list[l]) && told < 12; i++) {
        char other[SPEC_LABEL_MAX];

        entity_text(json_array_get(inv->list[l], i), "name", other, sizeof(other));
        if (entity_find(inv->list[l], "name", other) == json_array_get(inv->list[l], i))
            strbuf_addf(lines, "%s %s", told++ ? "," : "", other);
    }
    strbuf_adds(lines, "\n");
}

/* What is missing in a zone that is itself missing is not told. */
static void check_one(const struct spec *s, const struct inventory *inv, size_t zone,
                      enum listing l, const char *what, const char *name, struct strbuf *lines)
{
    const char *zone_name = s->zones[zone].name;

    if (name[0] && !offered(inv, l, name, zone_name) &&
        (l == LIST_ZONES || entity_find(inv->list[LIST_ZONES], "name", zone_name)))
        missing(lines, inv, l, what, name);
}

int catalogue_check(const struct resources *resources, const struct spec *s,
                    const struct inventory *inv, struct strbuf *lines)
{
    size_t before = lines->len;

    for (size_t z = 0; z < s->n_zones; z++) {
        check_one(s, inv, z, LIST_ZONES, "zone", s->zones[z].name, lines);
        if (resources->dialect->lists[LIST_NETWORK_OFFERINGS])
            check_one(s, inv, z, LIST_NETWORK_OFFERINGS, "network offering",
                      s->zones[z].gateway_offering, lines);
    }
    for (size_t n = 0; n < s->n_nodes; n++) {
        const struct spec_node *node = &s->nodes[n];

        check_one(s, inv, node->zone, LIST_TEMPLATES, "template", node->template, lines);
        check_one(s, inv, node->zone, LIST_OFFERINGS, "service offering", node->offering, lines);
        if (node->disk.present)
            check_one(s, inv, node->zone, LIST_DISK_OFFERINGS, "disk offering", node->disk.offering,
                      lines);
    }
    return lines->len == before ? 0 : -1;
}
