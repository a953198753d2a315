/* SPDX-License-Identifier: Apache-2.0 */
/* Who has a vote: members without which a Primary goes on, and how they get it back. */
#include "cluster_world.h"

static uint64_t vote(struct world *w, const char *of, const char *on)
{
    return cluster_vote(&get(w, on)->record.votes, of);
}

static bool excluded(struct world *w, const char *of, const char *on)
{
    return vote(w, of, on) % 2;
}

static void hold(struct world *w, const char *name, bool on)
{
    struct cluster_event ev = {.type = EV_HOLD, .now = w->now, .ok = on, .why = "planned"};

    step(w, get(w, name), &ev);
}

/* Its database stops in order, and its agent says so. */
static void stop_in_order(struct world *w, const char *name)
{
    struct node *nd = get(w, name);

    hold(w, name, true);
    nd->db = nd->primary = false;
    nd->clean = true;
}

static void off(struct world *w, const char *name)
{
    power_off(get(w, name));
    w->now += 10000;
}

/* One of two is stopped for good; the other one crashes, and comes back alone. Then the first one
 * joins, and is waited for again. */
static void test_planned_stop(void **state)
{
    (void)state;
    struct world *w = two();
    struct node *fra = get(w, "fra"), *par = get(w, "par");

    stop_in_order(w, "par");
    run(w, 10);
    assert_true(excluded(w, "par", "fra"));
    off(w, "par");
    off(w, "fra");
    power_on(w, "fra");
    run(w, 60);
    assert_int_equal(fra->boots, 1);
    assert_int_equal(fra->c.state, CLUSTER_PRIMARY);
    par->record.held[0] = '\0';
    power_on(w, "par");
    run(w, 60);
    assert_all_serve(w);
    assert_false(excluded(w, "par", "fra"));
    assert_int_equal(vote(w, "par", "fra"), vote(w, "par", "par"));
    power_loss_of_all(w);
    power_on(w, "fra");
    run(w, 900);
    assert_int_equal(fra->boots, 1);
    assert_non_null(strstr(fra->c.why, "not heard"));
    free(w);
}

/* The machine of one of two stops: its agent says so, and it is not about to join. */
static void test_machine_stops(void **state)
{
    (void)state;
    struct world *w = two();
    struct node *par = get(w, "par");

    par->db = par->primary = false;
    step(w, par, &(struct cluster_event){.type = EV_DB, .now = w->now, .leaving = true});
    assert_int_equal(par->c.state, CLUSTER_STOPPED);
    power_off(par);
    run(w, 3); /* fra may be about to be stopped, too */
    assert_true(excluded(w, "par", "fra"));
    free(w);
}

/* Three, stopped one after the other; fra was the last one. */
static struct world *stopped_in_order(void)
{
    struct world *w = three();

    stop_in_order(w, "ams");
    run(w, 8);
    off(w, "ams");
    stop_in_order(w, "par");
    run(w, 8);
    off(w, "par");
    off(w, "fra");
    return w;
}

/* All are stopped in order, and only the last one comes back. */
static void test_last_to_stop(void **state)
{
    (void)state;
    struct world *w = stopped_in_order();

    power_on(w, "fra");
    run(w, 60);
    assert_int_equal(get(w, "fra")->boots, 1);
    free(w);
}

/* The others come back first: who was excluded decides nothing without those that went on. */
static void test_excluded_waits(void **state)
{
    (void)state;
    struct world *w = stopped_in_order();

    get(w, "ams")->record.held[0] = get(w, "par")->record.held[0] = '\0';
    power_on(w, "ams");
    power_on(w, "par");
    run(w, 900);
    assert_waits_for(w, "ams", "not heard");
    power_on(w, "fra");
    run(w, 60);
    assert_int_equal(boots(w), 1);
    assert_all_serve(w);
    free(w);
}

/* One that is only silent may still be a member for ten minutes. */
static void test_absent(void **state)
{
    (void)state;
    struct world *w = three();

    power_off(get(w, "par"));
    run(w, 560);
    assert_false(excluded(w, "par", "fra"));
    run(w, 60);
    assert_true(excluded(w, "par", "fra"));
    assert_true(excluded(w, "par", "ams"));
    off(w, "fra");
    off(w, "ams");
    power_on(w, "fra");
    power_on(w, "ams");
    run(w, 60);
    assert_int_equal(boots(w), 1);
    free(w);
}

/* Without quorum nobody is excluded, however long. */
static void test_no_quorum(void **state)
{
    (void)state;
    struct world *w = two();

    power_off(get(w, "par"));
    get(w, "fra")->primary = false;
    run(w, 1200);
    assert_false(excluded(w, "par", "fra"));
    free(w);
}

/* Its agent is not heard, and its database is a part of the Primary. */
static void test_agent_is_silent(void **state)
{
    (void)state;
    struct world *w = two();

    get(w, "par")->cut = true;
    run(w, 1200);
    assert_false(excluded(w, "par", "fra"));
    free(w);
}

/* A member of the Primary does not say who else is: it may not have written what the others have.
 */
static void test_all_must_say_so(void **state)
{
    (void)state;
    struct world *w = three();

    stop_in_order(w, "par");
    get(w, "ams")->cut = true;
    run(w, 1200);
    assert_false(excluded(w, "par", "fra"));
    get(w, "ams")->cut = false;
    run(w, 10);
    assert_true(excluded(w, "par", "fra"));
    free(w);
}

/* A loss that an operator accepted is a vote less, until that member is back. */
static void test_after_a_loss(void **state)
{
    (void)state;
    struct world *w = two();

    power_loss_of_all(w);
    power_on(w, "fra");
    run(w, 30);
    assert_true(recover(w, "fra", "par"));
    run(w, 30);
    assert_int_equal(get(w, "fra")->boots, 1);
    assert_true(excluded(w, "par", "fra"));
    off(w, "fra");
    power_on(w, "fra");
    run(w, 60);
    assert_int_equal(get(w, "fra")->boots, 2);
    power_on(w, "par");
    run(w, 60);
    assert_all_serve(w);
    assert_false(excluded(w, "par", "fra"));
    free(w);
}

/* A record and a heartbeat of an agent that knows of no votes. */
static void test_old_record(void **state)
{
    (void)state;
    struct world *w = two();

    power_loss_of_all(w);
    for (unsigned i = 0; i < w->n; i++)
        w->nodes[i].record.votes = (struct cluster_votes){0};
    power_on(w, "fra");
    run(w, 900);
    assert_waits_for(w, "fra", "not heard");
    power_on(w, "par");
    run(w, 60);
    assert_all_serve(w);
    free(w);
}

/* Galera gave a join up, and the server has not noticed: it would wait for ever. */
static void test_join_that_hangs(void **state)
{
    (void)state;
    for (int apart = 0; apart < 2; apart++) {
        struct world *w = two();
        struct node *par = get(w, "par");

        stop_in_order(w, "par");
        run(w, 8);
        par->hangs = true;
        par->hangs_apart = apart;
        hold(w, "par", false);
        run(w, 20);
        assert_int_equal(par->c.state, CLUSTER_JOINING);
        assert_int_equal(par->abandoned, 0);
        run(w, 60);
        assert_int_equal(par->abandoned, 1);
        assert_all_serve(w);
        free(w);
    }
}

/* The agent of a database that has died says so, and one of the others has the group drop it at
 * once. Of two members that would help nobody, and of a silent agent nothing is known. */
static void test_evict(void **state)
{
    (void)state;
    struct world *w = three();
    struct node *fra = get(w, "fra"), *other;
    unsigned evictions = 0;

    run(w, 15);
    fra->db = fra->primary = false;
    run(w, 3);
    for (unsigned i = 0; i < w->n; i++) {
        other = &w->nodes[i];
        evictions += other->evictions;
        if (other->evictions)
            assert_string_equal(other->evicted, "00000000-0000-0000-0000-000000000001");
    }
    assert_int_equal(evictions, 1);
    assert_int_equal(fra->evictions, 0);
    run(w, 30);
    assert_all_serve(w);
    run(w, 15);
    power_off(fra);
    run(w, 15);
    for (unsigned i = 0; i < w->n; i++)
        evictions -= w->nodes[i].evictions;
    assert_int_equal(evictions, 0);
    free(w);
    w = two();
    run(w, 15);
    get(w, "fra")->db = get(w, "fra")->primary = false;
    run(w, 15);
    assert_int_equal(get(w, "par")->evictions, 0);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_evict),           cmocka_unit_test(test_planned_stop),
        cmocka_unit_test(test_machine_stops),   cmocka_unit_test(test_last_to_stop),
        cmocka_unit_test(test_excluded_waits),  cmocka_unit_test(test_absent),
        cmocka_unit_test(test_no_quorum),       cmocka_unit_test(test_agent_is_silent),
        cmocka_unit_test(test_all_must_say_so), cmocka_unit_test(test_after_a_loss),
        cmocka_unit_test(test_old_record),      cmocka_unit_test(test_join_that_hangs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
