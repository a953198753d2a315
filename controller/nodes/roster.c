/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/nodes/roster.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/keys.h"
#include "common/str.h"

/* A member whose key is void keeps its place, since the list of members is what they agree by; with
 * a key whose secret half nobody has. */
static void nobodys_key(const struct store_node *n, char ret[KEY_HEX_SIZE])
{
    _cleanup_free_ char *of =
        str_fmt("muster: nobody's key %s %llu", n->name, (unsigned long long)n->incarnation);

    keys_sha256(of, strlen(of), ret);
}

char *roster_text(struct store *st, const struct planner_input *in, uint64_t epoch)
{
    const struct spec *s = in->spec;
    char(*hex)[KEY_HEX_SIZE] = xcalloc(s->n_nodes, sizeof(*hex));
    const char **keys = xcalloc(s->n_nodes, sizeof(*keys));
    char *text;

    for (size_t i = 0; i < s->n_nodes; i++) {
        struct store_node n = {0};
        struct err ignored; /* a node that cannot be read has no key now */

        if (store_node_get(st, s->nodes[i].name, &n, &ignored) == 1 && n.conflict)
            nobodys_key(&n, hex[i]);
        else if (n.bound)
            str_copy(hex[i], sizeof(hex[i]), n.curve_pub);
        keys[i] = hex[i];
    }
    text = planner_roster(in, keys, epoch);
    free(keys);
    free(hex);
    return text;
}
