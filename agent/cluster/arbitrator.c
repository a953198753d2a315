/* SPDX-License-Identifier: Apache-2.0 */
/* The arbitrator: garbd counts in the quorum of the group, and has no data. The last one of a group
 * from which all members have left in order is a Primary for itself, and a group that is founded
 * meanwhile would meet it: one of the two ends then (G15). So it runs only with a Primary that a
 * member says that it is part of, ends before a member founds a group, and that member waits for
 * it. Nothing is concluded from silence: while the members are not heard, it stays. One that the
 * members were founded beside all the same does not find them (it has forgotten their addresses),
 * and is started again. */
#include <stdio.h>

#include "agent/cluster/internal.h"

bool cluster_arbitrates(const struct cluster *c)
{
    return c->cfg.arbitrator && c->cfg.self == c->cfg.n;
}

bool cluster_arbitrator_runs(const struct cluster *c, uint64_t now)
{
    if (!c->cfg.arbitrator)
        return false;
    if (!cluster_heard(c, c->cfg.n, now)) /* it may not have had the time to say so yet */
        return now < c->born + CLUSTER_SILENT_MS;
    return c->peers[c->cfg.n].hb.state != CLUSTER_STOPPED;
}

/* A member is about to found a group, or all say that they do not run. */
static bool is_over(const struct cluster *c, uint64_t now)
{
    bool founds = false, down = true;

    for (unsigned i = 0; i < c->cfg.n; i++) {
        enum cluster_state state = c->peers[i].hb.state;
        bool heard = cluster_heard(c, i, now);

        if (heard && state == CLUSTER_PRIMARY)
            return false;
        founds = founds || (heard && state == CLUSTER_BOOT_PERMIT);
        down = down && heard && cluster_cannot_serve(state);
    }
    return founds || down;
}

/* Members serve, and each of them says that it counts in none of their groups. */
static bool is_outside(const struct cluster *c, uint64_t now)
{
    bool serve = false;

    for (unsigned i = 0; i < c->cfg.n; i++) {
        const struct cluster_msg *hb = &c->peers[i].hb;

        if (!cluster_heard(c, i, now) || hb->state != CLUSTER_PRIMARY)
            continue;
        if (hb->arbitrated || !hb->size)
            return false;
        serve = true;
    }
    return serve;
}

static bool is_outside_for_long(struct cluster *c, uint64_t now)
{
    if (!is_outside(c, now))
        c->unjoined_since = 0;
    else if (!c->unjoined_since)
        c->unjoined_since = now;
    return c->unjoined_since && now - c->unjoined_since >= CLUSTER_UNJOINED_MS;
}

static void tick(struct cluster *c, uint64_t now, struct cluster_out *out)
{
    const struct cluster_msg *hb = cluster_live_primary(c, now);

    if (now >= c->retry_at && c->state == CLUSTER_STOPPED && !c->asked && hb) {
        c->asked = c->starting = true;
        cluster_enter(c, CLUSTER_ARBITRATING, now, "joins the group that %s is part of",
                      c->cfg.names[hb->from]);
        cluster_heartbeat(c, out); /* before it runs: who founds a group trusts what it hears */
        cluster_act(out, ACT_JOIN)->epoch = hb->epoch;
    } else if (now >= c->retry_at && c->state == CLUSTER_ARBITRATING && !c->asked &&
               (is_over(c, now) || is_outside_for_long(c, now))) {
        c->asked = true;
        c->unjoined_since = 0;
        cluster_act(out, ACT_STOP);
    }
    if (now >= c->hb_at) {
        c->hb_at = now + (c->state == CLUSTER_ARBITRATING ? CLUSTER_HEARTBEAT_MS : CLUSTER_TICK_MS);
        cluster_heartbeat(c, out);
    }
}

static void look(struct cluster *c, const struct cluster_event *ev)
{
    if (ev->unknown)
        return;
    c->db_seen = true;
    c->running = ev->running;
    if (ev->running && c->state != CLUSTER_ARBITRATING && !c->asked) {
        cluster_enter(c, CLUSTER_ARBITRATING, ev->now, "found running");
    } else if (!ev->running && c->state == CLUSTER_UNCONF) {
        cluster_enter(c, CLUSTER_STOPPED, ev->now, "waits for a member that serves");
    } else if (!ev->running && c->state == CLUSTER_ARBITRATING && !c->asked) {
        if (ev->now - c->since > CLUSTER_NONPRIM_WAIT_MS)
            c->join_failures = 0;
        cluster_join_later(c, ev->now);
        cluster_enter(c, CLUSTER_STOPPED, ev->now, "garbd ended; waits for a member that serves");
    }
}

static void done(struct cluster *c, const struct cluster_event *ev)
{
    bool started = c->starting;

    if (!c->asked)
        return; /* of a life before this one */
    c->asked = c->starting = false;
    if (!ev->ok)
        cluster_join_later(c, ev->now);
    if (started == ev->ok)
        cluster_enter(c, CLUSTER_ARBITRATING, ev->now, "%s",
                      ev->ok ? "takes part in the group's quorum" : ev->why);
    else
        cluster_enter(c, CLUSTER_STOPPED, ev->now, "%s",
                      ev->ok ? "waits for a member that serves" : ev->why);
}

void cluster_arbitrator_step(struct cluster *c, const struct cluster_event *ev,
                             struct cluster_out *out)
{
    enum cluster_state before = c->state;

    switch (ev->type) {
    case EV_TICK:
        tick(c, ev->now, out);
        break;
    case EV_MSG:
        cluster_message(c, ev->msg, ev->now, out);
        break;
    case EV_DB:
        look(c, ev);
        break;
    case EV_DONE:
        done(c, ev);
        break;
    default: /* an operator's, about data */
        c->accepted = false;
        snprintf(c->answer, sizeof(c->answer),
                 "this node is the arbitrator: it has no data; type it on a member");
    }
    if (c->state != before)
        cluster_heartbeat(c, out); /* who founds a group waits for it */
}
