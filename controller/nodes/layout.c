/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/nodes/layout.h"

#include <stdio.h>
#include <string.h>

#include "common/ipv4.h"
#include "common/js.h"
#include "common/ports.h"
#include "common/proto.h"
#include "common/str.h"
#include "controller/cloud/entity.h"

static const json_t *nic_of(const json_t *vm, const char *network)
{
    const json_t *nics = json_object_get(vm, "nic");
    char id[64];

    for (size_t i = 0; i < json_array_size(nics); i++) {
        entity_text(json_array_get(nics, i), "networkid", id, sizeof(id));
        if (str_eq(id, network))
            return json_array_get(nics, i);
    }
    return NULL;
}

static uint16_t public_port(const struct spec_node *n, uint16_t private_port)
{
    for (size_t p = 0; p < n->n_ports; p++)
        if (n->ports[p].private_port == private_port)
            return n->ports[p].public_port;
    return 0;
}

static void public_ip(const struct spec *s, const struct resources *resources, size_t node,
                      char ret[16])
{
    const struct resource *address =
        resources_find(resources, RESOURCE_ADDRESS, s->nodes[node].zone);

    entity_text(address ? address->entity : NULL, "ipaddress", ret, 16);
}

void layout_public(const char *text, char ret[16])
{
    uint32_t address;

    ret[0] = '\0';
    if (ipv4_parse(text, &address) == 0)
        ipv4_text(address, ret);
}

void layout_facts(const struct spec *s, const struct resources *resources, struct node_facts *ret)
{
    for (size_t n = 0; n < s->n_nodes; n++) {
        const struct resource *vm = resources_find(resources, RESOURCE_VM, n);
        const struct resource *network =
            resources_find(resources, RESOURCE_PRIVATE, s->nodes[n].zone);
        const struct resource *volume = resources_find(resources, RESOURCE_VOLUME, n);
        const json_t *nic = network ? nic_of(vm->entity, network->id) : NULL;
        uint16_t web = public_port(&s->nodes[n], PORT_HTTP);
        char ip[16];

        memset(&ret[n], 0, sizeof(ret[n]));
        entity_text(nic, "ipaddress", ret[n].private_address, sizeof(ret[n].private_address));
        entity_text(nic, "macaddress", ret[n].private_mac, sizeof(ret[n].private_mac));
        if (volume)
            str_copy(ret[n].volume, sizeof(ret[n].volume), volume->id);
        public_ip(s, resources, n, ip);
        layout_public(ip, ret[n].public_address);
        if (web == PORT_HTTP)
            snprintf(ret[n].url, sizeof(ret[n].url), "http://%s", ip);
        else if (web)
            snprintf(ret[n].url, sizeof(ret[n].url), "http://%s:%u", ip, web);
    }
}

json_t *layout_json(const struct spec *s, const struct resources *resources,
                    const struct node_facts *facts)
{
    json_t *arr = json_array();

    for (size_t n = 0; n < s->n_nodes; n++) {
        char ip[16];

        public_ip(s, resources, n, ip);
        json_array_append_new(
            arr, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i}", "name", s->nodes[n].name, "zone",
                           s->zones[s->nodes[n].zone].name, "vm",
                           resources_find(resources, RESOURCE_VM, n)->id, "public_ip", ip,
                           "private_ip", facts[n].private_address, "url", facts[n].url, "ssh_port",
                           public_port(&s->nodes[n], PORT_SSH)));
    }
    return arr;
}

void layout_drift(const json_t *state, char *ret, size_t cap)
{
    const json_t *ids = json_object_get(state, "drift");
    struct strbuf b = {0};

    for (size_t i = 0; i < json_array_size(ids); i++) {
        const char *id = json_string_value(json_array_get(ids, i));

        if (id &&
            strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_./") ==
                strlen(id))
            strbuf_addf(&b, "%s%s", b.len ? ", " : "", id);
    }
    str_copy(ret, cap, strbuf_str(&b));
    strbuf_free(&b);
}

bool layout_db_serves(const char *state)
{
    return str_eq(state, "Synced") || str_eq(state, "Donor/Desynced") || str_eq(state, ARBITRATOR);
}

/* A node that files neither go to nor come from now; NULL: none, or it shares nothing. */
static const char *share_missing(const json_t *state)
{
    const json_t *peers = json_object_get(json_object_get(state, "share"), "peers"), *p;
    size_t i;

    json_array_foreach(peers, i, p)
    {
        if (!js_opt_bool(p, "connected", false))
            return js_opt_str(p, "name", "?");
    }
    return NULL;
}

void layout_share_trouble(const json_t *state, char *ret, size_t cap)
{
    const json_t *share = json_object_get(state, "share");
    const char *held = js_opt_str(share, "held", ""), *why = js_opt_str(share, "why", "");
    const char *missing = share_missing(state);

    str_copy(ret, cap, "");
    if (*held || *why)
        snprintf(ret, cap, "shared files: %.200s", *held ? held : why);
    else if (missing)
        snprintf(ret, cap, "shared files: %.60s is not connected", missing);
}

bool layout_takes_visitors(const struct spec *s, const json_t *state)
{
    const json_t *db = json_object_get(state, "db");
    bool unknown = *js_opt_str(db, "unknown", "") != '\0';

    return !*js_opt_str(state, "maintenance", "") && !*js_opt_str(state, "drain", "") &&
           !*js_opt_str(json_object_get(state, "web"), "why", "") &&
           (!s->database.present || unknown || layout_db_serves(js_opt_str(db, "state", "")));
}

void layout_trouble(const struct spec *s, const json_t *state, char *ret, size_t cap)
{
    const json_t *db = json_object_get(state, "db");
    const char *unknown = js_opt_str(db, "unknown", ""), *is = js_opt_str(db, "state", "");
    uint64_t size = js_opt_u64(db, "cluster_size", 0);
    const char *maintenance = js_opt_str(state, "maintenance", ""),
               *drain = js_opt_str(state, "drain", "");
    char share[256];

    layout_share_trouble(state, share, sizeof(share));
    str_copy(ret, cap, "");
    if (*maintenance)
        snprintf(ret, cap, "in maintenance: %.180s", maintenance);
    else if (s->database.present && *unknown)
        snprintf(ret, cap, "its database could not be asked: %.180s", unknown);
    else if (s->database.present && !layout_db_serves(is))
        snprintf(ret, cap, "its database is %.40s", *is ? is : "in no known state");
    else if (s->database.present && size != s->n_nodes && !str_eq(is, ARBITRATOR))
        snprintf(ret, cap, "its database sees %llu of %zu members", (unsigned long long)size,
                 s->n_nodes);
    else if (*js_opt_str(json_object_get(state, "web"), "why", ""))
        str_copy(ret, cap, js_opt_str(json_object_get(state, "web"), "why", ""));
    else if (*share)
        str_copy(ret, cap, share);
    else if (*drain)
        snprintf(ret, cap, "its visitors go to other nodes: %.180s", drain);
}

bool layout_state_ready(const struct spec *s, const json_t *state, const char *rev)
{
    const json_t *db = json_object_get(state, "db");

    if (proto_phase_of(state) != PHASE_READY || !str_eq(js_opt_str(state, "rev", ""), rev) ||
        json_array_size(json_object_get(state, "drift")) || share_missing(state) ||
        js_opt_bool(state, "converting", false))
        return false;
    return !s->database.present || str_eq(js_opt_str(db, "state", ""), ARBITRATOR) ||
           (layout_db_serves(js_opt_str(db, "state", "")) &&
            js_opt_u64(db, "cluster_size", 0) == s->n_nodes && js_opt_bool(db, "epoch_row", false));
}
