/* SPDX-License-Identifier: Apache-2.0 */
/* show: networks, VMs, addresses and ports as the cloud lists them. */
#include <stdio.h>

#include "common/cleanup.h"
#include "common/js.h"
#include "common/str.h"
#include "common/text.h"
#include "controller/cli/cli.h"
#include "controller/cloud/access.h"
#include "controller/cloud/survey.h"

static void show_node(const struct spec *s, size_t n, bool ports, const char *last)
{
    text_print(stdout, "   %s %s", last, s->nodes[n].name);
    if (ports && s->nodes[n].n_ports) {
        text_print(stdout, "  (ports:");
        for (size_t p = 0; p < s->nodes[n].n_ports; p++)
            text_print(stdout, " [%u]->[%u]", s->nodes[n].ports[p].public_port,
                       s->nodes[n].ports[p].private_port);
        text_print(stdout, ")");
    }
    puts("");
}

static void show_network(const struct spec *s, const struct resource *net, size_t zone,
                         bool gateway, const char *ip)
{
    const struct spec_zone *z = &s->zones[zone];
    size_t of_zone = 0;

    text_print(stdout, "― %s (Zone: %s, CIDR: %s%s%s)%s\n", net->label, z->name,
               gateway ? z->gateway.text : z->private.text, *ip ? ", IP: " : "", ip,
               net->id[0] ? "" : "  not there");
    for (size_t n = 0; n < s->n_nodes; n++)
        of_zone += s->nodes[n].zone == zone;
    for (size_t n = 0; n < s->n_nodes; n++)
        if (s->nodes[n].zone == zone)
            show_node(s, n, gateway, --of_zone ? "├" : "└");
}

static void show_json(const struct deployment *d, const struct resources *resources)
{
    _cleanup_json_ json_t *arr = json_array();
    _cleanup_json_ json_t *out = NULL;

    for (size_t i = 0; i < resources->n; i++)
        json_array_append_new(arr,
                              json_pack("{s:s, s:s, s:s}", "resource", resources->v[i].name, "name",
                                        resources->v[i].label, "id", resources->v[i].id));
    out = json_pack("{s:i, s:s, s:O}", "schema", 1, "deployment", d->spec.deployment, "resources",
                    arr);
    cli_print_json(out, true);
}

int cmd_show(const struct cli *cli, struct err *err)
{
    _cleanup_(deployment_close) struct deployment d = {.lock_fd = -1};
    _cleanup_(access_close) struct reach reach = {0};
    _cleanup_(survey_free) struct survey v = {0};
    _cleanup_(strbuf_free) struct strbuf missing = {0}; /* nothing is created: none */
    const struct survey_options o = {.facts_only = true};

    if (cli->n_words)
        return str_eq(cli->words[0], "uri")
                   ? cmd_show_uri(cli, err)
                   : err_set(err, ERR_USAGE, "show %s: nothing, or uri", cli->words[0]);
    if (cli_open(cli, false, &d, err) < 0 || access_open(&d.spec, false, &reach, err) < 0 ||
        survey_run(&reach, d.store, &d.spec, &o, &v, &missing, err) < 0)
        return -1;
    if (cli->json) {
        show_json(&d, &v.resources);
        return 0;
    }
    for (size_t z = 0; z < d.spec.n_zones; z++) {
        const struct resource *address = resources_find(&v.resources, RESOURCE_ADDRESS, z);
        const struct resource *inner = resources_find(&v.resources, RESOURCE_PRIVATE, z);

        show_network(&d.spec, resources_find(&v.resources, RESOURCE_GATEWAY, z), z, true,
                     js_opt_str(address->entity, "ipaddress", ""));
        if (inner)
            show_network(&d.spec, inner, z, false, "");
        if (z + 1 < d.spec.n_zones)
            puts("");
    }
    return 0;
}
