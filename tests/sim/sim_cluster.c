/* SPDX-License-Identifier: Apache-2.0 */
/* Simulation of the coordinator: the step function that ships, under messages that are lost,
 * doubled and reordered, nodes that lose power at any action and come back with new disks, looks
 * that get no answer, and databases that commit, lag and lose quorum. Oracle, after every step: at
 * most one bootstrap per epoch (I1), the node that bootstraps holds everything that is durable on
 * any member (I2), nothing empty starts beside data, and what was lost with a disk is left behind
 * only when an operator accepts it.
 *
 *   sim_cluster [SEED [RUNS]]      a failing seed is printed, and fails again when given alone
 *   sim_cluster --edges            the states and what leads from one to another, for
 * docs/galera.md
 *
 * After many runs an edge that was never passed must be one of `elsewhere`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cluster/cluster.h"

#define NODES_MAX 4
#define QUEUE 512
#define END 400000    /* virtual milliseconds of one run */
#define STABLE 200000 /* from here on nothing fails: a Primary must form */

static uint64_t prng;
static unsigned losses, acceptances; /* of all runs */
static unsigned long passed[CLUSTER_EDGES_MAX];

/* Edges that this world seldom or never passes: what does. The position is asked for as soon as a
 * new agent has looked, and takes the permit of a start that was not seen yet away. */
static const struct {
    enum cluster_state from, to;
    const char *by;
} elsewhere[] = {
    {CLUSTER_STOPPED, CLUSTER_UNCONF, "test_agent_edges: test_found_running"},
    {CLUSTER_RECOVERING_POS, CLUSTER_UNCONF, "test_agent_edges: test_found_running"},
    {CLUSTER_FAULT, CLUSTER_UNCONF, "test_agent_edges: test_found_running"},
    {CLUSTER_FROZEN, CLUSTER_UNCONF, "test_agent_edges: test_found_running"},
    {CLUSTER_PROPOSING, CLUSTER_UNCONF, "test_agent_edges: test_found_running"},
    {CLUSTER_BOOT_PERMIT, CLUSTER_UNCONF, "test_agent_edges: test_found_running"},
    {CLUSTER_JOIN_WAIT, CLUSTER_UNCONF, "test_agent_edges: test_found_running"},
    {CLUSTER_RECOVERING_POS, CLUSTER_AMNESIAC, "test_agent_edges: test_amnesiac"},
    {CLUSTER_AMNESIAC, CLUSTER_JOINING, "test_agent_edges: test_amnesiac"},
    {CLUSTER_AMNESIAC, CLUSTER_QUARANTINE, "test_agent_edges: test_amnesiac"},
    {CLUSTER_RECOVERING_POS, CLUSTER_QUARANTINE, "test_agent_edges: test_quarantine"},
    {CLUSTER_JOIN_WAIT, CLUSTER_QUARANTINE, "test_agent_edges: test_quarantine"},
    {CLUSTER_QUARANTINE, CLUSTER_STOPPED, "test_agent_operator: test_release"},
    {CLUSTER_HALT, CLUSTER_STOPPED, "test_agent_edges: test_halt"},
    {CLUSTER_ANY, CLUSTER_HALT, "test_agent_edges: test_halt; a run ends there"},
};

static uint64_t rnd(uint64_t below)
{
    prng ^= prng << 13;
    prng ^= prng >> 7;
    prng ^= prng << 17;
    return prng % below;
}

struct wire {
    uint64_t at;
    unsigned to;
    struct cluster_msg msg;
};

struct node {
    bool up;
    uint64_t boots_at; /* powered on again then */
    struct cluster c;
    /* survives power loss */
    bool has_disk;
    struct cluster_record disk;
    int64_t pos; /* durable position; -1: fresh */
    bool fresh, clean;
    char uuid[37];
    uint64_t history; /* epoch under which its data was last part of a Primary */
    /* does not survive */
    bool db, primary;
    enum cluster_action_type doing;
    uint64_t doing_epoch, done_at; /* 0: nothing */
    uint64_t tick_at, look_at;
    bool new_disk;    /* it lost its disks, and has not been part of a Primary since */
    bool abandoned;   /* the join was given up */
    bool orphan;      /* the agent that began what it does was killed: nobody hears how it ends */
    uint64_t runs_at; /* an orphan's database is seen from then on */
    bool refusal;
    enum cluster_action_type refused;
};

struct world {
    unsigned n;
    uint64_t now, seed;
    struct node nodes[NODES_MAX];
    struct wire queue[QUEUE];
    unsigned queued;
    unsigned boots[64]; /* per epoch */
    unsigned bootstraps, commits, crashes, losses, acceptances, incarnations;
    int64_t debt; /* position that was lost with the disk of `debtor` while it served last */
    unsigned debtor;
    int64_t durable; /* the highest position that any member ever held in the live history */
    char names[NODES_MAX][16];
};

static void fail(const struct world *w, const char *what)
{
    fprintf(stderr, "seed %llu at %llu ms: %s\n", (unsigned long long)w->seed,
            (unsigned long long)w->now, what);
    for (unsigned i = 0; i < w->n; i++)
        fprintf(stderr, "  node %u %s pos %lld epoch %llu %s: %s\n", i,
                w->nodes[i].up ? "up" : "down", (long long)w->nodes[i].pos,
                (unsigned long long)w->nodes[i].disk.epoch, cluster_state_name(w->nodes[i].c.state),
                w->nodes[i].c.why);
    exit(1);
}

static void power_off(struct world *w, struct node *nd)
{
    nd->up = nd->db = nd->primary = false;
    nd->done_at = 0;
    nd->refusal = nd->orphan = false;
    nd->clean = false;
    nd->boots_at = w->now + 1000 + rnd(40000);
    w->crashes++;
}

static bool any_primary(const struct world *w)
{
    for (unsigned i = 0; i < w->n; i++)
        if (w->nodes[i].up && w->nodes[i].db && w->nodes[i].primary)
            return true;
    return false;
}

/* Power and disks are gone; what comes back under its name is empty. */
static void lose(struct world *w, unsigned i)
{
    struct node *nd = &w->nodes[i];
    bool served = false;
    int64_t pos = nd->pos;

    for (unsigned k = 0; k < w->n; k++) /* what nobody else ever heard of cannot be missed */
        served = served || (k != i && w->nodes[k].has_disk && nd->db && nd->primary &&
                            w->nodes[k].disk.booted >= nd->c.rec.last_epoch);
    power_off(w, nd);
    w->losses++;
    nd->new_disk = nd->new_disk || nd->has_disk;
    nd->has_disk = false;
    nd->disk = (struct cluster_record){0};
    nd->pos = -1;
    nd->fresh = true;
    nd->uuid[0] = '\0';
    bool remembered = false, known = false;
    for (unsigned k = 0; k < w->n; k++) {
        known = known || (w->nodes[k].has_disk && w->nodes[k].disk.booted);
        remembered = remembered || (w->nodes[k].has_disk &&
                                    (w->nodes[k].disk.epoch || w->nodes[k].disk.accepted_at.round));
    }
    if (!known) /* nobody is left who heard that anything served */
        w->debt = 0;
    if (!remembered) /* epochs begin again */
        memset(w->boots, 0, sizeof(w->boots));
    if (served && !any_primary(w) && pos > w->debt) {
        w->debt = pos;
        w->debtor = i;
    }
}

static void send_wire(struct world *w, unsigned from, unsigned to, const struct cluster_msg *m)
{
    bool bad = w->now < STABLE;
    unsigned copies = bad && rnd(10) == 0 ? 0 : bad && rnd(10) == 0 ? 2 : 1;

    while (copies--) {
        if (w->queued == QUEUE)
            return;
        struct wire *x = &w->queue[w->queued++];
        x->at = w->now + 5 + rnd(bad && rnd(20) == 0 ? 8000 : 30);
        x->to = to;
        x->msg = *m;
        x->msg.from = from;
    }
}

static void boot_oracle(struct world *w, unsigned i, uint64_t epoch)
{
    struct node *nd = &w->nodes[i];

    if (epoch >= 64)
        return;
    if (++w->boots[epoch] > 1)
        fail(w, "two bootstraps of one epoch");
    const struct cluster_value *v = cluster_entry(&nd->c.rec, epoch);
    if (w->debt && w->debt > nd->pos && (!v || !cluster_lost_has(v->lost, w->names[w->debtor])))
        fail(w, "what was lost with a disk is left behind in silence");
    w->debt = 0;
    for (unsigned k = 0; k < w->n; k++) {
        if (nd->pos < 0 && w->nodes[k].pos >= 0 && !w->nodes[k].disk.diverged)
            fail(w, "an empty bootstrap beside data");
        if (k != i && w->nodes[k].db && w->nodes[k].primary)
            fail(w, "a bootstrap beside a live Primary");
        /* What is in quarantine was left behind by a Primary that served without it. */
        if (k != i && w->nodes[k].pos > nd->pos && !w->nodes[k].disk.diverged)
            fail(w, "the bootstrapped node is behind another member");
    }
    w->bootstraps++;
}

static void begin(struct world *w, unsigned i, const struct cluster_action *a)
{
    struct node *nd = &w->nodes[i];

    if (a->type == ACT_ABANDON) {
        nd->abandoned = nd->done_at && nd->doing == ACT_JOIN;
        nd->done_at = nd->abandoned ? w->now + 100 : nd->done_at;
        return;
    }
    if (nd->orphan && a->type == ACT_POSITION && w->now < nd->runs_at) {
        nd->orphan = false; /* its permit is taken away before it came to use it */
        nd->done_at = 0;
    }
    if (nd->done_at) { /* as the supervisor: one action at a time */
        nd->refused = a->type;
        nd->refusal = true;
        return;
    }
    nd->doing = a->type;
    nd->abandoned = false;
    nd->doing_epoch = a->epoch;
    nd->done_at = w->now + (a->type == ACT_POSITION ? 200 + rnd(2000) : 500 + rnd(4000));
    if (a->type == ACT_BOOT) {
        boot_oracle(w, i, a->epoch);
        nd->fresh = false;
        if (nd->pos < 0) {
            nd->pos = 0;
            snprintf(nd->uuid, sizeof(nd->uuid), "00000000-0000-0000-0000-%012u", 1);
        }
        nd->pos++; /* the view change itself */
    } else if (a->type == ACT_JOIN) {
        nd->fresh = false;
    }
}

static void run_actions(struct world *w, unsigned i, const struct cluster_out *out)
{
    struct node *nd = &w->nodes[i];

    for (size_t k = 0; k < out->n && nd->up; k++) {
        const struct cluster_action *a = &out->a[k];

        /* Power may go at every boundary between two actions. */
        if (w->now < STABLE && rnd(4000) == 0) {
            power_off(w, nd);
            return;
        }
        switch (a->type) {
        case ACT_SAVE:
            nd->disk = nd->c.rec;
            nd->has_disk = true;
            break;
        case ACT_SEND:
            send_wire(w, i, a->to, &a->msg);
            break;
        case ACT_POSITION:
        case ACT_BOOT:
        case ACT_JOIN:
        case ACT_STOP:
        case ACT_ABANDON:
            begin(w, i, a);
            break;
        case ACT_ROW:
            break;
        }
    }
}

static void step(struct world *w, unsigned i, const struct cluster_event *ev)
{
    static struct cluster_out out;

    if (!w->nodes[i].up)
        return;
    w->nodes[i].c.passed = 0;
    cluster_step(&w->nodes[i].c, ev, &out);
    for (unsigned k = 0; k < CLUSTER_EDGES_MAX; k++)
        passed[k] += w->nodes[i].c.passed >> k & 1;
    run_actions(w, i, &out);
    if (w->nodes[i].c.state == CLUSTER_HALT)
        fail(w, "a member halted");
}

static struct node *live_primary(struct world *w)
{
    for (unsigned i = 0; i < w->n; i++)
        if (w->nodes[i].up && w->nodes[i].db && w->nodes[i].primary)
            return &w->nodes[i];
    return NULL;
}

static void finish(struct world *w, unsigned i)
{
    struct node *nd = &w->nodes[i];
    struct cluster_event ev = {.type = EV_DONE, .now = w->now, .ok = true};
    bool orphan = nd->orphan;

    nd->done_at = 0;
    if (nd->doing == ACT_POSITION) {
        ev.type = EV_POSITION;
        ev.position = (struct cluster_position){.kind = nd->fresh     ? DATADIR_FRESH
                                                        : nd->pos < 0 ? DATADIR_SST_PARTIAL
                                                                      : DATADIR_OK,
                                                .seqno = nd->pos,
                                                .clean = nd->clean,
                                                .opened = nd->has_disk && nd->disk.data};
        memcpy(ev.position.uuid, nd->uuid, sizeof(nd->uuid));
    } else if (nd->doing == ACT_BOOT) {
        ev.ok = rnd(20) != 0 || w->now >= STABLE;
        nd->db = nd->primary = ev.ok;
        nd->history = nd->doing_epoch;
        nd->clean = !ev.ok;
    } else if (nd->doing == ACT_JOIN) {
        struct node *donor = nd->abandoned ? NULL : live_primary(w);

        if (!donor && !nd->abandoned && rnd(2)) { /* the donor is gone without notice */
            nd->done_at = UINT64_MAX;
            return;
        }
        ev.ok = donor != NULL;
        if (donor) {
            nd->pos = donor->pos;
            nd->history = donor->history;
            memcpy(nd->uuid, donor->uuid, sizeof(nd->uuid));
            nd->db = nd->primary = true;
        }
        nd->clean = false;
    } else { /* ACT_STOP */
        nd->db = nd->primary = false;
        nd->clean = true;
    }
    nd->orphan = false;
    if (!orphan)
        step(w, i, &ev);
}

/* The link between all members is cut while none of them goes down, and some time later is back. */
static void link_cut(struct world *w)
{
    bool all = true;

    for (unsigned i = 0; i < w->n; i++)
        all = all && w->nodes[i].up && w->nodes[i].db && !w->nodes[i].done_at &&
              w->nodes[i].history == w->nodes[0].history &&
              w->nodes[i].primary == w->nodes[0].primary;
    if (!all || w->now >= STABLE || rnd(w->nodes[0].primary ? 2000 : 100) != 0)
        return;
    for (unsigned i = 0; i < w->n; i++)
        w->nodes[i].primary = !w->nodes[i].primary;
}

/* Galera, roughly: a majority of the last view stays Primary, commits move all of it on. */
static void database(struct world *w)
{
    link_cut(w);
    unsigned running = 0;
    for (unsigned i = 0; i < w->n; i++)
        running += w->nodes[i].up && w->nodes[i].db && w->nodes[i].primary;
    bool quorum = running * 2 > w->n || running == w->n;
    if (running && running * 2 <= w->n && w->n == 2)
        quorum = rnd(3) != 0; /* the other one left gracefully, or crashed */
    for (unsigned i = 0; i < w->n; i++) {
        struct node *nd = &w->nodes[i];

        if (!nd->up || !nd->db || !nd->primary)
            continue;
        if (quorum && rnd(3) == 0) {
            nd->pos = nd->pos + 1;
            w->commits++;
        }
    }
    /* Members of one Primary end up at one position, but for the last commits of its originator. */
    int64_t top = -1;
    for (unsigned i = 0; i < w->n; i++)
        if (w->nodes[i].up && w->nodes[i].primary && w->nodes[i].pos > top)
            top = w->nodes[i].pos;
    for (unsigned i = 0; i < w->n; i++)
        if (w->nodes[i].up && w->nodes[i].primary && rnd(2))
            w->nodes[i].pos = top;
    if (!quorum && rnd(200) == 0)
        for (unsigned i = 0; i < w->n; i++)
            w->nodes[i].primary = false;
}

static void start_agent(struct world *w, unsigned i)
{
    struct node *nd = &w->nodes[i];
    struct cluster_config cfg = {.n = w->n, .self = i, .seed = rnd(1ULL << 40)};

    for (unsigned k = 0; k < w->n; k++) {
        snprintf(cfg.names[k], sizeof(cfg.names[k]), "n%u", k);
        cfg.weights[k] = 1;
    }
    snprintf(cfg.manifest, sizeof(cfg.manifest), "m");
    snprintf(cfg.mint, sizeof(cfg.mint), "aaaaaaaa-0000-0000-0000-%012u", i);
    snprintf(cfg.incarnation, sizeof(cfg.incarnation), "bbbbbbbb-0000-0000-0000-%012u",
             ++w->incarnations);
    cluster_init(&nd->c, &cfg, nd->has_disk ? &nd->disk : NULL, w->now);
    nd->tick_at = nd->look_at = w->now;
}

/* The agent alone is killed: what it had begun goes on beside the new one, or never came so far. */
static void restart_agent(struct world *w, unsigned i)
{
    struct node *nd = &w->nodes[i];

    nd->refusal = false;
    nd->orphan = nd->done_at && nd->doing != ACT_POSITION && rnd(2);
    nd->runs_at = w->now + rnd(3000);
    nd->done_at = !nd->orphan ? 0 : nd->done_at > nd->runs_at ? nd->done_at : nd->runs_at;
    start_agent(w, i);
}

static void deliver(struct world *w)
{
    for (unsigned k = 0; k < w->queued;) {
        if (w->queue[k].at > w->now) {
            k++;
            continue;
        }
        struct wire x = w->queue[k];
        w->queue[k] = w->queue[--w->queued];
        step(w, x.to, &(struct cluster_event){.type = EV_MSG, .now = w->now, .msg = &x.msg});
    }
}

static void node_time(struct world *w, unsigned i)
{
    struct node *nd = &w->nodes[i];

    if (!nd->up) {
        if (w->now >= nd->boots_at) {
            nd->up = true;
            start_agent(w, i);
        }
        return;
    }
    if (w->now < STABLE && rnd(4000) == 0)
        restart_agent(w, i);
    if (w->now < STABLE && rnd(3000) == 0) {
        if (rnd(8) == 0)
            lose(w, i);
        else
            power_off(w, nd);
        return;
    }
    /* An operator sees that it waits, and for whom. */
    if (w->now > STABLE + 60000 && w->now % 10000 == 0 && !any_primary(w))
        for (unsigned k = 0; k < w->n; k++)
            if (w->nodes[k].new_disk) {
                struct cluster_event ev = {.type = EV_RECOVER, .now = w->now};

                snprintf(ev.name, sizeof(ev.name), "%s", w->names[k]);
                step(w, i, &ev);
                w->acceptances += nd->c.accepted;
            }
    if (w->now < STABLE && nd->db && rnd(4000) == 0) { /* the database alone crashes */
        nd->db = nd->primary = false;
        nd->clean = false;
    }
    if (nd->refusal) {
        struct cluster_event ev = {.now = w->now, .why = "another action is at work"};

        nd->refusal = false;
        ev.type = nd->refused == ACT_POSITION ? EV_POSITION : EV_DONE;
        ev.position = (struct cluster_position){.kind = DATADIR_UNREADABLE, .seqno = -1};
        step(w, i, &ev);
    }
    if (nd->done_at && w->now >= nd->done_at)
        finish(w, i);
    if (nd->up && w->now >= nd->look_at) {
        struct cluster_event ev = {
            .type = EV_DB,
            .now = w->now,
            .running = nd->db || (nd->orphan && nd->doing != ACT_STOP && w->now >= nd->runs_at),
            .answers = nd->db,
            .primary = nd->primary,
            .synced = nd->primary};

        nd->look_at = w->now + (cluster_stable(&nd->c, w->now) ? 10000 : 1000) + rnd(1000);
        for (unsigned k = 0; k < w->n; k++)
            if (w->nodes[k].up && w->nodes[k].primary) {
                ev.size++;
                snprintf(ev.members.name[ev.members.n++], CLUSTER_NAME, "n%u", k);
            }
        ev.position = (struct cluster_position){.kind = DATADIR_OK, .seqno = nd->pos};
        memcpy(ev.position.uuid, nd->uuid, sizeof(nd->uuid));
        if (nd->primary)
            nd->new_disk = false;
        if (nd->db && w->now < STABLE && rnd(10) == 0)
            ev = (struct cluster_event){
                .type = EV_DB, .now = w->now, .running = true, .unknown = true, .why = "1040"};
        else if (nd->primary && w->debt && !cluster_names_have(&ev.members, w->names[w->debtor]))
            w->debt = 0; /* the others serve on without it: they have what it had */
        step(w, i, &ev);
    }
    if (nd->up && w->now >= nd->tick_at) {
        nd->tick_at = w->now + 200;
        step(w, i, &(struct cluster_event){.type = EV_TICK, .now = w->now});
    }
}

static unsigned run(uint64_t seed)
{
    static struct world w;

    memset(&w, 0, sizeof(w));
    w.seed = seed;
    prng = seed * 0x9e3779b97f4a7c15ULL | 1;
    w.n = 2 + (unsigned)rnd(NODES_MAX - 1);
    for (unsigned i = 0; i < w.n; i++) {
        snprintf(w.names[i], sizeof(w.names[i]), "n%u", i);
        w.nodes[i].pos = -1;
        w.nodes[i].fresh = true;
        w.nodes[i].boots_at = rnd(10000);
    }
    for (w.now = 0; w.now < END; w.now += 50) {
        deliver(&w);
        database(&w);
        for (unsigned i = 0; i < w.n; i++)
            node_time(&w, i);
    }
    for (unsigned i = 0; i < w.n; i++)
        if (w.nodes[i].c.state == CLUSTER_QUARANTINE)
            return w.bootstraps; /* ahead of a Primary that went on without it: an operator's */
    for (unsigned i = 0; i < w.n; i++)
        if (!w.nodes[i].primary)
            fail(&w, "nothing failed for long, and not everybody is part of a Primary (I16)");
    losses += w.losses;
    acceptances += w.acceptances;
    return w.bootstraps;
}

static const char *name_of(enum cluster_state s)
{
    return s == CLUSTER_ANY ? "any" : cluster_state_name(s);
}

static void print_edges(void)
{
    enum cluster_state from = CLUSTER_HALT;

    for (unsigned i = 0; cluster_edges[i].why; i++) {
        const struct cluster_edge *e = &cluster_edges[i];

        printf("%-16s --> %-16s  %s\n", e->from == from ? "" : name_of(e->from), name_of(e->to),
               e->why);
        from = e->from;
    }
}

/* How often each was passed; how many never were, and should have been. */
static unsigned coverage(void)
{
    unsigned bad = 0;

    for (unsigned i = 0; cluster_edges[i].why; i++) {
        const struct cluster_edge *e = &cluster_edges[i];
        const char *by = passed[i] ? "" : "NEVER";

        for (size_t k = 0; !passed[i] && k < sizeof(elsewhere) / sizeof(elsewhere[0]); k++)
            if (elsewhere[k].from == e->from && elsewhere[k].to == e->to)
                by = elsewhere[k].by;
        bad += strcmp(by, "NEVER") == 0;
        printf("%10lu  %-16s --> %-16s  %s\n", passed[i], name_of(e->from), name_of(e->to), by);
    }
    return bad;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--edges") == 0) {
        print_edges();
        return 0;
    }
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t runs = argc > 2 ? strtoull(argv[2], NULL, 10) : argc > 1 ? 1 : 40;
    unsigned bootstraps = 0;
    for (uint64_t s = seed; s < seed + runs; s++)
        bootstraps += run(s);
    printf(
        "%llu runs from seed %llu: %u bootstraps, %u disks lost, %u losses accepted, no invariant "
        "broken\n",
        (unsigned long long)runs, (unsigned long long)seed, bootstraps, losses, acceptances);
    return coverage() && runs >= 1000;
}
