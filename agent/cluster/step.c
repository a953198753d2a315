/* SPDX-License-Identifier: Apache-2.0 */
/* The coordinator's state machine; edges.c has its states and what leads from one to another. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cluster/internal.h"

void cluster_enter(struct cluster *c, enum cluster_state state, uint64_t now, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(c->why, sizeof(c->why), fmt, ap);
    va_end(ap);
    if (c->state != state) {
#ifndef NDEBUG /* a release does not carry the table */
        int edge = cluster_edge(c->state, state);
        assert(edge >= 0);
        c->passed |= 1ULL << edge;
#endif
        c->since = now;
    }
    c->state = state;
    c->waiting = 0;
}

struct cluster_action *cluster_act(struct cluster_out *out, enum cluster_action_type type)
{
    if (out->n == CLUSTER_ACTIONS_MAX)
        abort(); /* a lost action may be a SAVE; the bound is above any real step */
    struct cluster_action *a = &out->a[out->n++];
    *a = (struct cluster_action){.type = type};
    return a;
}

uint64_t cluster_random(struct cluster *c, uint64_t from, uint64_t to)
{
    c->prng = c->prng * 6364136223846793005ULL + 1442695040888963407ULL;
    return from + (c->prng >> 33) % (to - from + 1);
}

bool cluster_stopped(const struct cluster *c)
{
    return c->state == CLUSTER_STOPPED || c->state == CLUSTER_FROZEN ||
           c->state == CLUSTER_PROPOSING || c->state == CLUSTER_JOIN_WAIT;
}

/* May it take part in a decision: gate closed, position read since. Whoever is in quarantine or
 * lost its record votes, and is not chosen: the others need not wait for an operator. */
bool cluster_ready(const struct cluster *c)
{
    return (cluster_stopped(c) || c->state == CLUSTER_QUARANTINE || c->state == CLUSTER_AMNESIAC) &&
           c->known && !c->running;
}

bool cluster_heard(const struct cluster *c, unsigned i, uint64_t now)
{
    return c->peers[i].heard && now - c->peers[i].at <= CLUSTER_SILENT_MS;
}

bool cluster_stable(const struct cluster *c, uint64_t now)
{
    bool arbitrates = cluster_arbitrates(c);

    for (unsigned i = 0; i < c->cfg.n; i++)
        if (i != c->cfg.self &&
            (!cluster_heard(c, i, now) || c->peers[i].hb.state != CLUSTER_PRIMARY))
            return false;
    return arbitrates ? c->state == CLUSTER_ARBITRATING
                      : c->state == CLUSTER_PRIMARY && c->size == c->cfg.n;
}

void cluster_init(struct cluster *c, const struct cluster_config *cfg,
                  const struct cluster_record *rec, uint64_t now)
{
    *c = (struct cluster){.cfg = *cfg, .since = now, .born = now};
    if (rec) {
        c->rec = *rec;
    } else {
        c->rec.amnesiac = true; /* unless its disk turns out to be fresh */
        memcpy(c->rec.incarnation, cfg->incarnation, sizeof(c->rec.incarnation));
    }
    /* A record of the first version does not say who had the data: all may have had it. */
    if (!c->rec.holders_known && c->rec.last_epoch) {
        c->rec.holders.n = cfg->n;
        memcpy(c->rec.holders.name, cfg->names, sizeof(cfg->names));
    }
    c->rec.holders_known = true;
    cluster_votes_prune(c);
    c->prng = cfg->seed | 1;
    c->max_round = c->rec.promised.round;
    c->quiet_at = now + cluster_random(c, CLUSTER_QUIET_MIN_MS, CLUSTER_QUIET_MAX_MS);
    cluster_enter(c, CLUSTER_UNCONF, now, "the database has not been looked at yet");
}

void cluster_join_later(struct cluster *c, uint64_t now)
{
    unsigned n = c->join_failures < 4 ? c->join_failures : 4;

    c->join_failures++;
    c->retry_at = now + ((uint64_t)CLUSTER_JOIN_RETRY_MS << n);
}

/* --- while stopped ------------------------------------------------------------------------- */

static void consider(struct cluster *c, uint64_t now, struct cluster_out *out)
{
    if (c->leaving)
        return;
    if (!c->known) {
        if (!c->asked && now >= c->retry_at) {
            cluster_act(out, ACT_POSITION);
            c->asked = true;
            cluster_enter(c, CLUSTER_RECOVERING_POS, now, "reads the position of its data");
        }
        return;
    }
    if (cluster_live_primary(c, now)) {
        c->claimed = false;
        c->ahead_since = c->stale_since = 0;
        cluster_enter(c, CLUSTER_JOIN_WAIT, now, "a Primary is alive");
        cluster_try_join(c, now, out);
        return;
    }
    if (cluster_decided_for_me(c)) {
        cluster_enter(c, CLUSTER_BOOT_PERMIT, now, "the decision names this node");
        cluster_try_boot(c, now, out);
        return;
    }
    if (c->state != CLUSTER_STOPPED || cluster_is_held(c))
        return;
    if (cluster_blocked(c, now)) {
        c->quiet_at = now + cluster_random(c, CLUSTER_QUIET_MIN_MS, CLUSTER_QUIET_MAX_MS);
        return;
    }
    /* The first one proposes at once, and whoever an operator spoke to. */
    if (now >= c->propose_at && (c->cfg.self == 0 || c->rec.lost[0] || now >= c->quiet_at))
        cluster_propose(c, now, out);
}

/* --- events -------------------------------------------------------------------------------- */

/* A full disk keeps the database from making a position of whole data, too, and that passes. */
static bool unreadable_for_long(struct cluster *c, uint64_t now)
{
    if (c->position.kind != DATADIR_UNREADABLE)
        c->unreadable_since = 0;
    else if (!c->unreadable_since)
        c->unreadable_since = now;
    return c->unreadable_since && now - c->unreadable_since >= CLUSTER_UNREADABLE_MS;
}

/* What a look at the data makes of the record. */
static void take_position(struct cluster *c, uint64_t now, struct cluster_out *out)
{
    struct cluster_position *p = &c->position;
    const struct cluster_value *v = cluster_entry(&c->rec, c->rec.epoch);
    bool has_data = p->kind == DATADIR_OK || p->kind == DATADIR_TAINTED;

    /* The very first bootstrap died before it wrote a history: there is still nothing. */
    if (p->kind == DATADIR_EMPTY && v && !v->uuid[0] && c->rec.data &&
        strcmp(v->node, c->cfg.names[c->cfg.self]) == 0)
        p->opened = true;
    /* Whose data it is, nobody knows; that some was here, the record says from now on. */
    if (has_data && c->rec.amnesiac && !c->rec.data) {
        c->rec.data = true;
        cluster_act(out, ACT_SAVE);
    }
    if (p->kind == DATADIR_FRESH && c->rec.amnesiac) {
        c->rec.amnesiac = false;
        cluster_act(out, ACT_SAVE);
    }
    /* A join that came as far as a transfer leaves data that the database itself distrusts; one
     * that never met a Primary leaves it as it was. It was an ancestor of the cluster's when the
     * gate opened, so a copy of the cluster's replaces it. What was distrusted before, and is where
     * it was, is what it was. */
    bool as_before = p->kind == DATADIR_TAINTED && c->rec.join_from == p->seqno;
    if (c->rec.joining && !as_before && (p->kind == DATADIR_TAINTED || unreadable_for_long(c, now)))
        p->kind = DATADIR_SST_PARTIAL;
    if (c->rec.diverged && !has_data) { /* it was moved aside */
        c->rec.diverged = false;
        cluster_act(out, ACT_SAVE);
    }
    p->diverged = c->rec.diverged;
    p->replaced = c->rec.replaced;
    p->last_epoch = c->rec.amnesiac ? 0 : c->rec.last_epoch;
    p->failures = c->rec.failures;
    memcpy(p->incarnation, c->rec.incarnation, sizeof(p->incarnation));
}

static void on_position(struct cluster *c, const struct cluster_event *ev, struct cluster_out *out)
{
    c->asked = false;
    c->position = ev->position;
    if (c->state != CLUSTER_RECOVERING_POS)
        return;
    take_position(c, ev->now, out);
    if (c->position.kind == DATADIR_NOT_MOUNTED || c->position.kind == DATADIR_UNREADABLE ||
        c->position.kind == DATADIR_UNKNOWN) {
        c->retry_at = ev->now + CLUSTER_FAULT_RETRY_MS;
        cluster_enter(c, CLUSTER_FAULT, ev->now, "%s", ev->why);
        return;
    }
    c->known = true;
    c->retry_at = c->join_failures ? c->retry_at : 0;
    if (c->rec.amnesiac)
        cluster_enter(c, CLUSTER_AMNESIAC, ev->now,
                      "the record of this member is lost and its data is not: it joins only a "
                      "live Primary, or an operator adopts it");
    else if (c->rec.diverged)
        cluster_enter(c, CLUSTER_QUARANTINE, ev->now,
                      "the data here (%.8s:%lld) is not the cluster's; move it aside, or the "
                      "cluster's",
                      c->position.uuid, (long long)c->position.seqno);
    else
        cluster_enter(c, CLUSTER_STOPPED, ev->now, "position %s %.8s:%lld",
                      cluster_datadir_name(c->position.kind), c->position.uuid,
                      (long long)c->position.seqno);
}

static void on_done(struct cluster *c, const struct cluster_event *ev, struct cluster_out *out)
{
    if (c->state != CLUSTER_BOOTSTRAPPING && c->state != CLUSTER_JOINING &&
        c->state != CLUSTER_NONPRIM)
        return; /* of a life before this one */
    c->known = false;
    if (ev->ok && (c->state == CLUSTER_BOOTSTRAPPING || c->state == CLUSTER_JOINING)) {
        bool boot = c->state == CLUSTER_BOOTSTRAPPING;

        if (boot && c->rec.permit_used < c->rec.epoch) {
            c->running = c->primary = true;
            cluster_enter(c, CLUSTER_HALT, ev->now,
                          "its database was started for epoch %llu, and epoch %llu was decided "
                          "without this member meanwhile (I15)",
                          (unsigned long long)c->rec.permit_used, (unsigned long long)c->rec.epoch);
            return;
        }
        /* Another epoch may have been decided while it joined this one. */
        cluster_now_primary(c, boot || c->rec.joining == c->rec.epoch);
        cluster_add_holder(c, c->cfg.names[c->cfg.self]);
        cluster_act(out, ACT_SAVE);
        if (boot)
            cluster_act(out, ACT_ROW)->epoch = c->rec.epoch;
        cluster_enter(c, CLUSTER_PRIMARY, ev->now,
                      boot ? "bootstrapped epoch %llu" : "joined epoch %llu",
                      (unsigned long long)c->rec.last_epoch);
        c->hb_at = 0; /* tell at once */
        return;
    }
    if (c->state == CLUSTER_JOINING || c->state == CLUSTER_BOOTSTRAPPING)
        cluster_join_later(c, ev->now);
    if (c->state == CLUSTER_NONPRIM && !ev->ok) { /* it was not stopped: looks again */
        cluster_enter(c, CLUSTER_UNCONF, ev->now, "%s", ev->why);
        return;
    }
    c->running = c->primary = false;
    cluster_enter(c, CLUSTER_STOPPED, ev->now, "%s", ev->ok ? "stopped" : ev->why);
}

/* Without quorum and nothing that could restore it inside Galera: stop, so that all can decide.
 * Only when it is known to be so, and when a decision can follow. */
static void nonprim_tick(struct cluster *c, uint64_t now, struct cluster_out *out)
{
    unsigned running = 1, needed = 1, missing = 0;

    for (unsigned i = 0; i < c->cfg.n; i++) {
        enum cluster_state state = c->peers[i].hb.state;

        if (i == c->cfg.self || cluster_lost(c, i) || cluster_gone(c, i, now))
            continue;
        needed++;
        if (!cluster_heard(c, i, now))
            missing |= 1U << i;
        else
            running += state == CLUSTER_NONPRIM || state == CLUSTER_PRIMARY;
    }
    c->waiting = missing;
    if (cluster_is_held(c))
        return;
    /* The others serve, and this one is connected to nobody: only a new start brings it back. */
    if (c->left && !c->unknown && cluster_live_primary(c, now)) {
        if (now - c->since < CLUSTER_LEFT_MS)
            return;
        cluster_act(out, ACT_STOP);
        cluster_enter(c, CLUSTER_NONPRIM, now, "stops its database, which has left the cluster");
        c->since = now;
        return;
    }
    if (missing) {
        snprintf(c->why, sizeof(c->why), "no quorum; waits for members that are not heard");
        return;
    }
    if (c->unknown || cluster_live_primary(c, now) || cluster_copy_missing(c, now))
        return;
    /* When all are there, the network may merge them again. */
    bool soon = c->rec.lost[0] || (running < needed && (running * 2 <= needed || needed == 2));
    uint64_t pause = soon ? CLUSTER_NONPRIM_SOON_MS : CLUSTER_NONPRIM_WAIT_MS;
    if (now - c->since < pause)
        return;
    cluster_act(out, ACT_STOP);
    cluster_enter(c, CLUSTER_NONPRIM, now, "stops the database, so that all members can decide");
    c->since = now;
}

static void on_tick(struct cluster *c, uint64_t now, struct cluster_out *out)
{
    switch (c->state) {
    case CLUSTER_FAULT:
        if (now >= c->retry_at)
            cluster_enter(c, CLUSTER_STOPPED, now, "looks at its data again");
        break;
    case CLUSTER_FROZEN:
        if (now - c->since > CLUSTER_FROZEN_MAX_MS)
            cluster_enter(c, CLUSTER_STOPPED, now, "%s",
                          c->refused[0] ? c->refused : "no decision came");
        break;
    case CLUSTER_PROPOSING:
        cluster_propose_again(c, now, out);
        break;
    case CLUSTER_PRIMARY:
        cluster_votes_tick(c, now, out);
        break;
    case CLUSTER_NONPRIM:
        nonprim_tick(c, now, out);
        break;
    case CLUSTER_JOINING:
        cluster_join_tick(c, now, out);
        break;
    case CLUSTER_BOOT_PERMIT:
        cluster_try_boot(c, now, out);
        break;
    case CLUSTER_QUARANTINE:
        if (cluster_decided_for_me(c))
            cluster_decline(c, out);
        break;
    case CLUSTER_UNCONF: /* the agent is new; the join is not */
        if (c->running && c->rec.joining)
            cluster_join_tick(c, now, out);
        break;
    default:
        break;
    }
    if (c->state == CLUSTER_STOPPED || c->state == CLUSTER_FROZEN || c->state == CLUSTER_PROPOSING)
        consider(c, now, out);
    else if (c->state == CLUSTER_JOIN_WAIT ||
             (c->state == CLUSTER_AMNESIAC && cluster_live_primary(c, now)))
        cluster_try_join(c, now, out);
    if (now >= c->hb_at) {
        /* The others wait for each heartbeat of a member that is not there yet. */
        c->hb_at = now + (c->state == CLUSTER_PRIMARY ? CLUSTER_HEARTBEAT_MS : CLUSTER_TICK_MS);
        cluster_heartbeat(c, out);
    }
}

uint64_t cluster_tick_at(const struct cluster *c, uint64_t last)
{
    bool settled = c->state == CLUSTER_PRIMARY || c->state == CLUSTER_ARBITRATING;

    return settled ? c->hb_at : last + CLUSTER_TICK_MS;
}

void cluster_step(struct cluster *c, const struct cluster_event *ev, struct cluster_out *out)
{
    enum cluster_state before = c->state;

    out->n = 0;
    if (cluster_arbitrates(c)) {
        cluster_arbitrator_step(c, ev, out);
        return;
    }
    switch (ev->type) {
    case EV_TICK:
        on_tick(c, ev->now, out);
        break;
    case EV_MSG:
        cluster_message(c, ev->msg, ev->now, out);
        if (c->state == CLUSTER_STOPPED || c->state == CLUSTER_FROZEN)
            consider(c, ev->now, out);
        else if (c->state == CLUSTER_JOIN_WAIT)
            cluster_try_join(c, ev->now, out);
        break;
    case EV_POSITION:
        on_position(c, ev, out);
        if (c->state == CLUSTER_STOPPED)
            consider(c, ev->now, out);
        break;
    case EV_DONE:
        on_done(c, ev, out);
        break;
    case EV_DB:
        cluster_look(c, ev, out);
        if (c->state == CLUSTER_STOPPED)
            consider(c, ev->now, out);
        break;
    case EV_RECOVER:
        cluster_recover(c, ev->name, ev->why, ev->now, out);
        break;
    case EV_HOLD:
        cluster_hold(c, ev->ok, ev->why, out);
        break;
    case EV_RELEASE:
        cluster_release(c, ev->ok, ev->now, out);
        break;
    }
    if (c->state != before && c->state == CLUSTER_HALT && c->running)
        cluster_act(out, ACT_REJECT);
    if (c->state != before || c->leaving)
        cluster_heartbeat(c, out); /* peers should not wait a second to learn it */
}
