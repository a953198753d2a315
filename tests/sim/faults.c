/* SPDX-License-Identifier: Apache-2.0 */
/* What goes wrong: a list made from the seed, of which a mask takes some away, to find those that
 * matter. */
#include <string.h>

#include "tests/sim/sim.h"

const char *const fault_names[FAULT_KINDS] = {
    [FAULT_POWER] = "power",
    [FAULT_POWER_ALL] = "power-of-all",
    [FAULT_POWER_AT] = "power-at-an-action",
    [FAULT_AGENT] = "agent-killed",
    [FAULT_DB] = "database-killed",
    [FAULT_DB_STOP] = "database-stopped",
    [FAULT_CUT_AGENTS] = "agents-cut",
    [FAULT_CUT_DB] = "database-cut",
    [FAULT_CUT] = "all-cut",
    [FAULT_LOSSY] = "lossy",
    [FAULT_DISKS] = "both-disks-lost",
    [FAULT_DATA_DISK] = "data-disk-lost",
    [FAULT_ROOT_DISK] = "root-disk-lost",
    [FAULT_AMNESIA] = "record-lost",
    [FAULT_SNAPSHOT] = "snapshot",
    [FAULT_RESTORE] = "snapshot-restored",
    [FAULT_FILE_ADD] = "member-added",
    [FAULT_FILE_OUT] = "member-removed",
    [FAULT_DDL] = "power-during-ddl",
    [FAULT_UNREADABLE] = "data-unreadable",
    [FAULT_FULL] = "cannot-start",
    [FAULT_LOOK] = "looks-without-answer",
    [FAULT_GIVEN_UP] = "given-up",
    [FAULT_JOIN_DIES] = "power-during-transfer",
    [FAULT_LEAVES] = "stopped-in-order",
};

/* Of 100; the rest is power of one. */
static const unsigned char share[FAULT_KINDS] = {
    [FAULT_POWER_ALL] = 10, [FAULT_POWER_AT] = 10,  [FAULT_AGENT] = 6,      [FAULT_DB] = 5,
    [FAULT_DB_STOP] = 3,    [FAULT_CUT_AGENTS] = 6, [FAULT_CUT_DB] = 6,     [FAULT_CUT] = 6,
    [FAULT_LOSSY] = 4,      [FAULT_DISKS] = 4,      [FAULT_DATA_DISK] = 2,  [FAULT_ROOT_DISK] = 3,
    [FAULT_AMNESIA] = 1,    [FAULT_SNAPSHOT] = 3,   [FAULT_RESTORE] = 2,    [FAULT_FILE_ADD] = 2,
    [FAULT_FILE_OUT] = 1,   [FAULT_DDL] = 1,        [FAULT_UNREADABLE] = 2, [FAULT_FULL] = 3,
    [FAULT_LOOK] = 3,       [FAULT_JOIN_DIES] = 3,  [FAULT_GIVEN_UP] = 4,   [FAULT_LEAVES] = 8,
};

static enum fault_kind some_kind(void)
{
    unsigned at = (unsigned)rnd(100);

    for (unsigned k = 0; k < FAULT_KINDS; k++) {
        if (at < share[k])
            return (enum fault_kind)k;
        at -= share[k];
    }
    return FAULT_POWER;
}

/* Whoever was stopped in order is excluded. The others lose their power while it is away, or all do
 * when it is back. */
static void after_leaving(struct world *w, const struct fault *left)
{
    uint64_t at = left->at + (rnd(2) ? 0 : left->lasts) + 4000 + rnd(20000);

    if (w->n_faults == FAULTS || at + 2000 > w->stable || rnd(4) == 0)
        return;
    struct fault *f = &w->faults[w->n_faults++];
    *f = (struct fault){.kind = FAULT_POWER_ALL, .at = at, .arg = (unsigned)rnd(1U << 16)};
    f->lasts = at + 40000 < w->stable ? 40000 : w->stable - at;
}

/* An arbitrator has neither data nor a record. */
static bool of_any_machine(enum fault_kind kind)
{
    switch (kind) {
    case FAULT_DISKS:
    case FAULT_DATA_DISK:
    case FAULT_ROOT_DISK:
    case FAULT_AMNESIA:
    case FAULT_SNAPSHOT:
    case FAULT_RESTORE:
    case FAULT_FILE_OUT:
    case FAULT_DDL:
    case FAULT_POWER_AT:
    case FAULT_GIVEN_UP:
        return false;
    default:
        return true;
    }
}

void faults_make(struct world *w)
{
    unsigned n = 1 + (unsigned)rnd(FAULTS - FAULTS / 4);

    w->n_faults = n;
    for (unsigned k = 0; k < n; k++) {
        struct fault *f = &w->faults[k];

        f->kind = some_kind();
        f->at = rnd(w->stable);
        f->lasts = 500 + rnd(rnd(3) ? 8000 : 40000);
        if (f->kind == FAULT_GIVEN_UP || f->kind == FAULT_LEAVES)
            f->lasts += 20000;
        if (f->at + f->lasts > w->stable)
            f->lasts = w->stable - f->at;
        f->node = (unsigned)rnd(w->all);
        if (f->node == w->n && !of_any_machine(f->kind))
            f->kind = FAULT_POWER;
        f->arg = (unsigned)rnd(1U << 16);
        if (f->kind == FAULT_LEAVES)
            after_leaving(w, f);
    }
}

/* The part of a network that is on one side; never all of it. */
static unsigned side(const struct world *w, unsigned arg)
{
    unsigned all = (1U << w->all) - 1;

    return arg % all;
}

static void all_off(struct world *w, const struct fault *f)
{
    for (unsigned i = 0; i < w->all; i++)
        if (w->nodes[i].up) /* what is off stays so for as long as it was to be */
            world_power_off(w, i, 500 + (f->arg >> i * 3 & 7) * f->lasts / 8);
}

static void lose_disks(struct world *w, const struct fault *f)
{
    struct node *nd = &w->nodes[f->node];
    bool root = f->kind != FAULT_DATA_DISK, data = f->kind != FAULT_ROOT_DISK;

    world_power_off(w, f->node, f->lasts);
    if (f->kind == FAULT_AMNESIA)
        nd->disks.amnesia = true;
    disk_lose_records(w, f->node, root, data);
    if (!data || f->kind == FAULT_AMNESIA)
        return;
    int head = nd->disks.head;
    disk_lose_data(w, f->node, DATADIR_FRESH);
    nd->disks.amnesia = false;
    oracle_destroyed(w, f->node, head, true);
}

static void restore(struct world *w, const struct fault *f)
{
    struct node *nd = &w->nodes[f->node];
    int head = nd->disks.head;

    if (!nd->has_snapshot)
        return;
    world_power_off(w, f->node, f->lasts);
    nd->disks = nd->snapshot;
    nd->restored = true;
    oracle_forgotten(w, f->node);
    oracle_destroyed(w, f->node, head, false);
}

static void snapshot(struct world *w, const struct fault *f)
{
    struct node *nd = &w->nodes[f->node];

    nd->snapshot = nd->disks;
    nd->snapshot.clean = nd->disks.clean && nd->db == DB_DOWN;
    nd->has_snapshot = true;
}

static void tell_file(struct world *w)
{
    for (unsigned i = 0; i < w->all; i++) {
        struct node *nd = &w->nodes[i];

        nd->next_file = w->file;
        nd->file_at = w->now + rnd(8000);
        if (nd->removed && (w->file & 1U << i)) {
            nd->removed = false;
            nd->boots_at = w->now + rnd(3000);
        }
    }
}

static void file(struct world *w, const struct fault *f)
{
    if (f->kind == FAULT_FILE_ADD) {
        unsigned k = 0;

        while (k < w->n && (w->file & 1U << k))
            k++;
        if (k == w->n)
            return;
        w->file |= 1U << k;
    } else {
        if (!(w->file & 1U << f->node) || w->file == 1U << f->node)
            return;
        w->file &= ~(1U << f->node);
        world_power_off(w, f->node, 0);
        w->nodes[f->node].removed = true;
    }
    tell_file(w);
}

static void on_network(struct world *w, const struct fault *f)
{
    if (f->kind == FAULT_LOSSY) {
        w->lossless_at = w->now + f->lasts;
        return;
    }
    if (f->kind != FAULT_CUT_DB) {
        w->cut_agents = side(w, f->arg);
        w->agents_whole_at = w->now + f->lasts;
    }
    if (f->kind != FAULT_CUT_AGENTS) {
        w->cut_db = side(w, f->arg);
        w->db_whole_at = w->now + f->lasts;
    }
}

static void on_node(struct world *w, const struct fault *f)
{
    struct node *nd = &w->nodes[f->node];
    static const enum cluster_datadir unreadable[] = {DATADIR_UNREADABLE, DATADIR_NOT_MOUNTED,
                                                      DATADIR_UNKNOWN};

    if (f->kind == FAULT_UNREADABLE) {
        nd->unreadable_until = w->now + f->lasts;
        nd->unreadable_as = unreadable[f->arg % 3];
    } else if (f->kind == FAULT_FULL) {
        nd->full_until = w->now + f->lasts;
    } else if (f->kind == FAULT_LOOK) {
        nd->look_until = w->now + f->lasts;
    } else if (f->kind == FAULT_JOIN_DIES) {
        nd->join_dies = true;
    } else if (f->kind == FAULT_POWER_AT && nd->up) {
        nd->power_at = 1 + f->arg % 40;
    } else if (f->kind == FAULT_AGENT && nd->up) {
        world_agent_kill(w, f->node);
    } else if (f->kind == FAULT_DB && nd->up) {
        db_kill(w, f->node);
    } else if (f->kind == FAULT_DB_STOP && nd->up &&
               (nd->db == DB_PRIMARY || nd->db == DB_NONPRIM || nd->db == DB_ALONE)) {
        db_leave(w, f->node);
    } else if (f->kind == FAULT_LEAVES && nd->up) {
        if (nd->db == DB_PRIMARY || nd->db == DB_NONPRIM || nd->db == DB_ALONE)
            db_leave(w, f->node);
        nd->off_at = w->now + 100 + f->arg % 3000;
        nd->off_for = f->lasts;
    }
}

static void strike(struct world *w, const struct fault *f)
{
    struct node *nd = &w->nodes[f->node];

    totals.faults[f->kind]++;
    switch (f->kind) {
    case FAULT_POWER_ALL:
        all_off(w, f);
        break;
    case FAULT_CUT_AGENTS:
    case FAULT_CUT_DB:
    case FAULT_CUT:
    case FAULT_LOSSY:
        on_network(w, f);
        break;
    case FAULT_DISKS:
    case FAULT_DATA_DISK:
    case FAULT_ROOT_DISK:
    case FAULT_AMNESIA:
        lose_disks(w, f);
        break;
    case FAULT_SNAPSHOT:
        snapshot(w, f);
        break;
    case FAULT_RESTORE:
        restore(w, f);
        break;
    case FAULT_FILE_ADD:
    case FAULT_FILE_OUT:
        file(w, f);
        break;
    case FAULT_DDL:
        if (nd->db == DB_PRIMARY && disk_has_data(&nd->disks))
            nd->disks.kind = DATADIR_TAINTED;
        world_power_off(w, f->node, f->lasts);
        break;
    case FAULT_GIVEN_UP:
        nd->given_up = true;
        world_power_off(w, f->node, f->lasts);
        break;
    case FAULT_POWER:
        world_power_off(w, f->node, f->lasts);
        break;
    default:
        on_node(w, f);
        break;
    }
}

/* Whom an operator gives up is off, and the others serve nobody. */
static void give_up(struct world *w)
{
    bool data = false; /* what is left has some: else he would found something empty beside it */

    for (unsigned i = 0; i < w->n; i++)
        data = data || (w->nodes[i].up && disk_has_data(&w->nodes[i].disks));
    for (unsigned i = 0; i < w->n; i++) {
        struct node *nd = &w->nodes[i];

        if (nd->given_up && !nd->up && data && w->now % 4000 == 0 && !oracle_served(w))
            oracle_accept(w, NODES, nd->name);
        nd->given_up = nd->given_up && !nd->up;
    }
}

/* Those of `mask` that are due now. */
void faults_strike(struct world *w, uint64_t mask)
{
    for (unsigned k = 0; k < w->n_faults; k++) {
        const struct fault *f = &w->faults[k];

        if ((mask >> k & 1) && f->at < w->now + TICK && f->at >= w->now && w->now < w->stable)
            strike(w, f);
    }
    give_up(w);
    if (w->now + TICK >= w->stable)
        for (unsigned i = 0; i < w->n; i++) {
            w->nodes[i].power_at = 0;
            w->nodes[i].join_dies = false;
        }
}
