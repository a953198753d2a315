/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold: judged by what commits are where, not by what the agents believe. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/run.h"
#include "tests/sim/sim.h"

#define HEARD 6000 /* a network that has been whole for so long: who is heard was heard before */

void oracle_fail(const struct world *w, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(failure.what, sizeof(failure.what), fmt, ap);
    va_end(ap);
    failure.at = w->now;
    longjmp(failure.back, 1);
}

bool oracle_served(const struct world *w)
{
    for (unsigned i = 0; i < w->n; i++)
        if (w->pc && w->nodes[i].up && w->nodes[i].db == DB_PRIMARY && w->nodes[i].view == w->pc)
            return true;
    return false;
}

/* Every commit of the history that ends with `head`. */
static void mark(const struct world *w, int head, bool have[COMMITS])
{
    memset(have, 0, COMMITS * sizeof(have[0]));
    for (; head; head = w->commits[head].parent)
        have[head] = true;
}

/* --- losses ---------------------------------------------------------------------------------- */

/* Machines of that file whose records say that machine `i` had data. */
static unsigned knowers(const struct world *w, unsigned i, unsigned file)
{
    unsigned set = 0;

    for (unsigned k = 0; k < w->n; k++) {
        const struct cluster_record *r = disk_newest(&w->nodes[k].disks);
        const struct cluster_value *v = r ? cluster_entry(r, r->epoch) : NULL;

        if (r && (file & 1U << k) &&
            (cluster_names_have(&r->holders, w->nodes[i].name) || (k == i && r->data) ||
             (!r->holders.n && v && strcmp(v->node, w->nodes[i].name) == 0)))
            set |= 1U << k;
    }
    return set;
}

static void give_up(struct world *w, struct commit *c, bool unknowable)
{
    (void)w;
    c->gone = true;
    totals.gone++;
    totals.unknowable += unknowable;
}

/* The data of machine `i`, which ended with `head`, is not there any more. `known`: a disk was
 * lost, which leaves a new one; else it was replaced by older data, which tells nobody. */
void oracle_destroyed(struct world *w, unsigned i, int head, bool known)
{
    unsigned who = knowers(w, i, w->file);

    for (int k = 1; !known && k <= w->n_commits; k++) /* the new disk is one with old data now */
        if (w->commits[k].lost_with & 1U << i)
            w->commits[k].lost_with |= RESTORED;
    for (; head; head = w->commits[head].parent) {
        struct commit *c = &w->commits[head];

        if (!c->acked || c->gone)
            continue;
        c->lost_with |= known ? 1U << i : RESTORED;
        c->knowers |= who;
    }
}

/* Some record of the machines `by` has that decision; `served`: and says that it has served. */
static bool remembered(const struct world *w, const char *cluster_id, uint64_t epoch, bool served,
                       unsigned by)
{
    for (unsigned k = 0; k < w->n; k++) {
        const struct cluster_record *r = disk_newest(&w->nodes[k].disks);

        if (r && (by & 1U << k) && (served ? r->booted : r->epoch) >= epoch &&
            strcmp(r->cluster_id, cluster_id) == 0)
            return true;
    }
    return false;
}

/* The records of machine `i` are lost, or older ones again. */
void oracle_forgotten(struct world *w, unsigned i)
{
    w->forked = true;
    for (int k = 1; k <= w->n_commits; k++)
        w->commits[k].knowers &= ~(1U << i);
    for (unsigned k = 0; k < TIMELINES / 4; k++)
        for (unsigned e = 0; e < TIMELINES; e++) {
            if (w->timelines[k].by[e] == i ||
                !remembered(w, w->timelines[k].cluster_id, e, false, 1U << i))
                w->timelines[k].forgotten[e] |= 1U << i;
            if (w->timelines[k].boots[e] &&
                !remembered(w, w->timelines[k].cluster_id, e, w->timelines[k].by[e] == i, ~0U))
                w->timelines[k].boots[e] = 0;
        }
}

/* Members that were decided without: what they know was not heard. */
static unsigned given_up(const struct world *w, const struct cluster_value *v)
{
    unsigned set = 0;

    for (unsigned k = 0; k < w->n; k++)
        if (cluster_lost_has(v->lost, w->nodes[k].name))
            set |= 1U << k;
    return set;
}

/* A commit that is on no disk any more: was its loss stated, or could nobody know of it? */
static void judge_lost(struct world *w, struct commit *c, const struct cluster_value *v,
                       unsigned without, unsigned file)
{
    bool stated = c->lost_with & without & ~RESTORED;

    if (!stated && !(c->lost_with & RESTORED) && (c->knowers & file & ~given_up(w, v)))
        oracle_fail(w,
                    "an acknowledged commit (%lld) that was lost with a disk is left behind in "
                    "silence",
                    (long long)c->seqno);
    give_up(w, c, !stated);
}

/* --- a bootstrap ------------------------------------------------------------------------------ */

static unsigned who_gave_up(const struct world *w, unsigned i)
{
    unsigned set = 0;

    for (unsigned k = 0; k < w->n; k++)
        if (w->nodes[k].gave_up & 1U << i)
            set |= 1U << k;
    return set;
}

/* Machines that machine `i` cannot hear from, and of which it has a record again from when it was
 * alone: they have joined it since. */
static unsigned joined_since(const struct world *w, unsigned i)
{
    const struct node *nd = &w->nodes[i];
    const struct cluster_record *r = disk_newest(&nd->disks);
    unsigned set = 0;

    for (unsigned k = 0; nd->restored && k < nd->c.cfg.n; k++)
        if (cluster_vote(&r->votes, nd->c.cfg.names[k]) % 2 && !cluster_heard(&nd->c, k, w->now))
            set |= 1U << nd->member[k];
    return set;
}

/* The machine that started the same epoch before, and gave this one up or was given up by it, which
 * is stated: what only that one has, nobody hears of here. A bit set; 0: there is none. */
static unsigned once(struct world *w, unsigned i, const struct cluster_value *v)
{
    for (unsigned k = 0; k < TIMELINES / 4; k++) {
        struct timeline *t = &w->timelines[k];

        if (t->cluster_id[0] && strcmp(t->cluster_id, v->cluster_id) != 0)
            continue;
        memcpy(t->cluster_id, v->cluster_id, sizeof(t->cluster_id));
        if (v->epoch >= TIMELINES)
            return 0;
        unsigned by = t->by[v->epoch];
        /* Who started it, or starts it now, has an older record since, and its file names nobody
         * who knows of it. */
        if (t->forgotten[v->epoch] & (1U << by | 1U << i) &&
            !remembered(w, v->cluster_id, v->epoch, true,
                        w->nodes[i].file & ~(1U << i) & ~given_up(w, v) & ~joined_since(w, i)))
            t->boots[v->epoch] = 0;
        bool again = t->boots[v->epoch], stated = w->nodes[by].gave_up & 1U << i;
        if (again && !stated && !(w->nodes[i].gave_up & 1U << by))
            oracle_fail(w, "two bootstraps of epoch %llu (I1)", (unsigned long long)v->epoch);
        t->boots[v->epoch]++;
        t->by[v->epoch] = i;
        t->forgotten[v->epoch] = 0;
        return again && stated ? 1U << by : 0;
    }
    return 0;
}

/* What a transfer left half-way counts only beside nothing at all, and what is in quarantine
 * because its record was lost is an operator's; so is what has no record any more where two may
 * have gone on from different places. */
static bool counts(const struct world *w, const struct disks *d, bool blank)
{
    const struct cluster_record *r = disk_newest(d);

    return (!d->rest || blank) && !(d->amnesia && (w->forked || (r && r->diverged)));
}

/* Its loss was accepted on a machine that has not been part of a Primary since. */
static bool is_pending(const struct world *w, unsigned k)
{
    for (unsigned i = 0; i < w->n; i++)
        if (w->nodes[i].accepts & 1U << k)
            return true;
    return false;
}

/* Whose loss this decision says, or an earlier one that nobody could start: they have no vote. */
static unsigned accepted(const struct world *w, unsigned i, const struct cluster_value *v)
{
    const struct cluster_record *r = disk_newest(&w->nodes[i].disks);
    unsigned set = given_up(w, v) | w->nodes[i].gave_up | w->nodes[i].accepts;

    for (unsigned k = 0; r && k < w->n; k++)
        if ((w->nodes[k].lost || is_pending(w, k)) && cluster_vote(&r->votes, w->nodes[k].name) % 2)
            set |= 1U << k;
    return set;
}

/* I2: whatever was acknowledged and is on a disk, it has, but for losses that were accepted. */
static void complete(struct world *w, unsigned i, const struct cluster_value *v, unsigned twin)
{
    unsigned without = accepted(w, i, v) | twin, unheard = joined_since(w, i);
    static bool have[COMMITS], on[NODES][COMMITS];

    mark(w, w->nodes[i].disks.head, have);
    for (unsigned k = 0; k < w->n; k++)
        mark(w, counts(w, &w->nodes[k].disks, !w->nodes[i].disks.head) ? w->nodes[k].disks.head : 0,
             on[k]);
    for (int k = 1; k <= w->n_commits; k++) {
        struct commit *c = &w->commits[k];
        bool stated = false, unknown = false;

        if (!c->acked || c->gone || have[k])
            continue;
        for (unsigned m = 0; m < w->n; m++) {
            bool lost = without & 1U << m;

            if (on[m][k] && unheard & 1U << m) {
                unknown = true;
                continue;
            }
            stated = stated || (on[m][k] && lost);
            /* As its own file had them when its start began: it may not have heard yet of one who
             * was added. */
            if (on[m][k] && !lost &&
                ((w->nodes[i].permit_file & 1U << m) ||
                 (knowers(w, m, w->nodes[i].permit_file) & ~given_up(w, v))))
                oracle_fail(w,
                            "%s bootstraps without an acknowledged commit (%lld) that %s has "
                            "(I2)",
                            w->nodes[i].name, (long long)c->seqno, w->nodes[m].name);
        }
        if (stated || unknown)
            give_up(w, c, !stated);
        else
            judge_lost(w, c, v, without, w->nodes[i].file);
    }
}

/* A member of the file is off, and nobody accepted its loss: it was excluded. */
static bool without(const struct world *w, unsigned i, const struct cluster_value *v)
{
    for (unsigned k = 0; k < w->n; k++)
        if ((w->nodes[i].file & 1U << k) && !w->nodes[k].up &&
            !cluster_lost_has(v->lost, w->nodes[k].name))
            return true;
    return false;
}

/* Of the Primary: machines whose file does not name machine `i`, and who founded another cluster
 * under it. Agents with different files do not talk: nobody knows of the other one before the files
 * are the same, and then both halt. */
static unsigned strangers(const struct world *w, unsigned i, const struct cluster_value *v)
{
    unsigned set = 0;

    for (unsigned k = 0; k < w->n; k++) {
        const struct cluster_record *r = disk_newest(&w->nodes[k].disks);

        if ((w->pc_members & 1U << k) && !(w->nodes[k].file & 1U << i) && r &&
            strcmp(r->cluster_id, v->cluster_id) != 0)
            set |= 1U << k;
    }
    return set;
}

void oracle_boot(struct world *w, unsigned i)
{
    struct node *nd = &w->nodes[i];
    const struct cluster_record *r = disk_newest(&nd->disks);
    const struct cluster_value *v = r ? cluster_entry(r, nd->permit_epoch) : NULL;

    if (!r || r->permit_used < nd->permit_epoch)
        oracle_fail(w, "%s bootstraps with a permit that is not on disk as used (I4)", nd->name);
    if (!v) { /* a later one was decided without it meanwhile; it halts */
        const struct cluster_value *later = cluster_entry(r, r->epoch);

        if (later && strcmp(later->node, nd->name) == 0) /* only who votes is chosen */
            oracle_fail(w, "%s votes on an epoch while it bootstraps the one before (I4)",
                        nd->name);
        w->forked = true;
        return;
    }
    w->boots++;
    totals.boots++;
    totals.boots_without += without(w, i, v);
    nd->gave_up |= given_up(w, v);
    unsigned twin = once(w, i, v);
    unsigned others = oracle_served(w) ? strangers(w, i, v) : 0;
    unsigned apart = others | nd->gave_up | who_gave_up(w, i) | 1U << w->n;
    w->forked = w->forked || others;
    /* Unless an operator said that those who serve are lost: both halt when they meet. */
    if (oracle_served(w) && (w->pc_members & ~apart))
        oracle_fail(w, "%s bootstraps beside a live Primary", nd->name);
    bool heard = w->now > w->agents_whole_at + HEARD && w->now > w->lossless_at + HEARD &&
                 cluster_heard(&nd->c, nd->c.cfg.n, w->now);
    if (w->all > w->n && w->nodes[w->n].db == DB_ALONE && heard)
        oracle_fail(w, "%s bootstraps beside an arbitrator that is a Primary for itself", nd->name);
    complete(w, i, v, twin | others);
}

/* --- a join ----------------------------------------------------------------------------------- */

void oracle_join(struct world *w, unsigned i)
{
    const struct node *nd = &w->nodes[i];
    int head = nd->disks.head;

    if (disk_has_data(&nd->disks) && !nd->disks.rest && !db_has(w, w->top, head))
        oracle_fail(w, "%s joins with a history (%lld) that is not a part of the cluster's (%lld)",
                    nd->name, (long long)w->commits[head].seqno,
                    (long long)w->commits[w->top].seqno);
}

/* --- an operator ------------------------------------------------------------------------------ */

/* Where he types what he accepts of `name`: on one that has data if there is any, and not on that
 * node itself, unless its disk is new. */
static unsigned seat(const struct world *w, const char *name)
{
    unsigned best = NODES;
    int score = -1;

    for (unsigned i = 0; i < w->n; i++) {
        const struct node *nd = &w->nodes[i];
        bool leads = nd->c.state != CLUSTER_QUARANTINE && nd->c.state != CLUSTER_AMNESIAC &&
                     (strcmp(nd->name, name) != 0 || !disk_has_data(&nd->disks));
        int at = disk_has_data(&nd->disks) ? (int)w->commits[nd->disks.head].seqno : 0;

        at += nd->disks.kind == DATADIR_OK ? COMMITS : nd->disks.kind == DATADIR_FRESH;
        if (nd->up && !nd->refused && !nd->saved_at && leads && at > score) {
            best = i;
            score = at;
        }
    }
    return best;
}

void oracle_accept(struct world *w, unsigned i, const char *name)
{
    i = i == NODES ? seat(w, name) : i;
    struct cluster_event ev = {.type = EV_RECOVER, .now = w->now};

    if (i == NODES)
        return;
    snprintf(ev.name, sizeof(ev.name), "%s", name);
    w->nodes[i].c.accepted = false;
    world_step(w, i, &ev);
    totals.acceptances += w->nodes[i].c.accepted;
    for (unsigned k = 0; k < w->n; k++)
        if (w->nodes[i].c.accepted && strcmp(w->nodes[k].name, name) == 0)
            w->nodes[i].accepts |= 1U << k;
    for (unsigned k = 0; k < w->n; k++)
        w->nodes[k].lost =
            w->nodes[k].lost || (w->nodes[i].c.accepted && strcmp(w->nodes[k].name, name) == 0);
    w->forked = w->forked || w->nodes[i].c.accepted;
}

/* The command that a reason names. */
static void as_told(struct world *w, unsigned i)
{
    static const char command[] = "--without ";
    const char *at = strstr(w->nodes[i].c.why, command);
    char name[CLUSTER_NAME];

    if (!w->nodes[i].up || !at)
        return;
    snprintf(name, sizeof(name), "%s", at + strlen(command));
    oracle_accept(w, w->nodes[i].disks.kind == DATADIR_OK ? i : NODES, name);
}

/* What is in question is moved aside, or repaired: his doing, and his statement. */
static void move_aside(struct world *w, unsigned i)
{
    static bool elsewhere[COMMITS];
    struct node *nd = &w->nodes[i];
    int head = nd->disks.head;

    memset(elsewhere, 0, sizeof(elsewhere));
    for (unsigned k = 0; k < w->n; k++)
        for (int at = k == i ? 0 : w->nodes[k].disks.head; at; at = w->commits[at].parent)
            elsewhere[at] = true;
    for (; head; head = w->commits[head].parent)
        if (w->commits[head].acked && !w->commits[head].gone && !elsewhere[head])
            give_up(w, &w->commits[head], false);
    disk_lose_data(w, i, DATADIR_SST_PARTIAL);
    if (nd->up)
        world_agent_kill(w, i);
}

/* Nothing fails any more, and nothing is served: what the reasons in `status` ask for. */
void oracle_operator(struct world *w)
{
    uint64_t waited = w->now - w->stable;
    bool whole = false;

    if (w->now < w->stable + OPERATOR || waited % 5000 || oracle_served(w))
        return;
    totals.operator_runs++;
    for (unsigned i = 0; i < w->n; i++)
        whole = whole || (w->nodes[i].up && w->nodes[i].disks.kind == DATADIR_OK &&
                          w->nodes[i].c.state != CLUSTER_QUARANTINE &&
                          w->nodes[i].c.state != CLUSTER_AMNESIAC);
    for (unsigned i = 0; i < w->n; i++) {
        struct node *nd = &w->nodes[i];
        bool aside = nd->c.state == CLUSTER_AMNESIAC || nd->c.state == CLUSTER_QUARANTINE;

        as_told(w, i);
        if (waited > 2 * OPERATOR && aside && disk_has_data(&nd->disks)) {
            move_aside(w, i);
            oracle_accept(w, NODES, nd->name);
        }
        if (waited > 2 * OPERATOR && strstr(nd->c.why, " never part of this cluster") &&
            strncmp(nd->c.why, nd->name, strlen(nd->name)) == 0 && disk_has_data(&nd->disks))
            move_aside(w, i);
        if (waited > 3 * OPERATOR && nd->disks.kind == DATADIR_TAINTED && !whole) {
            nd->disks.kind = DATADIR_OK; /* grastate.dat by hand */
            world_agent_kill(w, i);
        }
        if (waited > 3 * OPERATOR && nd->disks.kind == DATADIR_SST_PARTIAL)
            oracle_accept(w, NODES, nd->name);
    }
}

/* --- the end ---------------------------------------------------------------------------------- */

/* What the oracle knows of that explains why nobody serves: an operator's by the rules. */
static const char *excuse(const struct world *w)
{
    bool data = false;

    for (unsigned i = 0; i < w->n; i++)
        data = data || ((w->file & 1U << i) && w->nodes[i].disks.kind != DATADIR_SST_PARTIAL);
    if (!data)
        return "no member has a whole database";
    for (unsigned i = 0; i < w->n; i++) {
        const struct node *nd = &w->nodes[i];

        if (nd->refused)
            return "records of different clusters";
        if (strstr(nd->c.why, "behind") && strstr(nd->c.why, "durable once"))
            return "the newest data is gone";
        if (nd->disks.amnesia)
            return "a record is lost";
    }
    return NULL;
}

static void judge_quarantine(const struct world *w, const struct node *nd)
{
    totals.quarantines++;
    if (nd->disks.amnesia)
        totals.amnesiacs++; /* its record is lost: nobody can tell */
    else if (!disk_has_data(&nd->disks) || db_has(w, w->top, nd->disks.head))
        oracle_fail(w, "%s is in quarantine, and its history (%lld) is a part of the cluster's",
                    nd->name, (long long)w->commits[nd->disks.head].seqno);
}

/* Two decisions of one epoch: only where records were lost, or an operator gave a member up. */
void oracle_halt(struct world *w, unsigned i)
{
    if (!w->forked)
        oracle_fail(w, "%s halted", w->nodes[i].name);
    w->halted = true;
}

/* It is on no disk any more. Who acknowledged it went on from another place than those that serve,
 * of which one had given the other up, and lost its disk before they met: no record that is left
 * says that it had data. */
static bool lost_apart(const struct world *w, int commit)
{
    const struct commit *c = &w->commits[commit];

    for (unsigned i = 0; i < w->n; i++)
        if (db_has(w, w->nodes[i].disks.head, commit))
            return false;
    return w->forked && c->lost_with && !(c->knowers & w->file);
}

void oracle_end(struct world *w)
{
    bool served = oracle_served(w);

    if (w->halted || (!served && excuse(w))) {
        totals.left_to_operator++;
        return;
    }
    for (unsigned i = 0; i < w->n; i++) {
        const struct node *nd = &w->nodes[i];

        if (!(w->file & 1U << i))
            continue;
        if (!served)
            oracle_fail(w, "nothing failed for long, and nobody serves (I16)");
        if (nd->c.state == CLUSTER_QUARANTINE)
            judge_quarantine(w, nd);
        else if (!nd->refused && nd->db != DB_PRIMARY)
            oracle_fail(w, "nothing failed for long, and %s is not part of the Primary (I16)",
                        nd->name);
    }
    if (w->all > w->n && served && !(w->pc_members & 1U << w->n))
        oracle_fail(w, "nothing failed for long, and the arbitrator takes no part");
    for (int k = 1; k <= w->n_commits; k++)
        if (w->commits[k].acked && !w->commits[k].gone && !db_has(w, w->top, k)) {
            if (!lost_apart(w, k))
                oracle_fail(w, "an acknowledged commit (%lld) is not in what is served",
                            (long long)w->commits[k].seqno);
            give_up(w, &w->commits[k], true);
        }
}
