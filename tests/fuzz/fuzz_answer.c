/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as an answer of the cloud: as the listing of everything, and as the answer to a create
 * call. */
#include <string.h>

#include "controller/cloud/cloud.h"
#include "controller/cloud/items.h"
#include "controller/cloud/moves.h"
#include "controller/cloud/recognise.h"
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
    struct items items = {0};
    struct err err;
    const json_t *result;
    json_t *j = NULL, *plan;

    if (cloud_parse_answer("call", &answer, &j, &why) < 0)
        return 0;
    cloud_parse_job(j, &result, &why);
    for (size_t l = 0; l < LISTINGS; l++)
        inv.list[l] =
            json_incref((json_t *)cloud_parse_list(j, listing_call((enum listing)l)->member));
    items_build(&spec, &items);
    for (size_t i = 0; i < items.n; i++) {
        item_recognise(&items.v[i], &items, &spec, &inv, "", &err);
        item_move(&items.v[i], &items, &spec);
    }
    items_add_found(&items, &inv);
    plan = moves_plan(&items, &spec);
    for (size_t i = 0; i < items.n; i++)
        item_take_answer(&items.v[i], &items, j, &err);
    layout_facts(&spec, &items, facts);
    json_decref(plan);
    items_free(&items);
    inventory_free(&inv);
    json_decref(j);
    return 0;
}
