/* SPDX-License-Identifier: Apache-2.0 */
/* What a cloud lists of a deployment, as two generations of servers write it. For tests. */
#ifndef MUSTER_TEST_CLOUD_WORLD_H
#define MUSTER_TEST_CLOUD_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"
#include "controller/cloud/cloud.h"
#include "controller/cloud/dialect.h"
#include "controller/cloud/entity.h"
#include "controller/cloud/moves.h"
#include "controller/cloud/recognise.h"
#include "controller/cloud/resources.h"

struct world {
    struct spec spec;
    struct resources resources;
    struct inventory inv;
    bool old; /* numeric ids, ports as texts */
};

static void load(struct world *w, const char *cloud)
{
    _cleanup_(spec_problems_free) struct spec_problems problems = {0};
    _cleanup_free_ char *text = NULL;
    _cleanup_(strbuf_free) struct strbuf changed = {0};
    struct yaml_doc doc;
    struct err err;
    char *at;

    assert_int_equal(fs_read(TEST_DIR "/../docs/examples/saas.yaml", 65536, &text, NULL, &err), 0);
    at = strstr(text, "cloud: local");
    assert_non_null(at);
    strbuf_add(&changed, text, (size_t)(at - text));
    strbuf_adds(&changed, cloud);
    strbuf_adds(&changed, at + strlen("cloud: local"));
    if (strstr(cloud, "cloudstack")) /* it has no groups: the private networks are there */
        for (char *p; (p = strstr(changed.s, "group: Default"));)
            memcpy(p, "network: backb", 14);
    assert_int_equal(yaml_doc_parse("saas", changed.s, changed.len, &doc, &err), 0);
    if (spec_parse("saas", &doc, &w->spec, &problems) != 0)
        fail_msg("%s", strbuf_str(&problems.text));
    yaml_doc_free(&doc);
    resources_build(&w->spec, &w->resources);
}

static void world_free(struct world *w)
{
    resources_free(&w->resources);
    inventory_free(&w->inv);
    spec_free(&w->spec);
}

static char *id_of(const struct world *w, const struct resource *it)
{
    size_t n = it ? (size_t)(it - w->resources.v) + 1 : 0;

    return w->old ? str_fmt("%zu", 1000 + n) : str_fmt("00000000-0000-4000-8000-%012zu", n);
}

static void set_text(json_t *e, const char *key, const char *value)
{
    json_object_set_new(e, key, json_string(value));
}

static void set_id(const struct world *w, json_t *e, const char *key, const struct resource *it)
{
    _cleanup_free_ char *id = id_of(w, it);

    json_object_set_new(e, key, w->old ? json_integer(atoll(id)) : json_string(id));
}

static void set_number(const struct world *w, json_t *e, const char *key, long long n)
{
    _cleanup_free_ char *text = str_fmt("%lld", n);

    json_object_set_new(e, key, w->old ? json_string(text) : json_integer(n));
}

static void set_parts(const struct world *w, const struct resource *it, json_t *e)
{
    const struct spec_zone *zone = &w->spec.zones[it->zone];
    const struct resource *gateway = resources_find(&w->resources, RESOURCE_GATEWAY, it->zone);
    const struct resource *address = resources_find(&w->resources, RESOURCE_ADDRESS, it->zone);
    json_t *nics = json_array();

    switch (it->kind) {
    case RESOURCE_GATEWAY:
    case RESOURCE_PRIVATE:
        set_text(e, w->old ? "displaytext" : "name", it->label);
        set_text(e, "cidr", it->kind == RESOURCE_GATEWAY ? zone->gateway.text : zone->private.text);
        json_object_set_new(e, "isprovisioned", w->old ? json_string("true") : json_true());
        break;
    case RESOURCE_EGRESS:
        set_id(w, e, "networkid", gateway);
        set_text(e, "protocol", "all");
        set_text(e, "cidrlist", zone->gateway.text);
        break;
    case RESOURCE_ADDRESS:
        set_id(w, e, "associatednetworkid", gateway);
        set_text(e, "ipaddress", "198.51.100.10");
        break;
    case RESOURCE_VOLUME:
        json_object_set_new(e, "size", json_integer(200LL << 30));
        set_text(e, "diskofferingname", "EBS Protected");
        set_id(w, e, "virtualmachineid", resources_find(&w->resources, RESOURCE_VM, it->node));
        break;
    case RESOURCE_VM:
        set_text(e, "state", "Running");
        set_text(e, "templatename", "Debian 12");
        set_text(e, "serviceofferingname", "2048-1");
        for (int i = 0; i < 2; i++) {
            json_t *nic = json_object();

            set_id(w, nic, "networkid",
                   i ? resources_find(&w->resources, RESOURCE_PRIVATE, it->zone) : gateway);
            json_array_append_new(nics, nic);
        }
        json_object_set(e, "nic", nics);
        break;
    case RESOURCE_FORWARD:
        set_id(w, e, "ipaddressid", address);
        set_id(w, e, "virtualmachineid", resources_find(&w->resources, RESOURCE_VM, it->node));
        set_number(w, e, "publicport", it->port.public_port);
        set_number(w, e, "privateport", it->port.private_port);
        set_text(e, "protocol", "tcp");
        break;
    case RESOURCE_FIREWALL:
        set_id(w, e, "ipaddressid", address);
        set_number(w, e, "startport", it->port.public_port);
        set_number(w, e, "endport", it->port.public_port);
        set_text(e, "protocol", "tcp");
        break;
    default:
        break;
    }
    json_decref(nics);
}

/* Everything as `up` leaves it. */
static void make_world(struct world *w, const char *cloud, bool old)
{
    *w = (struct world){.old = old};
    load(w, cloud);
    for (size_t l = 0; l < LIST_ZONES; l++)
        w->inv.list[l] = json_array();
    for (size_t i = 0; i < w->resources.n; i++) {
        struct resource *it = &w->resources.v[i];
        json_t *e = json_object();

        it->owned = true;
        if (it->kind == RESOURCE_ATTACH) {
            json_decref(e);
            continue;
        }
        set_id(w, e, "id", it);
        set_text(e, "name", it->label);
        if (it->zone != RESOURCE_NO_INDEX) {
            set_text(e, "zonename", w->spec.zones[it->zone].name);
            set_parts(w, it, e);
        }
        if (resource_ops(&w->resources, it->kind)->tag)
            json_object_set_new(e, "tags",
                                json_pack("[{s:s,s:s},{s:s,s:s}]", "key", TAG_DEPLOYMENT, "value",
                                          "saas", "key", TAG_RESOURCE, "value", it->name));
        json_array_append_new(w->inv.list[resource_ops(&w->resources, it->kind)->list], e);
    }
}

static void recognise(struct world *w)
{
    struct err err = {0};

    for (size_t i = 0; i < w->resources.n; i++)
        if (resource_recognise(&w->resources.v[i], &w->resources, &w->spec, &w->inv, "", &err) != 0)
            fail_msg("%s", err.msg);
    resources_add_found(&w->resources, &w->inv);
}

static const char *const clouds[] = {
    "cloud: local",
    "cloud: {cloudstack: {profile: prod}}\ncontroller: {address: 203.0.113.7}",
};

#endif
