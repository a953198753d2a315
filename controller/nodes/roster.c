/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/nodes/roster.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/str.h"

char *roster_text(struct store *st, const struct planner_input *in, uint64_t epoch)
{
    const struct spec *s = in->spec;
    char(*hex)[KEY_HEX_SIZE] = xcalloc(s->n_nodes, sizeof(*hex));
    const char **keys = xcalloc(s->n_nodes, sizeof(*keys));
    char *text;

    for (size_t i = 0; i < s->n_nodes; i++) {
        struct store_node n = {0};
        struct err ignored; /* a node that cannot be read has no key now */

        if (store_node_get(st, s->nodes[i].name, &n, &ignored) == 1 && n.bound)
            str_copy(hex[i], sizeof(hex[i]), n.curve_pub);
        keys[i] = hex[i];
    }
    text = planner_roster(in, keys, epoch);
    free(keys);
    free(hex);
    return text;
}
