/* SPDX-License-Identifier: Apache-2.0 */
/* `cloud: none`: machines that somebody else makes. Their user-data is written for an operator to
 * paste; what a cloud would tell of them, their agents say. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/ports.h"
#include "common/str.h"
#include "controller/internal.h"
#include "controller/nodes/layout.h"

#define PASTE_TTL_S (24 * 60 * 60) /* a one-time key that waits for somebody's hands */
#define PASTE_LEFT_S (10 * 60)     /* one that is about to expire is made again */
#define FACTS_EVERY_MS 1000        /* looks whether the agents have said enough */

/* The agent's NIC with an address in the zone's private network. */
static void private_of(const struct spec_zone *zone, const json_t *facts, struct node_facts *ret)
{
    const json_t *nics = json_object_get(facts, "nics");

    for (size_t i = 0; i < json_array_size(nics); i++) {
        const json_t *nic = json_array_get(nics, i);
        const json_t *addresses = json_object_get(nic, "addresses");

        for (size_t k = 0; k < json_array_size(addresses); k++) {
            const char *text = json_string_value(json_array_get(addresses, k));
            uint32_t address;
            unsigned len;

            if (!text || ipv4_interface_parse(text, &address, &len) < 0 ||
                !ipv4_net_has(&zone->private.net, address))
                continue;
            ipv4_text(address, ret->private_address);
            str_copy(ret->private_mac, sizeof(ret->private_mac), js_opt_str(nic, "mac", ""));
            return;
        }
    }
}

static uint16_t port_of(const struct spec_node *n, uint16_t private_port)
{
    for (size_t p = 0; p < n->n_ports; p++)
        if (n->ports[p].private_port == private_port)
            return n->ports[p].public_port;
    return private_port; /* nobody is in between */
}

bool up_none_facts(const struct spec *s, size_t node, const json_t *said, struct node_facts *ret)
{
    const struct spec_node *n = &s->nodes[node];
    const struct spec_zone *zone = &s->zones[n->zone];
    uint16_t web = port_of(n, PORT_HTTP);

    *ret = (struct node_facts){0};
    if (zone->has_private)
        private_of(zone, said, ret);
    layout_public(n->address, ret->public_address);
    if (n->disk.present) { /* found by its size: no cloud says which it is */
        _cleanup_free_ char *name = str_fmt("%s/%s", s->deployment, n->name);

        keys_uuid_derived("muster-disk", name, ret->volume);
    }
    if (n->address[0] && web == PORT_HTTP)
        snprintf(ret->url, sizeof(ret->url), "http://%s", n->address);
    else if (n->address[0])
        snprintf(ret->url, sizeof(ret->url), "http://%s:%u", n->address, web);
    return said && (!zone->has_private || ret->private_address[0]);
}

/* All members' plans have the addresses of all. */
bool up_none_known(struct up *u)
{
    const struct spec *s = &u->d->spec;
    uint64_t now = clock_mono_ms();
    struct err err;
    bool all = true;

    if (u->none_known || (u->none_looked && now - u->none_looked < FACTS_EVERY_MS))
        return u->none_known;
    u->none_looked = now;
    for (size_t i = 0; i < s->n_nodes; i++) {
        _cleanup_json_ json_t *state = NULL;
        _cleanup_json_ json_t *said = NULL;
        struct store_node n = {0};
        bool there = store_node_get(u->d->store, s->nodes[i].name, &n, &err) == 1 && n.bound &&
                     store_node_report(u->d->store, s->nodes[i].name, &state, &said, &err) == 0;

        all = up_none_facts(s, i, there ? said : NULL, &u->facts[i]) && all;
    }
    u->none_known = all;
    if (all && (up_none_layout(u, &err) < 0 || up_give_plans(u, &err) < 0))
        u->none_known = false;
    return u->none_known;
}

int up_none_layout(struct up *u, struct err *err)
{
    const struct spec *s = &u->d->spec;
    _cleanup_json_ json_t *arr = json_array();
    _cleanup_free_ char *text = NULL;

    for (size_t i = 0; i < s->n_nodes; i++)
        json_array_append_new(
            arr, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i}", "name", s->nodes[i].name, "zone",
                           s->zones[s->nodes[i].zone].name, "vm", "", "public_ip",
                           s->nodes[i].address, "private_ip", u->facts[i].private_address, "url",
                           u->facts[i].url, "ssh_port", port_of(&s->nodes[i], PORT_SSH)));
    text = js_text(arr);
    return store_set(u->d->store, "layout", text, err);
}

static int paste(struct up *u, size_t i, const char *path, struct err *err)
{
    _cleanup_free_ char *msg = str_fmt("give the machine the user-data in %s (it holds a one-time "
                                       "key); waiting for its agent",
                                       path);

    return up_emit(u, u->d->spec.nodes[i].name, EVENT_NOTE, "user-data", msg, err);
}

/* The file of an earlier run may be in somebody's hands already: it stays while its key is good. */
static int write_user_data(struct up *u, size_t i, struct err *err)
{
    const char *name = u->d->spec.nodes[i].name;
    _cleanup_free_ char *path = str_fmt("%s/user-data.%s", u->d->state, name);
    struct store_node n = {0};
    char *text = NULL;
    int r;

    if (store_node_get(u->d->store, name, &n, err) < 0)
        return -1;
    if (n.bound)
        return 0;
    if (fs_exists(path) && n.enrol_expires > (uint64_t)time(NULL) + PASTE_LEFT_S)
        return paste(u, i, path, err);
    if (up_user_data_text(u, i, PASTE_TTL_S, &text, err) < 0)
        return -1;
    r = fs_write_atomic(path, text, strlen(text), 0600, err);
    keys_wipe(text, strlen(text));
    free(text);
    return r < 0 ? -1 : paste(u, i, path, err);
}

int up_none_wait(struct up *u, struct err *err)
{
    for (size_t i = 0; i < u->d->spec.n_nodes; i++) {
        struct node_run *r = &u->runs[i];

        if (!r->told_user_data) {
            r->told_user_data = true;
            if (write_user_data(u, i, err) < 0)
                return -1;
        }
        if (!r->enrolled && !r->heard) /* as long as it takes */
            u->last_event = clock_mono_ms();
    }
    return 0;
}
