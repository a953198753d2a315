/* SPDX-License-Identifier: Apache-2.0 */
/* The agreement on one epoch: PREPARE/PROMISE, then ACCEPT/ACCEPTED, by all members, not by a
 * majority. What is decided spreads with the heartbeats. */
#include <stdio.h>
#include <string.h>

#include "agent/cluster/internal.h"

static int ballot_compare(struct cluster_ballot a, struct cluster_ballot b)
{
    if (a.round != b.round)
        return a.round < b.round ? -1 : 1;
    int order = a.round ? strcmp(a.node, b.node) : 0;
    return order < 0 ? -1 : order > 0;
}

static struct cluster_ballot ballot(const struct cluster *c, uint64_t round)
{
    struct cluster_ballot b = {.round = round};

    memcpy(b.node, c->cfg.names[c->cfg.self], sizeof(b.node));
    return b;
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

/* The agent is new and the join is not: the others are to know that this is nobody's donor. */
static bool joins_still(const struct cluster *c)
{
    return c->state == CLUSTER_UNCONF && c->db_seen && c->running && !c->primary && !c->unknown &&
           c->rec.joining;
}

void cluster_heartbeat(struct cluster *c, struct cluster_out *out)
{
    struct cluster_msg m = message(c, MSG_HEARTBEAT);

    m.epoch = c->rec.epoch;
    m.state = joins_still(c) ? CLUSTER_JOINING : c->state;
    m.ready = cluster_ready(c);
    m.size = c->running && !c->unknown ? c->size : 0;
    m.arbitrated = c->arbitrated;
    m.bytes = c->bytes;
    m.cached = c->cached;
    m.ballot = c->rec.promised;
    m.position = c->running ? c->live : c->position;
    if (c->running)
        m.position.last_epoch = c->rec.last_epoch;
    m.data = c->rec.data;
    m.held = c->rec.held[0] || c->leaving;
    m.permit_used = c->rec.amnesiac ? c->rec.epoch : c->rec.permit_used;
    m.booted = c->rec.booted;
    m.holders = c->rec.holders;
    m.votes_known = true;
    m.votes = c->rec.votes;
    memcpy(m.hw_uuid, c->rec.hw_uuid, sizeof(m.hw_uuid));
    m.hw = c->rec.hw;
    m.chain_from = c->rec.chain_from;
    m.n_chain = c->rec.n_chain;
    memcpy(m.chain, c->rec.chain, m.n_chain * sizeof(m.chain[0]));
    for (unsigned i = 0; i < c->cfg.n + c->cfg.arbitrator; i++)
        if (i != c->cfg.self)
            send(out, i, &m);
}

/* The highest durable position of the newest history; whether it rose. Which history that is may
 * not be decided yet: the first that was reported stays, or two members tell each other in turns.
 */
static bool note_report(struct cluster *c, const char *uuid, int64_t seqno)
{
    const struct cluster_value *v = cluster_entry(&c->rec, c->rec.epoch);
    bool same = strcmp(c->rec.hw_uuid, uuid) == 0, decided = v && v->uuid[0];

    if (!uuid[0] || (decided && strcmp(v->uuid, uuid) != 0) || (same && seqno <= c->rec.hw) ||
        (!same && c->rec.hw_uuid[0] && !decided))
        return false;
    memcpy(c->rec.hw_uuid, uuid, sizeof(c->rec.hw_uuid));
    c->rec.hw = seqno;
    return true;
}

static void note_position(struct cluster *c, const struct cluster_position *p)
{
    if ((p->kind == DATADIR_OK || p->kind == DATADIR_TAINTED) && !p->diverged)
        note_report(c, p->uuid, p->seqno);
}

static void forget_name(struct cluster_names *names, const char *name)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < names->n; i++)
        if (strcmp(names->name[i], name) != 0)
            memmove(names->name[kept++], names->name[i], CLUSTER_NAME);
    names->n = kept;
}

/* What an operator accepted is decided now: used once. */
static void learn_loss(struct cluster *c, const struct cluster_value *v)
{
    char names[CLUSTER_LOST], *save = NULL;

    memcpy(names, v->lost, sizeof(names));
    for (char *name = strtok_r(names, " ", &save); name; name = strtok_r(NULL, " ", &save)) {
        forget_name(&c->rec.holders, name);
        cluster_exclude(&c->rec.votes, name);
    }
    c->rec.lost[0] = c->rec.because[0] = '\0';
    memcpy(c->rec.hw_uuid, v->uuid, sizeof(c->rec.hw_uuid));
    c->rec.hw = v->base;
}

/* A name of the first version is an index that says nothing here. */
static bool same_name(const char *a, const char *b)
{
    return a[0] == '#' || b[0] == '#' || strcmp(a, b) == 0;
}

static bool same_decision(const struct cluster_value *a, const struct cluster_value *b)
{
    return same_name(a->node, b->node) && strcmp(a->cluster_id, b->cluster_id) == 0 &&
           strcmp(a->uuid, b->uuid) == 0 && a->base == b->base;
}

/* The next decision that is known here. */
static void learn(struct cluster *c, const struct cluster_value *v)
{
    cluster_append(&c->rec, v);
    memcpy(c->rec.cluster_id, v->cluster_id, sizeof(c->rec.cluster_id));
    c->rec.promised = c->rec.accepted_at = (struct cluster_ballot){0};
    c->rec.accepted = (struct cluster_value){0};
    c->max_round = 0;
    c->refusals = 0;
    c->refused[0] = '\0';
    c->prop = (struct cluster_proposal){0};
    if (!v->uuid[0]) /* a history begins */
        c->rec.hw_uuid[0] = '\0';
    if (v->lost[0])
        learn_loss(c, v);
}

static const struct cluster_value *contradicts(const struct cluster *c, const struct cluster_msg *m)
{
    for (unsigned i = 0; i < m->n_chain; i++) {
        const struct cluster_value *mine = cluster_entry(&c->rec, m->chain[i].epoch);

        if (mine && !same_decision(mine, &m->chain[i]))
            return mine;
    }
    return NULL;
}

static void learn_chain(struct cluster *c, const struct cluster_msg *m)
{
    /* A gap: what happened in between is not known here. */
    if (m->chain_from > c->rec.epoch + 1) {
        c->rec.n_chain = 0;
        c->rec.chain_from = m->chain_from;
    }
    for (unsigned i = 0; i < m->n_chain; i++)
        if (m->chain[i].epoch > c->rec.epoch)
            learn(c, &m->chain[i]);
}

/* It serves, and the others decided without it, as if it were lost: two could serve. */
static bool decided_without_me(struct cluster *c, uint64_t now)
{
    const struct cluster_value *v = cluster_entry(&c->rec, c->rec.epoch);

    if (!v || !cluster_lost_has(v->lost, c->cfg.names[c->cfg.self]) ||
        c->rec.last_epoch >= v->epoch || c->state != CLUSTER_PRIMARY)
        return false;
    cluster_enter(c, CLUSTER_HALT, now,
                  "epoch %llu was decided as if this node were lost, and it serves (I15)",
                  (unsigned long long)v->epoch);
    return true;
}

/* `before`: the one that came before it from the same member. */
static void learn_from_heartbeat(struct cluster *c, const struct cluster_msg *m,
                                 const struct cluster_peer *before, uint64_t now,
                                 struct cluster_out *out)
{
    const struct cluster_value *other = contradicts(c, m);
    uint64_t booted = m->state == CLUSTER_PRIMARY && m->epoch > m->booted ? m->epoch : m->booted;
    bool save = false;

    if (other) {
        cluster_enter(c, CLUSTER_HALT, now, "%s tells another decision of epoch %llu (I15)",
                      c->cfg.names[m->from], (unsigned long long)other->epoch);
        return;
    }
    if (m->epoch > c->rec.epoch && m->n_chain) {
        learn_chain(c, m);
        save = true;
        if (!decided_without_me(c, now) &&
            (c->state == CLUSTER_PROPOSING || c->state == CLUSTER_FROZEN))
            cluster_enter(c, CLUSTER_STOPPED, now, "epoch %llu is decided: %s starts first",
                          (unsigned long long)c->rec.epoch,
                          cluster_entry(&c->rec, c->rec.epoch)->node);
    }
    /* Who has the data is known by whoever has it, and remembered by whoever does not: the latest
     * news, since one whose database gives no answer repeats an old list. */
    bool news = !before->heard || before->at <= c->since || before->hb.state != CLUSTER_PRIMARY ||
                !cluster_names_same(&before->hb.holders, &m->holders);
    if (news && m->state == CLUSTER_PRIMARY && c->state != CLUSTER_PRIMARY && m->holders.n &&
        !cluster_names_same(&m->holders, &c->rec.holders)) {
        c->rec.holders = m->holders;
        save = true;
    }
    /* Galera has merged them again, and that one has looked since: it may acknowledge at once. */
    if (m->state == CLUSTER_PRIMARY && c->state == CLUSTER_PRIMARY && m->size &&
        m->epoch == c->rec.epoch && cluster_names_have(&m->holders, c->cfg.names[c->cfg.self]) &&
        cluster_names_have(&m->holders, c->cfg.names[m->from]) &&
        !cluster_names_have(&c->rec.holders, c->cfg.names[m->from])) {
        cluster_add_holder(c, c->cfg.names[m->from]);
        save = true;
    }
    if (booted > c->rec.booted) {
        c->rec.booted = booted;
        save = true;
    }
    save = note_report(c, m->hw_uuid, m->hw) || save;
    if (cluster_votes_join(&c->rec.votes, &m->votes)) {
        c->hb_at = 0; /* whoever asks for its vote waits for the answer, and then joins */
        memset(c->without_since, 0, sizeof(c->without_since));
        save = true;
    }
    if (save)
        cluster_act(out, ACT_SAVE);
}

/* --- the member's side --------------------------------------------------------------------- */

static void nack(struct cluster *c, const struct cluster_msg *m, struct cluster_out *out)
{
    struct cluster_msg answer = message(c, MSG_NACK);

    answer.ballot = c->rec.promised;
    send(out, m->from, &answer);
}

/* Whose gate is closed for another reason votes, and stays as it is. */
static void freeze(struct cluster *c, uint64_t now, const char *fmt, unsigned long long epoch,
                   const char *from)
{
    if (c->state == CLUSTER_QUARANTINE || c->state == CLUSTER_AMNESIAC)
        return;
    cluster_enter(c, CLUSTER_FROZEN, now, fmt, epoch, from);
    c->since = now;
}

static void on_prep(struct cluster *c, const struct cluster_msg *m, uint64_t now,
                    struct cluster_out *out)
{
    if (m->epoch != c->rec.epoch + 1)
        return; /* heartbeats bring whoever is behind up to date */
    /* The permit of the last decision comes first: used or declined. */
    if (!cluster_ready(c) || cluster_decided_for_me(c) ||
        ballot_compare(m->ballot, c->rec.promised) < 0) {
        nack(c, m, out);
        return;
    }
    if (ballot_compare(m->ballot, c->rec.promised) > 0) {
        c->rec.promised = m->ballot;
        cluster_act(out, ACT_SAVE);
    }
    freeze(c, now, "promised epoch %llu to %s", (unsigned long long)m->epoch,
           c->cfg.names[m->from]);
    struct cluster_msg answer = message(c, MSG_PROMISE);
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
    freeze(c, now, "accepted for epoch %llu what %s proposes", (unsigned long long)m->epoch,
           c->cfg.names[m->from]);
    struct cluster_msg answer = message(c, MSG_ACCEPTED);
    answer.ballot = m->ballot;
    send(out, m->from, &answer);
}

/* --- the proposer's side ------------------------------------------------------------------- */

static unsigned missing(const struct cluster *c, const bool *have, uint64_t now)
{
    unsigned set = 0;

    for (unsigned i = 0; i < c->cfg.n; i++)
        if (!have[i] && !cluster_excused(c, i, now))
            set |= 1U << i;
    return set;
}

static void decide(struct cluster *c, uint64_t now, struct cluster_out *out)
{
    struct cluster_value v = c->prop.value;

    learn(c, &v);
    cluster_act(out, ACT_SAVE);
    cluster_enter(c, CLUSTER_STOPPED, now, "epoch %llu is decided: %s starts first",
                  (unsigned long long)c->rec.epoch, v.node);
    cluster_heartbeat(c, out);
}

static void send_phase(struct cluster *c, struct cluster_out *out)
{
    struct cluster_proposal *p = &c->prop;
    struct cluster_msg m = message(c, p->accepting ? MSG_ACCEPT : MSG_PREPARE);

    m.ballot = p->ballot;
    m.value = p->value;
    for (unsigned i = 0; i < c->cfg.n; i++)
        if (!(p->accepting ? p->accepted : p->promised)[i])
            send(out, i, &m);
}

static int choose_value(struct cluster *c, struct cluster_value *ret, char why[CLUSTER_WHY_MAX])
{
    const struct cluster_position *reports = c->prop.position;

    for (unsigned i = 0; i < c->cfg.n; i++)
        if (!cluster_lost(c, i))
            note_position(c, &reports[i]);
    int best = cluster_choose(&c->cfg, &c->rec, reports, c->prop.promised, c->rec.lost, why);
    if (best < 0)
        return -1;
    const struct cluster_position *at = &reports[best];
    bool blank = at->kind == DATADIR_FRESH || at->kind == DATADIR_EMPTY;
    if (blank && cluster_data_gone(c, reports, why))
        return -1;
    *ret = (struct cluster_value){.epoch = c->rec.epoch + 1, .base = blank ? -1 : at->seqno};
    memcpy(ret->node, c->cfg.names[best], sizeof(ret->node));
    memcpy(ret->incarnation, at->incarnation, sizeof(ret->incarnation));
    memcpy(ret->uuid, blank ? "" : at->uuid, blank ? 1 : sizeof(at->uuid));
    memcpy(ret->cluster_id, c->rec.cluster_id[0] ? c->rec.cluster_id : c->cfg.mint,
           sizeof(ret->cluster_id));
    memcpy(ret->lost, c->rec.lost, sizeof(ret->lost));
    memcpy(ret->because, c->rec.because, sizeof(ret->because));
    return 0;
}

/* Everybody promised: adopt what was accepted before, or choose. */
static void begin_accepting(struct cluster *c, uint64_t now, struct cluster_out *out)
{
    struct cluster_proposal *p = &c->prop;
    char why[CLUSTER_WHY_MAX] = "";
    bool blocked = cluster_copy_missing(c, now);

    if (blocked)
        memcpy(why, c->why, sizeof(why));
    if (blocked || (p->highest.round == 0 && choose_value(c, &p->value, why) < 0)) {
        memcpy(c->refused, why, sizeof(why));
        cluster_enter(c, CLUSTER_STOPPED, now, "%s", why);
        c->propose_at = now + (CLUSTER_REFUSED_MS << c->refusals);
        c->refusals += c->refusals < 3;
        return;
    }
    p->accepting = true;
    c->rec.accepted_at = p->ballot;
    c->rec.accepted = p->value;
    cluster_act(out, ACT_SAVE);
    p->accepted[c->cfg.self] = true;
    if (!missing(c, p->accepted, now))
        decide(c, now, out);
    else
        send_phase(c, out);
}

void cluster_propose(struct cluster *c, uint64_t now, struct cluster_out *out)
{
    unsigned tries = c->prop.tries;

    c->prop = (struct cluster_proposal){.tries = tries + 1};
    c->prop.ballot = ballot(c, ++c->max_round);
    c->prop.again = now + (CLUSTER_RETRY_MS << (tries < 4 ? tries : 4));
    c->rec.promised = c->prop.ballot;
    cluster_act(out, ACT_SAVE);
    c->prop.promised[c->cfg.self] = true;
    c->prop.position[c->cfg.self] = c->position;
    c->prop.highest = c->rec.accepted_at;
    c->prop.value = c->rec.accepted;
    cluster_enter(c, CLUSTER_PROPOSING, now, "asks all members for their positions");
    if (!missing(c, c->prop.promised, now))
        begin_accepting(c, now, out);
    else
        send_phase(c, out);
}

void cluster_propose_again(struct cluster *c, uint64_t now, struct cluster_out *out)
{
    struct cluster_proposal *p = &c->prop;

    c->waiting = missing(c, p->accepting ? p->accepted : p->promised, now);
    if (now < p->again)
        return;
    if (p->tries >= 5 || c->max_round > p->ballot.round) {
        /* Somebody promised more to another, or is gone: from the beginning. */
        unsigned waiting = c->waiting;

        cluster_enter(c, CLUSTER_STOPPED, now, "the last proposal was not answered by all");
        c->waiting = waiting;
        c->quiet_at = now + CLUSTER_QUIET_MIN_MS + 700 * c->cfg.self;
        c->prop.tries = 0;
        return;
    }
    p->again = now + (CLUSTER_RETRY_MS << p->tries++);
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
    if (!missing(c, p->promised, now))
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
    if (!missing(c, p->accepted, now))
        decide(c, now, out);
}

static void note_heartbeat(struct cluster *c, const struct cluster_msg *m, uint64_t now,
                           struct cluster_out *out)
{
    if (m->type != MSG_HEARTBEAT)
        return;
    if (!cluster_heard(c, m->from, now))
        cluster_heartbeat(c, out); /* who has just come waits for it */
    c->peers[m->from].heard = true;
    c->peers[m->from].at = now;
    c->peers[m->from].hb = *m;
}

void cluster_message(struct cluster *c, const struct cluster_msg *m, uint64_t now,
                     struct cluster_out *out)
{
    if (m->from >= c->cfg.n + c->cfg.arbitrator || m->from == c->cfg.self ||
        c->state == CLUSTER_HALT || strcmp(m->manifest, c->cfg.manifest) != 0)
        return;
    if (m->from == c->cfg.n || c->cfg.self == c->cfg.n) { /* an arbitrator decides nothing */
        note_heartbeat(c, m, now, out);
        return;
    }
    struct cluster_peer before;
    uint64_t slot =
        m->type == MSG_HEARTBEAT ? m->epoch + 1 : m->epoch; /* an HB tells what is promised */
    if (slot == c->rec.epoch + 1 && m->ballot.round > c->max_round)
        c->max_round = m->ballot.round;
    switch (m->type) {
    case MSG_HEARTBEAT:
        before = c->peers[m->from];
        note_heartbeat(c, m, now, out);
        learn_from_heartbeat(c, m, &before, now, out);
        cluster_evict(c, m->from, now, out);
        break;
    case MSG_PREPARE:
        on_prep(c, m, now, out);
        break;
    case MSG_PROMISE:
        on_prom(c, m, now, out);
        break;
    case MSG_ACCEPT:
        on_acc(c, m, now, out);
        break;
    case MSG_ACCEPTED:
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
