/* SPDX-License-Identifier: Apache-2.0 */
/* Time, machines, agents and their network. An agent is the step function that ships; its actions
 * run in order, and after SAVE all waits until the record is on disk. */
#include <stdio.h>
#include <string.h>

#include "tests/sim/sim.h"

struct cluster_msg world_messages[QUEUE];
struct cluster_out world_outs[MACHINES];

/* The entry `k` of the queue is done; its slot is free again. */
static void take_out(struct world *w, unsigned k)
{
    struct wire x = w->queue[k];

    w->queue[k] = w->queue[--w->queued];
    w->queue[w->queued] = x;
}

bool world_arbitrates(const struct world *w, unsigned i)
{
    return i == w->n;
}

bool world_connected(const struct world *w, unsigned cut, unsigned a, unsigned b)
{
    (void)w;
    return !(cut & 1U << a) == !(cut & 1U << b);
}

/* What was on its way over the connections of machine `i` goes with them. */
static void drop_messages(struct world *w, unsigned i)
{
    for (unsigned k = 0; k < w->queued;) {
        const struct wire *x = &w->queue[k];

        if (x->to != i && (x->from != i || x->at < w->now + 100))
            k++;
        else
            take_out(w, k);
    }
}

void world_power_off(struct world *w, unsigned i, uint64_t lasts)
{
    struct node *nd = &w->nodes[i];

    if (nd->saved_at)
        disk_save(nd, true);
    db_kill(w, i);
    drop_messages(w, i);
    nd->up = nd->acting = nd->refusal = false;
    nd->permit_at = nd->saved_at = 0;
    nd->done = world_outs[i].n = 0;
    nd->power_at = 0;
    nd->off_at = 0;
    nd->boots_at = w->now + lasts;
}

/* --- messages ------------------------------------------------------------------------------ */

static void send(struct world *w, unsigned i, const struct cluster_action *a)
{
    bool lossy = w->now < w->lossless_at;
    unsigned copies = lossy && rnd(5) == 0 ? 0 : lossy && rnd(8) == 0 ? 2 : 1;

    for (; copies && w->queued < QUEUE; copies--) {
        struct wire *x = &w->queue[w->queued++];

        x->at = w->now + 5 + rnd(lossy && rnd(20) == 0 ? 8000 : 30);
        x->from = i;
        x->to = w->nodes[i].member[a->to];
        world_messages[x->slot] = a->msg;
    }
}

static void deliver(struct world *w)
{
    static struct cluster_msg m;

    for (unsigned k = 0; k < w->queued;) {
        const struct wire *x = &w->queue[k];
        const struct node *nd = &w->nodes[x->to];
        unsigned to = x->to, from = x->from;

        if (x->at > w->now || (nd->up && nd->saved_at)) {
            k++;
            continue;
        }
        m = world_messages[x->slot];
        take_out(w, k);
        if (!nd->up || nd->refused || !world_connected(w, w->cut_agents, from, to))
            continue;
        unsigned peers = nd->c.cfg.n + nd->c.cfg.arbitrator;
        for (m.from = 0; m.from < peers && nd->member[m.from] != from;)
            m.from++;
        if (m.from < peers)
            world_step(w, to, &(struct cluster_event){.type = EV_MSG, .now = w->now, .msg = &m});
    }
}

/* --- the agent ------------------------------------------------------------------------------ */

static void configure(struct world *w, unsigned i, struct cluster_config *cfg)
{
    struct node *nd = &w->nodes[i];

    *cfg = (struct cluster_config){.seed = rnd(1ULL << 40), .absent_ms = 10000 + rnd(60000)};
    for (unsigned k = 0; k < w->n; k++) {
        if (!(nd->file & 1U << k))
            continue;
        if (k == i)
            cfg->self = cfg->n;
        nd->member[cfg->n] = k;
        cfg->weights[cfg->n] = 1;
        snprintf(cfg->names[cfg->n++], CLUSTER_NAME, "%s", w->nodes[k].name);
    }
    if (w->all > w->n) {
        cfg->arbitrator = true;
        nd->member[cfg->n] = w->n;
        snprintf(cfg->names[cfg->n], CLUSTER_NAME, "%s", w->nodes[w->n].name);
        cfg->self = i == w->n ? cfg->n : cfg->self;
    }
    snprintf(cfg->manifest, sizeof(cfg->manifest), "m%u", nd->file);
    snprintf(cfg->mint, sizeof(cfg->mint), "aaaaaaaa-0000-0000-0000-%012u", ++w->minted);
    snprintf(cfg->incarnation, sizeof(cfg->incarnation), "bbbbbbbb-0000-0000-0000-%012u",
             w->minted);
}

void world_agent_start(struct world *w, unsigned i)
{
    static struct cluster_record rec;
    struct node *nd = &w->nodes[i];
    struct cluster_config cfg;

    bool found = disk_record(&nd->disks, &rec, &nd->generation, &nd->refused);
    configure(w, i, &cfg);
    cluster_init(&nd->c, &cfg, found ? &rec : NULL, w->now);
    nd->tick_at = nd->look_at = w->now;
}

/* What it had begun goes on beside the new one, or never came so far. */
void world_agent_kill(struct world *w, unsigned i)
{
    struct node *nd = &w->nodes[i];

    if (nd->saved_at && rnd(2))
        disk_save(nd, false);
    drop_messages(w, i);
    nd->saved_at = 0;
    nd->done = world_outs[i].n = 0;
    nd->acting = nd->refusal = false;
    if (rnd(2))
        nd->permit_at = 0;
    world_agent_start(w, i);
}

static void begin(struct world *w, unsigned i, const struct cluster_action *a)
{
    struct node *nd = &w->nodes[i];

    if (a->type == ACT_ABANDON) {
        db_kill(w, i);
        return;
    }
    if (nd->acting) { /* as the supervisor: one action at a time */
        nd->refusal = true;
        nd->refusal_of = a->type;
        return;
    }
    nd->acting = true;
    nd->act = a->type;
    nd->act_at = w->now + 200 + rnd(2000);
    if (a->type == ACT_POSITION)
        nd->permit_at = 0; /* what a killed action left */
    if (a->type == ACT_BOOT || a->type == ACT_JOIN) {
        nd->permit_at = w->now + 1 + rnd(800);
        nd->permit_epoch = a->epoch;
        nd->permit_new = a->type == ACT_BOOT;
        nd->permit_file = nd->file;
    }
}

static void perform(struct world *w, unsigned i)
{
    struct node *nd = &w->nodes[i];

    while (nd->up && !nd->saved_at && nd->done < world_outs[i].n) {
        const struct cluster_action *a = &world_outs[i].a[nd->done++];
        bool power_lost = nd->power_at && --nd->power_at == 0;

        if (a->type == ACT_SAVE && (power_lost || rnd(8) == 0))
            nd->saved_at = w->now + 1 + rnd(300);
        else if (a->type == ACT_SAVE)
            disk_save(nd, false);
        if (power_lost) {
            world_power_off(w, i, 1000 + rnd(20000));
            return;
        }
        if (a->type == ACT_SEND)
            send(w, i, a);
        else if (a->type == ACT_WEIGHT)
            db_weigh(w, i);
        else if (a->type != ACT_SAVE && a->type != ACT_ROW && a->type != ACT_REJECT)
            begin(w, i, a);
    }
}

void world_step(struct world *w, unsigned i, const struct cluster_event *ev)
{
    struct node *nd = &w->nodes[i];

    if (!nd->up || nd->refused || nd->saved_at)
        return;
    nd->c.passed = 0;
    cluster_step(&nd->c, ev, &world_outs[i]);
    for (uint64_t left = nd->c.passed; left; left &= left - 1)
        passed[__builtin_ctzll(left)]++;
    nd->done = 0;
    perform(w, i);
    if (nd->up && nd->c.state == CLUSTER_HALT)
        oracle_halt(w, i);
}

/* --- time ----------------------------------------------------------------------------------- */

static void refuse(struct world *w, unsigned i)
{
    struct node *nd = &w->nodes[i];
    struct cluster_event ev = {.now = w->now, .why = "another action is at work"};

    nd->refusal = false;
    ev.type = nd->refusal_of == ACT_POSITION ? EV_POSITION : EV_DONE;
    ev.position = (struct cluster_position){.kind = DATADIR_UNKNOWN, .seqno = -1};
    world_step(w, i, &ev);
}

/* The action under way, when it has ended. */
static void act(struct world *w, unsigned i)
{
    struct node *nd = &w->nodes[i];
    struct cluster_event ev = {.type = EV_DONE, .now = w->now, .why = "it failed"};

    if (nd->act == ACT_BOOT || nd->act == ACT_JOIN) {
        if (nd->permit_at || (!world_arbitrates(w, i) && nd->db != DB_PRIMARY && nd->db != DB_DOWN))
            return;
        ev.ok = world_arbitrates(w, i) ? nd->db != DB_DOWN : nd->db == DB_PRIMARY;
        if (nd->act == ACT_JOIN)
            db_weigh(w, i);
    } else if (w->now < nd->act_at) {
        return;
    } else if (nd->act == ACT_STOP) {
        if (nd->db == DB_NONPRIM || world_arbitrates(w, i))
            db_leave(w, i);
        ev.ok = nd->db == DB_DOWN;
    } else {
        ev.type = EV_POSITION;
        ev.position = nd->db == DB_DOWN ? disk_position(w, nd)
                                        : (struct cluster_position){.kind = DATADIR_UNKNOWN};
    }
    nd->acting = false;
    world_step(w, i, &ev);
}

static void agent_time(struct world *w, unsigned i)
{
    struct node *nd = &w->nodes[i];

    if (nd->refusal)
        refuse(w, i);
    if (nd->acting && !nd->saved_at)
        act(w, i);
    if (nd->up && !nd->saved_at && w->now >= nd->look_at) {
        struct cluster_event ev = db_look(w, i);

        nd->look_at = w->now + (cluster_stable(&nd->c, w->now) ? 10000 : 1000) + rnd(1000);
        world_step(w, i, &ev);
    }
    if (nd->up && !nd->saved_at && w->now >= nd->tick_at) {
        world_step(w, i, &(struct cluster_event){.type = EV_TICK, .now = w->now});
        nd->tick_at = cluster_tick_at(&nd->c, w->now);
    }
}

static void node_time(struct world *w, unsigned i)
{
    struct node *nd = &w->nodes[i];

    if (!nd->up) {
        if (nd->removed || w->now < nd->boots_at)
            return;
        nd->up = true;
        nd->file = nd->next_file = w->file;
        world_agent_start(w, i);
    }
    if (nd->file != nd->next_file && w->now >= nd->file_at) {
        nd->file = nd->next_file;
        world_agent_kill(w, i);
    }
    if (nd->off_at && w->now >= nd->off_at) {
        world_power_off(w, i, nd->off_for);
        return;
    }
    if (nd->permit_at && w->now >= nd->permit_at) {
        nd->permit_at = 0;
        if (nd->db == DB_DOWN)
            db_start(w, i);
    }
    if (nd->saved_at && w->now >= nd->saved_at) {
        disk_save(nd, false);
        nd->saved_at = 0;
        perform(w, i);
    }
    if (nd->up && !nd->saved_at && !nd->refused)
        agent_time(w, i);
}

void world_time(struct world *w)
{
    if (w->now >= w->agents_whole_at)
        w->cut_agents = 0;
    if (w->now >= w->db_whole_at)
        w->cut_db = 0;
    deliver(w);
    db_time(w);
    for (unsigned i = 0; i < w->all; i++)
        node_time(w, i);
}
