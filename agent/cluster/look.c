/* SPDX-License-Identifier: Apache-2.0 */
/* What a look at the database says, and what follows from it. */
#include <stdio.h>
#include <string.h>

#include "agent/cluster/internal.h"

void cluster_now_primary(struct cluster *c, bool last)
{
    if (last)
        c->rec.last_epoch = c->rec.booted = c->rec.epoch;
    c->rec.joining = 0;
    c->rec.failures = 0;
    c->rec.amnesiac = c->rec.replaced = false;
    c->rec.data = true;
    c->rec.lost[0] = c->rec.because[0] = '\0'; /* there is nothing to recover any more */
    c->join_failures = 0;
    c->running = c->primary = true;
}

void cluster_add_holder(struct cluster *c, const char *name)
{
    struct cluster_names *h = &c->rec.holders;

    if (!cluster_names_have(h, name) && h->n < CLUSTER_MAX)
        snprintf(h->name[h->n++], CLUSTER_NAME, "%s", name);
}

/* The row that the bootstrapping member wrote is there, and is that of the decision known here. */
static bool has_row(const struct cluster *c, const struct cluster_event *ev)
{
    const struct cluster_value *v = cluster_entry(&c->rec, c->rec.epoch);

    return v && strcmp(v->node, ev->row_node) == 0 && strcmp(v->cluster_id, ev->row_cluster) == 0;
}

/* Galera itself took its database into the Primary of an epoch that was decided without it. */
static bool taken_in(const struct cluster *c, const struct cluster_event *ev)
{
    if (c->rec.last_epoch < c->rec.epoch && has_row(c, ev))
        return true;
    for (unsigned i = 0; i < c->cfg.n && c->rec.last_epoch < c->rec.epoch; i++) {
        const struct cluster_msg *hb = &c->peers[i].hb;

        if (i != c->cfg.self && cluster_heard(c, i, ev->now) && hb->state == CLUSTER_PRIMARY &&
            hb->epoch == c->rec.epoch && hb->position.last_epoch == c->rec.epoch &&
            cluster_names_have(&ev->members, c->cfg.names[i]))
            return true;
    }
    return false;
}

/* What is found running serves the last decided epoch: its gate was opened for it, or it started it
 * itself. Else it may serve an earlier one beside it. */
static bool serves_last(const struct cluster *c, const struct cluster_event *ev)
{
    const struct cluster_value *v = cluster_entry(&c->rec, c->rec.epoch);

    return c->rec.last_epoch == c->rec.epoch || taken_in(c, ev) ||
           (v && c->rec.permit_used == c->rec.epoch &&
            strcmp(v->node, c->cfg.names[c->cfg.self]) == 0);
}

/* Who has the data is who its component consists of: from each other one it has what that one
 * acknowledged, and waits for it in a later recovery no more. */
static void note_members(struct cluster *c, const struct cluster_event *ev, struct cluster_out *out)
{
    if (c->state != CLUSTER_PRIMARY || !ev->primary || !ev->synced || ev->members.n == 0)
        return;
    bool later = taken_in(c, ev);
    if (!later && cluster_names_same(&c->rec.holders, &ev->members))
        return;
    if (later)
        c->rec.last_epoch = c->rec.epoch;
    c->rec.holders = ev->members;
    cluster_act(out, ACT_SAVE);
}

/* Whoever had systemd start it was killed: what was known of its data is over. */
static void found_running(struct cluster *c, uint64_t now)
{
    if (!cluster_stopped(c) && c->state != CLUSTER_RECOVERING_POS && c->state != CLUSTER_FAULT &&
        c->state != CLUSTER_BOOT_PERMIT)
        return;
    c->known = false;
    c->running = true;
    cluster_enter(c, CLUSTER_UNCONF, now, "the database was found starting");
}

/* The first look that says something, after the agent's start or while the database starts. */
static void first_look(struct cluster *c, const struct cluster_event *ev, struct cluster_out *out)
{
    if (ev->primary && ev->synced) {
        if (c->rec.joining || c->rec.last_epoch != c->rec.epoch || c->rec.failures ||
            c->rec.booted != c->rec.epoch || c->rec.amnesiac || c->rec.replaced) {
            cluster_now_primary(c, serves_last(c, ev));
            cluster_act(out, ACT_SAVE);
        }
        cluster_enter(c, CLUSTER_PRIMARY, ev->now, "found running");
    } else if (!ev->running) {
        cluster_enter(c, CLUSTER_STOPPED, ev->now, "the database does not run");
    } else {
        snprintf(c->why, sizeof(c->why), "the database was found starting; waiting for it");
        /* A joiner may take hours; it is never disturbed (I18). */
        if ((!c->rec.joining || ev->left) && ev->answers &&
            ev->now - c->since > CLUSTER_NONPRIM_WAIT_MS)
            cluster_enter(c, CLUSTER_NONPRIM, ev->now, "found running without quorum");
    }
}

/* The row that the bootstrapping member wrote is not of the decision that is known here. */
static bool other_row(const struct cluster *c, const struct cluster_event *ev)
{
    const struct cluster_value *v = cluster_entry(&c->rec, c->rec.epoch);

    return v && v->node[0] != '#' && ev->row_node[0] &&
           (strcmp(v->node, ev->row_node) != 0 || strcmp(v->cluster_id, ev->row_cluster) != 0);
}

/* And the history is another one, too. Without that somebody restored a dump with another cluster's
 * row in it, and the right one is written again. */
static bool other_history(const struct cluster *c, const struct cluster_event *ev)
{
    const struct cluster_value *v = cluster_entry(&c->rec, c->rec.epoch);
    const char *uuid = v && v->uuid[0] ? v->uuid : c->rec.hw_uuid;

    return uuid[0] && ev->position.uuid[0] && strcmp(uuid, ev->position.uuid) != 0;
}

/* A Primary of a later epoch than its own, of which neither is a part of the other. */
static bool is_apart(const struct cluster *c, unsigned i, uint64_t now)
{
    const struct cluster_msg *hb = &c->peers[i].hb;

    return i != c->cfg.self && cluster_heard(c, i, now) && hb->state == CLUSTER_PRIMARY &&
           hb->size && hb->position.last_epoch > c->rec.last_epoch && hb->holders.n &&
           !cluster_names_have(&hb->holders, c->cfg.names[c->cfg.self]) &&
           !cluster_names_have(&c->rec.holders, c->cfg.names[i]);
}

static void look_apart(struct cluster *c, uint64_t now)
{
    unsigned i = 0;

    while (i < c->cfg.n && !is_apart(c, i, now))
        i++;
    if (c->state != CLUSTER_PRIMARY || !c->component_known || i == c->cfg.n)
        c->apart_since = 0;
    else if (!c->apart_since)
        c->apart_since = now;
    else if (now - c->apart_since >= CLUSTER_APART_MS)
        cluster_enter(c, CLUSTER_HALT, now,
                      "%s serves epoch %llu, and this node epoch %llu beside it (I15)",
                      c->cfg.names[i], (unsigned long long)c->peers[i].hb.position.last_epoch,
                      (unsigned long long)c->rec.last_epoch);
}

/* Which database is whose, as long as its agent says that it serves. */
static void note_instances(struct cluster *c, const struct cluster_event *ev)
{
    for (unsigned i = 0; i < c->cfg.n && ev->primary && ev->synced; i++)
        for (unsigned k = 0; k < ev->members.n; k++)
            if (i != c->cfg.self && c->peers[i].hb.state == CLUSTER_PRIMARY &&
                strcmp(ev->members.name[k], c->cfg.names[i]) == 0)
                memcpy(c->peers[i].instance, ev->instances[k], sizeof(ev->instances[k]));
}

void cluster_evict(struct cluster *c, unsigned i, uint64_t now, struct cluster_out *out)
{
    struct cluster_peer *p = &c->peers[i];
    enum cluster_state state = p->hb.state;
    bool down = state == CLUSTER_STOPPED || state == CLUSTER_RECOVERING_POS ||
                state == CLUSTER_FROZEN || state == CLUSTER_PROPOSING || state == CLUSTER_JOIN_WAIT;

    if (!down || !p->instance[0])
        return;
    bool first = c->state == CLUSTER_PRIMARY && c->cfg.n + c->cfg.arbitrator > 2;
    for (unsigned k = 0; k < c->cfg.self && first; k++) /* one of them does it */
        first = k == i || !cluster_heard(c, k, now) || c->peers[k].hb.state != CLUSTER_PRIMARY;
    if (first)
        memcpy(cluster_act(out, ACT_EVICT)->uuid, p->instance, sizeof(p->instance));
    p->instance[0] = '\0';
}

void cluster_look(struct cluster *c, const struct cluster_event *ev, struct cluster_out *out)
{
    /* It runs and does not answer: that says nothing about its quorum, and nothing follows. */
    c->unknown = ev->unknown;
    if (ev->unknown) {
        found_running(c, ev->now);
        if (c->state == CLUSTER_UNCONF)
            snprintf(c->why, sizeof(c->why), "the database runs and cannot be asked: %.180s",
                     ev->why);
        return;
    }
    c->db_seen = true;
    c->running = ev->running;
    c->primary = ev->running && ev->primary;
    c->left = ev->left;
    c->leaving = ev->leaving && !ev->running;
    c->joins = ev->answers && !ev->synced;
    c->size = ev->size;
    c->arbitrated = ev->arbitrated;
    c->bytes = ev->bytes;
    if (c->cached != ev->cached) /* who joins is about to rely on it */
        c->hb_at = 0;
    c->cached = ev->cached;
    /* A history that is new is told at once: who wants to join waits for it. */
    if (ev->running && strcmp(c->live.uuid, ev->position.uuid) != 0)
        c->hb_at = 0;
    if (ev->running)
        c->live = ev->position;
    switch (c->state) {
    case CLUSTER_UNCONF:
        first_look(c, ev, out);
        break;
    case CLUSTER_PRIMARY:
        if (!ev->running)
            cluster_enter(c, CLUSTER_STOPPED, ev->now, "the database stopped");
        else if (ev->answers && !ev->primary)
            cluster_enter(c, CLUSTER_NONPRIM, ev->now, "quorum is lost; writes are refused");
        break;
    case CLUSTER_NONPRIM:
        if (!ev->running)
            cluster_enter(c, CLUSTER_STOPPED, ev->now, "the database stopped");
        else if (ev->primary)
            cluster_enter(c, CLUSTER_PRIMARY, ev->now, "quorum is back");
        break;
    default:
        if (ev->running)
            found_running(c, ev->now);
        break;
    }
    if (c->state == CLUSTER_PRIMARY && c->rec.lost[0]) { /* the quorum came back without it */
        c->rec.lost[0] = c->rec.because[0] = '\0';
        cluster_act(out, ACT_SAVE);
    }
    c->component_known = ev->primary && ev->synced && ev->members.n;
    note_members(c, ev, out);
    note_instances(c, ev);
    if (c->state == CLUSTER_PRIMARY && other_row(c, ev) && other_history(c, ev)) {
        cluster_enter(c, CLUSTER_HALT, ev->now,
                      "the database says that %s started epoch %llu of cluster %.8s, and the "
                      "decision says otherwise (I15)",
                      ev->row_node, (unsigned long long)c->rec.epoch, ev->row_cluster);
        return;
    }
    look_apart(c, ev->now);
    /* What was to write it may have been killed, or this agent before it began. */
    const struct cluster_value *v = cluster_entry(&c->rec, c->rec.epoch);
    if (c->state == CLUSTER_PRIMARY && (ev->rowless || other_row(c, ev)) && v &&
        strcmp(v->node, c->cfg.names[c->cfg.self]) == 0)
        cluster_act(out, ACT_ROW)->epoch = c->rec.epoch;
    /* What was to give it its weight after a join was killed, or the file says another one. */
    if (c->state == CLUSTER_PRIMARY && ev->synced && ev->weightless)
        cluster_act(out, ACT_WEIGHT);
}
