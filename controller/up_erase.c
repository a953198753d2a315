/* SPDX-License-Identifier: Apache-2.0 */
/* Once a node has enrolled, the user-data that the cloud keeps of its VM is replaced: the one-time
 * key in it is used up, and what is left in it is nobody's business either. A cloud that refuses it
 * changes nothing for the node: it is said, and the next `up` tries again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/sign.h"
#include "common/str.h"
#include "controller/cloud/entity.h"
#include "controller/internal.h"

static const char replacement[] = "#cloud-config\n# Muster: this machine has enrolled.\n";

/* Which incarnation of the node it was done for. */
static char *record_of(const char *node)
{
    return str_fmt("user-data-erased:%s", node);
}

static int is_erased(struct up *u, const char *node, uint64_t incarnation, bool *ret,
                     struct err *err)
{
    _cleanup_free_ char *key = record_of(node);
    _cleanup_free_ char *text = NULL;
    uint64_t of = 0;

    if (store_get(u->d->store, key, &text, err) < 0)
        return -1;
    *ret = text && str_to_u64(text, UINT64_MAX, &of) == 0 && of == incarnation;
    return 0;
}

static void on_answer(void *ctx, const json_t *answer, const struct cloud_failure *why)
{
    struct node_run *r = ctx;
    struct up *u = r->of;
    const char *name = u->d->spec.nodes[r - u->runs].name;
    struct err ignored;

    r->erasing = false;
    if (answer) {
        _cleanup_free_ char *key = record_of(name);
        _cleanup_free_ char *text = str_fmt("%llu", (unsigned long long)r->erased_of);

        store_set(u->d->store, key, text, &ignored); /* else it is done once more */
        return;
    }
    _cleanup_free_ char *msg = str_fmt(
        "the cloud keeps its user-data, with a one-time key that is used up: %.300s", why->err.msg);

    up_emit(u, name, EVENT_NOTE, "user-data", msg, &ignored);
}

static int erase(struct up *u, size_t node, struct err *err)
{
    const struct resource *vm = resources_find(&u->survey->resources, RESOURCE_VM, node);
    const char *name = u->d->spec.nodes[node].name;
    struct node_run *r = &u->runs[node];
    _cleanup_(pairs_free) struct pairs p = {0};
    struct store_node n = {0};
    bool erased = false;

    if (!vm || !vm->id[0] || store_node_get(u->d->store, name, &n, err) < 0)
        return vm && vm->id[0] ? -1 : 0;
    if (!n.bound)
        return 0;
    if (is_erased(u, name, n.incarnation, &erased, err) < 0)
        return -1;
    if (erased)
        return 0;
    _cleanup_free_ char *text = base64_text(replacement, strlen(replacement));
    pairs_add(&p, "id", vm->id);
    pairs_add(&p, "userdata", text);
    r->of = u;
    r->erased_of = n.incarnation;
    r->erasing = true;
    cloud_call(u->reach->cloud, "updateVirtualMachine", &p, on_answer, r);
    return 0;
}

int up_erase_user_data(struct up *u, bool *ret_under_way, struct err *err)
{
    *ret_under_way = false;
    if (!u->cloud_done || u->d->spec.cloud == CLOUD_NONE)
        return 0;
    for (size_t i = 0; i < u->d->spec.n_nodes; i++) {
        struct node_run *r = &u->runs[i];

        if (r->ready && !r->erase_tried) {
            r->erase_tried = true;
            if (erase(u, i, err) < 0)
                return -1;
        }
        *ret_under_way = *ret_under_way || r->erasing;
    }
    return 0;
}
