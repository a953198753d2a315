/* SPDX-License-Identifier: Apache-2.0 */
/* Each guard of the agreement by itself: what one member does with single messages. The peers are
 * this file. */
#include "cluster_world.h"

static void told(struct world *w, struct node *nd, const struct cluster_msg *m)
{
    step(w, nd, &(struct cluster_event){.type = EV_MSG, .now = w->now, .msg = m});
}

static struct cluster_msg word_of(enum cluster_msg_type type, unsigned from, uint64_t epoch)
{
    struct cluster_msg m = {.type = type, .from = from, .epoch = epoch, .manifest = "m"};

    m.state = CLUSTER_STOPPED;
    m.ready = true;
    m.booted = m.permit_used = 1;
    m.position = (struct cluster_position){.kind = DATADIR_OK, .uuid = UUID, .seqno = 100};
    m.position.last_epoch = 1;
    return m;
}

static void hear(struct world *w, struct node *nd, unsigned from)
{
    struct cluster_msg m = word_of(MSG_HEARTBEAT, from, 1);

    told(w, nd, &m);
}

static void decided_for(struct world *w, const char *named)
{
    struct cluster_value v = {.epoch = 2, .cluster_id = UUID, .uuid = UUID, .base = 100};

    str_copy(v.node, sizeof(v.node), named);
    memcpy(v.incarnation, get(w, named)->record.incarnation, sizeof(v.incarnation));
    for (unsigned i = 0; i < w->n; i++) {
        cluster_append(&w->nodes[i].record, &v);
        w->nodes[i].record.promised = (struct cluster_ballot){0};
    }
}

/* What somebody accepted before, itself or another, is proposed again, whatever the rules say. */
static void test_accepted_value_is_adopted(void **state)
{
    (void)state;
    for (int own = 0; own < 2; own++) {
        struct world *w = three();
        struct node *ams = get(w, "ams");
        struct cluster_value v = {.epoch = 2, .node = "par", .cluster_id = UUID, .uuid = UUID};

        v.base = 50;
        power_loss_of_all(w);
        ams->record.accepted_at.round = own;
        ams->record.accepted = own ? v : (struct cluster_value){0};
        power_on(w, "ams");
        run(w, 2);
        for (unsigned i = 1; i < 3; i++)
            hear(w, ams, i);
        run(w, 1);
        assert_int_equal(ams->c.state, CLUSTER_PROPOSING);
        for (unsigned i = 1; i < 3; i++) {
            struct cluster_msg m = word_of(MSG_PROMISE, i, 2);

            m.ballot = ams->c.prop.ballot;
            m.accepted_at.round = i == 1 && !own;
            if (i == 1 && !own)
                m.value = v;
            told(w, ams, &m);
        }
        assert_true(ams->c.prop.accepting);
        assert_string_equal(ams->record.accepted.node, "par");
        assert_int_equal(ams->record.accepted.base, 50);
        free(w);
    }
}

/* A join says that it is a whole copy when that is known: nobody who serves has what is missing. */
static void test_whole_copy_is_known(void **state)
{
    (void)state;
    static const struct {
        uint64_t ams, fra;
        enum cluster_datadir kind;
        bool whole;
    } cases[] = {
        {0, 0, DATADIR_OK, false},     {101, 200, DATADIR_OK, false},
        {102, 200, DATADIR_OK, true},  {102, 0, DATADIR_OK, false},
        {1, 1, DATADIR_TAINTED, true}, {1, 1, DATADIR_SST_PARTIAL, true},
        {200, 50, DATADIR_OK, false},  {102, 102, DATADIR_OK, true},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world *w = three();
        struct node *par = get(w, "par");

        power_off(par);
        par->seqno = 100;
        par->kind = cases[i].kind;
        get(w, "ams")->cached = cases[i].ams;
        get(w, "fra")->cached = cases[i].fra;
        run(w, 15); /* the others notice, and look */
        power_on(w, "par");
        run(w, 15);
        assert_int_equal(par->c.state, CLUSTER_PRIMARY);
        assert_int_equal(par->whole, cases[i].whole);
        free(w);
    }
}

/* Who is about to start a later epoch waits for this join, and its database is down: no donor. */
static void test_join_beside_a_founder_is_given_up(void **state)
{
    (void)state;
    struct world *w = two();
    struct node *par = get(w, "par");
    struct cluster_msg m = word_of(MSG_HEARTBEAT, 0, 1);

    power_off(par);
    run(w, 15);
    par->hangs = true;
    power_on(w, "par");
    run(w, 15);
    assert_int_equal(par->c.state, CLUSTER_JOINING);
    power_off(get(w, "fra"));
    m.state = CLUSTER_BOOT_PERMIT;
    for (unsigned i = 0; i < 14; i++) {
        told(w, par, &m);
        run(w, 1);
    }
    assert_int_equal(par->abandoned, 1);
    free(w);
}

/* The one that the last decision names is ready, and has not heard of it yet. */
static void test_permit_comes_first(void **state)
{
    (void)state;
    struct world *w = two();
    struct node *fra = get(w, "fra");

    power_loss_of_all(w);
    decided_for(w, "par");
    power_on(w, "fra");
    for (int i = 0; i < 60; i++) {
        hear(w, fra, 1);
        run(w, 1);
        assert_int_not_equal(fra->c.state, CLUSTER_PROPOSING);
    }
    assert_non_null(strstr(fra->c.why, "waits for par to start it"));
    free(w);
}

/* The permit is for a position, and ends with a later promise. */
static void test_permit_does_not_fit(void **state)
{
    (void)state;
    for (int promised = 0; promised < 2; promised++) {
        struct world *w = two();
        struct node *par = get(w, "par");

        power_loss_of_all(w);
        decided_for(w, "par");
        if (promised)
            par->record.promised.round = 5;
        else
            par->seqno = 90;
        power_on(w, "fra");
        power_on(w, "par");
        for (int i = 0; i < 60 && par->c.rec.permit_used < 2; i++)
            run(w, 1);
        assert_int_equal(par->c.rec.permit_used, 2);
        assert_true(par->boots == 0 || par->c.rec.epoch > 2);
        run(w, 60);
        assert_int_equal(boots(w), 1);
        assert_true(par->c.rec.epoch > 2);
        assert_all_serve(w);
        free(w);
    }
}

/* Nobody boots beside a database that runs, though it has no quorum. */
static void test_permit_waits_for_a_running_one(void **state)
{
    (void)state;
    struct world *w = two();
    struct node *fra = get(w, "fra");

    power_loss_of_all(w);
    decided_for(w, "par");
    fra->db = true;
    power_on(w, "fra");
    power_on(w, "par");
    while (fra->db && w->now < 2000000) {
        assert_int_equal(boots(w), 0);
        run(w, 1);
    }
    run(w, 60);
    assert_int_equal(get(w, "par")->boots, 1);
    assert_all_serve(w);
    free(w);
}

/* Who had data when this was decided has a new disk since: its loss can be accepted on any member,
 * so the permit is given back, and the next decision waits. */
static void test_permit_beside_a_new_disk(void **state)
{
    (void)state;
    struct world *w = three();
    struct node *ams = get(w, "ams");

    power_loss_of_all(w);
    decided_for(w, "par");
    ams->kind = DATADIR_FRESH;
    ams->seqno = -1;
    ams->on_disk = false;
    power_on(w, "ams");
    power_on(w, "fra");
    power_on(w, "par");
    run(w, 60);
    assert_int_equal(boots(w), 0);
    assert_waits_for(w, "par", "the data of ams");
    assert_true(recover(w, "fra", "ams"));
    run(w, 120);
    assert_int_equal(boots(w), 1);
    assert_all_serve(w);
    free(w);
}

/* The loss of two was accepted on par, which never started; they went on, for they had a quorum.
 * The loss of one of them says nothing of what the other one has. */
static void test_what_never_started_is_not_newer(void **state)
{
    (void)state;
    struct world *w = three();
    struct node *fra = get(w, "fra"), *par = get(w, "par");
    struct cluster_value v = {.epoch = 2, .uuid = UUID, .base = 100, .node = "par"};

    power_loss_of_all(w);
    memcpy(v.cluster_id, par->record.cluster_id, sizeof(v.cluster_id));
    memcpy(v.incarnation, par->record.incarnation, sizeof(v.incarnation));
    str_copy(v.lost, sizeof(v.lost), "ams fra");
    cluster_append(&par->record, &v);
    par->record.permit_used = par->record.last_epoch = 2;
    fra->seqno = 150;
    power_on(w, "fra");
    power_on(w, "par");
    run(w, 30);
    assert_true(recover(w, "fra", "ams"));
    run(w, 60);
    assert_waits_for(w, "fra", "recover --without fra");
    assert_true(recover(w, "par", "ams"));
    assert_true(recover(w, "par", "fra"));
    run(w, 60);
    assert_int_equal(par->boots, 1);
    free(w);
}

/* Its loss was accepted, and the others went on: what it starts is a second history. */
static void test_decided_without_it_while_it_starts(void **state)
{
    (void)state;
    for (uint64_t latest = 2; latest <= 3; latest++) {
        struct world *w = two();
        struct node *fra = get(w, "fra");
        struct cluster_event done = {.type = EV_DONE, .now = w->now, .ok = true};

        fra->c.state = CLUSTER_BOOTSTRAPPING;
        fra->c.rec.permit_used = 2;
        fra->c.rec.epoch = latest;
        step(w, fra, &done);
        assert_int_equal(fra->c.state, latest == 2 ? CLUSTER_PRIMARY : CLUSTER_HALT);
        assert_true(fra->c.rec.last_epoch <= 2);
        free(w);
    }
}

/* I5: a promise that was given before the gate opened is worth nothing after it. */
static void test_promise_ends_when_the_gate_opens(void **state)
{
    (void)state;
    struct world *w = three();
    struct node *fra = get(w, "fra");
    struct cluster_msg prep = word_of(MSG_PREPARE, 2, 2), acc = word_of(MSG_ACCEPT, 2, 2);
    struct cluster_msg hb = word_of(MSG_HEARTBEAT, 0, 1);

    power_loss_of_all(w);
    power_on(w, "fra");
    run(w, 2);
    prep.ballot = acc.ballot = (struct cluster_ballot){.round = 50, .node = "par"};
    told(w, fra, &prep);
    assert_int_equal(fra->record.promised.round, 50);
    hb.state = CLUSTER_PRIMARY;
    hb.ready = false;
    hb.size = 1;
    told(w, fra, &hb);
    run(w, 1); /* it joins, and there is no donor */
    assert_int_equal(fra->record.joining, 1);
    run(w, 10);
    assert_int_equal(fra->c.state, CLUSTER_STOPPED);
    assert_true(fra->c.known);
    told(w, fra, &acc);
    assert_int_equal(fra->record.accepted_at.round, 0);
    free(w);
}

/* A database that starts or stops gives no answer: that is not the loss of its quorum. */
static void test_no_answer_is_no_loss_of_quorum(void **state)
{
    (void)state;
    struct world *w = two();
    struct node *fra = get(w, "fra");
    struct cluster_event ev = {.type = EV_DB, .now = w->now, .running = true};

    step(w, fra, &ev);
    assert_int_equal(fra->c.state, CLUSTER_PRIMARY);
    start(w, "fra"); /* an agent that is new, beside a database that starts for long */
    fra->record.joining = fra->c.rec.joining = 0;
    for (int i = 0; i < 100; i++) {
        w->now += 2000;
        ev.now = w->now;
        step(w, fra, &ev);
        assert_int_equal(fra->c.state, CLUSTER_UNCONF);
    }
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted_value_is_adopted),
        cmocka_unit_test(test_whole_copy_is_known),
        cmocka_unit_test(test_join_beside_a_founder_is_given_up),
        cmocka_unit_test(test_permit_comes_first),
        cmocka_unit_test(test_permit_does_not_fit),
        cmocka_unit_test(test_permit_waits_for_a_running_one),
        cmocka_unit_test(test_permit_beside_a_new_disk),
        cmocka_unit_test(test_what_never_started_is_not_newer),
        cmocka_unit_test(test_decided_without_it_while_it_starts),
        cmocka_unit_test(test_promise_ends_when_the_gate_opens),
        cmocka_unit_test(test_no_answer_is_no_loss_of_quorum),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
