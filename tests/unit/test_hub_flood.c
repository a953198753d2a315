/* SPDX-License-Identifier: Apache-2.0 */
/* The hub and agents that send without end. */
#define PORT 17420 /* tests may run side by side */
#include "hub_world.h"

#define HELLO "{\"t\":\"hello\",\"v\":1,\"rev\":\"\",\"facts\":{}}"

#include "reexec.h"

/* States of 30 kB without end, on one connection; a process of its own. */
static int flood(char **argv)
{
    struct zctx *z = zctx_new();
    char pad[30000];
    char *text;
    uint8_t server[KEY_SIZE];
    struct curve_pair own;
    struct err err;
    struct zsock *s;

    if (reexec_keys(argv, server, &own) < 0)
        return 1;
    memset(pad, 'x', sizeof(pad) - 1);
    pad[sizeof(pad) - 1] = '\0';
    text = proto_text(PROTO_STATE,
                      json_pack("{s:{s:s, s:s}}", "state", "phase", "ready", "step", pad));
    s = zsock_client(z, &own, server, PROTO_MAIN_MAX, argv[2], &err);
    while (!s || zsock_send(s, NULL, HELLO, strlen(HELLO)) < 0)
        clock_pause_ms(1);
    for (;;)
        if (zsock_send(s, NULL, text, strlen(text)) < 0)
            clock_pause_ms(1);
}

#define STATES 4000

/* States as fast as they come: of those that wait the newest is stored, a few a second. */
static void test_state_flood(void **state)
{
    struct world *w = *state;
    struct curve_pair own;
    struct zsock *s = join(w, 0, &own);
    uint64_t end = clock_mono_ms() + 5 * WAIT_MS;
    struct hub_node before = hub_node(w->hub, 0);
    _cleanup_json_ json_t *kept = NULL, *facts = NULL;
    struct err err;

    w->states = 0;
    for (size_t i = 1; i <= STATES && clock_mono_ms() < end;) {
        _cleanup_free_ char *text = str_fmt("{\"t\":\"state\",\"state\":{\"changed\":%zu}}", i);

        i += zsock_send(s, NULL, text, strlen(text)) == 0;
        if (i % 8 == 0)
            assert_true(hub_run(w->hub, &err) >= 0);
    }
    assert_true(w->states < STATES / 10);
    while (js_opt_u64(kept, "changed", 0) != STATES && clock_mono_ms() < end) {
        assert_true(hub_run(w->hub, &err) >= 0);
        json_decref(kept);
        json_decref(facts);
        assert_int_equal(store_node_report(w->store, "fra", &kept, &facts, &err), 0);
    }
    assert_int_equal(js_opt_u64(kept, "changed", 0), STATES);
    assert_true(hub_node(w->hub, 0).seen >= before.seen);
    leave(w, s);
}

static void count_all(void *ctx, const struct event *ev)
{
    (void)ev;
    ++*(unsigned *)ctx;
}

static unsigned stored(struct world *w, const char *node)
{
    unsigned n = 0;
    uint64_t after = 0;
    struct err err;

    assert_int_equal(store_events_where(w->store, &(struct event_filter){.node = node}, &after,
                                        count_all, &n, &err),
                     0);
    return n;
}

/* What one node stores takes the place of its own old events, of nobody else's. */
static void test_quota(void **state)
{
    struct world *w = *state;
    struct event ev = {.ts = 1, .kind = EVENT_OK, .id = "x", .rev = REV};
    struct err err;

    assert_int_equal(store_begin(w->store, &err), 0);
    for (ev.seq = 1; ev.seq <= 300; ev.seq++) {
        strcpy(ev.node, "fra");
        assert_int_equal(store_event_add(w->store, &ev, 1, &err), 1);
        strcpy(ev.node, "n1");
        if (ev.seq <= 20)
            assert_int_equal(store_event_add(w->store, &ev, 1, &err), 1);
        ev.origin = EVENT_OF_CONTROLLER;
        if (ev.seq <= 30)
            assert_int_equal(
                store_event_own(
                    w->store,
                    &(struct event){.node = "fra", .origin = EVENT_OF_CONTROLLER, .id = "y"}, &err),
                0);
        ev.origin = EVENT_OF_AGENT;
    }
    strcpy(ev.node, "fra"); /* the VM before it */
    ev.seq = 1;
    assert_int_equal(store_event_add(w->store, &ev, 7, &err), 1);
    assert_int_equal(store_commit(w->store, &err), 0);
    assert_int_equal(store_events_prune(w->store, "fra", 50, &err), 0);
    assert_int_equal(stored(w, "fra"), 50 + 30);
    assert_int_equal(stored(w, "n1"), 20);
    assert_int_equal(store_event_last(w->store, "fra", 1), 300);
    assert_int_equal(store_event_last(w->store, "fra", 7), 1);
    assert_int_equal(store_events_prune(w->store, NULL, 10, &err), 0);
    assert_int_equal(stored(w, "fra"), 50 + 10);
}

#define TRIES 5

static void test_flood(void **state)
{
    struct world *w = *state;
    struct curve_pair own, flooders[2], newcomer;
    struct zsock *s = join(w, 0, &own), *once;
    _cleanup_free_ char *enrol = NULL;
    bool acked = false, bound = false;
    pid_t pids[2];
    uint64_t end = clock_mono_ms() + WAIT_MS;
    struct err err;

    for (size_t i = 0; i < 2; i++) {
        leave(w, join(w, 1 + i, &flooders[i]));
        pids[i] = reexec("flood", "tcp://127.0.0.1:17421", w->keys.pub, &flooders[i]);
        assert_true(pids[i] >= 0);
    }
    w->states = 0;
    while (w->states < 20 && clock_mono_ms() < end) /* both are at it */
        assert_true(hub_run(w->hub, &err) >= 0);
    assert_true(w->states >= 20);
    keys_curve_new(&newcomer);
    enrol = enrol_text(&newcomer);
    once = client(w, &w->once_of[3], PORT);
    /* Within 1 s and 2 s; more than one try, since the machine may have other work. */
    for (uint64_t try = 1; try <= TRIES && !acked; try++) {
        _cleanup_free_ char *event = event_message(REV, try, "x", "ok");
        _cleanup_free_ char *ack = str_fmt("\"seq\":%llu", (unsigned long long)try);
        _cleanup_free_ char *got = ask_for(w, s, event, ack, 1000);

        acked = got != NULL;
    }
    for (unsigned try = 1; try <= TRIES && !bound; try++) {
        _cleanup_free_ char *got = ask_for(w, once, enrol, "bound", 2000);

        bound = got != NULL;
    }
    for (size_t i = 0; i < 2; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    assert_true(acked);
    assert_true(bound);
    leave(w, s);
    leave(w, once);
}

/* Events without end: only so many are stored at once, and none is acknowledged that was not. */
static void test_event_flood(void **state)
{
    struct world *w = *state;
    struct curve_pair own, other;
    struct zsock *s = join(w, 0, &own), *honest = join(w, 1, &other);
    uint64_t end = clock_mono_ms() + 5 * WAIT_MS, acked = 0, seq = 0;
    _cleanup_json_ json_t *j = NULL;
    struct zmsg m;
    struct err err;

    w->events = 0;
    while (!str_eq(w->last_own, "event-flood") && clock_mono_ms() < end) {
        _cleanup_free_ char *text = event_message(REV, seq + 1, "x", "ok");

        seq += zsock_send(s, NULL, text, strlen(text)) == 0;
        if (seq % 16 == 0)
            assert_true(hub_run(w->hub, &err) >= 0);
        while (zsock_recv(s, &m) == 1) {
            json_decref(j);
            assert_int_equal(js_parse(m.body, m.len, &j, &err), 0);
            acked = js_opt_u64(j, "seq", acked);
            zmsg_free(&m);
        }
    }
    assert_string_equal(w->last_own, "event-flood");
    assert_true(w->events < 5000);
    assert_true(acked <= w->events);
    assert_true(event_taken(w, honest, REV, 1, "x", "ok"));
    /* the first that was not taken is taken when it comes again */
    assert_true(event_taken(w, s, REV, w->events, "x", "ok"));
    leave(w, s);
    leave(w, honest);
}

/* More than an agent has to say in one message: its connection ends, the hub goes on. */
static void test_large_message(void **state)
{
    struct world *w = *state;
    struct curve_pair own, other;
    struct zsock *s = join(w, 0, &own), *honest = join(w, 1, &other);
    size_t len = PROTO_UP_MAX + 1;
    _cleanup_free_ char *text = xcalloc(len + 1, 1);
    unsigned before = zsock_handshakes(s);
    uint64_t end = clock_mono_ms() + WAIT_MS;
    struct err err;

    memset(text, 'x', len);
    assert_int_equal(zsock_send(s, NULL, text, len), 0);
    while (zsock_handshakes(s) == before && clock_mono_ms() < end) /* it dials again */
        assert_true(hub_run(w->hub, &err) >= 0);
    assert_true(zsock_handshakes(s) > before);
    assert_true(event_taken(w, honest, REV, 1, "x", "ok"));
    leave(w, s);
    leave(w, honest);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_flood, setup, teardown),
        cmocka_unit_test_setup_teardown(test_event_flood, setup, teardown),
        cmocka_unit_test_setup_teardown(test_state_flood, setup, teardown),
        cmocka_unit_test_setup_teardown(test_quota, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large_message, setup, teardown),
    };
    struct err err;

    assert_int_equal(keys_init(&err), 0);
    if (argc == REEXEC_ARGS)
        return flood(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
