/* SPDX-License-Identifier: Apache-2.0 */
/* Whose answer a decision needs, what it waits for, and the operator's acceptance of a loss. */
#include <stdio.h>
#include <string.h>

#include "agent/cluster/internal.h"

bool cluster_lost(const struct cluster *c, unsigned i)
{
    return cluster_lost_has(c->rec.lost, c->cfg.names[i]);
}

bool cluster_excused(const struct cluster *c, unsigned i, uint64_t now)
{
    const struct cluster_msg *hb = &c->peers[i].hb;

    return (cluster_lost(c, i) || cluster_excluded(c, i)) &&
           !(cluster_heard(c, i, now) && (hb->ready || !cluster_cannot_serve(hb->state)));
}

static int member(const struct cluster *c, const char *name)
{
    for (unsigned i = 0; i < c->cfg.n; i++)
        if (strcmp(c->cfg.names[i], name) == 0)
            return (int)i;
    return -1;
}

static const struct cluster_names *holders_of(const struct cluster *c, unsigned i)
{
    static const struct cluster_names none;

    if (i == c->cfg.self)
        return &c->rec.holders;
    return c->peers[i].heard ? &c->peers[i].hb.holders : &none;
}

/* Whoever is known to have served alone, before anybody joined it; NULL: others had its data. */
static const char *lone_founder(const struct cluster *c)
{
    const struct cluster_value *v = cluster_entry(&c->rec, c->rec.booted);

    for (unsigned i = 0; i < c->cfg.n; i++)
        if (holders_of(c, i)->n)
            return NULL;
    return v && v->node[0] != '#' ? v->node : NULL;
}

static bool is_holder(const struct cluster *c, unsigned i)
{
    const char *founder = lone_founder(c);
    bool had = founder && strcmp(founder, c->cfg.names[i]) == 0;

    for (unsigned k = 0; !had && k < c->cfg.n; k++)
        had = cluster_names_have(holders_of(c, k), c->cfg.names[i]);
    return had;
}

/* The last decision names the disk that was under that name before, which may have started: it is
 * not known to have served, and nobody else can say that it did not. */
static bool old_disk_started(const struct cluster *c, unsigned i, const struct cluster_position *p)
{
    const struct cluster_value *v = cluster_entry(&c->rec, c->rec.epoch);

    return v && c->rec.booted < c->rec.epoch && strcmp(v->node, c->cfg.names[i]) == 0 &&
           v->incarnation[0] && strcmp(v->incarnation, p->incarnation) != 0 &&
           !cluster_lost_has(v->lost, v->node);
}

bool cluster_disk_is_new(const struct cluster *c, unsigned i, uint64_t now)
{
    bool self = i == c->cfg.self;
    const struct cluster_position *p = self ? &c->position : &c->peers[i].hb.position;
    bool known = self ? c->known : cluster_heard(c, i, now) && c->peers[i].hb.ready;

    /* A new disk whose record was lost before a join over it ended well is still one. */
    bool amnesiac = self ? c->rec.amnesiac : c->peers[i].hb.state == CLUSTER_AMNESIAC;
    if (known && (p->replaced || amnesiac) && p->kind != DATADIR_OK && p->kind != DATADIR_TAINTED)
        return is_holder(c, i) || old_disk_started(c, i, p);
    if (!known || p->kind != DATADIR_FRESH || p->opened)
        return false;
    return (self ? c->rec.data : c->peers[i].hb.data) || is_holder(c, i) ||
           old_disk_started(c, i, p);
}

/* The list of member `k` is older than that of another one, which went on without it, and whose
 * data counts. */
static bool list_is_old(const struct cluster *c, unsigned k, uint64_t now)
{
    const struct cluster_position *at = k == c->cfg.self ? &c->position : &c->peers[k].hb.position;

    for (unsigned i = 0; i < c->cfg.n; i++) {
        bool self = i == c->cfg.self;
        const struct cluster_position *p = self ? &c->position : &c->peers[i].hb.position;
        bool known = self ? c->known : cluster_heard(c, i, now) && c->peers[i].hb.ready;
        const struct cluster_names *list = holders_of(c, i);

        if (i != k && !cluster_lost(c, i) && known && p->kind == DATADIR_OK && !p->diverged &&
            at->uuid[0] && strcmp(p->uuid, at->uuid) == 0 && p->seqno > at->seqno &&
            p->last_epoch >= at->last_epoch && cluster_names_have(list, c->cfg.names[i]) &&
            !cluster_names_have(list, c->cfg.names[k]) &&
            cluster_names_have(holders_of(c, k), c->cfg.names[i]))
            return true;
    }
    return false;
}

/* Whom the last decision names; it is not known here whether it has started. NULL: it is. */
static const char *unseen_starter(const struct cluster *c)
{
    const struct cluster_value *v = cluster_entry(&c->rec, c->rec.epoch);

    return v && c->rec.booted < c->rec.epoch && v->node[0] != '#' &&
                   !cluster_lost_has(v->lost, v->node)
               ? v->node
               : NULL;
}

/* A member that had the data, or may have, and is not in the file any more; NULL: none. */
static const char *holder_outside(const struct cluster *c, uint64_t now)
{
    const char *founder = lone_founder(c);

    for (unsigned k = 0; k < c->cfg.n; k++) {
        const struct cluster_names *h = holders_of(c, k);

        for (unsigned i = 0; i < h->n && !list_is_old(c, k, now); i++)
            if (member(c, h->name[i]) < 0 && !cluster_lost_has(c->rec.lost, h->name[i]))
                return h->name[i];
    }
    if (!founder)
        founder = unseen_starter(c);
    return founder && member(c, founder) < 0 && !cluster_lost_has(c->rec.lost, founder) ? founder
                                                                                        : NULL;
}

bool cluster_copy_missing(struct cluster *c, uint64_t now)
{
    for (unsigned i = 0; i < c->cfg.n; i++) {
        if (cluster_lost(c, i) || !cluster_disk_is_new(c, i, now))
            continue;
        snprintf(c->why, sizeof(c->why),
                 "waits for the data of %s: it was a member and its disk is new; give it its disk "
                 "back, or accept the loss: muster cluster recover --without %s",
                 c->cfg.names[i], c->cfg.names[i]);
        c->waiting = 1U << i;
        return true;
    }
    const char *name = holder_outside(c, now);
    if (!name)
        return false;
    snprintf(
        c->why, sizeof(c->why),
        "waits for %s: it was a member and is not in the file any more; put it back, or accept "
        "the loss: muster cluster recover --without %s",
        name, name);
    c->waiting = 0;
    return true;
}

bool cluster_data_gone(const struct cluster *c, const struct cluster_position *reports,
                       char why[CLUSTER_WHY_MAX])
{
    const struct cluster_value *v = cluster_entry(&c->rec, c->rec.booted);
    int founder = v && !v->uuid[0] ? member(c, v->node) : -1;

    /* It served, and its whole database says that nothing was ever written. */
    if (c->rec.booted == 0 || (founder >= 0 && reports[founder].kind == DATADIR_EMPTY))
        return false;
    for (unsigned i = 0; i < c->cfg.n; i++) {
        if ((reports[i].kind != DATADIR_SST_PARTIAL && reports[i].kind != DATADIR_EMPTY) ||
            cluster_lost(c, i) || (!is_holder(c, i) && !reports[i].uuid[0]))
            continue; /* what a join left may be the newest there is: its position is known */
        snprintf(why, CLUSTER_WHY_MAX,
                 "%s had the data and has no whole database any more; give it its data back, or "
                 "accept the loss: muster cluster recover --without %s",
                 c->cfg.names[i], c->cfg.names[i]);
        return true;
    }
    return false;
}

/* The one that the last decision names has neither used its permit nor declined it (I1). */
static bool permit_pending(const struct cluster *c, unsigned *ret_member)
{
    const struct cluster_value *v = cluster_entry(&c->rec, c->rec.epoch);
    int i = v ? member(c, v->node) : -1;

    if (i < 0 || (unsigned)i == c->cfg.self || cluster_lost(c, (unsigned)i) ||
        cluster_lost_has(v->lost, v->node) || c->rec.booted >= c->rec.epoch)
        return false;
    *ret_member = (unsigned)i;
    return c->peers[i].hb.permit_used < c->rec.epoch;
}

/* Who is missing for a decision, and who is busy with something that may yet end well. */
static unsigned not_ready(const struct cluster *c, uint64_t now, bool *ret_silent)
{
    unsigned set = 0;

    *ret_silent = false;
    for (unsigned i = 0; i < c->cfg.n; i++) {
        if (i == c->cfg.self || cluster_excused(c, i, now))
            continue;
        bool silent = !cluster_heard(c, i, now);
        if (silent || !c->peers[i].hb.ready)
            set |= 1U << i;
        *ret_silent = *ret_silent || silent;
    }
    return set;
}

bool cluster_blocked(struct cluster *c, uint64_t now)
{
    bool silent;
    unsigned who, missing = not_ready(c, now, &silent);

    if (missing) {
        if (now - c->since > CLUSTER_SILENT_MS / 2 || c->why[0] == '\0') {
            snprintf(c->why, sizeof(c->why),
                     silent ? "waits for members that are not heard"
                            : "waits for members that are busy");
            c->waiting = missing;
        }
        return true;
    }
    if (permit_pending(c, &who)) {
        snprintf(c->why, sizeof(c->why), "epoch %llu is decided: waits for %s to start it",
                 (unsigned long long)c->rec.epoch, c->cfg.names[who]);
        c->waiting = 1U << who;
        return true;
    }
    return cluster_copy_missing(c, now);
}

/* --- an operator accepts a loss ------------------------------------------------------------- */

/* It looked at its data and found nothing that could be used: only then it is known to be so. */
static bool may_have_data(const struct cluster *c, const struct cluster_msg *hb)
{
    if (hb->state == CLUSTER_FAULT)
        return hb->position.kind == DATADIR_UNKNOWN;
    /* What ends beside the cluster's history is chosen by no decision. */
    return !hb->ready || (hb->position.kind == DATADIR_OK && !hb->position.diverged &&
                          (!hb->position.last_epoch || cluster_on_chain(&c->rec, &hb->position)));
}

/* This node looked at its own data, and there is no whole database. */
static bool only_a_rest(const struct cluster *c)
{
    return c->known &&
           (c->position.kind == DATADIR_SST_PARTIAL || c->position.kind == DATADIR_EMPTY);
}

/* Why it cannot be accepted; NULL: it can. */
static const char *objection(const struct cluster *c, const char *name, uint64_t now)
{
    int i = member(c, name);

    if (c->state == CLUSTER_PRIMARY || cluster_live_primary(c, now))
        return "the cluster is served; there is nothing to recover";
    if (c->state == CLUSTER_HALT || c->rec.amnesiac || c->rec.diverged)
        return "this node itself cannot lead: see its state; type it on another one";
    const char *outside = i < 0 ? holder_outside(c, now) : NULL;
    if (i < 0 && !cluster_names_have(&c->rec.holders, name) &&
        (!outside || strcmp(outside, name) != 0))
        return "there is no member of that name, and there was none";
    if (i >= 0 && (unsigned)i != c->cfg.self && cluster_heard(c, (unsigned)i, now) &&
        !cluster_disk_is_new(c, (unsigned)i, now) && may_have_data(c, &c->peers[i].hb))
        return "that member is heard, and its data may be whole; see its own state";
    if (i == (int)c->cfg.self && !cluster_disk_is_new(c, c->cfg.self, now) && !only_a_rest(c))
        return "that is this node itself, and it has its data";
    return NULL;
}

void cluster_recover(struct cluster *c, const char *name, const char *because, uint64_t now,
                     struct cluster_out *out)
{
    size_t len = strlen(c->rec.lost);
    const char *why = objection(c, name, now);

    if (!why && !cluster_lost_has(c->rec.lost, name) && len + strlen(name) + 2 > CLUSTER_LOST)
        why = "too many losses were accepted already";
    c->accepted = !why;
    if (why) {
        snprintf(c->answer, sizeof(c->answer), "%s: %s", name, why);
        return;
    }
    if (!cluster_lost_has(c->rec.lost, name)) {
        snprintf(c->rec.lost + len, sizeof(c->rec.lost) - len, "%s%s", len ? " " : "", name);
        snprintf(c->rec.because, sizeof(c->rec.because), "%s", because);
        cluster_act(out, ACT_SAVE);
    }
    c->quiet_at = c->propose_at = now;
    snprintf(c->answer, sizeof(c->answer),
             "the next decision is made without %s, once; what only it had is lost", name);
}
