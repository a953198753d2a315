/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as an answer of the cloud: as the listing of everything, and as the answer to a create
 * call. */
#include <string.h>

#include "controller/cloud/cloud.h"
#include "controller/cloud/moves.h"
#include "controller/cloud/recognise.h"
#include "controller/cloud/resources.h"
#include "controller/nodes/layout.h"

static struct spec_zone zone = {.name = "z", .has_private = true, .group = "g", .egress_all = true};
static struct spec_port port = {80, 80};
static struct spec_node node = {.name = "n",
                                .template = "t",
                                .offering = "o",
                                .ports = &port,
                                .n_ports = 1,
                                .disk = {.present = true, .size = 2ull << 30, .offering = "o"}};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct spec spec = {.deployment = "d",
                              .keypair = "k",
                              .zones = &zone,
                              .n_zones = 1,
                              .nodes = &node,
                              .n_nodes = 1};
    const struct http_answer answer = {200, (const char *)data, size, 0, NULL, {0}};
    struct node_facts facts[1];
    struct cloud_failure why;
    struct inventory inv = {0};
    struct resources resources = {0};
    struct err err;
    const json_t *result;
    json_t *j = NULL, *plan;

    if (cloud_parse_answer("call", &answer, &j, &why) < 0)
        return 0;
    cloud_parse_job(j, &result, &why);
    for (size_t l = 0; l < LISTINGS; l++)
        inv.list[l] =
            json_incref((json_t *)cloud_parse_list(j, listing_call((enum listing)l)->member));
    resources_build(&spec, &resources);
    for (size_t i = 0; i < resources.n; i++) {
        resource_recognise(&resources.v[i], &resources, &spec, &inv, "", &err);
        resource_move(&resources.v[i], &resources, &spec);
    }
    resources_add_found(&resources, &inv);
    plan = moves_plan(&resources, &spec);
    for (size_t i = 0; i < resources.n; i++)
        resource_take_answer(&resources.v[i], &resources, j, &err);
    layout_facts(&spec, &resources, facts);
    json_decref(plan);
    resources_free(&resources);
    inventory_free(&inv);
    json_decref(j);
    return 0;
}
