/* SPDX-License-Identifier: Apache-2.0 */
/* What survives a loss of power: records in slots, and data. */
#include <stdio.h>
#include <string.h>

#include "tests/sim/sim.h"

/* As agent/cluster/store.c reads them: the newest good slot of four. */
bool disk_record(const struct disks *d, struct cluster_record *ret, uint64_t *ret_generation,
                 bool *ret_refused)
{
    const struct slot *best = NULL;
    bool opened = false;

    *ret_refused = false;
    *ret_generation = 0;
    for (unsigned i = 0; i < 4; i++) {
        const struct slot *s = i < 2 ? &d->root[i] : &d->data[i - 2];

        if (!s->valid)
            continue;
        opened = opened || (i >= 2 && s->rec.data && !s->rec.new_disk);
        if (best && best->rec.cluster_id[0] && s->rec.cluster_id[0] &&
            strcmp(best->rec.cluster_id, s->rec.cluster_id) != 0)
            *ret_refused = true;
        if (!best || s->generation > best->generation)
            best = s;
    }
    if (!best)
        return false;
    *ret = best->rec;
    *ret_generation = best->generation;
    if (ret->data && !opened)
        ret->new_disk = true;
    return true;
}

const struct cluster_record *disk_newest(const struct disks *d)
{
    const struct slot *best = NULL;

    for (unsigned i = 0; i < 4; i++) {
        const struct slot *s = i < 2 ? &d->root[i] : &d->data[i - 2];

        if (s->valid && (!best || s->generation > best->generation))
            best = s;
    }
    return best ? &best->rec : NULL;
}

/* Torn: power is lost on the way, and each slot has what it had, what is new, or nothing whole. */
void disk_save(struct node *nd, bool torn)
{
    uint64_t stage = torn ? rnd(5) : 4, generation = ++nd->generation;
    struct slot *data = &nd->disks.data[generation % 2], *root = &nd->disks.root[generation % 2];

    if (stage == 1)
        data->valid = false;
    if (stage >= 2)
        *data = (struct slot){.valid = true, .generation = generation, .rec = nd->c.rec};
    if (stage == 3)
        root->valid = false;
    if (stage == 4)
        *root = *data;
}

bool disk_has_data(const struct disks *d)
{
    return (d->kind == DATADIR_OK || d->kind == DATADIR_TAINTED) && d->head;
}

static bool opened_here(const struct disks *d)
{
    const struct slot *a = &d->data[0], *b = &d->data[1];
    const struct slot *best = !a->valid || (b->valid && b->generation > a->generation) ? b : a;

    return best->valid && best->rec.data && !best->rec.new_disk;
}

struct cluster_position disk_position(const struct world *w, const struct node *nd)
{
    const struct disks *d = &nd->disks;
    struct cluster_position p = {.kind = d->kind, .seqno = -1};

    if (w->now < nd->unreadable_until) {
        p.kind = nd->unreadable_as;
        return p;
    }
    p.opened = opened_here(d);
    if (disk_has_data(d)) {
        p.seqno = w->commits[d->head].seqno;
        p.clean = d->clean;
        snprintf(p.uuid, sizeof(p.uuid), "00000000-0000-0000-0000-%012d", w->commits[d->head].uuid);
    }
    return p;
}

/* The data is not there any more; `kind` is what is there instead. */
void disk_lose_data(struct world *w, unsigned i, enum cluster_datadir kind)
{
    struct disks *d = &w->nodes[i].disks;

    d->kind = kind;
    d->head = 0;
    d->clean = false;
}

void disk_lose_records(struct world *w, unsigned i, bool root, bool data)
{
    struct disks *d = &w->nodes[i].disks;

    if (root)
        memset(d->root, 0, sizeof(d->root));
    if (data)
        memset(d->data, 0, sizeof(d->data));
    oracle_forgotten(w, i);
}
