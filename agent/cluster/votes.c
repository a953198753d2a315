/* SPDX-License-Identifier: Apache-2.0 */
/* Membership: whose vote a decision needs. A member without which a Primary goes on is excluded, so
 * that the others can recover without it; it gets its vote back before it joins. No decision of its
 * own is needed for that (docs/galera.md, "Who has a vote", has why). */
#include <stdio.h>
#include <string.h>

#include "agent/cluster/internal.h"

static struct cluster_vote *find(const struct cluster_votes *votes, const char *name)
{
    for (unsigned i = 0; i < votes->n; i++)
        if (strcmp(votes->of[i].name, name) == 0)
            return (struct cluster_vote *)&votes->of[i];
    return NULL;
}

uint64_t cluster_vote(const struct cluster_votes *votes, const char *name)
{
    const struct cluster_vote *v = find(votes, name);

    return v ? v->version : 0;
}

static bool raise_to(struct cluster_votes *votes, const char *name, uint64_t version)
{
    struct cluster_vote *v = find(votes, name);

    if (!v && version && votes->n < CLUSTER_MAX) {
        v = &votes->of[votes->n++];
        *v = (struct cluster_vote){0};
        snprintf(v->name, sizeof(v->name), "%s", name);
    }
    if (!v || v->version >= version)
        return false;
    v->version = version;
    return true;
}

bool cluster_votes_join(struct cluster_votes *into, const struct cluster_votes *from)
{
    bool changed = false;

    for (unsigned i = 0; i < from->n; i++)
        changed = raise_to(into, from->of[i].name, from->of[i].version) || changed;
    return changed;
}

bool cluster_include(struct cluster_votes *votes, const char *name)
{
    uint64_t version = cluster_vote(votes, name);

    return version % 2 && raise_to(votes, name, version + 1);
}

void cluster_exclude(struct cluster_votes *votes, const char *name)
{
    raise_to(votes, name, cluster_vote(votes, name) | 1);
}

void cluster_votes_prune(struct cluster *c)
{
    struct cluster_votes kept = {0};

    for (unsigned i = 0; i < c->cfg.n; i++)
        raise_to(&kept, c->cfg.names[i], cluster_vote(&c->rec.votes, c->cfg.names[i]));
    c->rec.votes = kept;
}

/* One that is excluded itself does not know of whom the Primary consisted then. And whom an
 * operator gives up may be the one whose data made another one dispensable, or may have taken it in
 * again without anybody else: the operator says of each whether it is waited for. */
bool cluster_excluded(const struct cluster *c, unsigned i)
{
    return i != c->cfg.self && cluster_vote(&c->rec.votes, c->cfg.names[i]) % 2 &&
           cluster_vote(&c->rec.votes, c->cfg.names[c->cfg.self]) % 2 == 0 && !c->rec.lost[0];
}

bool cluster_gone(const struct cluster *c, unsigned i, uint64_t now)
{
    return cluster_excluded(c, i) && !cluster_heard(c, i, now);
}

/* --- of a Primary --------------------------------------------------------------------------- */

/* All of whom the Primary consists say that it consists of these: what the others acknowledged
 * while they were a part of it is durable on each of them, since a change of the component is
 * ordered after it. */
static bool all_say_so(const struct cluster *c, uint64_t now)
{
    unsigned found = 1;

    for (unsigned i = 0; i < c->cfg.n; i++) {
        const struct cluster_msg *hb = &c->peers[i].hb;

        if (i == c->cfg.self || !cluster_names_have(&c->rec.holders, c->cfg.names[i]))
            continue;
        found++;
        if (!cluster_heard(c, i, now) || hb->state != CLUSTER_PRIMARY ||
            !cluster_names_same(&hb->holders, &c->rec.holders))
            return false;
    }
    return c->component_known && c->primary && !c->unknown && found == c->rec.holders.n;
}

/* Its database is known to be down, and it is not about to join: nor did it ask others for its vote
 * since it was heard here. */
static bool is_down(const struct cluster *c, unsigned i)
{
    const char *name = c->cfg.names[i];
    const struct cluster_msg *hb = &c->peers[i].hb;

    return c->peers[i].heard && cluster_cannot_serve(hb->state) && hb->state != CLUSTER_JOINING &&
           (hb->state != CLUSTER_JOIN_WAIT || hb->held) &&
           cluster_vote(&hb->votes, name) >= cluster_vote(&c->rec.votes, name);
}

/* So long the Primary goes on without it before it is excluded. Who said that it stays down, since
 * its machine or an operator wants that, is excluded at once: the next one may be about to stop. */
static uint64_t excluded_after(const struct cluster *c, unsigned i)
{
    uint64_t absent = c->cfg.absent_ms ? c->cfg.absent_ms : CLUSTER_ABSENT_MS;

    if (!is_down(c, i))
        return absent;
    return c->peers[i].hb.held ? 0 : CLUSTER_EXCLUDE_MS;
}

void cluster_votes_tick(struct cluster *c, uint64_t now, struct cluster_out *out)
{
    bool save = cluster_include(&c->rec.votes, c->cfg.names[c->cfg.self]);
    bool sure = all_say_so(c, now);

    for (unsigned i = 0; i < c->cfg.n; i++) {
        const char *name = c->cfg.names[i];
        bool without = sure && (is_down(c, i) || !cluster_heard(c, i, now));

        if (i == c->cfg.self)
            continue;
        if (c->component_known && cluster_names_have(&c->rec.holders, name)) {
            save = cluster_include(&c->rec.votes, name) || save;
            without = false;
        }
        if (!without || !c->without_since[i])
            c->without_since[i] = without ? now : 0;
        if (without && cluster_vote(&c->rec.votes, name) % 2 == 0 &&
            now - c->without_since[i] >= excluded_after(c, i)) {
            cluster_exclude(&c->rec.votes, name);
            save = true;
        }
    }
    if (save) {
        cluster_act(out, ACT_SAVE);
        c->hb_at = 0;
    }
}

/* --- of whoever joins ----------------------------------------------------------------------- */

bool cluster_votes_again(struct cluster *c, uint64_t now, struct cluster_out *out)
{
    const char *name = c->cfg.names[c->cfg.self];
    uint64_t version = cluster_vote(&c->rec.votes, name);
    unsigned waiting = 0;

    /* Always higher: somebody may just be excluding it. */
    if (!c->claimed || version % 2) {
        version += version % 2 ? 1 : 2;
        raise_to(&c->rec.votes, name, version);
        c->claimed = true;
        cluster_act(out, ACT_SAVE);
        cluster_heartbeat(c, out);
    }
    for (unsigned i = 0; i < c->cfg.n; i++) {
        const struct cluster_msg *hb = &c->peers[i].hb;

        if (i != c->cfg.self && cluster_heard(c, i, now) && hb->state == CLUSTER_PRIMARY &&
            hb->votes_known && cluster_vote(&hb->votes, name) < version)
            waiting |= 1U << i;
    }
    if (waiting) {
        snprintf(c->why, sizeof(c->why), "asks for its vote, to join the cluster");
        c->waiting = waiting;
    }
    return !waiting;
}
