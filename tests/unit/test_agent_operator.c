/* SPDX-License-Identifier: Apache-2.0 */
/* What operators tell the coordinator, and what it tells them, through the step function. */
#include "agent/cluster/internal.h"
#include "cluster_world.h"

static bool tell(struct world *w, const char *on, enum cluster_event_type type, bool ok,
                 const char *because)
{
    struct cluster_event ev = {.type = type, .now = w->now, .ok = ok};

    str_copy(ev.why, sizeof(ev.why), because);
    step(w, get(w, on), &ev);
    return get(w, on)->c.accepted;
}

static void explains(struct world *w, const char *on, const char *const words[])
{
    struct strbuf text = {0};

    cluster_explain(&get(w, on)->c, w->now, &text);
    for (size_t i = 0; words[i]; i++)
        if (!strstr(text.s, words[i]))
            fail_msg("%s does not say '%s':\n%s", on, words[i], text.s);
    strbuf_free(&text);
}

/* Nothing is started where an operator holds it; the others wait, and know for whom. */
static void test_hold(void **state)
{
    struct world *w = two();

    (void)state;
    assert_true(tell(w, "fra", EV_HOLD, true, "its disk is exchanged"));
    run(w, 30); /* it serves on */
    assert_all_serve(w);
    get(w, "fra")->seqno = 200; /* it alone has the newest rows */
    power_loss_of_all(w);
    power_on(w, "fra");
    power_on(w, "par");
    run(w, 120);
    assert_waits_for(w, "fra", "held by an operator (its disk is exchanged)");
    assert_int_equal(boots(w), 0);
    explains(w, "par",
             (const char *const[]){"held by an operator", "muster cluster resume fra", NULL});
    assert_true(tell(w, "fra", EV_HOLD, false, ""));
    run(w, 120);
    assert_all_serve(w);
    assert_int_equal(get(w, "fra")->boots, 1);
    free(w);
}

/* Nor does it join, or stop a database without quorum. */
static void test_hold_join(void **state)
{
    struct world *w = two();

    (void)state;
    power_off(get(w, "par"));
    assert_true(tell(w, "fra", EV_HOLD, true, ""));
    get(w, "fra")->primary = false;
    power_on(w, "par");
    run(w, 200);
    assert_int_equal(get(w, "fra")->stops, 0);
    assert_int_equal(get(w, "fra")->c.state, CLUSTER_NONPRIM);
    assert_true(tell(w, "par", EV_HOLD, true, "not yet"));
    assert_true(tell(w, "fra", EV_HOLD, false, ""));
    get(w, "fra")->primary = true;
    run(w, 60);
    assert_int_equal(get(w, "par")->c.state, CLUSTER_JOIN_WAIT);
    assert_true(tell(w, "par", EV_HOLD, false, ""));
    run(w, 60);
    assert_all_serve(w);
    free(w);
}

/* A member that has what the others left behind is told what, and is given up only by its name. */
static void test_release(void **state)
{
    struct world *w = two();
    struct node *par = get(w, "par");

    (void)state;
    assert_false(tell(w, "par", EV_RELEASE, false, "")); /* it serves */
    par->seqno = 150;
    power_loss_of_all(w);
    power_on(w, "fra");
    run(w, 60);
    explains(w, "fra",
             (const char *const[]){"waits for members that are not heard", "par: not heard",
                                   "muster cluster recover --from fra --without par",
                                   "price:", NULL});
    assert_true(recover(w, "fra", "par"));
    run(w, 60);
    assert_true(get(w, "fra")->primary);
    power_on(w, "par");
    run(w, 60);
    assert_int_equal(par->c.state, CLUSTER_QUARANTINE);
    explains(w, "par",
             (const char *const[]){"only here:   101..150", "muster cluster release par",
                                   "served by fra", NULL});
    par->kind = DATADIR_FRESH; /* what the verb does before it asks */
    par->seqno = -1;
    assert_true(tell(w, "par", EV_RELEASE, false, ""));
    run(w, 120);
    assert_all_serve(w);
    free(w);
}

/* Data that is not the cluster's is not made so by saying that it stays. */
static void test_release_keep(void **state)
{
    struct world *w = two();
    struct node *par = get(w, "par");

    (void)state;
    par->seqno = 150;
    power_loss_of_all(w);
    power_on(w, "fra");
    run(w, 60);
    assert_true(recover(w, "fra", "par"));
    run(w, 60);
    power_on(w, "par");
    run(w, 60);
    assert_true(tell(w, "par", EV_RELEASE, true, ""));
    run(w, 60);
    assert_int_equal(par->c.state, CLUSTER_QUARANTINE);
    assert_int_equal(par->seqno, 150);
    free(w);
}

/* The reason of an accepted loss is a part of the decision: every member has it. */
static void test_because(void **state)
{
    struct world *w = three();
    struct cluster_event ev = {.type = EV_RECOVER, .now = w->now};

    (void)state;
    power_loss_of_all(w);
    power_on(w, "fra");
    power_on(w, "par");
    run(w, 60);
    ev.now = w->now;
    str_copy(ev.name, sizeof(ev.name), "ams");
    str_copy(ev.why, sizeof(ev.why), "the zone burnt down");
    step(w, get(w, "fra"), &ev);
    assert_true(get(w, "fra")->c.accepted);
    run(w, 120);
    for (unsigned i = 1; i < 3; i++) {
        const struct cluster_record *rec = &w->nodes[i].c.rec;
        const struct cluster_value *v = cluster_entry(rec, rec->epoch);

        assert_non_null(v);
        assert_string_equal(v->lost, "ams");
        assert_string_equal(v->because, "the zone burnt down");
        assert_string_equal(rec->because, "");
    }
    free(w);
}

/* An acceptance is over when the quorum comes back without it: the next outage has nothing to do
 * with it, and waits for the member that has the newest rows. */
static void test_acceptance_ends_with_quorum(void **state)
{
    struct world *w = two();
    struct node *fra = get(w, "fra"), *par = get(w, "par");
    struct cluster_event ev = {.type = EV_RECOVER};

    (void)state;
    str_copy(ev.name, sizeof(ev.name), "par");
    power_off(par);
    fra->primary = false;
    run(w, 20);
    ev.now = w->now;
    step(w, fra, &ev);
    assert_true(fra->c.accepted);
    assert_string_equal(fra->c.rec.lost, "par");
    fra->primary = true; /* before it was stopped for a decision */
    run(w, 5);
    assert_int_equal(fra->c.state, CLUSTER_PRIMARY);
    assert_string_equal(fra->record.lost, "");
    power_on(w, "par");
    run(w, 60);
    assert_all_serve(w);
    par->seqno = 200;
    power_loss_of_all(w);
    power_on(w, "fra");
    power_on(w, "par");
    run(w, 120);
    assert_all_serve(w);
    assert_int_equal(fra->boots, 0);
    assert_int_equal(par->boots, 1);
    free(w);
}

/* Who accepts a loss right after it happened does not wait for a network that may heal. */
static void test_recover_at_once(void **state)
{
    struct world *w = two();
    struct node *fra = get(w, "fra");
    struct cluster_event ev = {.type = EV_RECOVER};

    (void)state;
    str_copy(ev.name, sizeof(ev.name), "par");
    power_off(get(w, "par"));
    fra->primary = false;
    run(w, 8);
    assert_int_equal(fra->c.state, CLUSTER_NONPRIM);
    ev.now = w->now;
    step(w, fra, &ev);
    assert_true(fra->c.accepted);
    run(w, 12);
    assert_int_equal(fra->c.state, CLUSTER_PRIMARY);
    assert_int_equal(fra->boots, 1);
    free(w);
}

/* Who was excluded because another one has all that it has is waited for again when the other one
 * is given up. */
static void test_excluded_by_the_lost(void **state)
{
    struct world *w = three();
    struct node *fra = get(w, "fra"), *par = get(w, "par"), *ams = get(w, "ams");
    struct cluster_event ev = {.type = EV_RECOVER};

    (void)state;
    str_copy(ev.name, sizeof(ev.name), "par");
    power_off(fra);
    ams->seqno = par->seqno = 150;
    run(w, 20);
    assert_true(tell(w, "ams", EV_HOLD, true, ""));
    ams->kind = DATADIR_UNREADABLE; /* nobody hears how far it came */
    ams->db = false;
    run(w, 20);
    assert_int_equal(cluster_vote(&par->c.rec.votes, "ams") % 2, 1);
    power_off(ams);
    ams->kind = DATADIR_OK;
    par->seqno = 200;
    assert_int_equal(cluster_vote(&par->c.rec.votes, "fra") % 2, 0);
    fra->record.votes = par->c.rec.votes; /* the last that it heard of par */
    power_off(par);
    power_on(w, "fra");
    run(w, 20);
    ev.now = w->now;
    step(w, fra, &ev);
    assert_true(fra->c.accepted);
    run(w, 60);
    assert_int_equal(fra->boots, 0);
    assert_waits_for(w, "fra", "not heard");
    power_on(w, "ams");
    assert_true(tell(w, "ams", EV_HOLD, false, ""));
    run(w, 120);
    assert_int_equal(fra->boots, 0);
    assert_int_equal(ams->boots, 1);
    free(w);
}

/* A member that got its vote back, and went away before it had joined, does not know whom the one
 * that is given up has taken in again since. */
static void test_included_by_the_lost(void **state)
{
    (void)state;
    struct world *w = three();
    struct node *par = get(w, "par");
    struct cluster_event ev = {.type = EV_RECOVER};

    str_copy(ev.name, sizeof(ev.name), "fra");
    get(w, "ams")->seqno = get(w, "fra")->seqno = 200;
    for (unsigned i = 0; i < w->n; i++)
        power_off(&w->nodes[i]);
    par->record.holders = (struct cluster_names){.n = 2, .name = {"fra", "par"}};
    cluster_exclude(&par->record.votes, "ams");
    power_on(w, "par");
    run(w, 20);
    ev.now = w->now;
    step(w, par, &ev);
    assert_true(par->c.accepted);
    run(w, 120);
    assert_int_equal(par->boots, 0);
    assert_waits_for(w, "par", "not heard");
    free(w);
}

/* Two members were given up, each to the other, and the second try of one of them, from the same
 * place, does not say so any more: who serves the earlier epoch beside it halts, and not because
 * of one that cannot be asked. */
static void test_two_serve_apart(void **state)
{
    (void)state;
    for (int known = 0; known < 2; known++) {
        struct world *w = two();
        struct node *fra = get(w, "fra");
        struct cluster_msg hb = {.from = 1, .manifest = "m", .epoch = 3, .state = CLUSTER_PRIMARY};
        struct cluster_value v = {.epoch = 3, .node = "par", .uuid = UUID, .base = 100};

        power_loss_of_all(w);
        power_on(w, "fra");
        run(w, 20);
        assert_true(recover(w, "fra", "par"));
        run(w, 20);
        assert_int_equal(fra->c.rec.last_epoch, 2);
        memcpy(v.cluster_id, fra->c.rec.cluster_id, sizeof(v.cluster_id));
        hb.size = known;
        hb.data = true;
        hb.booted = hb.permit_used = hb.position.last_epoch = hb.chain_from = 3;
        hb.holders = (struct cluster_names){.n = 1, .name = {"par"}};
        hb.n_chain = 1;
        hb.chain[0] = v;
        for (int i = 0; i < 20; i++) {
            step(w, fra, &(struct cluster_event){.type = EV_MSG, .now = w->now, .msg = &hb});
            run(w, 1);
            if (i < 8)
                assert_int_equal(fra->c.state, CLUSTER_PRIMARY);
        }
        assert_int_equal(fra->c.rec.epoch, 3);
        assert_int_equal(fra->c.state, known ? CLUSTER_HALT : CLUSTER_PRIMARY);
        free(w);
    }
}

/* An agent that begins again beside a database that serves an earlier epoch does not take it for
 * the later one, of which it has learnt: what it acknowledged since is not a part of that. */
static void test_restart_while_apart(void **state)
{
    (void)state;
    for (int row = 0; row < 2; row++) {
        struct world *w = two();
        struct node *fra = get(w, "fra");
        struct cluster_record rec = fra->c.rec;
        struct cluster_event db = {.type = EV_DB,
                                   .running = true,
                                   .answers = true,
                                   .primary = true,
                                   .synced = true,
                                   .size = 1,
                                   .members = {.n = 1, .name = {"fra"}}};
        struct cluster_value v = {.epoch = 2, .node = "par", .uuid = UUID, .base = 100};

        memcpy(v.cluster_id, rec.cluster_id, sizeof(v.cluster_id));
        cluster_append(&rec, &v);
        assert_int_equal(rec.epoch, 2);
        rec.joining = rec.failures = 0;
        rec.booted = 2;
        cluster_init(&fra->c, &fra->c.cfg, &rec, w->now);
        db.now = w->now;
        if (row) { /* Galera merged them: the row of the later epoch is here */
            str_copy(db.row_node, sizeof(db.row_node), "par");
            memcpy(db.row_cluster, v.cluster_id, sizeof(v.cluster_id));
        }
        step(w, fra, &db);
        assert_int_equal(fra->c.state, CLUSTER_PRIMARY);
        assert_int_equal(fra->c.rec.last_epoch, row ? 2 : 1);
        free(w);
    }
}

/* Nor does a join that ends after another epoch was decided: it is a part of the one it joined. */
static void test_decided_while_it_joins(void **state)
{
    struct world *w = two();
    struct node *par = get(w, "par");
    struct cluster_value v = {.epoch = 2, .node = "fra", .uuid = UUID, .base = 100};

    (void)state;
    memcpy(v.cluster_id, par->c.rec.cluster_id, sizeof(v.cluster_id));
    par->c.state = CLUSTER_JOINING;
    par->c.rec.joining = par->c.rec.last_epoch = 1;
    cluster_append(&par->c.rec, &v);
    step(w, par, &(struct cluster_event){.type = EV_DONE, .now = w->now, .ok = true});
    assert_int_equal(par->c.state, CLUSTER_PRIMARY);
    assert_int_equal(par->c.rec.epoch, 2);
    assert_int_equal(par->c.rec.last_epoch, 1);
    free(w);
}

/* How long the Primary was seen behind counts from when it is waited for, and not from an earlier
 * time: it may be just about to say where it is. */
static void test_ahead_of_an_earlier_primary(void **state)
{
    struct world *w = two();
    struct node *fra = get(w, "fra"), *par = get(w, "par");

    (void)state;
    power_off(par);
    par->seqno = 150;
    power_on(w, "par");
    run(w, 10);
    assert_int_equal(par->c.state, CLUSTER_JOIN_WAIT);
    fra->cut = true;
    run(w, 10);
    assert_int_equal(par->c.state, CLUSTER_STOPPED);
    fra->cut = false;
    run(w, 8);
    assert_int_equal(par->c.state, CLUSTER_JOIN_WAIT);
    fra->seqno = 160;
    run(w, 60);
    assert_all_serve(w);
    free(w);
}

static void test_explain(void **state)
{
    struct world *w = three();

    (void)state;
    explains(w, "fra",
             (const char *const[]){"serves in a component of 3", "nothing is waited for", NULL});
    power_off(get(w, "par"));
    run(w, 20);
    explains(w, "fra", (const char *const[]){"component of 2", "par: not heard", NULL});
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hold),
        cmocka_unit_test(test_hold_join),
        cmocka_unit_test(test_release),
        cmocka_unit_test(test_release_keep),
        cmocka_unit_test(test_because),
        cmocka_unit_test(test_explain),
        cmocka_unit_test(test_acceptance_ends_with_quorum),
        cmocka_unit_test(test_recover_at_once),
        cmocka_unit_test(test_excluded_by_the_lost),
        cmocka_unit_test(test_included_by_the_lost),
        cmocka_unit_test(test_two_serve_apart),
        cmocka_unit_test(test_restart_while_apart),
        cmocka_unit_test(test_decided_while_it_joins),
        cmocka_unit_test(test_ahead_of_an_earlier_primary),
    };

    return cmocka_run_group_tests_name("operator", tests, NULL, NULL);
}
