/* SPDX-License-Identifier: Apache-2.0 */
/* The hub against real sockets: who gets in, who does not, and what happens to keys used twice. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/proto.h"
#include "common/str.h"
#include "common/zsock.h"
#include "controller/hub.h"

#define PORT 17400
#define WAIT_MS 8000
#define NODES 4 /* fra, n1, n2, n3 */

struct world {
    char dir[32];
    struct spec spec;
    struct spec_node nodes[NODES];
    struct store *store;
    struct curve_pair keys;
    struct sign_pair sign;
    struct curve_pair once; /* one-time key of fra */
    struct curve_pair once_of[NODES];
    struct hub *hub;
    struct zctx *clients;
    struct zsock *open[8]; /* of the clients; a failed test leaves some */
    bool past;             /* of the last event */
    unsigned events, own_events, states;
    char last_own[EVENT_ID_MAX]; /* id of the controller's last event */
};

static json_t *give_plan(void *ctx, size_t node)
{
    (void)ctx;
    (void)node;
    return json_pack("{s:s, s:[]}", "rev", "0123456789abcdef", "resources");
}

static char *no_roster(void *ctx, uint64_t epoch)
{
    (void)ctx;
    (void)epoch;
    return NULL;
}

static void on_event(void *ctx, const struct event *ev, bool past)
{
    struct world *w = ctx;

    w->past = past;
    if (str_eq(ev->rev, "controller")) {
        w->own_events++;
        str_copy(w->last_own, sizeof(w->last_own), ev->id);
    } else {
        w->events++;
    }
}

static void on_state(void *ctx, size_t node, const json_t *state)
{
    struct world *w = ctx;

    (void)node;
    (void)state;
    w->states++;
}

static void add_node(struct world *w, size_t i, const char *name)
{
    struct store_node n = {.enrol_expires = (uint64_t)time(NULL) + 60, .incarnation = 1};
    struct err err;

    str_copy(w->nodes[i].name, sizeof(w->nodes[i].name), name);
    str_copy(n.name, sizeof(n.name), name);
    keys_curve_new(&w->once_of[i]);
    memcpy(n.enrol_pub, w->once_of[i].pub, KEY_SIZE);
    assert_int_equal(store_node_put(w->store, &n, &err), 0);
}

static int setup(void **state)
{
    static struct world w;
    struct err err;
    const struct hub_hooks hooks = {&w, give_plan, no_roster, on_event, on_state};
    const struct hub_config config = {"127.0.0.1", PORT, &w.keys, &w.sign};

    memset(&w, 0, sizeof(w));
    strcpy(w.dir, "/tmp/muster-hub-XXXXXX");
    assert_non_null(mkdtemp(w.dir));
    keys_curve_new(&w.keys);
    keys_sign_new(&w.sign);
    w.spec.nodes = w.nodes;
    w.spec.n_nodes = NODES;
    assert_int_equal(store_open(w.dir, true, &w.store, &err), 0);
    add_node(&w, 0, "fra");
    add_node(&w, 1, "n1");
    add_node(&w, 2, "n2");
    add_node(&w, 3, "n3");
    w.once = w.once_of[0];
    assert_int_equal(hub_open(&config, &w.spec, w.store, &hooks, &w.hub, &err), 0);
    w.clients = zctx_new();
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    struct err err;

    hub_close(w->hub);
    for (size_t i = 0; i < ARRAY_LEN(w->open); i++)
        zsock_free(w->open[i]);
    zctx_free(w->clients);
    store_close(w->store);
    return fs_remove_tree(w->dir, &err);
}

/* Sends (again and again, as an agent does; NULL: nothing) and runs the hub until an answer with
 * `part` in it comes; NULL: none within the time, or the handshake was refused. */
static char *ask_for(struct world *w, struct zsock *s, const char *text, const char *part,
                     unsigned wait_ms)
{
    uint64_t end = clock_mono_ms() + wait_ms, next = 0;
    struct zmsg m;
    struct err err;

    while (clock_mono_ms() < end && !zsock_was_refused(s)) {
        if (text && clock_mono_ms() >= next && zsock_send(s, NULL, text, strlen(text)) == 0)
            next = clock_mono_ms() + 500;
        if (hub_run(w->hub, &err) == 0)
            clock_pause_ms(1);
        while (zsock_recv(s, &m) == 1) {
            if (strstr(m.body, part))
                return m.body;
            zmsg_free(&m);
        }
    }
    return NULL;
}

static char *ask(struct world *w, struct zsock *s, const char *text)
{
    return ask_for(w, s, text, "", WAIT_MS);
}

/* The same, where only that it comes counts. */
static bool answered(struct world *w, struct zsock *s, const char *text, const char *part)
{
    _cleanup_free_ char *got = ask_for(w, s, text, part, WAIT_MS);

    return got != NULL;
}

static struct zsock *client(struct world *w, const struct curve_pair *own, unsigned port)
{
    char endpoint[64];
    struct err err;
    struct zsock *s;

    snprintf(endpoint, sizeof(endpoint), "tcp://127.0.0.1:%u", port);
    s = zsock_client(w->clients, own, w->keys.pub, PROTO_MAIN_MAX, endpoint, &err);
    assert_non_null(s);
    for (size_t i = 0; i < ARRAY_LEN(w->open); i++)
        if (!w->open[i])
            return w->open[i] = s;
    fail();
    return NULL;
}

static void leave(struct world *w, struct zsock *s)
{
    for (size_t i = 0; i < ARRAY_LEN(w->open); i++)
        if (w->open[i] == s)
            w->open[i] = NULL;
    zsock_free(s);
}

static char *enrol_text(const struct curve_pair *own)
{
    char hex[KEY_HEX_SIZE];

    keys_hex(own->pub, KEY_SIZE, hex);
    return proto_text(PROTO_ENROL, json_pack("{s:i, s:s, s:s}", "v", 1, "curve", hex, "seal", hex));
}

#define REV "0123456789abcdef"

static char *event_message(const char *rev, uint64_t seq, const char *id, const char *kind)
{
    return proto_text(PROTO_EVENT,
                      json_pack("{s:{s:i, s:s, s:s, s:I, s:s, s:s, s:i, s:s}}", "event", "ts", 1,
                                "node", "other", "rev", rev, "seq", (json_int_t)seq, "id", id,
                                "kind", kind, "ms", 0, "msg", ""));
}

/* Enrols node `i` with new keys and says hello; its connection to the main socket. */
static struct zsock *join(struct world *w, size_t i, struct curve_pair *own)
{
    _cleanup_free_ char *text = NULL;
    struct zsock *s = client(w, &w->once_of[i], PORT);

    keys_curve_new(own);
    text = enrol_text(own);
    assert_true(answered(w, s, text, "bound"));
    leave(w, s);
    s = client(w, own, PORT + 1);
    assert_true(answered(w, s, "{\"t\":\"hello\",\"v\":1,\"rev\":\"\",\"facts\":{}}", "\"ack\""));
    return s;
}

/* Sends an event; whether exactly its number was acknowledged. */
static bool event_taken(struct world *w, struct zsock *s, const char *rev, uint64_t seq,
                        const char *id, const char *kind)
{
    _cleanup_free_ char *text = event_message(rev, seq, id, kind);
    _cleanup_free_ char *ack = str_fmt("{\"seq\":%llu,\"t\":\"ack\"}", (unsigned long long)seq);

    return answered(w, s, text, ack);
}

static void test_enrol_and_hello(void **state)
{
    struct world *w = *state;
    struct curve_pair own;
    _cleanup_free_ char *text = NULL;
    struct zsock *s;

    keys_curve_new(&own);
    text = enrol_text(&own);

    s = client(w, &own, PORT + 1); /* the main socket before enrolment */
    assert_false(answered(w, s, "{\"t\":\"hello\"}", ""));
    assert_true(zsock_was_refused(s));
    leave(w, s);

    s = client(w, &w->once, PORT);
    assert_true(answered(w, s, text, "{\"t\":\"bound\"}"));
    /* the answer was lost: the same keys again */
    assert_true(answered(w, s, text, "{\"t\":\"bound\"}"));
    leave(w, s);

    s = client(w, &own, PORT + 1);
    assert_true(
        answered(w, s, "{\"t\":\"hello\",\"v\":1,\"rev\":\"\",\"last_seq\":7,\"facts\":{}}",
                 "{\"seq\":0,\"t\":\"ack\"}")); /* nothing of it has come on this connection */
    assert_true(answered(w, s, NULL, "\"t\":\"plan\""));
    assert_true(answered(w, s, NULL, "\"t\":\"look\""));
    assert_true(event_taken(w, s, REV, 7, "x", "ok"));
    assert_true(w->past); /* it was there when the agent said hello */
    assert_true(event_taken(w, s, REV, 8, "x", "ok"));
    assert_false(w->past);

    /* an agent that has the plan gets it again when something drifted from it */
    assert_true(answered(w, s, "{\"t\":\"hello\",\"v\":1,\"rev\":\"" REV "\",\"facts\":{}}",
                         "\"t\":\"look\""));
    assert_true(
        answered(w, s, "{\"t\":\"state\",\"state\":{\"drift\":[\"file:f\"]}}", "\"t\":\"plan\""));
    leave(w, s);
}

/* A one-time key that was used: refused before anything is parsed, and the node goes on. */
static void test_used_key_freezes_nothing(void **state)
{
    struct world *w = *state;
    struct curve_pair own, other;
    _cleanup_free_ char *other_text = NULL;
    struct zsock *s = join(w, 0, &own), *thief;
    struct store_node n;
    struct err err;

    keys_curve_new(&other);
    other_text = enrol_text(&other);
    w->own_events = 0;
    for (size_t i = 0; i < 3; i++) {
        thief = client(w, &w->once, PORT);
        assert_false(answered(w, thief, other_text, ""));
        assert_true(zsock_was_refused(thief));
        leave(w, thief);
    }
    assert_string_equal(w->last_own, "enrol-refused");
    assert_int_equal(w->own_events, 1); /* not one for each try */
    assert_int_equal(store_node_get(w->store, "fra", &n, &err), 1);
    assert_false(n.conflict);
    assert_true(event_taken(w, s, REV, 1, "x", "ok"));
    leave(w, s);
}

/* Two machines that both came with the key while it was good: the node is frozen, for good. */
static void test_two_machines_with_one_key(void **state)
{
    struct world *w = *state;
    struct curve_pair own, other;
    _cleanup_free_ char *text = NULL;
    _cleanup_free_ char *other_text = NULL;
    struct zsock *first = client(w, &w->once, PORT), *second = client(w, &w->once, PORT), *s;

    keys_curve_new(&own);
    keys_curve_new(&other);
    text = enrol_text(&own);
    other_text = enrol_text(&other);
    while (!zsock_handshakes(first) || !zsock_handshakes(second)) {
        struct err err;

        assert_true(hub_run(w->hub, &err) >= 0);
    }
    assert_true(answered(w, first, text, "bound"));
    assert_true(answered(w, second, other_text, "refused"));
    assert_string_equal(w->last_own, "enrol-conflict");
    s = client(w, &own, PORT + 1);
    assert_false(answered(w, s, "{\"t\":\"hello\",\"v\":1,\"rev\":\"\",\"facts\":{}}", ""));
    leave(w, s);
    leave(w, first);
    leave(w, second);
}

static void count_rows(void *ctx, const struct event *ev)
{
    (void)ev;
    ++*(unsigned *)ctx;
}

static unsigned rows(struct world *w)
{
    unsigned n = 0;
    uint64_t after = 0;
    struct err err;

    assert_int_equal(store_events(w->store, &after, count_rows, &n, &err), 0);
    return n;
}

/* An agent speaks for itself only, and cannot break the store. */
static void test_forged_events(void **state)
{
    static const struct {
        const char *rev;
        uint64_t seq;
        const char *id, *kind;
    } forged[] = {
        {"controller", 2, "up", "done"},
        {"controller", 3, "vm:fra", "changed"},
        {REV, INT64_MAX, "x", "ok"},
        {REV, 1ULL << 40, "x", "ok"},
        {REV, 0, "x", "ok"},
        {REV, 4, "x y", "ok"},
        {REV, 5,
         "\xc2\x9b"
         "2J",
         "ok"},
        {"0123456789ABCDEF", 6, "x", "ok"},
        {"../../etc/passwd", 7, "x", "ok"},
    };
    struct world *w = *state;
    struct curve_pair own;
    struct zsock *s = join(w, 0, &own);
    unsigned before;

    assert_true(event_taken(w, s, REV, 1, "x", "aborted"));
    before = rows(w);
    w->events = w->own_events = 0;
    for (size_t i = 0; i < ARRAY_LEN(forged); i++) {
        _cleanup_free_ char *text =
            event_message(forged[i].rev, forged[i].seq, forged[i].id, forged[i].kind);

        assert_int_equal(zsock_send(s, NULL, text, strlen(text)), 0);
    }
    assert_true(event_taken(w, s, REV, 9, "x", "ok")); /* the honest one after them */
    assert_int_equal(w->events, 1);
    assert_int_equal(w->own_events, 1); /* said once */
    assert_string_equal(w->last_own, "event-refused");
    assert_int_equal(rows(w), before + 2);

    /* its acknowledgement was lost: it comes again and does not count again */
    assert_true(event_taken(w, s, REV, 1, "x", "aborted"));
    assert_int_equal(w->events, 1);
    assert_int_equal(rows(w), before + 2);
    leave(w, s);
}

/* A node is destroyed and made again: the new agent's numbers start from 1, and are its own. */
static void test_new_incarnation(void **state)
{
    struct world *w = *state;
    struct curve_pair own;
    struct zsock *s = join(w, 0, &own);
    struct store_node n = {.enrol_expires = (uint64_t)time(NULL) + 60};
    uint64_t again;
    struct err err;

    assert_true(event_taken(w, s, REV, 1, "x", "ok"));
    leave(w, s);
    assert_int_equal(store_node_delete(w->store, "fra", &err), 0);
    assert_int_equal(store_incarnation_next(w->store, "fra", &n.incarnation, &err), 0);
    assert_int_equal(n.incarnation, 2);
    str_copy(n.name, sizeof(n.name), "fra");
    memcpy(n.enrol_pub, w->once.pub, KEY_SIZE);
    assert_int_equal(store_node_put(w->store, &n, &err), 0);
    hub_forget(w->hub, 0);
    w->events = 0;
    s = join(w, 0, &own); /* its hello is answered with 0 */
    assert_true(event_taken(w, s, REV, 1, "y", "failed"));
    assert_int_equal(w->events, 1);
    leave(w, s);
    /* also when it never said anything */
    assert_int_equal(store_node_delete(w->store, "fra", &err), 0);
    assert_int_equal(store_incarnation_next(w->store, "fra", &again, &err), 0);
    assert_int_equal(again, 3);
}

/* States of 30 kB without end, on one connection each. */
static pid_t flood(const struct world *w, const struct curve_pair *own)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        struct zctx *z = zctx_new();
        char pad[30000];
        char *text;
        struct err err;
        struct zsock *s;

        memset(pad, 'x', sizeof(pad) - 1);
        pad[sizeof(pad) - 1] = '\0';
        text = proto_text(PROTO_STATE,
                          json_pack("{s:{s:s, s:s}}", "state", "phase", "ready", "step", pad));
        s = zsock_client(z, own, w->keys.pub, PROTO_MAIN_MAX, "tcp://127.0.0.1:17401", &err);
        for (;;)
            if (!s || zsock_send(s, NULL, text, strlen(text)) < 0)
                clock_pause_ms(1);
    }
    return pid;
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
        pids[i] = flood(w, &flooders[i]);
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
    uint64_t end = clock_mono_ms() + WAIT_MS, acked = 0, seq = 0;
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

static void test_strangers(void **state)
{
    struct world *w = *state;
    struct curve_pair stranger;
    _cleanup_free_ char *text = NULL;
    struct store_node n;
    struct err err;
    struct zsock *s;

    keys_curve_new(&stranger);
    text = enrol_text(&stranger);
    s = client(w, &stranger, PORT);
    assert_null(ask(w, s, text));
    assert_true(zsock_was_refused(s));
    leave(w, s);

    /* an expired one-time key */
    assert_int_equal(store_node_get(w->store, "fra", &n, &err), 1);
    n.enrol_expires = (uint64_t)time(NULL) - 1;
    assert_int_equal(store_node_put(w->store, &n, &err), 0);
    hub_forget(w->hub, 0);
    s = client(w, &w->once, PORT);
    assert_null(ask(w, s, text));
    assert_true(zsock_was_refused(s));
    leave(w, s);
}

static void test_rubbish(void **state)
{
    struct world *w = *state;
    struct curve_pair own;
    _cleanup_free_ char *text = NULL;
    struct zsock *s = client(w, &w->once, PORT);
    char *answer;

    keys_curve_new(&own);
    text = enrol_text(&own);
    for (size_t i = 0; i < 5; i++) {
        static const char *const bad[] = {"", "{", "[]", "{\"t\":\"enrol\"}",
                                          "{\"t\":\"enrol\",\"curve\":\"zz\",\"seal\":\"\"}"};

        zsock_send(s, NULL, bad[i], strlen(bad[i]));
    }
    answer = ask(w, s, text);
    assert_string_equal(answer, "{\"t\":\"bound\"}");
    free(answer);
    leave(w, s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_enrol_and_hello, setup, teardown),
        cmocka_unit_test_setup_teardown(test_used_key_freezes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_machines_with_one_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forged_events, setup, teardown),
        cmocka_unit_test_setup_teardown(test_new_incarnation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flood, setup, teardown),
        cmocka_unit_test_setup_teardown(test_event_flood, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large_message, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strangers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rubbish, setup, teardown),
    };
    struct err err;

    assert_int_equal(keys_init(&err), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
