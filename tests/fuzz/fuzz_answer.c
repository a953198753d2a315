/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as an answer of the cloud: as the listing of everything, and as the answer to a create
 * call. */
#include <string.h>

#include "controller/cloud.h"
#include "controller/items.h"
#include "controller/layout.h"

static struct spec_zone zone = {.name = "z", .has_private = true, .group = "g"};
static struct spec_node node = {.name = "n", .disk = {.present = true}};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct spec spec = {
        .deployment = "d", .zones = &zone, .n_zones = 1, .nodes = &node, .n_nodes = 1};
    struct node_facts facts[1];
    struct inventory inv = {0};
    struct items items = {0};
    struct err err;
    json_t *j = NULL;

    if (cloud_parse_answer("call", 200, (const char *)data, size, &j, &err) < 0)
        return 0;
    for (size_t l = 0; l < LISTINGS; l++)
        inv.list[l] = json_incref(json_object_iter_value(json_object_iter(j)));
    items_build(&spec, &items);
    for (size_t i = 0; i < items.n; i++) {
        if (item_recognise(&items.v[i], &items, &spec, &inv, "", &err) == 1)
            item_settled(&items.v[i], &err);
        item_take_answer(&items.v[i], j, &err);
    }
    layout_facts(&spec, &items, facts);
    items_free(&items);
    inventory_free(&inv);
    json_decref(j);
    return 0;
}
