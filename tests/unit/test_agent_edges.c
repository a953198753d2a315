/* SPDX-License-Identifier: Apache-2.0 */
/* The coordinator's table of edges, and those edges that the simulation has no way to. That each
 * change of the state is one of them, cluster_enter itself asserts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/cluster/cluster.h"
#include "common/str.h"

#define U1 "6dce997e-e693-11f1-bb69-13b141fb1408"
#define U2 "7dce997e-e693-11f1-bb69-13b141fb1408"

static struct cluster c;
static struct cluster_out out;

static bool passed(enum cluster_state from, enum cluster_state to)
{
    int edge = cluster_edge(from, to);

    assert_true(edge >= 0);
    return c.passed >> edge & 1;
}

static void test_table(void **state)
{
    bool reached[CLUSTER_STATES] = {[CLUSTER_UNCONF] = true};

    (void)state;
    for (unsigned i = 0; cluster_edges[i].why; i++) {
        const struct cluster_edge *e = &cluster_edges[i];

        assert_true(e->from != e->to && e->to < CLUSTER_STATES);
        assert_int_equal(cluster_edge(e->from == CLUSTER_ANY ? CLUSTER_UNCONF : e->from, e->to), i);
    }
    for (unsigned round = 0; round < CLUSTER_STATES; round++)
        for (unsigned i = 0; cluster_edges[i].why; i++)
            if (cluster_edges[i].from == CLUSTER_ANY || reached[cluster_edges[i].from])
                reached[cluster_edges[i].to] = true;
    for (unsigned s = 0; s < CLUSTER_STATES; s++) {
        assert_non_null(cluster_state_name((enum cluster_state)s));
        assert_true(reached[s]); /* a state that nothing leads to has no place in the enum */
    }
    assert_int_equal(cluster_edge(CLUSTER_QUARANTINE, CLUSTER_JOINING), -1);
    assert_int_equal(cluster_edge(CLUSTER_HALT, CLUSTER_JOINING), -1);
}

/* Member 0 of two with this record, or NULL; its database does not run. */
static void begin(const struct cluster_record *rec)
{
    struct cluster_config cfg = {.n = 2, .manifest = "m", .mint = U2, .seed = 1};

    str_copy(cfg.names[0], CLUSTER_NAME, "n0");
    str_copy(cfg.names[1], CLUSTER_NAME, "n1");
    cluster_init(&c, &cfg, rec, 0);
    cluster_step(&c, &(struct cluster_event){.type = EV_DB, .now = 1}, &out);
    assert_int_equal(c.state, CLUSTER_RECOVERING_POS);
}

static void position(enum cluster_datadir kind, const char *uuid, int64_t seqno)
{
    struct cluster_event ev = {.type = EV_POSITION, .now = 2, .why = "no disk"};

    ev.position = (struct cluster_position){.kind = kind, .seqno = seqno};
    str_copy(ev.position.uuid, sizeof(ev.position.uuid), uuid);
    cluster_step(&c, &ev, &out);
}

/* Member 1 serves epoch 1 with history U1; `node`: whom it was decided for. */
static void hear_primary(const char *node)
{
    struct cluster_msg hb = {.type = MSG_HEARTBEAT,
                             .from = 1,
                             .manifest = "m",
                             .epoch = 1,
                             .position = {.kind = DATADIR_OK, .uuid = U1, .seqno = 20},
                             .state = CLUSTER_PRIMARY,
                             .booted = 1,
                             .permit_used = 1,
                             .chain_from = 1,
                             .n_chain = 1,
                             .chain = {{.epoch = 1, .cluster_id = U2, .base = -1}}};

    str_copy(hb.chain[0].node, CLUSTER_NAME, node);
    cluster_step(&c, &(struct cluster_event){.type = EV_MSG, .now = 3, .msg = &hb}, &out);
    cluster_step(&c, &(struct cluster_event){.type = EV_TICK, .now = 300}, &out);
}

/* The agent was killed after it had systemd start the database: wherever the new agent is when it
 * sees it run, what it knew of the data is over. */
static void test_found_running(void **state)
{
    static const enum cluster_state from[] = {
        CLUSTER_STOPPED,   CLUSTER_RECOVERING_POS, CLUSTER_FAULT,     CLUSTER_FROZEN,
        CLUSTER_PROPOSING, CLUSTER_BOOT_PERMIT,    CLUSTER_JOIN_WAIT,
    };

    (void)state;
    for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
        begin(NULL);
        position(DATADIR_FRESH, "", -1);
        c.state = from[i];
        cluster_step(&c, &(struct cluster_event){.type = EV_DB, .now = 3, .running = true}, &out);
        assert_int_equal(c.state, CLUSTER_UNCONF);
        assert_true(passed(from[i], CLUSTER_UNCONF));
        assert_false(c.known);
    }
}

static void test_fault(void **state)
{
    (void)state;
    begin(NULL);
    position(DATADIR_NOT_MOUNTED, "", -1);
    assert_true(passed(CLUSTER_RECOVERING_POS, CLUSTER_FAULT));
    cluster_step(&c, &(struct cluster_event){.type = EV_TICK, .now = 20000}, &out);
    assert_true(passed(CLUSTER_FAULT, CLUSTER_STOPPED));
}

static void test_amnesiac(void **state)
{
    (void)state;
    begin(NULL); /* no record, and data whose place in the history nobody knows */
    position(DATADIR_OK, U1, 10);
    assert_true(passed(CLUSTER_RECOVERING_POS, CLUSTER_AMNESIAC));
    hear_primary("n1");
    assert_true(passed(CLUSTER_AMNESIAC, CLUSTER_QUARANTINE));
    begin(NULL); /* the rest of a copy: nothing that could be lost */
    position(DATADIR_SST_PARTIAL, "", -1);
    assert_int_equal(c.state, CLUSTER_AMNESIAC);
    hear_primary("n1");
    assert_true(passed(CLUSTER_AMNESIAC, CLUSTER_JOINING));
}

static void test_quarantine(void **state)
{
    struct cluster_record rec = {.last_epoch = 1, .data = true, .holders_known = true};

    (void)state;
    begin(&rec);
    position(DATADIR_OK, U2, 10);
    assert_int_equal(c.state, CLUSTER_STOPPED);
    hear_primary("n1");
    assert_true(passed(CLUSTER_JOIN_WAIT, CLUSTER_QUARANTINE));
    rec = c.rec; /* it is durable: so is the quarantine */
    begin(&rec);
    position(DATADIR_OK, U2, 10);
    assert_true(passed(CLUSTER_RECOVERING_POS, CLUSTER_QUARANTINE));
}

/* A Primary was heard and cannot be joined yet; its member, stopped since, proposes. */
static void test_promise_while_it_waits(void **state)
{
    struct cluster_record rec = {.last_epoch = 1, .data = true, .holders_known = true};
    struct cluster_msg m = {.type = MSG_PREPARE,
                            .from = 1,
                            .manifest = "m",
                            .epoch = 2,
                            .ballot = {.round = 1, .node = "n1"}};

    (void)state;
    begin(&rec);
    position(DATADIR_OK, U1, 30); /* ahead of what was heard: it may catch up */
    hear_primary("n1");
    assert_int_equal(c.state, CLUSTER_JOIN_WAIT);
    cluster_step(&c, &(struct cluster_event){.type = EV_MSG, .now = 400, .msg = &m}, &out);
    assert_true(passed(CLUSTER_JOIN_WAIT, CLUSTER_FROZEN));
}

/* Two decisions of one epoch, whatever the state. */
static void test_halt(void **state)
{
    struct cluster_record rec = {.epoch = 1,
                                 .chain_from = 1,
                                 .n_chain = 1,
                                 .chain = {{.epoch = 1, .node = "n0", .base = -1}},
                                 .holders_known = true};

    (void)state;
    for (unsigned s = 0; s < CLUSTER_HALT; s++) {
        begin(&rec);
        c.state = (enum cluster_state)s;
        hear_primary("n1");
        assert_int_equal(c.state, CLUSTER_HALT);
        assert_true(passed((enum cluster_state)s, CLUSTER_HALT));
    }
    /* The one that gives way begins a new record, and takes the other's decisions. */
    c.running = true;
    cluster_step(&c, &(struct cluster_event){.type = EV_RELEASE, .now = 4}, &out);
    assert_false(c.accepted);
    c.running = false;
    cluster_step(&c, &(struct cluster_event){.type = EV_RELEASE, .now = 5}, &out);
    assert_true(c.accepted && passed(CLUSTER_HALT, CLUSTER_STOPPED));
    assert_int_equal(c.rec.epoch, 0);
    assert_false(c.rec.data);
    hear_primary("n1");
    assert_int_equal(c.rec.epoch, 1);
    assert_int_not_equal(c.state, CLUSTER_HALT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_found_running),
        cmocka_unit_test(test_fault),
        cmocka_unit_test(test_amnesiac),
        cmocka_unit_test(test_quarantine),
        cmocka_unit_test(test_halt),
        cmocka_unit_test(test_promise_while_it_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
