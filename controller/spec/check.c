/* SPDX-License-Identifier: Apache-2.0 */
/* The rules between sections of the deployment file. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "controller/spec/internal.h"

int cidr_parse(const char *text, struct cidr *ret)
{
    char address[16];
    const char *slash = strchr(text, '/');
    struct in_addr a;
    uint64_t len;
    uint32_t mask;

    if (!slash || (size_t)(slash - text) >= sizeof(address) || strlen(text) >= sizeof(ret->text))
        return -1;
    memcpy(address, text, (size_t)(slash - text));
    address[slash - text] = '\0';
    if (inet_pton(AF_INET, address, &a) != 1 || str_to_u64(slash + 1, 32, &len) < 0)
        return -1;
    mask = len ? 0xffffffffu << (32 - len) : 0;
    if (ntohl(a.s_addr) & ~mask)
        return -1;
    *ret = (struct cidr){.base = ntohl(a.s_addr), .len = (unsigned)len};
    str_copy(ret->text, sizeof(ret->text), text);
    return 0;
}

void cidr_host(const struct cidr *c, uint32_t n, char ret[16])
{
    struct in_addr a = {.s_addr = htonl(c->base + n)};

    inet_ntop(AF_INET, &a, ret, 16);
}

bool cidr_overlap(const struct cidr *a, const struct cidr *b)
{
    unsigned len = a->len < b->len ? a->len : b->len;
    uint32_t mask = len ? 0xffffffffu << (32 - len) : 0;

    return (a->base & mask) == (b->base & mask);
}

static void check_networks(struct reading *r, const struct spec *s)
{
    for (size_t i = 0; i < s->n_zones; i++) {
        const struct spec_zone *a = &s->zones[i];
        _cleanup_free_ char *path = str_fmt("zones[%zu]", i);

        if (a->has_private && cidr_overlap(&a->gateway, &a->private))
            problem_at(r, path, "private.cidr", "overlaps the zone's own gateway network %s",
                       a->gateway.text);
        for (size_t j = 0; j < i; j++) {
            const struct spec_zone *b = &s->zones[j];

            if (str_eq(a->name, b->name))
                problem_at(r, path, "name", "'%s' is there twice", a->name);
            if (a->has_private && b->has_private && cidr_overlap(&a->private, &b->private))
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

static void check_nodes(struct reading *r, const struct spec *s)
{
    for (size_t i = 0; i < s->n_nodes; i++) {
        const struct spec_node *n = &s->nodes[i];
        _cleanup_free_ char *path = str_fmt("nodes[%zu]", i);

        for (size_t j = 0; j < i; j++)
            if (str_eq(n->name, s->nodes[j].name))
                problem_at(r, path, "name", "'%s' is there twice", n->name);
        check_ports(r, s, i);
        if (s->database.present && !n->disk.present)
            problem(r, path, "datadisk: missing; the database keeps its data there");
        if (s->database.present && s->n_nodes > 1 && !s->zones[n->zone].has_private)
            problem(r, path, "zone '%s' has no private network for the database cluster",
                    s->zones[n->zone].name);
    }
}

static void check_app(struct reading *r, const struct spec *s)
{
    if (!s->app.present)
        return;
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
    if (s->cloud != CLOUD_LOCAL && !s->controller_address[0])
        problem(r, "cloud",
                "controller.address is needed: this machine's address as the VMs "
                "reach it, such as controller: {address: 203.0.113.7}");
}
