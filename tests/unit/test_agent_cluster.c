/* SPDX-License-Identifier: Apache-2.0 */
/* The coordinator's rules one by one: who is chosen, who is an ancestor, what is durable when. The
 * whole protocol is in tests/sim. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/cluster/codec.h"
#include "agent/cluster/internal.h"
#include "agent/cluster/store.h"
#include "agent/galera/grastate.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/str.h"

#define U1 "6dce997e-e693-11f1-bb69-13b141fb1408"
#define U2 "7dce997e-e693-11f1-bb69-13b141fb1408"

static const bool all[CLUSTER_MAX] = {1, 1, 1, 1};

static struct cluster_config config(unsigned n)
{
    struct cluster_config c = {.n = n, .manifest = "m", .mint = U2, .seed = 1};

    for (unsigned i = 0; i < n; i++) {
        snprintf(c.names[i], sizeof(c.names[i]), "n%u", i);
        c.weights[i] = 1;
    }
    return c;
}

static struct cluster_position at(enum cluster_datadir kind, const char *uuid, int64_t seqno,
                                  uint64_t epoch)
{
    struct cluster_position p = {.kind = kind, .seqno = seqno, .last_epoch = epoch};

    str_copy(p.uuid, sizeof(p.uuid), uuid);
    return p;
}

static void test_choose(void **state)
{
    (void)state;
    struct cluster_config cfg = config(3);
    struct cluster_record rec = {0};
    char why[CLUSTER_WHY_MAX];
    struct cluster_position fresh[3] = {
        {.kind = DATADIR_FRESH}, {.kind = DATADIR_FRESH}, {.kind = DATADIR_FRESH}};

    assert_int_equal(cluster_choose(&cfg, &rec, fresh, all, "", why), 0);
    cfg.weights[2] = 2;
    assert_int_equal(cluster_choose(&cfg, &rec, fresh, all, "", why), 2);
    cfg.weights[2] = 1;

    struct cluster_position max[3] = {at(DATADIR_OK, U1, 5, 1), at(DATADIR_OK, U1, 9, 1),
                                      at(DATADIR_OK, U1, 7, 1)};
    rec.epoch = 1;
    assert_int_equal(cluster_choose(&cfg, &rec, max, all, "", why), 1);
    max[2].seqno = 9;
    max[2].clean = true;
    assert_int_equal(cluster_choose(&cfg, &rec, max, all, "", why), 2);
    /* A node of an older epoch is a candidate up to the base of the next one, and no further. */
    rec.epoch = 2;
    for (int i = 0; i < 3; i++)
        max[i].last_epoch = 2;
    cluster_append(&rec, &(struct cluster_value){.epoch = 2, .node = "n0", .uuid = U1, .base = 50});
    max[2].seqno = 50;
    max[2].last_epoch = 1;
    rec.chain_from = 1;
    assert_int_equal(cluster_choose(&cfg, &rec, max, all, "", why), 2);
    /* Nor is anybody who has less of what it has in common with the cluster. */
    max[2].seqno = 51;
    assert_int_equal(cluster_choose(&cfg, &rec, max, all, "", why), -1);
    assert_non_null(strstr(why, "n2 has more of the cluster's data (51) than n1 (9)"));
    assert_int_equal(cluster_choose(&cfg, &rec, max, all, "n2", why), 1);
    max[1].seqno = 50;
    rec.booted = 2;
    assert_int_equal(cluster_choose(&cfg, &rec, max, all, "", why), 1);
    /* When no later epoch has served, what was written in this one was not left behind. */
    rec.booted = 1;
    assert_int_equal(cluster_choose(&cfg, &rec, max, all, "", why), -1);
    assert_non_null(strstr(why, "n2 has more of the cluster's data (51) than n1 (50)"));
    max[1].seqno = 9;
    max[2] = max[0];
    rec = (struct cluster_record){.epoch = 1};
    for (int i = 0; i < 3; i++)
        max[i].last_epoch = 1;
    /* Fresh members do not stand in the way of one that has data. */
    max[0] = at(DATADIR_FRESH, "", -1, 0);
    assert_int_equal(cluster_choose(&cfg, &rec, max, all, "", why), 1);
    /* Another history of the same epoch: nobody is chosen. */
    max[0] = at(DATADIR_OK, U2, 3, 1);
    assert_int_equal(cluster_choose(&cfg, &rec, max, all, "", why), -1);
    /* What distrusts itself is taken only when it alone is the newest. */
    max[0] = at(DATADIR_TAINTED, U1, 9, 1);
    assert_int_equal(cluster_choose(&cfg, &rec, max, all, "", why), 1);
    max[0].seqno = 10;
    assert_int_equal(cluster_choose(&cfg, &rec, max, all, "", why), 0);
    max[0] = at(DATADIR_SST_PARTIAL, U1, 99, 1);
    assert_int_equal(cluster_choose(&cfg, &rec, max, all, "", why), 1);
    /* Regressed: something durable is missing. */
    str_copy(rec.hw_uuid, sizeof(rec.hw_uuid), U1);
    rec.hw = 10;
    assert_int_equal(cluster_choose(&cfg, &rec, max, all, "", why), -1);
}

static void test_ancestor(void **state)
{
    (void)state;
    char why[CLUSTER_WHY_MAX];
    struct cluster_record rec = {.epoch = 3};
    struct cluster_position live = at(DATADIR_OK, U1, 100, 3);

    for (unsigned e = 2; e <= 3; e++)
        cluster_append(&rec, &(struct cluster_value){
                                 .epoch = e, .cluster_id = U2, .uuid = U1, .base = 10 * e});
    struct cluster_position p = at(DATADIR_OK, U1, 100, 3);
    assert_int_equal(cluster_ancestor(&rec, &p, &live, why), 1);
    p.seqno = 101;
    assert_int_equal(cluster_ancestor(&rec, &p, &live, why), 0);
    p = at(DATADIR_OK, U1, 30, 2);
    assert_int_equal(cluster_ancestor(&rec, &p, &live, why), 1);
    p.seqno = 31; /* left behind by the bootstrap of epoch 3, though less than 100 */
    assert_int_equal(cluster_ancestor(&rec, &p, &live, why), -1);
    p = at(DATADIR_OK, U2, 1, 3);
    assert_int_equal(cluster_ancestor(&rec, &p, &live, why), -1);
    p = at(DATADIR_FRESH, "", -1, 0);
    assert_int_equal(cluster_ancestor(&rec, &p, &live, why), 1);
}

/* A running cluster needs its coordinator once a second; whoever decides by time, more often. */
static void test_ticks(void **state)
{
    (void)state;
    static struct cluster c;
    static struct cluster_out out;
    struct cluster_config cfg = config(1);
    struct cluster_event db = {
        .type = EV_DB, .now = 1, .running = true, .answers = true, .primary = true, .synced = true};

    cluster_init(&c, &cfg, NULL, 0);
    assert_true(cluster_tick_at(&c, 1000) < 1500);
    cluster_step(&c, &db, &out);
    assert_int_equal(c.state, CLUSTER_PRIMARY);
    cluster_step(&c, &(struct cluster_event){.type = EV_TICK, .now = 5000}, &out);
    assert_int_equal(cluster_tick_at(&c, 5000), 6000);
    db.primary = false;
    cluster_step(&c, &db, &out);
    assert_true(cluster_tick_at(&c, 5000) < 5500);
}

static void test_permit_is_durable_first(void **state)
{
    (void)state;
    static struct cluster c;
    static struct cluster_out out;
    struct cluster_config cfg = config(1);

    cluster_init(&c, &cfg, NULL, 0);
    cluster_step(&c, &(struct cluster_event){.type = EV_DB, .now = 1}, &out);
    cluster_step(&c, &(struct cluster_event){.type = EV_TICK, .now = 2}, &out);
    struct cluster_event ev = {.type = EV_POSITION, .now = 3, .position = {.kind = DATADIR_FRESH}};
    cluster_step(&c, &ev, &out);
    for (unsigned i = 0; i < 5 && c.state != CLUSTER_BOOTSTRAPPING; i++)
        cluster_step(&c, &(struct cluster_event){.type = EV_TICK, .now = 10 + i}, &out);
    assert_int_equal(c.state, CLUSTER_BOOTSTRAPPING);
    assert_int_equal(c.rec.permit_used, 1);
    size_t boot = 0;
    while (boot < out.n && out.a[boot].type != ACT_BOOT)
        boot++;
    assert_true(boot > 0 && boot < out.n);
    assert_int_equal(out.a[boot - 1].type, ACT_SAVE);
    /* It died: the permit is gone, a new epoch is needed. */
    cluster_step(&c, &(struct cluster_event){.type = EV_DONE, .now = 20, .why = "died"}, &out);
    assert_int_equal(c.state, CLUSTER_STOPPED);
    assert_int_equal(c.rec.permit_used, c.rec.epoch);
    /* Only what had started it died: it is waited for, not looked into. */
    struct cluster_event db = {.type = EV_DB, .now = 30, .running = true};
    cluster_step(&c, &db, &out);
    assert_int_equal(c.state, CLUSTER_UNCONF);
    cluster_step(&c, &(struct cluster_event){.type = EV_TICK, .now = 5000}, &out);
    for (size_t i = 0; i < out.n; i++)
        assert_int_not_equal(out.a[i].type, ACT_POSITION);
    db.primary = db.synced = db.answers = true;
    cluster_step(&c, &db, &out);
    assert_int_equal(c.state, CLUSTER_PRIMARY);
}

static const struct cluster_action *find(const struct cluster_out *out,
                                         enum cluster_action_type type)
{
    for (size_t i = 0; i < out->n; i++)
        if (out->a[i].type == type)
            return &out->a[i];
    return NULL;
}

/* Whoever bootstrapped writes the row of its epoch until it is seen: the write may be killed, or
 * the agent before it began. */
static void test_row_again(void **state)
{
    (void)state;
    static struct cluster c;
    static struct cluster_out out;
    struct cluster_config cfg = config(1);
    struct cluster_record rec = {.epoch = 1};
    struct cluster_event db = {
        .type = EV_DB, .now = 1, .running = true, .primary = true, .synced = true, .rowless = true};

    cluster_append(&rec,
                   &(struct cluster_value){.epoch = 1, .node = "n0", .cluster_id = U1, .base = -1});
    cluster_init(&c, &cfg, &rec, 0);
    cluster_step(&c, &db, &out);
    assert_int_equal(c.state, CLUSTER_PRIMARY);
    assert_non_null(find(&out, ACT_ROW));
    db.rowless = false;
    cluster_step(&c, &db, &out);
    assert_null(find(&out, ACT_ROW));
    /* A dump of another cluster was restored: its row is replaced. */
    str_copy(db.row_node, CLUSTER_NAME, "other");
    str_copy(db.row_cluster, sizeof(db.row_cluster), U2);
    str_copy(db.position.uuid, sizeof(db.position.uuid), U1);
    cluster_step(&c, &db, &out);
    assert_int_equal(c.state, CLUSTER_PRIMARY);
    assert_non_null(find(&out, ACT_ROW));
    str_copy(c.rec.hw_uuid, sizeof(c.rec.hw_uuid), U1);
    cluster_step(&c, &db, &out);
    assert_int_equal(c.state, CLUSTER_PRIMARY);
    /* Its history is another one as well: it answers nobody any more. */
    str_copy(db.position.uuid, sizeof(db.position.uuid), U2);
    cluster_step(&c, &db, &out);
    assert_int_equal(c.state, CLUSTER_HALT);
    assert_non_null(find(&out, ACT_REJECT));
    db.row_node[0] = '\0';
    cfg = config(2);
    str_copy(rec.chain[0].node, CLUSTER_NAME, "n1"); /* another member did */
    db.rowless = true;
    cluster_init(&c, &cfg, &rec, 0);
    cluster_step(&c, &db, &out);
    assert_null(find(&out, ACT_ROW));
}

/* A member that was to get its weight when its join ended, and did not, gets it later. */
static void test_weight_again(void **state)
{
    (void)state;
    static struct cluster c;
    static struct cluster_out out;
    struct cluster_config cfg = config(2);
    struct cluster_record rec = {.epoch = 1};
    struct cluster_event db = {.type = EV_DB,
                               .now = 1,
                               .running = true,
                               .answers = true,
                               .primary = true,
                               .weightless = true};

    cluster_append(&rec,
                   &(struct cluster_value){.epoch = 1, .node = "n1", .cluster_id = U1, .base = -1});
    cluster_init(&c, &cfg, &rec, 0);
    cluster_step(&c, &db, &out);
    assert_null(find(&out, ACT_WEIGHT)); /* it joins */
    db.synced = true;
    cluster_step(&c, &db, &out);
    assert_int_equal(c.state, CLUSTER_PRIMARY);
    assert_non_null(find(&out, ACT_WEIGHT));
    db.weightless = false;
    cluster_step(&c, &db, &out);
    assert_null(find(&out, ACT_WEIGHT));
}

/* Member 0 of two, with nothing, hears from a Primary at `seqno` and joins it. */
static void join(struct cluster *c, struct cluster_out *out, struct cluster_msg *hb, int64_t seqno)
{
    struct cluster_config cfg = config(2);

    *hb = (struct cluster_msg){.type = MSG_HEARTBEAT,
                               .from = 1,
                               .manifest = "m",
                               .epoch = 1,
                               .position = at(DATADIR_OK, U1, seqno, 1),
                               .state = CLUSTER_PRIMARY,
                               .booted = 1,
                               .permit_used = 1,
                               .chain_from = 1,
                               .n_chain = 1,
                               .chain = {{.epoch = 1, .node = "n1", .cluster_id = U2, .base = -1}}};
    cluster_init(c, &cfg, NULL, 0);
    cluster_step(c, &(struct cluster_event){.type = EV_DB, .now = 1}, out);
    struct cluster_event ev = {.type = EV_POSITION, .now = 3, .position = {.kind = DATADIR_FRESH}};
    cluster_step(c, &ev, out);
    cluster_step(c, &(struct cluster_event){.type = EV_MSG, .now = 4, .msg = hb}, out);
    for (uint64_t now = 5; now < 8 && c->state != CLUSTER_JOINING; now++)
        cluster_step(c, &(struct cluster_event){.type = EV_TICK, .now = now}, out);
    assert_int_equal(c->state, CLUSTER_JOINING);
}

static void test_small_join(void **state)
{
    (void)state;
    static struct cluster c;
    static struct cluster_out out;
    struct cluster_msg hb;

    join(&c, &out, &hb, 20);
    assert_true(find(&out, ACT_JOIN)->small);
    join(&c, &out, &hb, 20000);
    assert_false(find(&out, ACT_JOIN)->small);
}

/* The donor says `state` each second for `seconds`; whether the join was given up. */
static bool given_up(enum cluster_state state, unsigned seconds)
{
    static struct cluster c;
    static struct cluster_out out;
    struct cluster_msg hb;
    bool any = false;

    join(&c, &out, &hb, 20);
    hb.state = state;
    for (uint64_t now = 1000; now <= seconds * 1000; now += 1000) {
        if (state != CLUSTER_STATES)
            cluster_step(&c, &(struct cluster_event){.type = EV_MSG, .now = now, .msg = &hb}, &out);
        cluster_step(&c, &(struct cluster_event){.type = EV_TICK, .now = now}, &out);
        any = any || find(&out, ACT_ABANDON);
    }
    assert_int_equal(c.state, CLUSTER_JOINING); /* until its end is told */
    return any;
}

static void test_join_is_given_up_only_when_no_member_can_serve_it(void **state)
{
    (void)state;
    assert_true(given_up(CLUSTER_STOPPED, 30));
    assert_true(given_up(CLUSTER_JOINING, 30));
    assert_false(given_up(CLUSTER_STOPPED, 9));
    assert_false(given_up(CLUSTER_PRIMARY, 100000));
    assert_false(given_up(CLUSTER_UNCONF, 100000)); /* its agent is new, its database may run */
    assert_false(given_up(CLUSTER_NONPRIM, 100000));
    assert_false(given_up(CLUSTER_STATES, 100000)); /* not heard at all */
}

static void test_store(void **state)
{
    (void)state;
    char dir[] = "/tmp/test-cluster-XXXXXX";
    struct err err = {0};
    struct cluster_record r = {.epoch = 1, .cluster_id = U1}, got;
    uint64_t generation = 0;

    assert_non_null(mkdtemp(dir));
    const char *dirs[2] = {dir, "/nonexistent-muster"};
    assert_int_equal(cluster_store_load(dirs, &got, &generation, &err), 0);
    for (uint64_t g = 1; g <= 3; g++) {
        r.epoch = g;
        assert_int_equal(cluster_store_save(dirs, &r, g, &err), 0);
    }
    assert_int_equal(cluster_store_load(dirs, &got, &generation, &err), 1);
    assert_int_equal(got.epoch, 3);
    /* The newest slot is torn: the one before it counts. */
    char *path = str_fmt("%s/record.b", dir);
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(cluster_store_load(dirs, &got, &generation, &err), 1);
    assert_int_equal(got.epoch, 2);
    free(path);
    assert_int_equal(fs_remove_tree(dir, &err), 0);
    assert_int_equal(crc32c("123456789", 9), 0xe3069283);
}

/* A data disk that was changed gets the root disk's record, and stays known as new. */
static void test_store_new_disk(void **state)
{
    (void)state;
    char root[] = "/tmp/test-cluster-XXXXXX", disk[] = "/tmp/test-cluster-XXXXXX";
    struct err err = {0};
    struct cluster_record r = {.epoch = 1, .data = true}, got;
    uint64_t generation = 0;

    assert_non_null(mkdtemp(root));
    assert_non_null(mkdtemp(disk));
    const char *dirs[2] = {root, disk};
    assert_int_equal(cluster_store_save(dirs, &r, 1, &err), 0);
    assert_int_equal(cluster_store_load(dirs, &got, &generation, &err), 1);
    assert_false(got.new_disk);
    assert_int_equal(fs_remove_tree(disk, &err), 0);
    assert_int_equal(mkdir(disk, 0700), 0);
    for (uint64_t g = 2; g < 5; g++) {
        assert_int_equal(cluster_store_load(dirs, &got, &generation, &err), 1);
        assert_true(got.new_disk);
        assert_int_equal(cluster_store_save(dirs, &got, g, &err), 0);
    }
    got.new_disk = false; /* the gate opens */
    assert_int_equal(cluster_store_save(dirs, &got, 5, &err), 0);
    /* The root disk alone is new. */
    assert_int_equal(fs_remove_tree(root, &err), 0);
    assert_int_equal(cluster_store_load(dirs, &got, &generation, &err), 1);
    assert_false(got.new_disk);
    assert_int_equal(fs_remove_tree(disk, &err), 0);
}

static void test_codec(void **state)
{
    (void)state;
    struct err err = {0};
    struct cluster_msg m = {.type = MSG_PROMISE,
                            .manifest = "0123456789abcdef",
                            .epoch = 7,
                            .ballot = {3, "n1"},
                            .accepted_at = {2, "n0"},
                            .chain_from = 4,
                            .n_chain = 2,
                            .chain = {{.epoch = 5, .node = "n0", .base = 3},
                                      {.epoch = 7, .node = "n1", .base = 9, .lost = "n0 n2"}},
                            .data = true,
                            .permit_used = 6,
                            .booted = 7,
                            .holders = {2, {"n0", "n1"}},
                            .votes_known = true,
                            .votes = {2, {{"n0", 4}, {"n2", 3}}},
                            .hw_uuid = U1,
                            .hw = 12,
                            .size = 2};

    m.position = at(DATADIR_OK, U1, 42, 6);
    str_copy(m.value.cluster_id, 37, U2);
    struct cluster_msg back;
    json_t *j = cluster_msg_to_json(&m);
    assert_int_equal(cluster_msg_from_json(j, &back, &err), 0);
    assert_memory_equal(&m, &back, sizeof(m));
    json_object_set_new(j, "epoch", json_integer(1)); /* a chain beyond its epoch */
    assert_int_equal(cluster_msg_from_json(j, &back, &err), -1);
    json_decref(j);
}

static void test_grastate(void **state)
{
    (void)state;
    struct grastate g;
    struct err err;
    char uuid[37];
    int64_t seqno;

    assert_int_equal(grastate_parse("# GALERA saved state\nversion: 2.1\nuuid:    " U1
                                    "\nseqno:   17\nsafe_to_bootstrap: 1\n",
                                    &g, &err),
                     0);
    assert_int_equal(g.seqno, 17);
    assert_true(g.safe);
    _cleanup_free_ char *text = grastate_text(U1);
    assert_int_equal(grastate_parse(text, &g, &err), 0);
    assert_string_equal(g.uuid, U1);
    assert_true(g.seqno == -1 && g.safe);
    assert_int_equal(grastate_parse("", &g, &err), -1);
    assert_int_equal(grastate_parse("uuid: xyz\nseqno: 1\nsafe_to_bootstrap: 1\n", &g, &err), -1);
    assert_int_equal(grastate_parse("uuid: " U1 "\nseq", &g, &err), -1);
    assert_true(grastate_recovered("x [Note] WSREP: Recovered position: " U1 ":33", uuid, &seqno));
    assert_int_equal(seqno, 33);
    assert_true(grastate_recovered("WSREP: Recovered position: " U1 ":33,0-1-2", uuid, &seqno));
    assert_false(grastate_recovered("WSREP: Recovered position: nonsense", uuid, &seqno));
}

static struct grastate_recovery recovered_from(const char *const lines[])
{
    struct grastate_recovery r = {.seqno = -1};

    for (; *lines; lines++)
        grastate_recovery_line(&r, *lines);
    return r;
}

/* A note about prepared transactions is of those that the server commits or rolls back by itself.
 */
static void test_recovery_output(void **state)
{
    (void)state;
    struct grastate_recovery r = recovered_from((const char *const[]){
        "2026-01-01 10:00:00 0 [Note] InnoDB: Starting crash recovery from checkpoint LSN=46006",
        "2026-01-01 10:00:00 0 [Note] Starting table crash recovery...",
        "2026-01-01 10:00:00 0 [Note] Found 3 prepared transaction(s) in InnoDB",
        "2026-01-01 10:00:00 0 [Note] Crash table recovery finished.",
        "2026-01-01 10:00:00 0 [Note] WSREP: Recovered position: " U1 ":77,0-1-77", NULL});

    assert_false(r.prepared);
    assert_true(r.innodb);
    assert_false(r.aria);
    assert_int_equal(r.lines, 1);
    assert_int_equal(r.seqno, 77);
    assert_string_equal(r.first, "");
    r = recovered_from((const char *const[]){
        "0 [Note] Found 1 prepared transaction(s) in InnoDB",
        "0 [ERROR] Found 1 prepared transactions! It means that mysqld was not shut down properly",
        "0 [ERROR] Aborting", NULL});
    assert_true(r.prepared);
    assert_int_equal(r.lines, 0);
    assert_non_null(strstr(r.first, "Found 1 prepared"));
    r = recovered_from((const char *const[]){
        "0 [ERROR] mariadbd: Got error 'Size of control file is smaller than expected' when trying "
        "to use aria control file '/data/mysql/aria_log_control'",
        "0 [ERROR] Failed to initialize plugins.", NULL});
    assert_true(r.aria);
    assert_false(r.innodb);
}

/* More actions than the table holds: none is swallowed, since one of them may be a SAVE. */
static void test_too_many_actions_abort(void **state)
{
    static struct cluster_out out;
    int status = 0;

    (void)state;
    for (unsigned i = 0; i < CLUSTER_ACTIONS_MAX; i++)
        assert_ptr_equal(cluster_act(&out, ACT_SAVE), &out.a[i]);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL); /* cmocka's handler would go on with the next test */
        cluster_act(&out, ACT_SAVE);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recovery_output),
        cmocka_unit_test(test_choose),
        cmocka_unit_test(test_too_many_actions_abort),
        cmocka_unit_test(test_ancestor),
        cmocka_unit_test(test_ticks),
        cmocka_unit_test(test_permit_is_durable_first),
        cmocka_unit_test(test_store),
        cmocka_unit_test(test_store_new_disk),
        cmocka_unit_test(test_codec),
        cmocka_unit_test(test_grastate),
        cmocka_unit_test(test_row_again),
        cmocka_unit_test(test_weight_again),
        cmocka_unit_test(test_small_join),
        cmocka_unit_test(test_join_is_given_up_only_when_no_member_can_serve_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
