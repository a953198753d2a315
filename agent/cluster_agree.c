/* SPDX-License-Identifier: Apache-2.0 */
/* The agreement on one epoch: PREP/PROM, then ACC/ACCED, by all members, not by a majority. What
 * is decided spreads with the heartbeats. */
#include <stdio.h>
#include <string.h>

#include "agent/cluster_internal.h"

static int ballot_compare(struct cluster_ballot a, struct cluster_ballot b)
{
    if (a.round != b.round)
        return a.round < b.round ? -1 : 1;
    return a.round == 0 || a.node == b.node ? 0 : a.node < b.node ? -1 : 1;
}

static struct cluster_msg message(const struct cluster *c, enum cluster_msg_type type)
{
    struct cluster_msg m = {.type = type, .from = c->cfg.self, .epoch = c->rec.epoch + 1};
    memcpy(m.manifest, c->cfg.manifest, sizeof(m.manifest));
    return m;
}

static void send(struct cluster_out *out, unsigned to, const struct cluster_msg *m)
{
    struct cluster_action *a = cluster_act(out, ACT_SEND);
    a->to = to;
    a->msg = *m;
}

void cluster_heartbeat(struct cluster *c, struct cluster_out *out)
{
    struct cluster_msg m = message(c, MSG_HB);
    m.epoch = c->rec.epoch;
    m.state = c->state;
    m.ready = cluster_ready(c);
    m.size = c->running ? c->size : 0;
    m.ballot = c->rec.promised;
    m.position = c->running ? c->live : c->position;
    for (uint64_t e = c->rec.epoch; e > 0 && m.n_chain < CLUSTER_CHAIN && cluster_entry(&c->rec, e);
         e--)
        m.n_chain++;
    for (unsigned i = 0; i < m.n_chain; i++)
        m.chain[i] = *cluster_entry(&c->rec, c->rec.epoch - m.n_chain + 1 + i);
    for (unsigned i = 0; i < c->cfg.n; i++)
        if (i != c->cfg.self)
            send(out, i, &m);
}

/* Epoch `rec.epoch + 1` is decided. */
static void learn(struct cluster *c, const struct cluster_value *v)
{
    c->rec.epoch++;
    c->rec.chain[c->rec.epoch % CLUSTER_CHAIN] = *v;
    memcpy(c->rec.cluster_id, v->cluster_id, sizeof(c->rec.cluster_id));
    c->rec.promised = c->rec.accepted_at = (struct cluster_ballot){0};
    c->rec.accepted = (struct cluster_value){0};
    c->max_round = 0;
    c->prop = (struct cluster_proposal){0};
}

static void learn_from_heartbeat(struct cluster *c, const struct cluster_msg *m, uint64_t now,
                                 struct cluster_out *out)
{
    const struct cluster_value *mine = cluster_entry(&c->rec, m->epoch);
    const struct cluster_value *theirs = m->n_chain ? &m->chain[m->n_chain - 1] : NULL;
    if (mine && theirs &&
        (mine->node != theirs->node || strcmp(mine->cluster_id, theirs->cluster_id) != 0)) {
        cluster_enter(c, CLUSTER_HALT, now, "%s tells another decision of epoch %llu (I15)",
                      c->cfg.names[m->from], (unsigned long long)m->epoch);
        return;
    }
    if (m->epoch <= c->rec.epoch || m->n_chain == 0)
        return;
    /* A gap: what happened in between is not known here. */
    uint64_t first = m->epoch - m->n_chain + 1;
    if (first > c->rec.epoch + 1) {
        memset(c->rec.chain, 0, sizeof(c->rec.chain));
        c->rec.epoch = first - 1;
    }
    while (c->rec.epoch < m->epoch)
        learn(c, &m->chain[c->rec.epoch + 1 - first]);
    if (c->has_record)
        cluster_act(out, ACT_SAVE);
    if (c->state == CLUSTER_PROPOSING || c->state == CLUSTER_FROZEN)
        cluster_enter(c, CLUSTER_STOPPED, now, "epoch %llu is decided: %s starts first",
                      (unsigned long long)c->rec.epoch,
                      c->cfg.names[cluster_entry(&c->rec, c->rec.epoch)->node]);
}

/* --- the member's side --------------------------------------------------------------------- */

static void nack(struct cluster *c, const struct cluster_msg *m, struct cluster_out *out)
{
    struct cluster_msg answer = message(c, MSG_NACK);
    answer.ballot = c->rec.promised;
    send(out, m->from, &answer);
}

static void note_report(struct cluster *c, const struct cluster_position *p)
{
    bool real = (p->kind == DATADIR_OK || p->kind == DATADIR_TAINTED) && p->uuid[0];
    if (!real || (strcmp(c->rec.hw_uuid, p->uuid) == 0 && p->seqno <= c->rec.hw))
        return;
    memcpy(c->rec.hw_uuid, p->uuid, sizeof(c->rec.hw_uuid));
    c->rec.hw = p->seqno;
}

static void on_prep(struct cluster *c, const struct cluster_msg *m, uint64_t now,
                    struct cluster_out *out)
{
    if (m->epoch != c->rec.epoch + 1)
        return; /* heartbeats bring whoever is behind up to date */
    if (!cluster_ready(c) || ballot_compare(m->ballot, c->rec.promised) < 0) {
        nack(c, m, out);
        return;
    }
    if (ballot_compare(m->ballot, c->rec.promised) > 0) {
        c->rec.promised = m->ballot;
        cluster_act(out, ACT_SAVE);
    }
    cluster_enter(c, CLUSTER_FROZEN, now, "promised epoch %llu to %s", (unsigned long long)m->epoch,
                  c->cfg.names[m->from]);
    c->since = now;
    struct cluster_msg answer = message(c, MSG_PROM);
    answer.ballot = m->ballot;
    answer.position = c->position;
    answer.accepted_at = c->rec.accepted_at;
    answer.value = c->rec.accepted;
    send(out, m->from, &answer);
}

static void on_acc(struct cluster *c, const struct cluster_msg *m, uint64_t now,
                   struct cluster_out *out)
{
    if (m->epoch != c->rec.epoch + 1)
        return;
    if (!cluster_ready(c) || ballot_compare(m->ballot, c->rec.promised) != 0) {
        nack(c, m, out);
        return;
    }
    if (ballot_compare(c->rec.accepted_at, m->ballot) != 0) {
        c->rec.accepted_at = m->ballot;
        c->rec.accepted = m->value;
        cluster_act(out, ACT_SAVE);
    }
    cluster_enter(c, CLUSTER_FROZEN, now, "accepted that %s starts epoch %llu",
                  c->cfg.names[m->value.node], (unsigned long long)m->epoch);
    struct cluster_msg answer = message(c, MSG_ACCED);
    answer.ballot = m->ballot;
    send(out, m->from, &answer);
}

/* --- the proposer's side ------------------------------------------------------------------- */

static unsigned missing(const struct cluster *c, const bool *have)
{
    unsigned set = 0;
    for (unsigned i = 0; i < c->cfg.n; i++)
        if (!have[i])
            set |= 1U << i;
    return set;
}

static void decide(struct cluster *c, uint64_t now, struct cluster_out *out)
{
    struct cluster_value v = c->prop.value;
    learn(c, &v);
    cluster_act(out, ACT_SAVE);
    cluster_enter(c, CLUSTER_STOPPED, now, "epoch %llu is decided: %s starts first",
                  (unsigned long long)c->rec.epoch, c->cfg.names[v.node]);
    cluster_heartbeat(c, out);
}

static void send_phase(struct cluster *c, struct cluster_out *out)
{
    struct cluster_proposal *p = &c->prop;
    struct cluster_msg m = message(c, p->accepting ? MSG_ACC : MSG_PREP);
    m.ballot = p->ballot;
    m.value = p->value;
    for (unsigned i = 0; i < c->cfg.n; i++)
        if (!(p->accepting ? p->accepted : p->promised)[i])
            send(out, i, &m);
}

/* Everybody promised: adopt what was accepted before, or choose. */
static void begin_accepting(struct cluster *c, uint64_t now, struct cluster_out *out)
{
    struct cluster_proposal *p = &c->prop;
    char why[CLUSTER_WHY_MAX] = "";
    for (unsigned i = 0; i < c->cfg.n; i++)
        note_report(c, &p->position[i]);
    if (p->highest.round == 0) {
        int best = cluster_choose(&c->cfg, &c->rec, p->position, why);
        if (best < 0) {
            cluster_enter(c, CLUSTER_STOPPED, now, "%s", why);
            c->quiet_at = now + CLUSTER_NONPRIM_WAIT;
            return;
        }
        const struct cluster_position *at = &p->position[best];
        bool fresh = at->kind == DATADIR_FRESH;
        p->value = (struct cluster_value){.node = (unsigned)best, .base = fresh ? -1 : at->seqno};
        memcpy(p->value.uuid, fresh ? "" : at->uuid, fresh ? 1 : sizeof(at->uuid));
        memcpy(p->value.cluster_id, c->rec.cluster_id[0] ? c->rec.cluster_id : c->cfg.mint,
               sizeof(p->value.cluster_id));
    }
    p->accepting = true;
    c->rec.accepted_at = p->ballot;
    c->rec.accepted = p->value;
    cluster_act(out, ACT_SAVE);
    p->accepted[c->cfg.self] = true;
    if (c->cfg.n == 1)
        decide(c, now, out);
    else
        send_phase(c, out);
}

void cluster_propose(struct cluster *c, uint64_t now, struct cluster_out *out)
{
    unsigned tries = c->prop.tries;
    c->prop = (struct cluster_proposal){.tries = tries + 1};
    c->prop.ballot = (struct cluster_ballot){++c->max_round, c->cfg.self};
    c->prop.again = now + (CLUSTER_RETRY << (tries < 4 ? tries : 4));
    c->rec.promised = c->prop.ballot;
    cluster_act(out, ACT_SAVE);
    c->prop.promised[c->cfg.self] = true;
    c->prop.position[c->cfg.self] = c->position;
    c->prop.highest = c->rec.accepted_at;
    c->prop.value = c->rec.accepted;
    cluster_enter(c, CLUSTER_PROPOSING, now, "asks all members for their positions");
    if (c->cfg.n == 1)
        begin_accepting(c, now, out);
    else
        send_phase(c, out);
}

void cluster_propose_again(struct cluster *c, uint64_t now, struct cluster_out *out)
{
    struct cluster_proposal *p = &c->prop;
    c->waiting = missing(c, p->accepting ? p->accepted : p->promised);
    if (now < p->again)
        return;
    if (p->tries >= 5 || c->max_round > p->ballot.round) {
        /* Somebody promised more to another, or is gone: from the beginning. */
        unsigned waiting = c->waiting;
        cluster_enter(c, CLUSTER_STOPPED, now, "the last proposal was not answered by all");
        c->waiting = waiting;
        c->quiet_at = now + CLUSTER_QUIET_MIN + 700 * c->cfg.self;
        c->prop.tries = 0;
        return;
    }
    p->again = now + (CLUSTER_RETRY << p->tries++);
    send_phase(c, out);
}

static void on_prom(struct cluster *c, const struct cluster_msg *m, uint64_t now,
                    struct cluster_out *out)
{
    struct cluster_proposal *p = &c->prop;
    if (c->state != CLUSTER_PROPOSING || p->accepting || m->epoch != c->rec.epoch + 1 ||
        ballot_compare(m->ballot, p->ballot) != 0 || p->promised[m->from])
        return;
    p->promised[m->from] = true;
    p->position[m->from] = m->position;
    if (ballot_compare(m->accepted_at, p->highest) > 0) {
        p->highest = m->accepted_at;
        p->value = m->value;
    }
    if (!missing(c, p->promised))
        begin_accepting(c, now, out);
}

static void on_acced(struct cluster *c, const struct cluster_msg *m, uint64_t now,
                     struct cluster_out *out)
{
    struct cluster_proposal *p = &c->prop;
    if (c->state != CLUSTER_PROPOSING || !p->accepting || m->epoch != c->rec.epoch + 1 ||
        ballot_compare(m->ballot, p->ballot) != 0)
        return;
    p->accepted[m->from] = true;
    if (!missing(c, p->accepted))
        decide(c, now, out);
}

void cluster_message(struct cluster *c, const struct cluster_msg *m, uint64_t now,
                     struct cluster_out *out)
{
    if (m->from >= c->cfg.n || m->from == c->cfg.self || c->state == CLUSTER_HALT ||
        strcmp(m->manifest, c->cfg.manifest) != 0)
        return;
    uint64_t slot = m->type == MSG_HB ? m->epoch + 1 : m->epoch; /* an HB tells what is promised */
    if (slot == c->rec.epoch + 1 && m->ballot.round > c->max_round)
        c->max_round = m->ballot.round;
    switch (m->type) {
    case MSG_HB:
        if (!cluster_heard(c, m->from, now))
            cluster_heartbeat(c, out); /* who has just come waits for our word */
        c->peers[m->from] = (struct cluster_peer){.heard = true, .at = now, .hb = *m};
        learn_from_heartbeat(c, m, now, out);
        break;
    case MSG_PREP:
        on_prep(c, m, now, out);
        break;
    case MSG_PROM:
        on_prom(c, m, now, out);
        break;
    case MSG_ACC:
        on_acc(c, m, now, out);
        break;
    case MSG_ACCED:
        on_acced(c, m, now, out);
        break;
    case MSG_NACK:
        /* A higher promise was made: the first member tries above it at once, others wait. */
        if (c->state == CLUSTER_PROPOSING && c->cfg.self == 0 &&
            c->max_round > c->prop.ballot.round && c->prop.tries < 5)
            cluster_propose(c, now, out);
        break;
    case MSG_TYPES:
        break;
    }
}
