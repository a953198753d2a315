/* SPDX-License-Identifier: Apache-2.0 */
/* The arbitrator by itself, and the member that waits for it: single messages; the others are this
 * file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/cluster/cluster.h"
#include "agent/galera/arbitrator.h"
#include "agent/net/members.h"
#include "common/cleanup.h"
#include "common/js.h"

#define UUID "6dce997e-e693-11f1-bb69-13b141fb1408"

#define FRA 0
#define PAR 1
#define AMS 2 /* the arbitrator */

struct one {
    struct cluster c;
    struct cluster_out out;
    uint64_t now;
};

static struct cluster_config config(unsigned self)
{
    struct cluster_config cfg = {.n = 2, .self = self, .arbitrator = true, .manifest = "m"};

    str_copy(cfg.names[FRA], CLUSTER_NAME, "fra");
    str_copy(cfg.names[PAR], CLUSTER_NAME, "par");
    str_copy(cfg.names[AMS], CLUSTER_NAME, "ams");
    return cfg;
}

static void event(struct one *o, struct cluster_event ev)
{
    ev.now = o->now;
    cluster_step(&o->c, &ev, &o->out);
}

static void hears(struct one *o, unsigned from, enum cluster_state state)
{
    struct cluster_msg m = {.type = MSG_HEARTBEAT, .from = from, .manifest = "m", .state = state};

    m.epoch = m.booted = m.permit_used = 1;
    event(o, (struct cluster_event){.type = EV_MSG, .msg = &m});
}

/* The action of that kind, other than messages, that a tick a second later asks for. */
static bool asks(struct one *o, enum cluster_action_type type)
{
    bool found = false;

    o->now += 1000;
    event(o, (struct cluster_event){.type = EV_TICK});
    for (size_t i = 0; i < o->out.n; i++)
        found = found || o->out.a[i].type == type;
    return found;
}

static void look(struct one *o, bool runs)
{
    event(o, (struct cluster_event){.type = EV_DB, .running = runs});
}

static void ends(struct one *o, bool ok)
{
    event(o, (struct cluster_event){.type = EV_DONE, .ok = ok, .why = "no"});
}

static struct one *begin(bool runs)
{
    static struct one o;
    struct cluster_config cfg = config(AMS);

    o = (struct one){.now = 1000000};
    cluster_init(&o.c, &cfg, NULL, o.now);
    look(&o, runs);
    assert_int_equal(o.c.state, runs ? CLUSTER_ARBITRATING : CLUSTER_STOPPED);
    return &o;
}

static void test_starts_beside_a_primary_only(void **state)
{
    (void)state;
    struct one *o = begin(false);

    assert_false(asks(o, ACT_JOIN)); /* nobody is heard */
    hears(o, FRA, CLUSTER_STOPPED);
    hears(o, PAR, CLUSTER_BOOTSTRAPPING);
    assert_false(asks(o, ACT_JOIN));
    hears(o, PAR, CLUSTER_PRIMARY);
    assert_true(asks(o, ACT_JOIN));
    /* It says so before it runs: a member may leave and another be about to found a group. */
    assert_int_equal(o->c.state, CLUSTER_ARBITRATING);
    for (size_t i = 0; o->out.a[i].type != ACT_JOIN; i++)
        assert_true(o->out.a[i].type == ACT_SEND && i < o->out.n);
    assert_int_equal(o->out.a[0].msg.state, CLUSTER_ARBITRATING);
    assert_false(asks(o, ACT_JOIN)); /* one at a time */
    ends(o, true);
    assert_int_equal(o->c.state, CLUSTER_ARBITRATING);
    assert_true(cluster_stable(&o->c, o->now) == false); /* fra does not serve yet */
}

static void test_a_failed_start_is_tried_again_later(void **state)
{
    (void)state;
    struct one *o = begin(false);
    unsigned tries = 0;

    for (unsigned i = 0; i < 60; i++) {
        hears(o, PAR, CLUSTER_PRIMARY);
        if (asks(o, ACT_JOIN)) {
            tries++;
            ends(o, false);
        }
    }
    assert_in_range(tries, 3, 6);
    assert_string_equal(o->c.why, "no");
}

/* Not heard is not down: a cut of the agents' network ends nothing. */
static void test_silence_ends_nothing(void **state)
{
    (void)state;
    struct one *o = begin(true);

    hears(o, FRA, CLUSTER_STOPPED);
    for (unsigned i = 0; i < 100; i++)
        assert_false(asks(o, ACT_STOP)); /* par was never heard */
    hears(o, FRA, CLUSTER_STOPPED);
    hears(o, PAR, CLUSTER_NONPRIM);
    assert_false(asks(o, ACT_STOP));
    hears(o, PAR, CLUSTER_UNCONF);
    assert_false(asks(o, ACT_STOP));
}

static void test_ends_when_all_are_down(void **state)
{
    (void)state;
    struct one *o = begin(true);

    hears(o, FRA, CLUSTER_STOPPED);
    hears(o, PAR, CLUSTER_FROZEN);
    assert_true(asks(o, ACT_STOP));
    ends(o, false); /* it did not end: tried again */
    for (unsigned i = 0; i < 5; i++)
        o->now += 500;
    hears(o, FRA, CLUSTER_STOPPED);
    hears(o, PAR, CLUSTER_STOPPED);
    assert_true(asks(o, ACT_STOP));
    ends(o, true);
    assert_int_equal(o->c.state, CLUSTER_STOPPED);
}

static void test_ends_before_a_founder(void **state)
{
    (void)state;
    struct one *o = begin(true);

    hears(o, PAR, CLUSTER_BOOT_PERMIT); /* fra is not heard at all */
    assert_true(asks(o, ACT_STOP));
    o = begin(true);
    hears(o, FRA, CLUSTER_BOOT_PERMIT);
    hears(o, PAR, CLUSTER_PRIMARY); /* it serves: that is known, and outweighs */
    assert_false(asks(o, ACT_STOP));
}

static void test_found_dead_and_alive(void **state)
{
    (void)state;
    struct one *o = begin(true);

    event(o, (struct cluster_event){.type = EV_DB, .running = true, .unknown = true});
    assert_int_equal(o->c.state, CLUSTER_ARBITRATING); /* a look that failed says nothing */
    look(o, false);
    assert_int_equal(o->c.state, CLUSTER_STOPPED);
    hears(o, FRA, CLUSTER_PRIMARY);
    assert_false(asks(o, ACT_JOIN)); /* after a pause */
    look(o, true);                   /* somebody started it by hand */
    assert_int_equal(o->c.state, CLUSTER_ARBITRATING);
}

/* The members were founded beside it: it is started again, once all who serve have said so for
 * long. */
static void test_outside(void **state)
{
    (void)state;
    struct one *o = begin(true);
    struct cluster_msg m = {.type = MSG_HEARTBEAT, .manifest = "m", .state = CLUSTER_PRIMARY};
    bool asked = false;

    m.size = 2;
    for (unsigned i = 0; i < 29; i++) {
        for (m.from = FRA; m.from <= PAR; m.from++)
            event(o, (struct cluster_event){.type = EV_MSG, .msg = &m});
        assert_false(asks(o, ACT_STOP));
    }
    m.arbitrated = true; /* one counts it */
    m.from = PAR;
    event(o, (struct cluster_event){.type = EV_MSG, .msg = &m});
    assert_false(asks(o, ACT_STOP));
    m.arbitrated = false;
    for (unsigned i = 0; i < 40 && !asked; i++) {
        for (m.from = FRA; m.from <= PAR; m.from++)
            event(o, (struct cluster_event){.type = EV_MSG, .msg = &m});
        asked = asks(o, ACT_STOP);
        assert_true(!asked || i >= 29);
    }
    assert_true(asked);
}

/* What is asked of members is refused in one sentence. */
static void test_no_operators_acts(void **state)
{
    (void)state;
    static const enum cluster_event_type acts[] = {EV_RECOVER, EV_HOLD, EV_RELEASE};

    for (size_t i = 0; i < ARRAY_LEN(acts); i++) {
        struct one *o = begin(true);

        o->c.accepted = true;
        event(o, (struct cluster_event){.type = acts[i], .ok = true, .name = "fra"});
        assert_false(o->c.accepted);
        assert_non_null(strstr(o->c.answer, "is the arbitrator"));
    }
}

/* --- a member -------------------------------------------------------------------------------- */

static struct one *founder(void)
{
    static struct one o;
    struct cluster_config cfg = config(FRA);
    struct cluster_record rec = {.holders_known = true, .data = true, .last_epoch = 1};
    struct cluster_value v = {.epoch = 2, .cluster_id = UUID, .uuid = UUID, .base = 100};

    o = (struct one){.now = 1000000};
    rec.epoch = rec.booted = rec.permit_used = 1;
    str_copy(rec.incarnation, sizeof(rec.incarnation), UUID);
    str_copy(v.incarnation, sizeof(v.incarnation), UUID);
    str_copy(v.node, sizeof(v.node), "fra");
    cluster_append(&rec, &v);
    cluster_init(&o.c, &cfg, &rec, o.now);
    look(&o, false);
    event(&o, (struct cluster_event){.type = EV_TICK});
    event(&o, (struct cluster_event){.type = EV_POSITION,
                                     .position = {.kind = DATADIR_OK, .uuid = UUID, .seqno = 100}});
    assert_int_equal(o.c.state, CLUSTER_BOOT_PERMIT);
    return &o;
}

static void test_founder_waits_for_it(void **state)
{
    (void)state;
    struct one *o = founder();

    hears(o, PAR, CLUSTER_STOPPED);
    hears(o, AMS, CLUSTER_ARBITRATING);
    assert_false(asks(o, ACT_BOOT));
    assert_non_null(strstr(o->c.why, "arbitrator"));
    assert_int_equal(o->c.waiting, 1U << AMS);
    hears(o, PAR, CLUSTER_STOPPED);
    hears(o, AMS, CLUSTER_UNCONF); /* its agent is new: it may run */
    assert_false(asks(o, ACT_BOOT));
    hears(o, PAR, CLUSTER_STOPPED);
    hears(o, AMS, CLUSTER_STOPPED);
    assert_true(asks(o, ACT_BOOT));
}

/* One that is not heard keeps nobody: it has no vote. */
static void test_founder_waits_not_for_a_silent_one(void **state)
{
    (void)state;
    struct one *o = founder();

    hears(o, AMS, CLUSTER_ARBITRATING);
    for (unsigned i = 0; i < 4; i++) {
        hears(o, PAR, CLUSTER_STOPPED);
        assert_false(asks(o, ACT_BOOT));
    }
    o->now += 2000;
    hears(o, PAR, CLUSTER_STOPPED);
    assert_true(asks(o, ACT_BOOT));
}

/* It is nobody's donor, has no vote, and takes part in no agreement. */
static void test_member_asks_it_nothing(void **state)
{
    (void)state;
    struct one *o = founder();
    static const enum cluster_msg_type types[] = {MSG_PREPARE, MSG_PROMISE, MSG_NACK, MSG_ACCEPT,
                                                  MSG_ACCEPTED};

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct cluster_record before = o->c.rec;
        struct cluster_msg m = {.type = types[i], .from = AMS, .manifest = "m", .epoch = 3};

        m.ballot = (struct cluster_ballot){99, "ams"};
        event(o, (struct cluster_event){.type = EV_MSG, .msg = &m});
        assert_memory_equal(&o->c.rec, &before, sizeof(before));
        assert_int_equal(o->out.n, 0);
    }
    hears(o, AMS, CLUSTER_PRIMARY); /* whatever it says */
    assert_int_equal(o->c.state, CLUSTER_BOOT_PERMIT);
}

/* --- around it ------------------------------------------------------------------------------- */

static void test_roster(void **state)
{
    (void)state;
    static const char *const text =
        "{\"members\":[{\"name\":\"ams\",\"role\":\"arbitrator\",\"key\":\"%1$s\"},"
        "{\"name\":\"par\",\"role\":\"data\",\"key\":\"%1$s\"},{\"name\":\"fra\",\"key\":\"%1$s\"}]"
        "}";
    char key[KEY_HEX_SIZE];
    uint8_t raw[KEY_SIZE] = {1}, keys[CLUSTER_MAX][KEY_SIZE];
    struct cluster_config cfg;
    struct err err;
    json_t *m[CLUSTER_MAX];

    keys_hex(raw, KEY_SIZE, key);
    _cleanup_free_ char *roster_text = str_fmt(text, key);
    _cleanup_json_ json_t *roster = NULL;
    _cleanup_json_ json_t *step = json_pack("{s:s, s:[{s:s}, {s:s}]}", "cluster", "c", "members",
                                            "name", "fra", "name", "par");
    assert_int_equal(js_parse(roster_text, strlen(roster_text), &roster, &err), 0);
    assert_int_equal(net_members(roster, step, m), 2);
    static const char *const nodes[] = {"fra", "par", "ams"};
    char manifest[17] = "";
    for (unsigned i = 0; i < 3; i++) {
        struct bootstrap boot = {0};

        str_copy(boot.node, sizeof(boot.node), nodes[i]);
        assert_int_equal(net_members_config(&boot, step, m, 2, keys, &cfg, &err), 0);
        assert_int_equal(cfg.n, 2);
        assert_true(cfg.arbitrator);
        assert_int_equal(cfg.self, i);
        assert_string_equal(cfg.names[AMS], "ams");
        assert_true(!manifest[0] || strcmp(manifest, cfg.manifest) == 0);
        memcpy(manifest, cfg.manifest, sizeof(manifest));
    }
}

static void test_conf(void **state)
{
    (void)state;
    struct arbitrator a;
    struct err err;
    _cleanup_json_ json_t *step = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:[{s:s, s:s}, {s:s, s:s}], s:i, s:i, s:{s:s, s:s, s:s}, "
        "s:{s:s, s:s, s:s}}",
        "type", "arbitrator", "id", "arbitrator:c", "cluster", "c", "node", "ams", "address",
        "10.10.3.4", "members", "name", "fra", "address", "10.10.1.4", "name", "par", "address",
        "10.10.2.4", "segment", 2, "weight", 1, "settings", "evs.suspect_timeout", "PT9S",
        "gcache.size", "1G", "max_connections", "9", "tls", "ca", "CA", "cert", "CERT", "key",
        "${secret:k}");

    assert_int_equal(arbitrator_read(step, &a, &err), 0);
    assert_true(arbitrator_is(step));
    _cleanup_free_ char *text = arbitrator_conf(&a);
    assert_non_null(strstr(text, "address = gcomm://10.10.1.4:4567,10.10.2.4:4567\n"));
    assert_non_null(strstr(text, "group = c\nname = ams\n"));
    assert_non_null(strstr(text, "pc.weight=1;"));
    assert_non_null(strstr(text, ";evs.suspect_timeout=PT9S"));
    assert_null(strstr(text, "gcache")); /* it keeps nothing */
    assert_null(strstr(text, "max_connections"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_starts_beside_a_primary_only),
        cmocka_unit_test(test_a_failed_start_is_tried_again_later),
        cmocka_unit_test(test_silence_ends_nothing),
        cmocka_unit_test(test_ends_when_all_are_down),
        cmocka_unit_test(test_ends_before_a_founder),
        cmocka_unit_test(test_found_dead_and_alive),
        cmocka_unit_test(test_outside),
        cmocka_unit_test(test_no_operators_acts),
        cmocka_unit_test(test_founder_waits_for_it),
        cmocka_unit_test(test_founder_waits_not_for_a_silent_one),
        cmocka_unit_test(test_member_asks_it_nothing),
        cmocka_unit_test(test_roster),
        cmocka_unit_test(test_conf),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
