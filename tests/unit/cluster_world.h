/* SPDX-License-Identifier: Apache-2.0 */
/* Whole nodes for tests of the coordinator: each with the step function that ships, on a network,
 * on disks and with databases that do what a test says. */
#ifndef MUSTER_TESTS_CLUSTER_WORLD_H
#define MUSTER_TESTS_CLUSTER_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/cluster/cluster.h"
#include "common/cleanup.h"
#include "common/str.h"

#define NODES 4
#define UUID "6dce997e-e693-11f1-bb69-13b141fb1408"

struct node {
    char name[CLUSTER_NAME];
    bool up, cut; /* cut: its agent hears nobody, and is not heard */
    struct cluster c;
    bool has_record;
    struct cluster_record record;
    bool on_disk; /* the data disk has the record, too */
    enum cluster_datadir kind;
    int64_t seqno;
    bool clean, aria;
    bool db, primary, unknown;
    bool left;                   /* its database has left the group and goes on running */
    bool hangs;                  /* its next join is given up by Galera, and its server stays */
    bool hangs_apart;            /* and says that it has no quorum */
    bool cannot_boot, join_dies; /* join_dies: power is lost after the gate has opened */
    unsigned boots, stops, abandoned;
    unsigned evictions; /* it asked for; of that one the last time */
    char evicted[37];
    uint64_t cached; /* what its look says */
    bool whole;      /* its last join knew that it is a whole copy */
    enum cluster_datadir booted_from;
};

struct world {
    uint64_t now;
    unsigned n; /* nodes that exist */
    struct node nodes[NODES];
    char roster[NODES][CLUSTER_NAME]; /* of the file */
    unsigned n_roster;
    unsigned incarnations;
};

static struct node *get(struct world *w, const char *name)
{
    for (unsigned i = 0; i < w->n; i++)
        if (strcmp(w->nodes[i].name, name) == 0)
            return &w->nodes[i];
    fail_msg("no node %s", name);
    abort(); /* it does not return */
}

static void step(struct world *w, struct node *nd, struct cluster_event *ev);

/* A promise or an acceptance is on disk before anybody hears of it, until the epoch is decided. */
static void assert_saved(const struct node *from, const struct cluster_msg *m)
{
    if (m->type != MSG_HEARTBEAT && from->record.epoch >= m->epoch)
        return;
    if (m->type == MSG_PREPARE || m->type == MSG_PROMISE)
        assert_true(from->record.promised.round >= m->ballot.round);
    if (m->type == MSG_ACCEPT || m->type == MSG_ACCEPTED)
        assert_true(from->record.accepted_at.round >= m->ballot.round);
}

static void send(struct world *w, struct node *from, const struct cluster_action *a)
{
    const char *to = from->c.cfg.names[a->to];
    struct cluster_msg m = a->msg;

    assert_saved(from, &m);
    for (unsigned i = 0; i < w->n; i++) {
        struct node *nd = &w->nodes[i];

        if (strcmp(nd->name, to) != 0 || !nd->up || nd->cut || from->cut)
            continue;
        for (m.from = 0; m.from < nd->c.cfg.n; m.from++)
            if (strcmp(nd->c.cfg.names[m.from], from->name) == 0)
                break;
        if (m.from < nd->c.cfg.n)
            step(w, nd, &(struct cluster_event){.type = EV_MSG, .now = w->now, .msg = &m});
    }
}

static void power_off(struct node *nd)
{
    nd->up = nd->db = nd->primary = nd->clean = false;
}

static bool has_data(const struct node *nd)
{
    return nd->kind == DATADIR_OK || nd->kind == DATADIR_TAINTED;
}

static void boot(struct world *w, struct node *nd)
{
    struct cluster_event ev = {.type = EV_DONE, .now = w->now, .ok = !nd->cannot_boot};

    nd->boots++;
    nd->booted_from = nd->kind;
    str_copy(ev.why, sizeof(ev.why), "No space left on device");
    if (ev.ok) {
        nd->db = nd->primary = true;
        nd->kind = DATADIR_OK;
        nd->seqno = (has_data(nd) && nd->seqno > 0 ? nd->seqno : 0) + 1;
    }
    step(w, nd, &ev);
}

static void join(struct world *w, struct node *nd)
{
    struct cluster_event ev = {.type = EV_DONE, .now = w->now};
    struct node *donor = NULL;

    for (unsigned i = 0; i < w->n; i++)
        if (w->nodes[i].db && w->nodes[i].primary)
            donor = &w->nodes[i];
    if (nd->join_dies) {
        power_off(nd);
        return;
    }
    if (nd->hangs) {
        nd->db = true;
        return;
    }
    ev.ok = donor != NULL;
    if (donor) {
        nd->db = nd->primary = true;
        nd->kind = DATADIR_OK;
        nd->seqno = ++donor->seqno;
    }
    step(w, nd, &ev);
}

static void perform(struct world *w, struct node *nd, const struct cluster_action *a)
{
    struct cluster_event ev = {.type = EV_POSITION, .now = w->now};

    switch (a->type) {
    case ACT_SAVE:
        nd->record = nd->c.rec;
        nd->has_record = nd->on_disk = true;
        break;
    case ACT_SEND:
        send(w, nd, a);
        break;
    case ACT_POSITION:
        ev.position = (struct cluster_position){.kind = nd->kind,
                                                .seqno = has_data(nd) ? nd->seqno : -1,
                                                .clean = nd->clean,
                                                .aria = nd->aria,
                                                .opened = nd->on_disk && nd->record.data &&
                                                          !nd->record.new_disk};
        str_copy(ev.position.uuid, sizeof(ev.position.uuid), has_data(nd) ? UUID : "");
        step(w, nd, &ev);
        break;
    case ACT_BOOT:
        boot(w, nd);
        break;
    case ACT_JOIN:
        nd->whole = a->whole;
        join(w, nd);
        break;
    case ACT_STOP:
        nd->stops++;
        nd->db = nd->primary = nd->left = false;
        nd->clean = true;
        ev.type = EV_DONE;
        ev.ok = true;
        step(w, nd, &ev);
        break;
    case ACT_ABANDON:
        if (!nd->hangs)
            break;
        nd->abandoned++;
        nd->db = nd->hangs = false;
        ev.type = EV_DONE;
        step(w, nd, &ev);
        break;
    case ACT_EVICT:
        nd->evictions++;
        str_copy(nd->evicted, sizeof(nd->evicted), a->uuid);
        break;
    case ACT_ROW:
    case ACT_REJECT:
    case ACT_WEIGHT:
        break;
    }
}

static void step(struct world *w, struct node *nd, struct cluster_event *ev)
{
    static struct cluster_out outs[64]; /* a message is answered within the step that sent it */
    static unsigned depth;

    assert_true(depth < ARRAY_LEN(outs));
    struct cluster_out *out = &outs[depth++];
    cluster_step(&nd->c, ev, out);
    for (size_t i = 0; i < out->n && nd->up; i++)
        perform(w, nd, &out->a[i]);
    depth--;
}

static void look(struct world *w, struct node *nd)
{
    struct cluster_event ev = {.type = EV_DB, .now = w->now, .running = nd->db};

    ev.unknown = nd->db && nd->unknown;
    ev.answers = nd->db && !nd->unknown;
    ev.left = ev.answers && nd->left;
    ev.synced = ev.answers && nd->primary;
    ev.primary = ev.synced || (ev.answers && nd->hangs && !nd->hangs_apart);
    ev.position = (struct cluster_position){.kind = DATADIR_OK, .uuid = UUID, .seqno = nd->seqno};
    for (unsigned i = 0; ev.primary && i < w->n; i++)
        if (w->nodes[i].db && w->nodes[i].primary) {
            snprintf(ev.instances[ev.members.n], 37, "00000000-0000-0000-0000-%012u", i);
            str_copy(ev.members.name[ev.members.n++], CLUSTER_NAME, w->nodes[i].name);
        }
    ev.size = ev.members.n;
    ev.cached = nd->cached;
    step(w, nd, &ev);
}

static void run(struct world *w, unsigned seconds)
{
    for (uint64_t end = w->now + seconds * 1000ULL; w->now < end; w->now += 200)
        for (unsigned i = 0; i < w->n; i++) {
            struct node *nd = &w->nodes[i];

            if (nd->up && w->now % 1000 == 0)
                look(w, nd);
            if (nd->up)
                step(w, nd, &(struct cluster_event){.type = EV_TICK, .now = w->now});
        }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The agent of a node starts, with the members of the file and the record on its disks. */
static void start(struct world *w, const char *name)
{
    struct node *nd = get(w, name);
    struct cluster_config cfg = {.n = w->n_roster, .manifest = "m", .mint = UUID, .seed = 7};

    qsort(w->roster, w->n_roster, sizeof(w->roster[0]), by_name);
    for (unsigned i = 0; i < w->n_roster; i++) {
        memcpy(cfg.names[i], w->roster[i], CLUSTER_NAME);
        cfg.weights[i] = 1;
        if (strcmp(cfg.names[i], name) == 0)
            cfg.self = i;
    }
    snprintf(cfg.incarnation, sizeof(cfg.incarnation), "bbbbbbbb-0000-0000-0000-%012u",
             ++w->incarnations);
    nd->up = true;
    if (!nd->on_disk && nd->record.data)
        nd->record.new_disk = true; /* as cluster_store_load() */
    cluster_init(&nd->c, &cfg, nd->has_record ? &nd->record : NULL, w->now);
}

static void in_file(struct world *w, const char *name)
{
    str_copy(w->roster[w->n_roster++], CLUSTER_NAME, name);
}

static inline void not_in_file(struct world *w, const char *name)
{
    for (unsigned i = 0; i < w->n_roster; i++)
        if (strcmp(w->roster[i], name) == 0)
            memmove(w->roster[i], w->roster[--w->n_roster], CLUSTER_NAME);
}

static void add(struct world *w, const char *name)
{
    struct node *nd = &w->nodes[w->n++];

    *nd = (struct node){.kind = DATADIR_FRESH, .seqno = -1};
    str_copy(nd->name, sizeof(nd->name), name);
}

static void power_on(struct world *w, const char *name)
{
    get(w, name)->unknown = false;
    start(w, name);
}

/* VM and volume are new under the old name. */
static inline void replace(struct world *w, const char *name)
{
    struct node *nd = get(w, name);

    power_off(nd);
    *nd = (struct node){.kind = DATADIR_FRESH, .seqno = -1};
    str_copy(nd->name, sizeof(nd->name), name);
    start(w, name);
}

/* A cluster of these serves, under epoch 1. */
static struct world *serving(unsigned n, const char *const names[])
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->now = 1000000;
    for (unsigned i = 0; i < n; i++) {
        add(w, names[i]);
        in_file(w, names[i]);
    }
    for (unsigned i = 0; i < n; i++)
        start(w, names[i]);
    run(w, 60);
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(w->nodes[i].c.state, CLUSTER_PRIMARY);
        assert_int_equal(w->nodes[i].c.rec.epoch, 1);
        w->nodes[i].seqno = 100;
        w->nodes[i].boots = 0;
    }
    return w;
}

static inline struct world *two(void)
{
    return serving(2, (const char *const[]){"fra", "par"});
}

static inline struct world *three(void)
{
    return serving(3, (const char *const[]){"ams", "fra", "par"});
}

static unsigned boots(const struct world *w)
{
    unsigned n = 0;

    for (unsigned i = 0; i < w->n; i++)
        n += w->nodes[i].boots;
    return n;
}

static inline void assert_waits_for(struct world *w, const char *who, const char *word)
{
    const struct node *nd = get(w, who);

    assert_int_equal(boots(w), 0);
    /* While an agreement is tried once more it says that. */
    for (unsigned i = 0; i < 60 && !strstr(nd->c.why, word); i++)
        run(w, 1);
    if (!strstr(nd->c.why, word))
        fail_msg("%s says '%s', not '%s'", who, nd->c.why, word);
}

static inline void assert_all_serve(struct world *w)
{
    for (unsigned i = 0; i < w->n; i++)
        if (w->nodes[i].c.state != CLUSTER_PRIMARY)
            fail_msg("%s is %s: %s", w->nodes[i].name, cluster_state_name(w->nodes[i].c.state),
                     w->nodes[i].c.why);
}

static inline bool recover(struct world *w, const char *on, const char *lost)
{
    struct cluster_event ev = {.type = EV_RECOVER, .now = w->now};

    str_copy(ev.name, sizeof(ev.name), lost);
    step(w, get(w, on), &ev);
    return get(w, on)->c.accepted;
}

static void power_loss_of_all(struct world *w)
{
    for (unsigned i = 0; i < w->n; i++)
        power_off(&w->nodes[i]);
    w->now += 60000;
}

#endif
