/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's link to its controller against a real hub. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/ipc/paths.h"
#include "agent/net/internal.h"
#include "agent/supervisor/signed_plan.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/str.h"
#include "controller/nodes/hub.h"

#define PORT 17480
#define WAIT_MS 20000

struct world {
    char dir[32];
    struct spec spec;
    struct spec_node node;
    struct store *store;
    struct curve_pair keys, once;
    struct sign_pair sign;
    struct hub *hub;
    struct bootstrap boot;
    struct net n;
    struct chan sup;   /* the supervisor's end */
    uint64_t measured; /* number of the last part of a network test that ended */
    unsigned epoch;    /* of the hub's roster; 0: it has none */
};

static json_t *give_plan(void *ctx, size_t node)
{
    (void)ctx;
    (void)node;
    return json_pack("{s:s, s:[]}", "rev", "0123456789abcdef", "resources");
}

static char *give_roster(void *ctx, uint64_t epoch)
{
    const struct world *w = ctx;

    (void)epoch;
    return w->epoch ? str_fmt("{\"epoch\":%u}", w->epoch) : NULL;
}

static void on_event(void *ctx, const struct event *ev, bool past)
{
    (void)ctx;
    (void)ev;
    (void)past;
}

static void on_state(void *ctx, size_t node, const json_t *state)
{
    (void)ctx;
    (void)node;
    (void)state;
}

static void on_measured(void *ctx, size_t node, const json_t *said)
{
    struct world *w = ctx;

    assert_int_equal(node, 0);
    w->measured = js_opt_u64(said, "id", 0);
}

static int setup(void **state)
{
    static struct world w;
    struct store_node n = {.enrol_expires = (uint64_t)time(NULL) + 60, .incarnation = 1};
    const struct hub_hooks hooks = {&w, give_plan, give_roster, on_event, on_state, on_measured};
    const struct hub_config config = {"127.0.0.1", PORT, &w.keys, &w.sign, false, HUB_LOOK_REPAIRS};
    struct err err;
    int pair[2];

    memset(&w, 0, sizeof(w));
    strcpy(w.dir, "/tmp/muster-link-XXXXXX");
    assert_non_null(mkdtemp(w.dir));
    keys_curve_new(&w.keys);
    keys_sign_new(&w.sign);
    keys_curve_new(&w.once);
    strcpy(w.node.name, "fra");
    w.spec.nodes = &w.node;
    w.spec.n_nodes = 1;
    assert_int_equal(store_open(w.dir, true, &w.store, &err), 0);
    strcpy(n.name, "fra");
    memcpy(n.enrol_pub, w.once.pub, KEY_SIZE);
    assert_int_equal(store_node_put(w.store, &n, &err), 0);
    assert_int_equal(hub_open(&config, &w.spec, w.store, &hooks, &w.hub, &err), 0);

    w.boot.has_secret = true;
    memcpy(w.boot.secret, w.once.sec, KEY_SIZE);
    memcpy(w.boot.controller_key, w.keys.pub, KEY_SIZE);
    memcpy(w.boot.sign_key, w.sign.pub, KEY_SIZE);
    str_copy(w.boot.enrol, sizeof(w.boot.enrol), "tcp://127.0.0.1:17480");
    str_copy(w.boot.main, sizeof(w.boot.main), "tcp://127.0.0.1:17481");
    w.n.boot = &w.boot;
    keys_curve_new(&w.n.own);
    keys_curve_new(&w.n.seal);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    chan_open(&w.n.sup, pair[0]);
    chan_open(&w.sup, pair[1]);
    w.n.z = zctx_new();
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    struct err err;

    net_cluster_close(&w->n);
    net_ctrl_close(&w->n);
    zctx_free(w->n.z);
    chan_close(&w->n.sup);
    chan_close(&w->sup);
    hub_close(w->hub);
    store_close(w->store);
    return fs_remove_tree(w->dir, &err);
}

/* Runs both until the supervisor is told `m`; NULL: not within the time. */
static json_t *until_told(struct world *w, const char *m)
{
    uint64_t end = clock_mono_ms() + WAIT_MS;
    struct err err;

    while (clock_mono_ms() < end) {
        bool broken = false;
        json_t *msg;

        assert_true(hub_run(w->hub, &err) >= 0);
        net_ctrl_serve(&w->n, clock_mono_ms());
        chan_flush(&w->n.sup);
        while ((msg = chan_next(&w->sup, &broken))) {
            if (str_eq(js_opt_str(msg, "m", ""), m))
                return msg;
            json_decref(msg);
        }
        chan_fill(&w->sup);
        clock_pause_ms(2);
    }
    return NULL;
}

static void expect(struct world *w, const char *m)
{
    _cleanup_json_ json_t *msg = until_told(w, m);

    assert_non_null(msg);
}

static void test_enrol_and_look(void **state)
{
    struct world *w = *state;
    _cleanup_json_ json_t *look = NULL, *plan = NULL, *inside = NULL;
    const char *text, *sig;
    uint64_t counter = 0;
    struct err err;

    assert_int_equal(net_ctrl_open(&w->n, &err), 0);
    expect(w, "bound");
    assert_false(w->boot.has_secret);
    plan = until_told(w, "plan");
    assert_non_null(plan);
    /* signed by the controller; the process that passes it on has no part in it */
    text = js_opt_str(plan, "text", "");
    sig = js_opt_str(plan, "sig", "");
    assert_int_equal(signed_plan_open(w->sign.pub, text, sig, 0, &inside, &counter, &err), 0);
    assert_string_equal(js_opt_str(inside, "rev", ""), "0123456789abcdef");
    assert_true(counter > 0);
    look = until_told(w, "look");
    assert_non_null(look);
    assert_true(js_opt_u64(look, "id", 0) == hub_look_id(w->hub));
}

/* The keys were bound, and the answer that says so was lost. */
static void test_lost_answer(void **state)
{
    struct world *w = *state;
    char curve[KEY_HEX_SIZE], seal[KEY_HEX_SIZE];
    struct err err;

    keys_hex(w->n.own.pub, KEY_SIZE, curve);
    keys_hex(w->n.seal.pub, KEY_SIZE, seal);
    assert_int_equal(store_node_bind(w->store, "fra", curve, seal, (uint64_t)time(NULL), &err), 1);
    hub_forget(w->hub, 0); /* as after a restart of the controller */
    assert_int_equal(net_ctrl_open(&w->n, &err), 0);
    expect(w, "bound");
    assert_false(w->boot.has_secret);
    expect(w, "look");
}

/* Other keys are bound: it goes on asking both, and is told nothing. */
static void test_not_ours(void **state)
{
    struct world *w = *state;
    struct curve_pair other;
    char hex[KEY_HEX_SIZE];
    uint64_t end = clock_mono_ms() + 4000;
    struct store_node n;
    struct err err;

    keys_curve_new(&other);
    keys_hex(other.pub, KEY_SIZE, hex);
    assert_int_equal(store_node_bind(w->store, "fra", hex, hex, (uint64_t)time(NULL), &err), 1);
    hub_forget(w->hub, 0);
    assert_int_equal(net_ctrl_open(&w->n, &err), 0);
    while (clock_mono_ms() < end && !w->n.main) { /* refused: it tries the other door */
        assert_true(hub_run(w->hub, &err) >= 0);
        net_ctrl_serve(&w->n, clock_mono_ms());
        clock_pause_ms(2);
    }
    assert_non_null(w->n.main);
    assert_true(w->boot.has_secret);
    assert_int_equal(store_node_get(w->store, "fra", &n, &err), 1);
    assert_false(n.conflict);
}

/* What was accepted is remembered by the link itself: another one starts from nothing. */
static void accept_roster(struct world *w, unsigned epoch)
{
    struct err err;

    if (fs_exists(PATH_NET)) /* an agent's own roster is there */
        skip();
    w->epoch = epoch;
    assert_int_equal(net_ctrl_open(&w->n, &err), 0);
    expect(w, "look"); /* the hub sends the roster first */
    assert_non_null(w->n.cluster);
}

static void test_roster(void **state)
{
    accept_roster(*state, 5);
}

static void test_roster_of_another_link(void **state)
{
    accept_roster(*state, 1);
}

static int offer(struct world *w, const struct sign_pair *by, const char *text)
{
    uint8_t sig[SIGN_SIZE];
    char hex[SIGN_HEX_SIZE];
    struct err err;

    keys_sign(by, text, strlen(text), sig);
    keys_hex(sig, SIGN_SIZE, hex);
    return net_ctrl_roster(&w->n, text, hex, &err);
}

/* Only the controller's, never an older one, and of one epoch one text. */
static void test_forged_rosters(void **state)
{
    struct world *w = *state;
    struct sign_pair other;

    keys_sign_new(&other);
    assert_int_equal(offer(w, &w->sign, "{\"epoch\":5}"), 0);
    assert_int_equal(offer(w, &w->sign, "{\"epoch\":5}"), 0); /* sent again */
    assert_int_equal(offer(w, &w->sign, "{\"epoch\":5,\"members\":[]}"), -1);
    assert_int_equal(offer(w, &w->sign, "{\"epoch\":4}"), -1);
    assert_int_equal(offer(w, &other, "{\"epoch\":6}"), -1);
    assert_int_equal(offer(w, &w->sign, "{\"epoch\":6,\"members\":[]}"), 0);
}

/* A part of a network test passes through, and how it ended comes back. */
static void test_measure(void **state)
{
    struct world *w = *state;
    const struct nettest_order o = {
        .what = NETTEST_LATENCY, .node = "par", .seconds = 10, .streams = 1};
    _cleanup_json_ json_t *msg = NULL;
    uint64_t end = clock_mono_ms() + WAIT_MS, id;
    struct nettest_order got;
    enum ipc_msg m;
    struct err err;

    assert_int_equal(hub_measure(w->hub, 0, &o), 0); /* it is not connected */
    assert_int_equal(net_ctrl_open(&w->n, &err), 0);
    expect(w, "look");
    id = hub_measure(w->hub, 0, &o);
    assert_true(id > 0);
    msg = until_told(w, "measure");
    assert_int_equal(ipc_decode(msg, IPC_FROM_NET, &m, &err), 0);
    assert_true(js_opt_u64(msg, "id", 0) == id);
    assert_int_equal(nettest_order_parse(json_object_get(msg, "order"), &got, &err), 0);
    assert_memory_equal(&got, &o, sizeof(o));
    _cleanup_json_ json_t *measured =
        ipc_make(IPC_MEASURED, json_pack("{s:I, s:b, s:s, s:n}", "id", (json_int_t)id, "ok", 0,
                                         "why", "no", "figures"));
    net_ctrl_send_measured(&w->n, measured);
    while (clock_mono_ms() < end && w->measured != id) {
        assert_true(hub_run(w->hub, &err) >= 0);
        net_ctrl_serve(&w->n, clock_mono_ms());
        clock_pause_ms(2);
    }
    assert_true(w->measured == id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_enrol_and_look, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_ours, setup, teardown),
        cmocka_unit_test_setup_teardown(test_measure, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forged_rosters, setup, teardown),
        cmocka_unit_test_setup_teardown(test_roster, setup, teardown),
        cmocka_unit_test_setup_teardown(test_roster_of_another_link, setup, teardown),
    };
    struct err err;

    assert_int_equal(keys_init(&err), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
