/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules of the coordinator in which data was lost, or a loss was accepted. */
#include "cluster_world.h"

#include "agent/cluster/codec.h"
#include "common/js.h"

/* Only the data disk is new. The record of the root disk is written to it before it is looked at,
 * and again afterwards: that does not make it the disk that had the data. */
static void test_new_disk_gets_a_record(void **state)
{
    (void)state;
    struct world *w = two();
    struct node *fra = get(w, "fra"), *par = get(w, "par");

    power_loss_of_all(w);
    par->seqno = 105;
    par->kind = DATADIR_FRESH;
    par->on_disk = false;
    str_copy(fra->record.hw_uuid, 37, UUID); /* news for par, which saves them */
    fra->record.hw = 50;
    power_on(w, "fra");
    power_on(w, "par");
    run(w, 100);
    assert_true(par->on_disk);
    assert_waits_for(w, "fra", "par");
    power_off(par);
    power_on(w, "par");
    run(w, 100);
    assert_waits_for(w, "fra", "par");
    /* An accepted loss ends it, and the disk has data from then on. */
    assert_true(recover(w, "fra", "par"));
    run(w, 60);
    assert_all_serve(w);
    assert_false(par->record.new_disk);
    free(w);
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

/* par may start, and fra, which has to say that it does not run, is gone for good. */
static void test_permit_waits_for_the_lost(void **state)
{
    (void)state;
    struct world *w = two();
    struct node *par = get(w, "par");

    power_loss_of_all(w);
    decided_for(w, "par");
    power_on(w, "par");
    run(w, 60);
    assert_int_equal(par->c.state, CLUSTER_BOOT_PERMIT);
    assert_waits_for(w, "par", "no other member runs");
    assert_true(recover(w, "par", "fra"));
    run(w, 60);
    assert_int_equal(par->boots, 1);
    assert_int_equal(par->c.state, CLUSTER_PRIMARY);
    assert_string_equal(cluster_entry(&par->c.rec, 3)->lost, "fra");
    free(w);
}

/* A permit is one of the node that it names, also of records that have no incarnation. */
static void test_permit_of_another(void **state)
{
    (void)state;
    struct world *w = three();
    struct node *fra = get(w, "fra"), *par = get(w, "par");

    power_loss_of_all(w);
    for (unsigned i = 0; i < w->n; i++)
        w->nodes[i].record.incarnation[0] = '\0';
    decided_for(w, "fra");
    power_on(w, "fra");
    run(w, 20);
    assert_int_equal(fra->c.state, CLUSTER_BOOT_PERMIT);
    struct cluster_msg m = {
        .type = MSG_HEARTBEAT, .epoch = 3, .from = 2, .manifest = "m", .n_chain = 1};
    m.state = CLUSTER_STOPPED;
    m.ready = true;
    m.chain_from = 3;
    m.chain[0] = par->record.chain[par->record.n_chain - 1];
    m.chain[0].epoch = 3;
    str_copy(m.chain[0].node, CLUSTER_NAME, "par");
    for (m.from = 0; m.from < 3; m.from += 2)
        step(w, fra, &(struct cluster_event){.type = EV_MSG, .now = w->now, .msg = &m});
    run(w, 3);
    assert_int_equal(fra->boots, 0);
    assert_int_not_equal(fra->record.permit_used, 3);
    free(w);
}

/* The one that had the data has a rest of it, and the other never had any. */
static void test_nothing_empty_beside_a_rest(void **state)
{
    (void)state;
    for (int empty = 0; empty < 2; empty++) {
        struct world *w = two();
        struct node *fra = get(w, "fra"), *par = get(w, "par");

        power_off(par);
        run(w, 5); /* fra alone has the data */
        replace(w, "par");
        power_loss_of_all(w);
        fra->kind = DATADIR_SST_PARTIAL;
        par->record = par->c.rec;
        par->record.amnesiac = false;
        par->record.data = empty; /* its first join died */
        par->kind = empty ? DATADIR_EMPTY : DATADIR_FRESH;
        par->has_record = par->on_disk = true;
        power_on(w, "fra");
        power_on(w, "par");
        run(w, 100);
        assert_waits_for(w, "par", "fra had the data");
        assert_true(recover(w, "par", "fra"));
        run(w, 60);
        assert_int_equal(par->boots, 1);
        assert_all_serve(w);
        free(w);
    }
}

/* fra was down while par left the file: its list of those who have the data is older than that of
 * ams, which went on without both. But when ams did not go on, it is as good. */
static void test_old_list_of_holders(void **state)
{
    (void)state;
    for (int older = 0; older < 2; older++) {
        struct world *w = three();
        struct node *ams = get(w, "ams"), *fra = get(w, "fra");

        run(w, 5);
        power_off(fra);
        run(w, 5);
        power_off(get(w, "par"));
        not_in_file(w, "par");
        run(w, 5);
        assert_int_equal(ams->record.holders.n, 1);
        assert_int_equal(fra->record.holders.n, 3);
        ams->seqno = older ? 200 : 100;
        power_loss_of_all(w);
        power_on(w, "ams");
        power_on(w, "fra");
        run(w, 60);
        if (older) {
            assert_int_equal(ams->boots, 1);
            assert_int_equal(fra->c.state, CLUSTER_PRIMARY);
        } else {
            assert_waits_for(w, "ams", "not in the file any more");
        }
        free(w);
    }
}

static unsigned saves(struct world *w, struct node *nd, const struct cluster_msg *m)
{
    static struct cluster_out out;
    unsigned n = 0;

    w->now += 100;
    cluster_step(&nd->c, &(struct cluster_event){.type = EV_MSG, .now = w->now, .msg = m}, &out);
    for (size_t i = 0; i < out.n; i++)
        n += out.a[i].type == ACT_SAVE;
    return n;
}

/* Two members say different things for long: the third does not write each of them down. */
static void test_contrary_words_are_not_saved_in_turns(void **state)
{
    (void)state;
    struct world *w = three();
    struct node *ams = get(w, "ams");

    power_loss_of_all(w);
    power_on(w, "ams");
    run(w, 5);
    unsigned n = 0;
    for (int i = 0; i < 100; i++) {
        struct cluster_msg m = {
            .type = MSG_HEARTBEAT, .manifest = "m", .from = 1 + i % 2, .hw = 1000 + i};

        m.state = CLUSTER_STOPPED;
        m.epoch = 1;
        str_copy(m.hw_uuid, sizeof(m.hw_uuid), UUID);
        m.hw_uuid[0] = i % 2 ? 'a' : 'b';
        n += saves(w, ams, &m);
    }
    assert_true(n <= 50); /* the one that it keeps still rises */
    int64_t hw = ams->c.rec.hw;
    n = 0;
    for (int i = 0; i < 100; i++) {
        struct cluster_msg m = {.type = MSG_HEARTBEAT, .manifest = "m", .from = 1 + i % 2};

        m.state = CLUSTER_PRIMARY;
        m.epoch = m.booted = 1;
        m.holders.n = 1 + i % 2;
        str_copy(m.holders.name[0], CLUSTER_NAME, "fra");
        str_copy(m.holders.name[1], CLUSTER_NAME, "par");
        n += saves(w, ams, &m);
    }
    assert_true(n <= 3);
    assert_int_equal(ams->c.rec.hw, hw);
    free(w);
}

/* What the database lists as members is taken whole, and only when a record can be read with it. */
static void test_names_of_members(void **state)
{
    (void)state;
    struct cluster_names names;
    struct err err = {0};
    static const char *const bad[] = {"[\"\"]", "[\"fra\",\"my node\"]", "[\"fra\",7]"};
    json_t *j = json_pack("[s,s]", "fra", "par");

    assert_int_equal(cluster_names_from_json(j, &names, &err), 0);
    assert_int_equal(names.n, 2);
    while (json_array_size(j) <= CLUSTER_MAX)
        json_array_append_new(j, json_string("more"));
    assert_int_equal(cluster_names_from_json(j, &names, &err), -1);
    json_decref(j);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(js_parse(bad[i], strlen(bad[i]), &j, &err), 0);
        assert_int_equal(cluster_names_from_json(j, &names, &err), -1);
        json_decref(j);
    }
}

static void only_holder(struct world *w, const char *name)
{
    for (unsigned i = 0; i < w->n; i++) {
        struct cluster_names *h = &w->nodes[i].record.holders;

        h->n = 1;
        str_copy(h->name[0], CLUSTER_NAME, name);
    }
}

/* The last decision names fra, which has left the file: it may have started. */
static void test_starter_outside_the_file(void **state)
{
    (void)state;
    struct world *w = two();

    power_loss_of_all(w);
    decided_for(w, "fra");
    only_holder(w, "par");
    not_in_file(w, "fra");
    power_on(w, "par");
    run(w, 60);
    assert_waits_for(w, "par", "waits for fra");
    assert_true(recover(w, "par", "fra"));
    run(w, 60);
    assert_int_equal(get(w, "par")->c.state, CLUSTER_PRIMARY);
    free(w);
}

/* It names the disk that fra had before, which may have started, too. */
static void test_starter_with_a_new_disk(void **state)
{
    (void)state;
    struct world *w = two();

    power_loss_of_all(w);
    decided_for(w, "fra");
    only_holder(w, "par");
    replace(w, "fra");
    power_on(w, "par");
    run(w, 60);
    assert_waits_for(w, "par", "waits for the data of fra");
    assert_true(recover(w, "par", "fra"));
    run(w, 60);
    assert_all_serve(w);
    assert_int_equal(get(w, "par")->booted_from, DATADIR_OK);
    free(w);
}

/* It joined what was about to lose its quorum, and got nothing: its old disk is missing still. */
static void test_join_over_a_new_disk_fails(void **state)
{
    (void)state;
    struct world *w = two();
    struct node *fra = get(w, "fra");

    fra->unknown = true; /* it says what it said: Primary, with par */
    replace(w, "par");
    get(w, "par")->join_dies = true;
    for (unsigned i = 0; i < 60 && get(w, "par")->up; i++)
        run(w, 1);
    assert_false(get(w, "par")->up); /* the gate has opened */
    fra->unknown = fra->primary = false;
    get(w, "par")->join_dies = false;
    power_on(w, "par");
    run(w, 60);
    assert_waits_for(w, "fra", "waits for the data of par");
    assert_true(recover(w, "fra", "par"));
    run(w, 90);
    assert_all_serve(w);
    free(w);
}

/* Whoever joins for the first time is listed as a member while the transfer runs; when it fails
 * nothing is missing, whatever the list says. */
static void test_first_join_fails(void **state)
{
    (void)state;
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->now = 1000000;
    add(w, "fra");
    add(w, "par");
    in_file(w, "fra");
    in_file(w, "par");
    get(w, "par")->join_dies = true;
    start(w, "fra");
    start(w, "par");
    for (unsigned i = 0; i < 120 && get(w, "par")->up; i++)
        run(w, 1);
    struct node *fra = get(w, "fra");
    assert_true(fra->primary && !get(w, "par")->up);
    fra->c.rec.holders = (struct cluster_names){2, {"fra", "par"}};
    fra->record = fra->c.rec;
    power_loss_of_all(w);
    get(w, "par")->join_dies = false;
    power_on(w, "fra");
    power_on(w, "par");
    run(w, 120);
    assert_all_serve(w);
    free(w);
}

/* Both had the data, and each has only a rest of it: an operator may give both up. */
static void test_only_rests(void **state)
{
    (void)state;
    struct world *w = two();

    power_loss_of_all(w);
    get(w, "fra")->kind = DATADIR_SST_PARTIAL;
    get(w, "par")->kind = DATADIR_EMPTY;
    power_on(w, "fra");
    power_on(w, "par");
    run(w, 60);
    assert_waits_for(w, "par", "has no whole database any more");
    assert_true(recover(w, "par", "fra"));
    assert_true(recover(w, "par", "par"));
    run(w, 60);
    assert_all_serve(w);
    free(w);
}

/* par's join left a rest, which counts as none; the one that it joined is given up with its disk.
 * What par has was not given up: nothing empty is founded over it. */
static void test_rest_of_a_join(void **state)
{
    (void)state;
    struct world *w = two();

    power_loss_of_all(w);
    only_holder(w, "fra");
    get(w, "par")->kind = DATADIR_TAINTED;
    get(w, "par")->record.joining = 1;
    replace(w, "fra");
    power_on(w, "par");
    run(w, 60);
    assert_waits_for(w, "par", "waits for the data of fra");
    assert_true(recover(w, "par", "fra"));
    run(w, 60);
    assert_waits_for(w, "par", "par had the data");
    free(w);
}

/* Data that its database distrusted before a join that met nobody is what it was; what it distrusts
 * since then is a rest. */
static void test_distrusted_before_a_join(void **state)
{
    (void)state;
    static const struct {
        enum cluster_datadir before;
        int64_t after;
        enum cluster_datadir seen;
    } cases[] = {{DATADIR_TAINTED, 110, DATADIR_TAINTED},
                 {DATADIR_TAINTED, 112, DATADIR_SST_PARTIAL},
                 {DATADIR_OK, 110, DATADIR_SST_PARTIAL}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world *w = three();
        struct node *par = get(w, "par");

        power_off(par);
        par->kind = cases[i].before;
        par->seqno = get(w, "ams")->seqno = get(w, "fra")->seqno = 110;
        par->join_dies = true;
        run(w, 15);
        power_on(w, "par");
        run(w, 15);
        assert_false(par->up);
        assert_true(par->record.joining);
        power_off(get(w, "ams"));
        power_off(get(w, "fra"));
        par->join_dies = false;
        par->kind = DATADIR_TAINTED;
        par->seqno = cases[i].after;
        power_on(w, "par");
        run(w, 3);
        assert_int_equal(par->c.position.kind, cases[i].seen);
        free(w);
    }
}

/* An operator gave up two, each went on from its place, and each decided an epoch 2. */
static void forked(struct world *w, int64_t base, uint64_t epochs)
{
    struct node *fra = get(w, "fra"), *par = get(w, "par");
    struct cluster_value v = {.epoch = 2, .node = "par", .cluster_id = UUID, .uuid = UUID};

    power_off(par);
    v.base = 100;
    cluster_append(&par->record, &v);
    par->record.last_epoch = par->record.booted = par->record.permit_used = 2;
    par->seqno = 110;
    par->kind = DATADIR_OK;
    str_copy(v.node, sizeof(v.node), "fra");
    v.base = base;
    for (v.epoch = 2; v.epoch < 2 + epochs; v.epoch++)
        cluster_append(&fra->c.rec, &v);
    fra->c.rec.last_epoch = fra->c.rec.booted = fra->c.rec.permit_used = fra->c.rec.epoch;
    fra->record = fra->c.rec;
    fra->seqno = 200;
    run(w, 12);
}

/* The cluster is of an epoch 3 whose record has no epoch 2 any more: numbers alone would fit. */
static void test_data_of_another_epoch(void **state)
{
    (void)state;
    struct world *w = two();
    struct node *par = get(w, "par");

    forked(w, 150, 2);
    power_on(w, "par");
    run(w, 30);
    assert_int_equal(par->c.state, CLUSTER_QUARANTINE);
    assert_non_null(strstr(par->c.why, "101..110"));
    free(w);
}

/* Whoever returns knows of an epoch 2 that those who serve are not of. */
static void test_data_of_a_later_epoch(void **state)
{
    (void)state;
    struct world *w = two();
    struct node *par = get(w, "par");

    forked(w, 0, 0);
    power_on(w, "par");
    run(w, 30);
    assert_int_equal(par->c.state, CLUSTER_QUARANTINE);
    free(w);
}

/* Excluded since the others had all that it had, and none of them has it any more. */
static void test_nothing_is_founded_without_the_excluded(void **state)
{
    (void)state;
    struct world *w = three();
    struct node *ams = get(w, "ams"), *fra = get(w, "fra");

    power_loss_of_all(w);
    for (unsigned i = 0; i < 2; i++) {
        struct node *nd = i ? fra : ams;

        nd->kind = DATADIR_FRESH;
        nd->record.data = false;
        nd->record.holders.n = 0;
        nd->record.votes = (struct cluster_votes){.n = 1, .of = {{"par", 1}}};
        str_copy(nd->record.chain[0].node, CLUSTER_NAME, "par");
    }
    power_on(w, "ams");
    power_on(w, "fra");
    run(w, 60);
    assert_int_equal(boots(w), 0);
    assert_waits_for(w, "ams", "cluster recover --without par");
    free(w);
}

/* What ends beside the cluster's history is chosen by no decision, and may be given up. */
static void test_unusable_data_is_given_up(void **state)
{
    (void)state;
    struct world *w = two();
    struct node *fra = get(w, "fra"), *par = get(w, "par");
    struct cluster_value v = {.epoch = 2, .node = "fra", .cluster_id = UUID, .uuid = UUID};

    power_loss_of_all(w);
    v.base = 105;
    for (unsigned i = 0; i < 2; i++) {
        struct node *nd = i ? fra : par;

        cluster_append(&nd->record, &v);
        nd->record.booted = nd->record.permit_used = 2;
        nd->record.hw = 0;
    }
    par->seqno = 110; /* 106..110 were left behind */
    fra->seqno = 102; /* an older disk */
    fra->record.last_epoch = 2;
    power_on(w, "fra");
    power_on(w, "par");
    assert_waits_for(w, "fra", "cluster recover --without par");
    assert_true(recover(w, "fra", "par"));
    run(w, 60);
    assert_int_equal(fra->c.state, CLUSTER_PRIMARY);
    assert_int_equal(par->c.state, CLUSTER_QUARANTINE);
    free(w);
}

/* The disk was lost, and then the record of that, before a join over the new one ended. */
static void test_new_disk_without_its_record(void **state)
{
    (void)state;
    struct world *w = two();
    struct node *par = get(w, "par");

    power_loss_of_all(w);
    par->kind = DATADIR_EMPTY;
    par->has_record = par->on_disk = false;
    par->record = (struct cluster_record){0};
    power_on(w, "fra");
    power_on(w, "par");
    run(w, 60);
    assert_int_equal(get(w, "par")->c.state, CLUSTER_AMNESIAC);
    assert_waits_for(w, "fra", "par");
    assert_true(recover(w, "fra", "par"));
    run(w, 60);
    assert_int_equal(get(w, "fra")->c.state, CLUSTER_PRIMARY);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_disk_gets_a_record),
        cmocka_unit_test(test_permit_waits_for_the_lost),
        cmocka_unit_test(test_permit_of_another),
        cmocka_unit_test(test_nothing_empty_beside_a_rest),
        cmocka_unit_test(test_old_list_of_holders),
        cmocka_unit_test(test_contrary_words_are_not_saved_in_turns),
        cmocka_unit_test(test_names_of_members),
        cmocka_unit_test(test_starter_outside_the_file),
        cmocka_unit_test(test_starter_with_a_new_disk),
        cmocka_unit_test(test_join_over_a_new_disk_fails),
        cmocka_unit_test(test_first_join_fails),
        cmocka_unit_test(test_only_rests),
        cmocka_unit_test(test_rest_of_a_join),
        cmocka_unit_test(test_distrusted_before_a_join),
        cmocka_unit_test(test_data_of_another_epoch),
        cmocka_unit_test(test_data_of_a_later_epoch),
        cmocka_unit_test(test_nothing_is_founded_without_the_excluded),
        cmocka_unit_test(test_unusable_data_is_given_up),
        cmocka_unit_test(test_new_disk_without_its_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
