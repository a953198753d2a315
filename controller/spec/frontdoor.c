/* SPDX-License-Identifier: Apache-2.0 */
/* The section `frontdoor` of the deployment file. */
#include "common/cleanup.h"
#include "common/ports.h"
#include "controller/spec/internal.h"

static void read_tls(struct reading *r, struct spec *s, const json_t *v)
{
    static const char *const keys[] = {"certificate", "key", NULL};
    static const char path[] = "frontdoor.tls";

    if (str_eq(json_string_value(v), "self-signed")) {
        s->frontdoor.tls = FRONTDOOR_SELF_SIGNED;
        return;
    }
    if (!json_is_object(v)) {
        problem(r, path, "expected self-signed or {certificate: FILE, key: FILE}");
        return;
    }
    s->frontdoor.tls = FRONTDOOR_GIVEN;
    if (!read_known(r, path, v, keys))
        return;
    read_text(r, path, v, "certificate", NULL, s->frontdoor.certificate,
              sizeof(s->frontdoor.certificate));
    read_text(r, path, v, "key", NULL, s->frontdoor.key, sizeof(s->frontdoor.key));
}

void read_frontdoor(struct reading *r, struct spec *s, const json_t *root)
{
    static const char *const keys[] = {"tls", "dns", NULL};
    const json_t *v = json_object_get(root, "frontdoor"), *tls;

    if (!v)
        return;
    if (!json_is_object(v)) {
        problem(r, "frontdoor",
                "expected {} or {tls: self-signed} or {tls: {certificate: FILE, key: FILE}}");
        return;
    }
    if (!read_known(r, "frontdoor", v, keys))
        return;
    s->frontdoor.present = true;
    tls = json_object_get(v, "tls");
    if (tls)
        read_tls(r, s, tls);
    if (json_object_get(v, "dns"))
        read_path(r, "frontdoor", v, "dns", NULL, s->frontdoor.dns, sizeof(s->frontdoor.dns));
}

void check_frontdoor(struct reading *r, const struct spec *s)
{
    size_t sites = 0;

    if (!s->frontdoor.present)
        return;
    if (!s->web.present)
        problem(r, "frontdoor", "needs a web section: there is no site to lead to");
    for (size_t i = 0; i < s->n_nodes; i++)
        sites += !s->nodes[i].arbitrator;
    for (size_t i = 0; i < s->n_nodes; i++) {
        const struct spec_node *n = &s->nodes[i];
        _cleanup_free_ char *path = str_fmt("nodes[%zu]", i);

        if (n->arbitrator)
            continue;
        if (sites > 1 && !s->zones[n->zone].has_private)
            problem(r, path,
                    "zone '%s' has no private network, over which the front doors of the others "
                    "reach this site",
                    s->zones[n->zone].name);
        for (size_t p = 0; p < n->n_ports; p++)
            if (n->ports[p].private_port == PORT_SITE)
                problem_at(r, path, "ports",
                           "%d is the web server behind the front door; forward to %d%s instead",
                           PORT_SITE, PORT_HTTP, s->frontdoor.tls ? " or 443" : "");
            else if (n->ports[p].private_port == PORT_HTTPS && !s->frontdoor.tls)
                problem_at(r, path, "ports",
                           "nothing answers at %d: the front door has no certificate; write "
                           "frontdoor: {tls: self-signed} or {tls: {certificate: FILE, key: FILE}}",
                           PORT_HTTPS);
    }
}
