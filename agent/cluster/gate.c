/* SPDX-License-Identifier: Apache-2.0 */
/* The two ways in which the gate of a node's database opens: by joining a live Primary, or by the
 * one BOOT permit of an epoch. */
#include <stdio.h>
#include <string.h>

#include "agent/cluster/internal.h"

/* The gate opens: what was promised or reported before must never count again (I5). */
static void invalidate_promises(struct cluster *c)
{
    c->rec.promised = (struct cluster_ballot){.round = ++c->max_round};
    memcpy(c->rec.promised.node, c->cfg.names[c->cfg.self], sizeof(c->rec.promised.node));
    c->rec.data = true;
    c->rec.new_disk = false;
    c->rec.last_epoch = c->rec.epoch; /* whatever becomes of it: this history is what it adds to */
    c->known = false;
}

/* --- joining ------------------------------------------------------------------------------- */

const struct cluster_msg *cluster_live_primary(const struct cluster *c, uint64_t now)
{
    for (unsigned i = 0; i < c->cfg.n; i++) {
        const struct cluster_msg *hb = &c->peers[i].hb;

        if (i != c->cfg.self && cluster_heard(c, i, now) && hb->state == CLUSTER_PRIMARY)
            return hb;
    }
    return NULL;
}

/* The newest epoch that anybody who serves was started or joined under. */
static uint64_t served_epoch(const struct cluster *c, uint64_t now)
{
    uint64_t newest = 0;

    for (unsigned i = 0; i < c->cfg.n; i++) {
        const struct cluster_msg *hb = &c->peers[i].hb;

        if (i != c->cfg.self && cluster_heard(c, i, now) && hb->state == CLUSTER_PRIMARY &&
            hb->position.last_epoch > newest)
            newest = hb->position.last_epoch;
    }
    return newest;
}

static bool has_epoch(const struct cluster_msg *hb, uint64_t epoch)
{
    for (unsigned i = 0; i < hb->n_chain; i++)
        if (hb->chain[i].epoch == epoch)
            return true;
    return epoch < hb->chain_from || epoch >= hb->epoch; /* or it is not on record there */
}

/* It wrote in an epoch that the Primary is not of: an operator gave up two, and each went on from
 * its place. Numbers alone would not tell. */
static bool of_another_epoch(const struct cluster *c, const struct cluster_msg *hb, uint64_t now,
                             char *why)
{
    const struct cluster_position *p = &c->position;
    const struct cluster_value *v = cluster_entry(&c->rec, p->last_epoch);
    uint64_t served = served_epoch(c, now);

    if ((p->kind != DATADIR_OK && p->kind != DATADIR_TAINTED) || !v || p->seqno <= v->base ||
        (has_epoch(hb, p->last_epoch) && (!served || p->last_epoch <= served)))
        return false;
    snprintf(why, CLUSTER_WHY_MAX,
             "the data here has %lld..%lld of an epoch %llu that is not the cluster's; nothing is "
             "overwritten",
             (long long)v->base + 1, (long long)p->seqno, (unsigned long long)p->last_epoch);
    return true;
}

/* Known to be so: no member of the Primary has all write sets since the position here. */
static bool takes_whole_copy(const struct cluster *c, uint64_t now)
{
    const struct cluster_position *p = &c->position;

    if (p->kind != DATADIR_OK || p->aria)
        return true;
    for (unsigned i = 0; i < c->cfg.n; i++) {
        const struct cluster_msg *hb = &c->peers[i].hb;

        if (i != c->cfg.self && cluster_heard(c, i, now) && hb->state == CLUSTER_PRIMARY &&
            hb->cached <= (uint64_t)p->seqno + 1)
            return false;
    }
    return true;
}

void cluster_try_join(struct cluster *c, uint64_t now, struct cluster_out *out)
{
    const struct cluster_msg *hb = cluster_live_primary(c, now);
    char why[CLUSTER_WHY_MAX] = "";

    if (!hb) {
        cluster_enter(c, CLUSTER_STOPPED, now, "no Primary is heard any more");
        c->quiet_at = now + cluster_random(c, CLUSTER_QUIET_MIN_MS, CLUSTER_QUIET_MAX_MS);
        return;
    }
    if (cluster_is_held(c) || !c->known || now < c->retry_at || hb->epoch != c->rec.epoch ||
        !hb->position.uuid[0])
        return;
    /* It still counts this node, which is down: its database has not noticed yet, and may be
     * about to lose its quorum. Joining now would wait for a Primary that is none. */
    if (hb->size >= c->cfg.n) {
        c->stale_since = c->stale_since ? c->stale_since : now;
        if (now - c->stale_since < CLUSTER_STALE_MS)
            return;
    }
    c->stale_since = 0;
    int r = of_another_epoch(c, hb, now, why)
                ? -1
                : cluster_ancestor(&c->rec, &c->position, &hb->position, why);
    if (r == 0) {
        /* Ahead of a heartbeat that may be a second old; it must catch up soon. */
        if (!c->ahead_since || hb->size == 0) /* what cannot be asked may have gone on since */
            c->ahead_since = now;
        if (now - c->ahead_since < CLUSTER_AHEAD_MS)
            return;
        snprintf(why, sizeof(why), "the data here is ahead: %lld, the cluster is at %lld",
                 (long long)c->position.seqno, (long long)hb->position.seqno);
        r = -1;
    }
    c->ahead_since = 0;
    if (r < 0) {
        c->rec.diverged = c->position.diverged = true;
        cluster_act(out, ACT_SAVE);
        cluster_enter(c, CLUSTER_QUARANTINE, now, "%s", why);
        return;
    }
    if (!cluster_votes_again(c, now, out))
        return;
    c->claimed = false;
    if (cluster_disk_is_new(c, c->cfg.self, now)) /* not so where it joins for the first time */
        c->rec.replaced = true;
    invalidate_promises(c);
    c->rec.amnesiac = false;
    c->rec.lost[0] = c->rec.because[0] =
        '\0'; /* the cluster is served: there is nothing to recover any more */
    c->rec.joining = c->rec.epoch;
    c->rec.join_from = c->position.kind == DATADIR_TAINTED ? c->position.seqno : -1;
    c->hopeless_since = c->unjoined_since = 0;
    cluster_act(out, ACT_SAVE);
    struct cluster_action *join = cluster_act(out, ACT_JOIN);
    join->epoch = c->rec.epoch;
    join->bytes = c->join_bytes = hb->bytes;
    join->small = c->position.kind == DATADIR_FRESH && hb->position.seqno < CLUSTER_SMALL;
    join->whole = takes_whole_copy(c, now);
    cluster_enter(c, CLUSTER_JOINING, now, "joins the cluster of epoch %llu, which %s serves%s",
                  (unsigned long long)c->rec.epoch, c->cfg.names[hb->from],
                  join->whole ? ", by a whole copy" : "");
}

/* A database that is down serves nobody, and one that joins is nobody's donor. */
bool cluster_cannot_serve(enum cluster_state state)
{
    switch (state) {
    case CLUSTER_STOPPED:
    case CLUSTER_RECOVERING_POS:
    case CLUSTER_FROZEN:
    case CLUSTER_PROPOSING:
    case CLUSTER_JOIN_WAIT:
    case CLUSTER_JOINING:
    case CLUSTER_QUARANTINE:
    case CLUSTER_FAULT:
    case CLUSTER_AMNESIAC:
        return true;
    default:
        return false;
    }
}

/* Its database cannot be the donor of a join that began under epoch `joining`: it is down, or was
 * down when a later epoch was decided. */
static bool no_donor(const struct cluster_msg *hb, uint64_t joining)
{
    return cluster_cannot_serve(hb->state) || hb->state == CLUSTER_BOOT_PERMIT ||
           (hb->state == CLUSTER_PRIMARY && hb->epoch > joining);
}

/* Its database answers, whatever it says of its group, and all of the Primary say that it is not a
 * part of it: Galera gave the join up, and its server has not noticed (a transfer that lacks the
 * last write set ends so). While a whole copy comes, it does not answer. */
static bool unjoined(const struct cluster *c, uint64_t now)
{
    bool primary = false;

    for (unsigned i = 0; i < c->cfg.n && (c->joins || c->left); i++) {
        const struct cluster_msg *hb = &c->peers[i].hb;

        if (i == c->cfg.self || !cluster_heard(c, i, now) || hb->state != CLUSTER_PRIMARY)
            continue;
        if (!hb->holders.n || cluster_names_have(&hb->holders, c->cfg.names[c->cfg.self]))
            return false;
        primary = true;
    }
    return primary && !c->unknown;
}

static void give_up(struct cluster *c, const char *why, struct cluster_out *out)
{
    snprintf(c->why, sizeof(c->why), "gives the join up: %s", why);
    cluster_act(out, ACT_ABANDON);
}

/* A transfer is never disturbed, however long it takes (I18). But one whose donor lost its power
 * may wait for ever, and all others for its end: it is given up when each of them says that there
 * is no donor any more. */
void cluster_join_tick(struct cluster *c, uint64_t now, struct cluster_out *out)
{
    if (!unjoined(c, now))
        c->unjoined_since = 0;
    else if (!c->unjoined_since)
        c->unjoined_since = now;
    else if (now - c->unjoined_since >= CLUSTER_UNJOINED_MS) {
        c->unjoined_since = 0;
        give_up(c, "the cluster has lost its database, which has not noticed", out);
        return;
    }
    for (unsigned i = 0; i < c->cfg.n; i++)
        if (i != c->cfg.self && !cluster_gone(c, i, now) &&
            (!cluster_heard(c, i, now) || !no_donor(&c->peers[i].hb, c->rec.joining))) {
            c->hopeless_since = 0;
            return;
        }
    c->hopeless_since = c->hopeless_since ? c->hopeless_since : now;
    if (now - c->hopeless_since < CLUSTER_HOPELESS_MS)
        return;
    c->hopeless_since = now;
    give_up(c, "no member serves the cluster any more", out);
}

/* --- booting ------------------------------------------------------------------------------- */

bool cluster_decided_for_me(const struct cluster *c)
{
    const struct cluster_value *v = cluster_entry(&c->rec, c->rec.epoch);

    return v && !c->rec.amnesiac && c->rec.permit_used < c->rec.epoch &&
           strcmp(v->node, c->cfg.names[c->cfg.self]) == 0;
}

void cluster_decline(struct cluster *c, struct cluster_out *out)
{
    c->rec.permit_used = c->rec.epoch;
    cluster_act(out, ACT_SAVE);
}

/* Why the decision does not fit what is here; NULL: it does. */
static const char *unfit(const struct cluster *c, const struct cluster_value *v)
{
    const struct cluster_position *p = &c->position;
    bool blank = p->kind == DATADIR_FRESH || (p->kind == DATADIR_EMPTY && p->opened);
    bool data = p->kind == DATADIR_OK || p->kind == DATADIR_TAINTED;
    bool same = data && p->seqno == v->base && strcmp(p->uuid, v->uuid) == 0;

    if (strcmp(v->incarnation, c->rec.incarnation) != 0)
        return "it was decided for another disk under this name";
    if (c->rec.booted >= v->epoch)
        return "it has served already";
    if (c->rec.promised.round > 0)
        return "a later one was promised";
    if (p->diverged || (v->base < 0 ? !blank : !same))
        return "the data here is not what was decided on";
    return NULL;
}

/* Members that may still run a database, or know of something that is not known here: who reads its
 * position was started since the decision, maybe with another disk. */
static unsigned not_stopped(const struct cluster *c, const struct cluster_value *v, uint64_t now)
{
    unsigned set = 0;

    for (unsigned i = 0; i < c->cfg.n; i++) {
        bool heard = cluster_heard(c, i, now);

        if (i == c->cfg.self || cluster_gone(c, i, now) ||
            (!heard && cluster_lost_has(v->lost, c->cfg.names[i])))
            continue;
        if (!heard || c->peers[i].hb.state == CLUSTER_JOINING ||
            c->peers[i].hb.state == CLUSTER_RECOVERING_POS ||
            !cluster_cannot_serve(c->peers[i].hb.state))
            set |= 1U << i;
    }
    return set;
}

/* Members that had data when this was decided, and have a new disk by now: they may have been given
 * up to each other, and served, since. Losses that the decision says are known. */
static unsigned new_since(const struct cluster *c, const struct cluster_value *v, uint64_t now)
{
    unsigned set = 0;

    for (unsigned i = 0; i < c->cfg.n; i++)
        if (v->base >= 0 && i != c->cfg.self && !cluster_lost_has(v->lost, c->cfg.names[i]) &&
            cluster_disk_is_new(c, i, now))
            set |= 1U << i;
    return set;
}

/* It waits for one whose loss was accepted after the decision: the next one is made without it. */
static bool waits_for_lost(const struct cluster *c, unsigned waiting, unsigned fresh, uint64_t now)
{
    for (unsigned i = 0; i < c->cfg.n; i++)
        if (cluster_lost(c, i) &&
            ((waiting & 1U << i && !cluster_heard(c, i, now)) || fresh & 1U << i))
            return true;
    return false;
}

void cluster_try_boot(struct cluster *c, uint64_t now, struct cluster_out *out)
{
    const struct cluster_value *v = cluster_entry(&c->rec, c->rec.epoch);

    if (!cluster_decided_for_me(c)) { /* a later decision was learned meanwhile */
        cluster_enter(c, CLUSTER_STOPPED, now, "a later epoch is decided");
        return;
    }
    if (cluster_is_held(c))
        return;
    const char *why = unfit(c, v);
    unsigned waiting = why ? 0 : not_stopped(c, v, now), fresh = why ? 0 : new_since(c, v, now);
    if (waits_for_lost(c, waiting, fresh, now))
        why = "the loss of a member was accepted since";
    else if (waiting) {
        snprintf(c->why, sizeof(c->why),
                 "it starts epoch %llu; waits to hear that no other member runs",
                 (unsigned long long)v->epoch);
        c->waiting = waiting;
        return;
    } else if (fresh && cluster_copy_missing(c, now)) { /* and so does the next decision */
        why = "a member that had data has a new disk since";
    }
    if (!why && cluster_arbitrator_runs(c, now)) {
        snprintf(c->why, sizeof(c->why),
                 "it starts epoch %llu; waits for the arbitrator to leave the group that was",
                 (unsigned long long)v->epoch);
        c->waiting = 1U << c->cfg.n;
        return;
    }
    if (why) {
        cluster_decline(c, out);
        cluster_enter(c, CLUSTER_STOPPED, now, "does not start epoch %llu: %s",
                      (unsigned long long)c->rec.epoch, why);
        return;
    }
    /* A second try needs the next slot (I1). */
    c->rec.permit_used = c->rec.epoch;
    invalidate_promises(c);
    c->rec.joining = 0;
    c->rec.failures++;          /* until it serves */
    cluster_act(out, ACT_SAVE); /* durable before exec (I4) */
    cluster_act(out, ACT_BOOT)->epoch = c->rec.epoch;
    cluster_enter(c, CLUSTER_BOOTSTRAPPING, now, "bootstraps epoch %llu",
                  (unsigned long long)c->rec.epoch);
}
