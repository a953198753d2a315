/* SPDX-License-Identifier: Apache-2.0 */
/* The rules between sections of the deployment file. */
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/ports.h"
#include "controller/spec/internal.h"

#define ARBITRATED_MAX 16 /* of an agent's table of peers (agent/cluster) */

int cidr_parse(const char *text, struct cidr *ret)
{
    struct cidr c;

    if (ipv4_net_parse(text, &c.net) < 0 || !str_copy(c.text, sizeof(c.text), text))
        return -1;
    *ret = c;
    return 0;
}

void cidr_host(const struct cidr *c, uint32_t n, char ret[IPV4_SIZE])
{
    ipv4_text(c->net.base + n, ret);
}

static void check_networks(struct reading *r, const struct spec *s)
{
    for (size_t i = 0; i < s->n_zones; i++) {
        const struct spec_zone *a = &s->zones[i];
        _cleanup_free_ char *path = str_fmt("zones[%zu]", i);

        if (a->has_private && a->gateway.text[0] &&
            ipv4_net_overlaps(&a->gateway.net, &a->private.net))
            problem_at(r, path, "private.cidr", "overlaps the zone's own gateway network %s",
                       a->gateway.text);
        for (size_t j = 0; j < i; j++) {
            const struct spec_zone *b = &s->zones[j];

            if (str_eq(a->name, b->name))
                problem_at(r, path, "name", "'%s' is there twice", a->name);
            if (a->has_private && b->has_private &&
                ipv4_net_overlaps(&a->private.net, &b->private.net))
                problem_at(r, path, "private.cidr",
                           "overlaps %s of zone '%s'; joined networks need their own addresses",
                           b->private.text, b->name);
            if (a->has_private && b->has_private && !str_eq(a->group, b->group))
                problem_at(r, path, "private.group",
                           "'%s', but zone '%s' is in '%s'; the nodes could not reach each other",
                           a->group, b->name, b->group);
        }
    }
}

size_t spec_first_data(const struct spec *s)
{
    size_t i = 0;

    while (i < s->n_nodes && s->nodes[i].arbitrator)
        i++;
    return i;
}

static void check_ports(struct reading *r, const struct spec *s, size_t i)
{
    const struct spec_node *a = &s->nodes[i];

    for (size_t j = 0; j <= i; j++) {
        const struct spec_node *b = &s->nodes[j];

        if (a->zone != b->zone)
            continue;
        for (size_t p = 0; p < a->n_ports; p++)
            for (size_t q = 0; q < (i == j ? p : b->n_ports); q++) {
                _cleanup_free_ char *key =
                    str_fmt("nodes[%zu].ports.%u", i, a->ports[p].public_port);

                if (a->ports[p].public_port == b->ports[q].public_port)
                    problem(r, key, "public port %u of zone '%s' is taken by node '%s'",
                            a->ports[p].public_port, s->zones[a->zone].name, b->name);
            }
    }
}

/* One is enough to give an even number of members a majority, and a second one would take it away.
 */
static void check_arbitrator(struct reading *r, const struct spec *s, size_t i)
{
    const struct spec_node *n = &s->nodes[i];
    _cleanup_free_ char *path = str_fmt("nodes[%zu]", i);
    size_t others = 0;

    for (size_t j = 0; j < i; j++)
        others += s->nodes[j].arbitrator;
    if (!s->database.present)
        problem_at(r, path, "role", "an arbitrator needs a database section");
    if (n->disk.present)
        problem_at(r, path, "datadisk", "an arbitrator has no data");
    if (others)
        problem_at(r, path, "role", "a second arbitrator; one is all that a cluster can use");
    if (s->n_nodes > ARBITRATED_MAX)
        problem_at(r, path, "role", "a cluster with an arbitrator has at most %d nodes",
                   ARBITRATED_MAX);
    for (size_t p = 0; p < n->n_ports; p++)
        if (n->ports[p].private_port == PORT_HTTP)
            problem_at(r, path, "ports", "an arbitrator serves no site at port %d", PORT_HTTP);
}

static void check_nodes(struct reading *r, const struct spec *s)
{
    if (s->n_nodes && spec_first_data(s) == s->n_nodes)
        problem(r, "nodes", "no node has data: all are arbitrators");
    for (size_t i = 0; i < s->n_nodes; i++) {
        const struct spec_node *n = &s->nodes[i];
        _cleanup_free_ char *path = str_fmt("nodes[%zu]", i);

        for (size_t j = 0; j < i; j++)
            if (str_eq(n->name, s->nodes[j].name))
                problem_at(r, path, "name", "'%s' is there twice", n->name);
        check_ports(r, s, i);
        if (n->arbitrator)
            check_arbitrator(r, s, i);
        else if (s->database.present && !n->disk.present)
            problem(r, path, "datadisk: missing; the database keeps its data there");
        if (s->database.present && s->n_nodes > 1 && !s->zones[n->zone].has_private)
            problem(r, path, "zone '%s' has no private network for the database cluster",
                    s->zones[n->zone].name);
    }
}

/* The installation runs on the first node. Its form is sent as a visitor's, whose address for the
 * site the application may keep. */
static void check_forms(struct reading *r, const struct spec *s)
{
    size_t first = spec_first_data(s);
    const struct spec_node *n = &s->nodes[first];
    bool known = s->app.site[0] || first == s->n_nodes || n->address[0];

    for (size_t p = 0; !known && p < n->n_ports; p++)
        known = n->ports[p].private_port == PORT_HTTP;
    for (size_t i = 0; !known && i < json_array_size(s->app.install); i++)
        if (json_object_get(json_array_get(s->app.install, i), "form")) {
            _cleanup_free_ char *path = str_fmt("app.install[%zu]", i);

            problem_at(r, path, "form",
                       "by which address? No port leads to port %d of node '%s': write app.url, "
                       "such as https://www.example.org",
                       PORT_HTTP, n->name);
        }
}

static void check_app(struct reading *r, const struct spec *s)
{
    if (!s->app.present)
        return;
    check_forms(r, s);
    check_writable(r, s);
    if (!s->web.present)
        problem(r, "app", "needs a web section");
    if (!s->database.present)
        problem(r, "app", "needs a database section");
}

void spec_check(struct reading *r, const struct spec *s)
{
    check_networks(r, s);
    check_nodes(r, s);
    check_app(r, s);
    check_frontdoor(r, s);
    check_backup(r, s);
    if (s->cloud != CLOUD_LOCAL && !s->controller_address[0])
        problem(r, "cloud",
                "controller.address is needed: this machine's address as the VMs "
                "reach it, such as controller: {address: 203.0.113.7}");
}
