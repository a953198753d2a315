/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules in which a coordinator could found an empty cluster beside data, lose what was
 * acknowledged, or wait for ever though all members are there. */
#include "cluster_world.h"

#include "agent/cluster/codec.h"
#include "common/js.h"

/* --- safety ------------------------------------------------------------------------------ */

/* S1: the founder's VM and disk are new; the survivor has all rows and no quorum. */
static void test_s1_new_founder(void **state)
{
    (void)state;
    struct world *w = two();
    struct node *par = get(w, "par");

    par->primary = false; /* Galera: its only partner crashed */
    replace(w, "fra");
    run(w, 300);
    assert_waits_for(w, "par", "fra");
    assert_int_equal(par->stops, 0); /* nothing could follow */
    assert_true(par->db);
    assert_int_equal(par->c.rec.epoch, 1);
    assert_int_not_equal(get(w, "fra")->c.rec.holders.n, 2);
    /* An accepted loss ends it, and nothing is lost but what only fra had. */
    assert_false(recover(w, "par", "nobody"));
    assert_false(recover(w, "par", "par"));
    assert_true(recover(w, "par", "fra"));
    run(w, 120);
    assert_int_equal(par->boots, 1);
    assert_int_equal(par->booted_from, DATADIR_OK);
    assert_int_equal(get(w, "fra")->boots, 0);
    assert_true(par->seqno >= 100);
    assert_all_serve(w);
    assert_string_equal(cluster_entry(&par->c.rec, 2)->lost, "fra");
    assert_string_equal(par->c.rec.lost, ""); /* one use */
    assert_false(recover(w, "par", "fra"));   /* served: nothing to recover */
    free(w);
}

/* The same after a loss of power: nothing runs, and the names are what is left. */
static void test_s1_after_power_loss(void **state)
{
    (void)state;
    struct world *w = two();

    power_loss_of_all(w);
    power_on(w, "par");
    replace(w, "fra");
    run(w, 300);
    assert_waits_for(w, "par", "fra");
    assert_int_equal(get(w, "fra")->c.state, CLUSTER_STOPPED);
    free(w);
}

/* The new one comes first and hears the old one only later. */
static void test_s1_new_one_alone_first(void **state)
{
    (void)state;
    struct world *w = two();

    power_loss_of_all(w);
    replace(w, "fra");
    run(w, 300);
    assert_int_equal(boots(w), 0);
    power_on(w, "par");
    run(w, 300);
    assert_waits_for(w, "par", "fra");
    free(w);
}

/* S2: a node whose name sorts before the others is added while all are down. */
static void test_s2_new_name_sorts_first(void **state)
{
    (void)state;
    struct world *w = two();

    power_loss_of_all(w);
    add(w, "ams");
    in_file(w, "ams");
    power_on(w, "fra");
    power_on(w, "par");
    power_on(w, "ams");
    run(w, 120);
    assert_int_equal(get(w, "ams")->boots, 0);
    assert_int_equal(boots(w), 1);
    assert_all_serve(w);
    free(w);
}

/* S3: a node comes back from a snapshot that is older than an epoch of its own. */
static void test_s3_snapshot(void **state)
{
    (void)state;
    struct world *w = two();
    struct node *fra = get(w, "fra"), *par = get(w, "par"), snapshot;

    power_loss_of_all(w);
    fra->clean = par->clean = true;
    snapshot = *fra;
    power_on(w, "fra");
    power_on(w, "par");
    run(w, 60);
    assert_all_serve(w);
    assert_int_equal(fra->boots, 1);
    fra->seqno = par->seqno = 1000;
    power_loss_of_all(w);
    *fra = snapshot;
    fra->boots = par->boots = 0;
    power_on(w, "fra");
    power_on(w, "par");
    run(w, 120);
    assert_int_equal(fra->boots, 0);
    assert_int_equal(par->boots, 1);
    assert_true(par->seqno >= 1000);
    assert_all_serve(w);
    free(w);
}

/* S4: par acknowledged more, and its disk is new: in whichever way that is known. */
static void test_s4_unstated_loss(void **state)
{
    (void)state;
    for (int root_record = 0; root_record < 2; root_record++) {
        struct world *w = two();
        struct node *par = get(w, "par");

        power_loss_of_all(w);
        par->seqno = 105;
        par->kind = DATADIR_FRESH;
        par->has_record = root_record; /* of the root disk */
        par->on_disk = false;
        power_on(w, "fra");
        power_on(w, "par");
        run(w, 300);
        assert_waits_for(w, "fra", "par");
        free(w);
    }
}

/* The highest position that a stopped member reported is heard, and binds the others. */
static void test_s4_high_water_mark(void **state)
{
    (void)state;
    struct world *w = three();
    struct node *par = get(w, "par");

    get(w, "ams")->record.hw = 0;
    power_loss_of_all(w);
    str_copy(par->record.hw_uuid, 37, UUID);
    par->record.hw = 120; /* it heard that from fra, whose disk has been set back since */
    power_on(w, "ams");
    power_on(w, "fra");
    power_on(w, "par");
    run(w, 200);
    assert_waits_for(w, "ams", "behind 120");
    assert_int_equal(get(w, "ams")->c.rec.hw, 120);
    free(w);
}

/* S5: the file shrinks to one node that is cut off from a Primary of the others. */
static void test_s5_shrunk_file(void **state)
{
    (void)state;
    struct world *w = three();
    struct node *fra = get(w, "fra");

    fra->cut = true;
    fra->primary = false;
    not_in_file(w, "ams");
    not_in_file(w, "par");
    start(w, "fra");
    run(w, 300);
    assert_waits_for(w, "fra", "not in the file any more");
    assert_true(fra->db);
    power_off(fra);
    start(w, "fra");
    run(w, 300);
    assert_waits_for(w, "fra", "not in the file any more");
    free(w);
}

/* But a member that left while the others served is waited for no more. */
static void test_s5_left_while_serving(void **state)
{
    (void)state;
    struct world *w = three();

    power_off(get(w, "par"));
    run(w, 5);
    not_in_file(w, "par");
    power_off(get(w, "ams"));
    power_off(get(w, "fra"));
    power_on(w, "ams");
    power_on(w, "fra");
    run(w, 60);
    assert_int_equal(boots(w), 1);
    assert_int_equal(get(w, "fra")->c.state, CLUSTER_PRIMARY);
    free(w);
}

/* --- liveness ---------------------------------------------------------------------------- */

/* L1: a joiner loses its power under a new epoch, after its gate has opened. */
static void test_l1_joiner_dies(void **state)
{
    (void)state;
    for (int tainted = 0; tainted < 2; tainted++) {
        struct world *w = two();
        struct node *fra = get(w, "fra"), *par = get(w, "par");

        power_loss_of_all(w);
        fra->clean = true; /* it will be the one that boots */
        power_on(w, "fra");
        par->join_dies = true;
        power_on(w, "par");
        run(w, 60);
        assert_int_equal(fra->c.state, CLUSTER_PRIMARY);
        assert_false(par->up);
        par->join_dies = false;
        par->kind = tainted ? DATADIR_TAINTED : DATADIR_OK;
        fra->seqno = 500;
        par->seqno = 300; /* it had received that much */
        power_on(w, "par");
        run(w, 60);
        assert_all_serve(w);
        free(w);
    }
}

/* L2: the chosen node cannot start; another one is as good. */
static void test_l2_chosen_cannot_start(void **state)
{
    (void)state;
    struct world *w = two();
    struct node *fra = get(w, "fra"), *par = get(w, "par");

    power_loss_of_all(w);
    fra->clean = true;
    fra->cannot_boot = true;
    power_on(w, "fra");
    power_on(w, "par");
    run(w, 120);
    assert_int_equal(fra->boots, 1);
    assert_int_equal(par->boots, 1);
    assert_int_equal(par->c.state, CLUSTER_PRIMARY);
    assert_all_serve(w);
    free(w);
}

/* The only front runner cannot start for long: many epochs are used up, and nobody falls off. */
static void test_l2_many_epochs(void **state)
{
    (void)state;
    struct world *w = two();
    struct node *fra = get(w, "fra"), *par = get(w, "par");

    power_loss_of_all(w);
    fra->seqno = 101;
    fra->cannot_boot = true;
    power_on(w, "fra");
    power_on(w, "par");
    run(w, 3600);
    assert_true(fra->boots > CLUSTER_CHAIN);
    assert_int_equal(par->boots, 0);
    fra->cannot_boot = false;
    run(w, 120);
    assert_all_serve(w);
    free(w);
}

/* L3: a member in quarantine, or without its record, does not hold the others for ever. */
static void test_l3_votes_without_data(void **state)
{
    (void)state;
    for (int amnesiac = 0; amnesiac < 2; amnesiac++) {
        struct world *w = three();
        struct node *par = get(w, "par");

        power_loss_of_all(w);
        if (amnesiac)
            par->has_record = false;
        else
            par->record.diverged = true;
        power_on(w, "ams");
        power_on(w, "fra");
        power_on(w, "par");
        run(w, 120);
        assert_int_equal(get(w, "ams")->c.state, CLUSTER_PRIMARY);
        assert_int_equal(get(w, "fra")->c.state, CLUSTER_PRIMARY);
        assert_int_equal(par->boots, 0);
        assert_int_not_equal(par->c.state, CLUSTER_PRIMARY);
        assert_int_equal(par->seqno, 100); /* untouched */
        free(w);
    }
}

/* Data without a record that is ahead of all others is not passed over in silence. */
static void test_l3_amnesiac_ahead(void **state)
{
    (void)state;
    struct world *w = three();
    struct node *par = get(w, "par");

    power_loss_of_all(w);
    par->has_record = false;
    par->seqno = 101;
    power_on(w, "ams");
    power_on(w, "fra");
    power_on(w, "par");
    run(w, 120);
    assert_waits_for(w, "ams", "par");
    free(w);
}

/* L4: a front runner that is tainted leads. */
static void test_l4_tainted_leads(void **state)
{
    (void)state;
    struct world *w = three();
    struct node *par = get(w, "par");

    power_loss_of_all(w);
    par->kind = DATADIR_TAINTED;
    par->seqno = 110;
    power_on(w, "ams");
    power_on(w, "fra");
    power_on(w, "par");
    run(w, 120);
    assert_int_equal(par->boots, 1);
    assert_all_serve(w);
    free(w);
}

/* One that cannot start is set aside; its high-water mark ends with the accepted loss. */
static void test_l4_set_aside(void **state)
{
    (void)state;
    struct world *w = three();
    struct node *par = get(w, "par");

    power_loss_of_all(w);
    par->kind = DATADIR_TAINTED;
    par->seqno = 110;
    par->cannot_boot = true;
    power_on(w, "ams");
    power_on(w, "fra");
    power_on(w, "par");
    run(w, 60);
    assert_true(par->boots > 0);
    par->boots = 0; /* they failed */
    power_off(par);
    par->kind = DATADIR_SST_PARTIAL; /* moved aside by hand */
    power_on(w, "par");
    run(w, 60);
    assert_waits_for(w, "ams", "behind 110");
    assert_true(recover(w, "fra", "par"));
    run(w, 120);
    assert_int_equal(boots(w), 1);
    assert_all_serve(w);
    free(w);
}

/* L5: the first formation ends before anything was written: nobody has anything. */
static void test_l5_first_formation_dies(void **state)
{
    (void)state;
    struct world *w = two();

    power_loss_of_all(w);
    get(w, "fra")->kind = DATADIR_EMPTY;
    get(w, "par")->kind = DATADIR_EMPTY;
    power_on(w, "fra");
    power_on(w, "par");
    run(w, 120);
    assert_int_equal(boots(w), 1);
    assert_all_serve(w);
    free(w);
}

/* L6: a joiner's data cannot be read any more, beside a live Primary. */
static void test_l6_unreadable_joiner(void **state)
{
    (void)state;
    struct world *w = two();
    struct node *fra = get(w, "fra"), *par = get(w, "par");

    power_loss_of_all(w);
    fra->clean = true;
    power_on(w, "fra");
    par->join_dies = true;
    power_on(w, "par");
    run(w, 60);
    par->join_dies = false;
    par->kind = DATADIR_UNREADABLE;
    power_on(w, "par");
    run(w, 30); /* a full disk would keep the database from making a position, too */
    assert_int_equal(par->c.state, CLUSTER_FAULT);
    run(w, 90);
    assert_all_serve(w);
    /* But what could not be looked at says nothing. */
    power_off(par);
    par->kind = DATADIR_UNKNOWN;
    power_on(w, "par");
    run(w, 60);
    assert_int_equal(par->c.state, CLUSTER_FAULT);
    free(w);
}

/* L10: the position of one whose Aria log is torn counts like any other; an equal one starts. */
static void test_l10_torn_aria(void **state)
{
    (void)state;
    struct world *w = three();
    struct node *ams = get(w, "ams");

    power_loss_of_all(w);
    ams->aria = true;
    power_on(w, "ams");
    power_on(w, "fra");
    power_on(w, "par");
    run(w, 120);
    assert_int_equal(boots(w), 1);
    assert_int_equal(ams->boots, 0);
    assert_all_serve(w);
    free(w);
}

/* --- not knowing ------------------------------------------------------------------------- */

/* Looks that get no answer, on all members at once: nothing is stopped, nothing is left. */
static void test_unknown_stops_nothing(void **state)
{
    (void)state;
    struct world *w = two();

    for (unsigned i = 0; i < 2; i++)
        w->nodes[i].unknown = true;
    run(w, 600);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(w->nodes[i].stops, 0);
        assert_int_equal(w->nodes[i].c.state, CLUSTER_PRIMARY);
    }
    /* An agent that starts now knows even less. */
    start(w, "fra");
    run(w, 600);
    assert_int_equal(get(w, "fra")->stops + get(w, "par")->stops, 0);
    assert_non_null(strstr(get(w, "fra")->c.why, "cannot be asked"));
    for (unsigned i = 0; i < 2; i++)
        w->nodes[i].unknown = false;
    run(w, 10);
    assert_all_serve(w);
    assert_int_equal(boots(w), 0);
    free(w);
}

/* A database that left the group, while the others serve, is started again; one that cannot be
 * asked is not, and none is while nobody serves. */
static void test_left_is_started_again(void **state)
{
    (void)state;
    struct world *w = three();
    struct node *par = get(w, "par");

    par->primary = false;
    par->left = par->unknown = true;
    run(w, 120);
    assert_int_equal(par->stops, 0);
    par->unknown = false;
    run(w, 60);
    assert_int_equal(par->stops, 1);
    assert_int_equal(boots(w), 0);
    assert_all_serve(w);
    free(w);
}

/* Without quorum, and then without an answer: it was known then and is not now. */
static void test_unknown_after_nonprim(void **state)
{
    (void)state;
    struct world *w = two();

    get(w, "fra")->primary = get(w, "par")->primary = false;
    run(w, 5);
    assert_int_equal(get(w, "fra")->c.state, CLUSTER_NONPRIM);
    get(w, "fra")->unknown = true;
    run(w, 300);
    assert_int_equal(get(w, "fra")->stops, 0);
    free(w);
}

/* --- records and heartbeats of the first version ------------------------------------------- */

static void test_first_version(void **state)
{
    (void)state;
    static const char record[] =
        "{\"cluster_id\":\"" UUID "\",\"epoch\":2,\"chain\":[E,{\"node\":0,\"cluster_id\":\"" UUID
        "\",\"uuid\":\"\",\"base\":-1},{\"node\":1,\"cluster_id\":\"" UUID "\",\"uuid\":\"" UUID
        "\",\"base\":50},E,E,E,E,E],\"promised\":[3,1],\"accepted_at\":[0,0],\"accepted\":X,"
        "\"permit_used\":2,\"last_epoch\":2,\"joining\":0,\"data\":true,\"hw_uuid\":\"" UUID
        "\",\"hw\":50}";
    static const char none[] = "{\"node\":0,\"cluster_id\":\"\",\"uuid\":\"\",\"base\":0}";
    struct strbuf text = {0};
    json_t *j = NULL;
    struct err err = {0};
    struct cluster_record rec;

    for (const char *p = record; *p; p++)
        if (*p == 'E' || *p == 'X')
            strbuf_adds(&text, none);
        else
            strbuf_add(&text, p, 1);
    assert_int_equal(js_parse(text.s, text.len, &j, &err), 0);
    assert_int_equal(cluster_record_from_json(j, &rec, &err), 0);
    assert_int_equal(rec.n_chain, 2);
    assert_string_equal(cluster_entry(&rec, 2)->node, "#1");
    assert_int_equal(rec.booted, 2);
    /* Under the new rules: an index names nobody, and all members may have had the data. */
    struct world *w = two();
    power_loss_of_all(w);
    for (unsigned i = 0; i < 2; i++)
        w->nodes[i].record = rec;
    replace(w, "fra");
    power_on(w, "par");
    run(w, 120);
    assert_waits_for(w, "par", "fra");
    assert_true(recover(w, "par", "fra"));
    run(w, 60);
    assert_all_serve(w);
    free(w);
    json_decref(j);
    strbuf_free(&text);
}

static void test_first_version_heartbeat(void **state)
{
    (void)state;
    static const char text[] =
        "{\"t\":\"hb\",\"manifest\":\"m\",\"epoch\":1,\"ballot\":[4,1],\"position\":{\"kind\":0,"
        "\"uuid\":\"" UUID "\",\"seqno\":7,\"clean\":false,\"safe\":false,\"last_epoch\":1},"
        "\"accepted_at\":[0,0],\"value\":{\"node\":0,\"cluster_id\":\"\",\"uuid\":\"\",\"base\":0},"
        "\"state\":8,\"ready\":false,\"size\":2,\"chain\":[{\"node\":1,\"cluster_id\":\"" UUID
        "\",\"uuid\":\"\",\"base\":-1}]}";
    json_t *j = NULL;
    struct err err = {0};
    struct cluster_msg m;

    assert_int_equal(js_parse(text, strlen(text), &j, &err), 0);
    assert_int_equal(cluster_msg_from_json(j, &m, &err), 0);
    assert_int_equal(m.booted, 1);
    assert_int_equal(m.n_chain, 1);
    assert_int_equal(m.chain[0].epoch, 1);
    assert_string_equal(m.chain[0].node, "#1");
    assert_string_equal(m.ballot.node, "#1");
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_s1_new_founder),
        cmocka_unit_test(test_s1_after_power_loss),
        cmocka_unit_test(test_s1_new_one_alone_first),
        cmocka_unit_test(test_s2_new_name_sorts_first),
        cmocka_unit_test(test_s3_snapshot),
        cmocka_unit_test(test_s4_unstated_loss),
        cmocka_unit_test(test_s4_high_water_mark),
        cmocka_unit_test(test_s5_shrunk_file),
        cmocka_unit_test(test_s5_left_while_serving),
        cmocka_unit_test(test_l1_joiner_dies),
        cmocka_unit_test(test_l2_chosen_cannot_start),
        cmocka_unit_test(test_l2_many_epochs),
        cmocka_unit_test(test_l3_votes_without_data),
        cmocka_unit_test(test_l3_amnesiac_ahead),
        cmocka_unit_test(test_l4_tainted_leads),
        cmocka_unit_test(test_l4_set_aside),
        cmocka_unit_test(test_l5_first_formation_dies),
        cmocka_unit_test(test_l6_unreadable_joiner),
        cmocka_unit_test(test_l10_torn_aria),
        cmocka_unit_test(test_unknown_stops_nothing),
        cmocka_unit_test(test_unknown_after_nonprim),
        cmocka_unit_test(test_left_is_started_again),
        cmocka_unit_test(test_first_version),
        cmocka_unit_test(test_first_version_heartbeat),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
