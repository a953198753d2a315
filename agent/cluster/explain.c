/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator is told: what this member waits for, from whom, since when, and what can be done
 * at what price. The sections that it names are those of docs/galera.md. */
#include <stdio.h>
#include <string.h>

#include "agent/cluster/internal.h"

static void span(uint64_t ms, struct strbuf *out)
{
    unsigned long long s = ms / 1000;

    if (s < 120)
        strbuf_addf(out, "%llu s", s);
    else if (s < 7200)
        strbuf_addf(out, "%llu min", s / 60);
    else
        strbuf_addf(out, "%llu h", s / 3600);
}

static const char *name_of(const struct cluster *c, unsigned i)
{
    return c->cfg.names[i];
}

static void position_text(const struct cluster_position *p, struct strbuf *out)
{
    if (p->uuid[0])
        strbuf_addf(out, "position %.8s:%lld", p->uuid, (long long)p->seqno);
    else
        strbuf_addf(out, "no position (%s)", cluster_datadir_name(p->kind));
}

/* What is known of another member. */
static void member_line(const struct cluster *c, unsigned i, uint64_t now, struct strbuf *out)
{
    const struct cluster_peer *p = &c->peers[i];

    strbuf_addf(out, "  %s: ", name_of(c, i));
    if (!p->heard) {
        strbuf_addf(out, "not heard since this agent started%s\n",
                    cluster_excluded(c, i) ? ", no vote: the others decide without it" : "");
        return;
    }
    if (!cluster_heard(c, i, now)) {
        strbuf_adds(out, "not heard for ");
        span(now - p->at, out);
        strbuf_adds(out, "; then ");
    }
    strbuf_addf(out, "%s, epoch %llu, ", cluster_state_name(p->hb.state),
                (unsigned long long)p->hb.epoch);
    position_text(&p->hb.position, out);
    if (cluster_excluded(c, i))
        strbuf_adds(out, ", no vote: the others decide without it");
    strbuf_adds(out, p->hb.held ? ", held by an operator\n" : "\n");
}

static void others(const struct cluster *c, unsigned set, uint64_t now, struct strbuf *out)
{
    for (unsigned i = 0; i < c->cfg.n; i++)
        if (i != c->cfg.self && set & 1U << i)
            member_line(c, i, now, out);
}

static void arbitrator_line(const struct cluster *c, uint64_t now, struct strbuf *out)
{
    const struct cluster_peer *p = &c->peers[c->cfg.n];

    if (!c->cfg.arbitrator || c->cfg.self == c->cfg.n)
        return;
    strbuf_addf(out, "  %s, the arbitrator: ", name_of(c, c->cfg.n));
    if (!p->heard) {
        strbuf_adds(out, "not heard since this agent started\n");
        return;
    }
    if (!cluster_heard(c, c->cfg.n, now)) {
        strbuf_adds(out, "not heard for ");
        span(now - p->at, out);
        strbuf_adds(out, "; then ");
    }
    strbuf_addf(out, "%s\n", cluster_state_name(p->hb.state));
}

/* What only a member that is left behind may have. */
static void price(const struct cluster *c, unsigned i, struct strbuf *out)
{
    const struct cluster_peer *p = &c->peers[i];
    const struct cluster_position *own = c->running ? &c->live : &c->position;
    bool same = p->heard && p->hb.position.uuid[0] && own->uuid[0] &&
                strcmp(p->hb.position.uuid, own->uuid) == 0;

    strbuf_addf(out, "    price: what only %s has is lost", name_of(c, i));
    if (same && p->hb.position.seqno > own->seqno)
        strbuf_addf(out, ": at least %lld..%lld", (long long)own->seqno + 1,
                    (long long)p->hb.position.seqno);
    else if (same)
        strbuf_addf(out, "; it was last heard at %lld, and here is %lld: writes after that, if any",
                    (long long)p->hb.position.seqno, (long long)own->seqno);
    strbuf_addf(out, "\n    if it returns with more than the others have, it is put into "
                     "quarantine; nothing of it is deleted\n");
}

/* Members whose absence is what is waited for. */
static void absent(const struct cluster *c, unsigned set, uint64_t now, struct strbuf *out)
{
    for (unsigned i = 0; i < c->cfg.n; i++) {
        if (!(set & 1U << i) || i == c->cfg.self || cluster_heard(c, i, now))
            continue;
        strbuf_addf(out,
                    "  when %s comes back, with its agent, this ends by itself: is its VM on, and "
                    "does the network between them work?\n"
                    "  when it never does: muster cluster recover --from %s --without %s\n",
                    name_of(c, i), name_of(c, c->cfg.self), name_of(c, i));
        price(c, i, out);
    }
}

static void section(struct strbuf *out, const char *title)
{
    strbuf_addf(out, "  see docs/galera.md, \"%s\"\n", title);
}

static void explain_primary(const struct cluster *c, uint64_t now, struct strbuf *out)
{
    unsigned away = 0;

    strbuf_addf(out, "  serves in a component of %u; %u members are in the file\n", c->size,
                c->cfg.n);
    for (unsigned i = 0; i < c->cfg.n; i++)
        if (i != c->cfg.self &&
            (!cluster_heard(c, i, now) || c->peers[i].hb.state != CLUSTER_PRIMARY))
            away |= 1U << i;
    if (!away) {
        strbuf_adds(out, "  nothing is waited for\n");
        return;
    }
    strbuf_adds(out, "  it serves without these, which join again by themselves when they can:\n");
    others(c, away, now, out);
}

static void explain_quarantine(const struct cluster *c, uint64_t now, struct strbuf *out)
{
    const struct cluster_msg *hb = cluster_live_primary(c, now);
    const struct cluster_position *p = &c->position;
    int64_t base;

    strbuf_adds(out, "  here:        ");
    position_text(p, out);
    strbuf_addf(out, ", last part of epoch %llu\n", (unsigned long long)p->last_epoch);
    if (hb) {
        strbuf_addf(out, "  the cluster: ");
        position_text(&hb->position, out);
        strbuf_addf(out, ", epoch %llu, served by %s\n", (unsigned long long)hb->epoch,
                    name_of(c, hb->from));
    }
    if (p->last_epoch && cluster_base_after(&c->rec, p->last_epoch, &base) && p->seqno > base)
        strbuf_addf(out, "  only here:   %lld..%lld, which the cluster left behind\n",
                    (long long)base + 1, (long long)p->seqno);
    strbuf_addf(out,
                "  to give this data up: muster cluster release %s\n"
                "    price: its data directory is kept beside under another name, and a whole copy "
                "of the cluster's is fetched\n",
                name_of(c, c->cfg.self));
    section(out, "A member is in quarantine");
}

static void explain_arbitrator(const struct cluster *c, uint64_t now, struct strbuf *out)
{
    strbuf_adds(out, c->state == CLUSTER_ARBITRATING
                         ? "  it counts in the quorum of the group, and has no data\n"
                         : "  it joins the group as soon as it hears a member that serves\n");
    others(c, ~0U, now, out);
    section(out, "An arbitrator");
}

static void explain_stopped(const struct cluster *c, uint64_t now, struct strbuf *out)
{
    unsigned set = c->waiting;

    strbuf_adds(out, "  here: ");
    if (c->known)
        position_text(&c->position, out);
    else
        strbuf_adds(out, "position not known yet");
    strbuf_addf(out, ", last part of epoch %llu\n", (unsigned long long)c->rec.last_epoch);
    others(c, ~0U, now, out);
    absent(c, set, now, out);
    for (unsigned i = 0; i < c->cfg.n; i++)
        if (i != c->cfg.self && cluster_heard(c, i, now) && c->peers[i].hb.held)
            strbuf_addf(out, "  %s is held: muster cluster resume %s\n", name_of(c, i),
                        name_of(c, i));
    section(out, "The database does not start");
}

static void explain_rest(const struct cluster *c, uint64_t now, struct strbuf *out)
{
    switch (c->state) {
    case CLUSTER_PRIMARY:
        explain_primary(c, now, out);
        break;
    case CLUSTER_QUARANTINE:
        explain_quarantine(c, now, out);
        break;
    case CLUSTER_NONPRIM:
        strbuf_adds(out, "  reads work, writes are refused: the others may serve, or may have "
                         "acknowledged more\n");
        others(c, ~0U, now, out);
        absent(c, c->waiting, now, out);
        section(out, "No quorum");
        break;
    case CLUSTER_AMNESIAC:
        strbuf_addf(out, "  it joins the cluster by itself when another member serves; its data is "
                         "compared first\n");
        others(c, ~0U, now, out);
        section(out, "The record is lost");
        break;
    case CLUSTER_FAULT:
        strbuf_adds(out, "  it looks again every 10 s; nothing of the data is changed\n");
        others(c, ~0U, now, out);
        section(out, "The data cannot be read");
        break;
    case CLUSTER_HALT:
        strbuf_addf(out,
                    "  two histories of one cluster are at work; this member does nothing until an "
                    "operator has chosen which one stays\n");
        others(c, ~0U, now, out);
        strbuf_addf(out,
                    "  to give the data of this member up: muster cluster release %s\n"
                    "  to keep it, when the other one was released: muster cluster release %s "
                    "--keep\n",
                    name_of(c, c->cfg.self), name_of(c, c->cfg.self));
        section(out, "Two histories");
        break;
    case CLUSTER_JOINING:
    case CLUSTER_BOOTSTRAPPING:
        strbuf_adds(out, "  it is never disturbed, however long it takes\n");
        others(c, ~0U, now, out);
        break;
    default:
        explain_stopped(c, now, out);
    }
}

void cluster_explain(const struct cluster *c, uint64_t now, struct strbuf *out)
{
    strbuf_addf(out, "%s: %s for ", name_of(c, c->cfg.self), cluster_state_name(c->state));
    span(now - c->since, out);
    strbuf_addf(out, ": %s\n", c->why);
    if (c->rec.held[0] && !strstr(c->why, "held by an operator"))
        strbuf_addf(out, "  an operator keeps its gate closed (%s): muster cluster resume %s\n",
                    c->rec.held, name_of(c, c->cfg.self));
    if (cluster_arbitrates(c)) {
        explain_arbitrator(c, now, out);
        return;
    }
    explain_rest(c, now, out);
    arbitrator_line(c, now, out);
}
