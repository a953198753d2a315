/* SPDX-License-Identifier: Apache-2.0 */
/* What a record remembers of decided epochs, and lists of members' names. */
#include <string.h>

#include "agent/cluster/cluster.h"

const struct cluster_value *cluster_entry(const struct cluster_record *rec, uint64_t epoch)
{
    for (unsigned i = 0; epoch && i < rec->n_chain; i++)
        if (rec->chain[i].epoch == epoch)
            return &rec->chain[i];
    return NULL;
}

bool cluster_base_after(const struct cluster_record *rec, uint64_t epoch, int64_t *ret)
{
    bool any = false;

    if (epoch + 1 < rec->chain_from || rec->chain_from == 0)
        return false;
    for (unsigned i = 0; i < rec->n_chain; i++) {
        const struct cluster_value *v = &rec->chain[i];

        if (v->epoch > epoch && (!any || v->base < *ret)) {
            *ret = v->base;
            any = true;
        }
    }
    return any;
}

void cluster_append(struct cluster_record *rec, const struct cluster_value *v)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < rec->n_chain; i++)
        if (rec->chain[i].base < v->base)
            rec->chain[kept++] = rec->chain[i];
    if (kept == CLUSTER_CHAIN) {
        rec->chain_from = rec->chain[0].epoch + 1;
        memmove(rec->chain, rec->chain + 1, --kept * sizeof(rec->chain[0]));
    }
    rec->chain[kept++] = *v;
    rec->n_chain = kept;
    rec->epoch = v->epoch;
    if (rec->chain_from == 0)
        rec->chain_from = v->epoch;
}

bool cluster_names_have(const struct cluster_names *names, const char *name)
{
    for (unsigned i = 0; i < names->n; i++)
        if (strcmp(names->name[i], name) == 0)
            return true;
    return false;
}

bool cluster_names_same(const struct cluster_names *a, const struct cluster_names *b)
{
    for (unsigned i = 0; i < a->n; i++)
        if (!cluster_names_have(b, a->name[i]))
            return false;
    return a->n == b->n;
}

bool cluster_lost_has(const char *lost, const char *name)
{
    size_t len = strlen(name);

    for (const char *at = lost; len && (at = strstr(at, name)); at += len)
        if ((at == lost || at[-1] == ' ') && (at[len] == '\0' || at[len] == ' '))
            return true;
    return false;
}
