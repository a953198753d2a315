/* SPDX-License-Identifier: Apache-2.0 */
/* Galera, as far as the agreement rests on it: one order of commits, each durable on its
 * originator when it is acknowledged and on the others later; quorum counts the weights of the last
 * view's members; what a member has not written when quorum is lost is dropped there; a view is
 * seen by who has applied all that came before it; a transfer checks UUID and number only. */
#include <stdio.h>
#include <string.h>

#include "tests/sim/sim.h"

int db_commit(struct world *w, int parent, unsigned members)
{
    if (w->n_commits == COMMITS - 1)
        return parent;
    struct commit *c = &w->commits[++w->n_commits];
    *c = (struct commit){.parent = parent,
                         .seqno = parent ? w->commits[parent].seqno + 1 : 1,
                         .uuid = parent ? w->commits[parent].uuid : ++w->uuids,
                         .members = members};
    totals.commits++;
    return w->n_commits;
}

bool db_has(const struct world *w, int head, int commit)
{
    while (head && w->commits[head].seqno > w->commits[commit].seqno)
        head = w->commits[head].parent;
    return head == commit;
}

static bool serves(const struct world *w, unsigned i)
{
    return w->nodes[i].up && w->nodes[i].db == DB_PRIMARY && w->nodes[i].view == w->pc;
}

static unsigned count(unsigned set)
{
    return (unsigned)__builtin_popcount(set);
}

static unsigned alive(const struct world *w)
{
    unsigned set = 0;

    for (unsigned i = 0; i < w->all; i++)
        if ((w->pc_members & 1U << i) && w->nodes[i].up && w->nodes[i].view == w->pc &&
            (w->nodes[i].db == DB_PRIMARY || w->nodes[i].db == DB_TRANSFER))
            set |= 1U << i;
    return set;
}

/* A change of the component, which takes a number in the order of commits. */
static void new_view(struct world *w, unsigned members)
{
    unsigned old = w->pc;

    w->pc = ++w->views % 256 ? w->views : ++w->views;
    w->pc_members = w->view_members[w->pc % 256] = members;
    w->top = db_commit(w, w->top, members);
    w->pc_change_at = 0;
    for (unsigned i = 0; i < w->all; i++)
        if ((members & 1U << i) && w->nodes[i].view == old)
            w->nodes[i].view = w->pc;
    if (members == 1U << w->n) {
        if (w->nodes[w->n].db == DB_PRIMARY)
            w->nodes[w->n].db = DB_ALONE;
        w->pc = 0;
    }
}

/* --- one server ---------------------------------------------------------------------------- */

void db_start(struct world *w, unsigned i)
{
    struct node *nd = &w->nodes[i];

    if (nd->disks.kind == DATADIR_FRESH)
        nd->disks.kind = DATADIR_EMPTY;
    nd->db = nd->permit_new ? DB_BOOTING : DB_STARTING;
    nd->db_at = w->now + 500 + rnd(4000);
    nd->db_until = w->now + 30000;
    if (nd->permit_new)
        oracle_boot(w, i);
}

void db_kill(struct world *w, unsigned i)
{
    struct node *nd = &w->nodes[i];

    if (nd->db == DB_TRANSFER && !nd->copies && nd->disks.kind == DATADIR_OK && rnd(2))
        nd->disks.kind = DATADIR_TAINTED;
    nd->disks.rest = nd->disks.kind == DATADIR_TAINTED && (nd->disks.rest || nd->db == DB_TRANSFER);
    if (nd->db != DB_DOWN)
        nd->disks.clean = false;
    nd->db = DB_DOWN;
    nd->view = 0;
}

/* It says good-bye, and whoever hears that has all that came before: the others go on without it,
 * however few they are. Over a network in two parts it is as if it had been killed. */
void db_leave(struct world *w, unsigned i)
{
    struct node *nd = &w->nodes[i];
    unsigned others = w->pc_members & ~(1U << i), side = nd->view ? w->cut_db : 0;
    bool whole = !(others & side) || !(others & ~side);

    if (serves(w, i)) {
        nd->disks.head = w->top;
        nd->view = 0;
        if (world_arbitrates(w, i))
            nd->disks.head = 0;
        for (unsigned k = 0; k < w->n && whole; k++)
            if (serves(w, k) && world_connected(w, w->cut_db, i, k))
                w->nodes[k].disks.head = w->top;
        if (others & w->heavy && whole)
            new_view(w, others);
        else if (!others)
            w->pc = 0;
    }
    nd->db = DB_DOWN;
    nd->view = 0;
    nd->disks.clean = true;
}

/* Two Primaries meet: one of them ends (G15), here that of machine `i`; or they do not find each
 * other, since whoever leaves in order is forgotten. */
static bool conflict(struct world *w, unsigned i)
{
    const struct node *arbitrator = &w->nodes[w->n];

    if (w->all == w->n || arbitrator->db != DB_ALONE || rnd(2) ||
        !world_connected(w, w->cut_db, i, w->n))
        return false;
    totals.conflicts++;
    db_kill(w, i);
    return true;
}

static void booted(struct world *w, unsigned i)
{
    struct node *nd = &w->nodes[i];

    if (w->now < nd->full_until) {
        if (!disk_has_data(&nd->disks) && rnd(2))
            nd->disks.kind = DATADIR_SST_PARTIAL;
        db_kill(w, i);
        return;
    }
    if (conflict(w, i))
        return;
    nd->db = DB_PRIMARY;
    nd->lost = nd->restored = false;
    nd->accepts = 0;
    nd->disks.kind = DATADIR_OK;
    w->top = nd->disks.head;
    w->pc = 0;
    nd->view = 0;
    w->heavy = 1U << i;
    new_view(w, 1U << i);
    nd->disks.head = w->top;
}

/* Its weight rises in the order of commits: in a component that is whole. */
void db_weigh(struct world *w, unsigned i)
{
    if (serves(w, i) && !w->pc_change_at && alive(w) == w->pc_members)
        w->heavy |= 1U << i;
}

/* It has found the Primary; from here on its own data is written over. */
static void transfer(struct world *w, unsigned i)
{
    struct node *nd = &w->nodes[i];

    oracle_join(w, i);
    nd->view = w->pc;
    w->heavy &= ~(1U << i);
    new_view(w, w->pc_members | 1U << i);
    for (unsigned k = 0; k < w->n; k++) /* the donor has written all before the join */
        if (serves(w, k) && k != i)
            w->nodes[k].disks.head = w->top;
    nd->copies = !disk_has_data(&nd->disks) || nd->disks.kind == DATADIR_TAINTED || rnd(4) == 0;
    nd->db = DB_TRANSFER;
    nd->hangs = rnd(2);
    nd->db_at = w->now + (nd->copies ? 1000 + rnd(20000) : 300 + rnd(4000));
    if (nd->copies)
        disk_lose_data(w, i, DATADIR_SST_PARTIAL);
    totals.joins++;
    if (nd->join_dies) {
        nd->join_dies = false;
        world_power_off(w, i, 1000 + rnd(20000));
    }
}

static void starting(struct world *w, unsigned i)
{
    struct node *nd = &w->nodes[i];
    bool found = false;

    for (unsigned k = 0; k < w->n; k++)
        found = found || (serves(w, k) && world_connected(w, w->cut_db, i, k));
    if (found && !w->pc_change_at && alive(w) == w->pc_members && world_arbitrates(w, i)) {
        nd->db = DB_PRIMARY;
        nd->view = w->pc;
        w->heavy |= 1U << i;
        new_view(w, w->pc_members | 1U << i);
    } else if (found && !w->pc_change_at && alive(w) == w->pc_members) {
        transfer(w, i);
    } else if (w->now >= nd->db_until) {
        db_kill(w, i); /* it has not reached a Primary */
    }
}

static void transferring(struct world *w, unsigned i)
{
    struct node *nd = &w->nodes[i];

    /* Its donor is gone: it ends, or it waits for ever. Beside a group that goes on it ends. */
    if (nd->view != w->pc || !w->pc) {
        nd->hangs = nd->hangs && !w->pc;
        if (!nd->hangs && rnd(400) == 0)
            db_kill(w, i);
        return;
    }
    if (w->now < nd->db_at)
        return;
    nd->db = DB_PRIMARY;
    nd->lost = nd->restored = false;
    nd->accepts = 0;
    nd->gave_up = 0;
    for (unsigned k = 0; k < w->n; k++)
        w->nodes[k].gave_up &= ~(1U << i);
    nd->disks.kind = DATADIR_OK;
    nd->disks.head = w->top;
}

/* --- the group ----------------------------------------------------------------------------- */

static void commits(struct world *w)
{
    unsigned from = (unsigned)rnd(w->n * 8);

    if (from < w->n && serves(w, from)) {
        w->top = db_commit(w, w->top, 0);
        w->nodes[from].disks.head = w->top; /* with all that came before */
        w->commits[w->top].acked = true;
        totals.acked++;
    }
    for (unsigned i = 0; i < w->n; i++) {
        int at = w->top;

        if (!serves(w, i) || rnd(3) == 0)
            continue;
        while (at != w->nodes[i].disks.head && w->commits[at].seqno && rnd(2) &&
               db_has(w, w->commits[at].parent, w->nodes[i].disks.head))
            at = w->commits[at].parent;
        w->nodes[i].disks.head = at;
    }
}

static void view_change(struct world *w)
{
    unsigned here = alive(w), sides[2] = {here & w->cut_db, here & ~w->cut_db}, members = 0;
    int seen = w->top; /* all that came before the last change was received, and is written */

    while (seen && !w->commits[seen].members)
        seen = w->commits[seen].parent;

    for (unsigned s = 0; s < 2; s++)
        if (2 * count(sides[s] & w->heavy) > count(w->pc_members & w->heavy))
            members = sides[s];
    for (unsigned i = 0; i < w->all; i++) {
        struct node *nd = &w->nodes[i];

        if (!(here & ~members & 1U << i) || nd->db != DB_PRIMARY)
            continue;
        nd->db = DB_NONPRIM;
        if (!world_arbitrates(w, i) && !db_has(w, nd->disks.head, seen))
            nd->disks.head = seen;
    }
    if (members)
        new_view(w, members);
    else
        w->pc = 0;
    w->pc_change_at = 0;
}

static void merge(struct world *w, unsigned view)
{
    unsigned members = w->view_members[view % 256];

    w->top = 0;
    for (unsigned i = 0; i < w->n; i++)
        if ((members & 1U << i) &&
            (!w->top || w->commits[w->nodes[i].disks.head].seqno > w->commits[w->top].seqno))
            w->top = w->nodes[i].disks.head;
    w->pc = view;
    for (unsigned i = 0; i < w->all; i++)
        if (members & 1U << i)
            w->nodes[i].db = DB_PRIMARY;
    new_view(w, members);
}

/* All members of the last view are back together. */
static void merges(struct world *w)
{
    unsigned view = 0;

    for (unsigned i = 0; i < w->n && !w->pc; i++) {
        unsigned v = w->nodes[i].db == DB_NONPRIM ? w->nodes[i].view : 0;
        unsigned members = v ? w->view_members[v % 256] : 0;
        bool whole = v && ((members & w->cut_db) == members || !(members & w->cut_db));

        for (unsigned k = 0; k < w->all && whole; k++)
            whole = !(members & 1U << k) ||
                    (w->nodes[k].up && w->nodes[k].db == DB_NONPRIM && w->nodes[k].view == v);
        view = whole ? v : view;
    }
    if (!view)
        w->merge_at = 0;
    else if (!w->merge_at)
        w->merge_at = w->now + 500 + rnd(5000);
    else if (w->now >= w->merge_at)
        merge(w, view);
}

/* One that runs without quorum meets a Primary: Galera itself takes it in, by its number alone. */
static void strays(struct world *w)
{
    for (unsigned i = 0; i < w->all && w->pc && !w->pc_change_at; i++) {
        struct node *nd = &w->nodes[i];
        bool near = false;

        for (unsigned k = 0; k < w->n; k++)
            near = near || (serves(w, k) && world_connected(w, w->cut_db, i, k));
        if (near && nd->up && nd->db == DB_ALONE) {
            continue;
        }
        if (!near || !nd->up || nd->db != DB_NONPRIM || rnd(20))
            continue;
        if (w->commits[nd->disks.head].seqno > w->commits[w->top].seqno) {
            db_kill(w, i);
            continue;
        }
        if (world_arbitrates(w, i))
            w->heavy |= 1U << i;
        else
            oracle_join(w, i);
        nd->db = DB_PRIMARY;
        nd->view = w->pc;
        new_view(w, w->pc_members | 1U << i);
    }
}

void db_time(struct world *w)
{
    for (unsigned i = 0; i < w->all; i++) {
        struct node *nd = &w->nodes[i];

        if (!nd->up)
            continue;
        if (nd->db == DB_BOOTING && w->now >= nd->db_at)
            booted(w, i);
        else if (nd->db == DB_STARTING && w->now >= nd->db_at)
            starting(w, i);
        else if (nd->db == DB_TRANSFER)
            transferring(w, i);
    }
    unsigned here = w->pc ? alive(w) : 0;
    bool whole = here == w->pc_members && (!(here & w->cut_db) || !(here & ~w->cut_db));
    if (w->pc && !here) {
        w->pc = 0;
    } else if (w->pc && whole) {
        w->pc_change_at = 0;
        commits(w);
    } else if (w->pc && !w->pc_change_at) {
        w->pc_change_at = w->now + 1000 + rnd(5000);
    } else if (w->pc && w->now >= w->pc_change_at) {
        view_change(w);
    }
    merges(w);
    strays(w);
}

/* What the agent's look at the database of node `i` says. */
struct cluster_event db_look(const struct world *w, unsigned i)
{
    const struct node *nd = &w->nodes[i];
    struct cluster_event ev = {.type = EV_DB, .now = w->now};
    int at = nd->disks.head;

    ev.running = nd->db != DB_DOWN;
    if (ev.running && w->now < nd->look_until) {
        ev.unknown = true;
        snprintf(ev.why, sizeof(ev.why), "1040");
        return ev;
    }
    ev.answers = nd->db == DB_PRIMARY || nd->db == DB_NONPRIM;
    ev.primary = ev.synced = nd->db == DB_PRIMARY;
    ev.position = (struct cluster_position){.kind = DATADIR_OK, .seqno = w->commits[at].seqno};
    if (at)
        snprintf(ev.position.uuid, sizeof(ev.position.uuid), "00000000-0000-0000-0000-%012d",
                 w->commits[at].uuid);
    while (at && !w->commits[at].members)
        at = w->commits[at].parent;
    for (unsigned k = 0; ev.answers && k < w->n; k++)
        if (w->commits[at].members & 1U << k)
            snprintf(ev.members.name[ev.members.n++], CLUSTER_NAME, "%s", w->nodes[k].name);
    ev.size = ev.members.n;
    ev.arbitrated = ev.answers && w->all > w->n && (w->commits[at].members & 1U << w->n);
    ev.weightless = ev.primary && !(w->heavy & 1U << i);
    return ev;
}
