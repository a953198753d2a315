/* SPDX-License-Identifier: Apache-2.0 */
/* The hub against real sockets: who gets in, who does not, and what happens to keys used twice. */
#include <fcntl.h>
#include <inttypes.h>

#include "common/db.h"
#include "common/signed.h"
#include "controller/cloud/http.h"
#include "controller/nodes/internal.h"
#include "controller/nodes/twin.h"
#include "hub_world.h"

static char *ask(struct world *w, struct zsock *s, const char *text)
{
    return ask_for(w, s, text, "", WAIT_MS);
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
    /* What the store gives back still says who made it. */
    if (str_eq(ev->id, "enrol") || str_eq(ev->id, "event-refused"))
        assert_int_equal(ev->origin, EVENT_OF_CONTROLLER);
    else
        assert_int_equal(ev->origin, EVENT_OF_AGENT);
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
        const char *origin, *rev;
        uint64_t seq;
        const char *id, *kind;
    } forged[] = {
        {"controller", "", 2, "up", "done"},
        {"controller", REV, 3, "vm:fra", "changed"},
        {"nobody", REV, 3, "x", "ok"},
        {"agent", "controller", 3, "vm:fra", "changed"},
        {"agent", REV, INT64_MAX, "x", "ok"},
        {"agent", REV, 1ULL << 40, "x", "ok"},
        {"agent", REV, 0, "x", "ok"},
        {"agent", REV, 4, "x y", "ok"},
        {"agent", REV, 5,
         "\xc2\x9b"
         "2J",
         "ok"},
        {"agent", "0123456789ABCDEF", 6, "x", "ok"},
        {"agent", REV, 8, "x", "plan"}, /* of no steps */
        {"agent", REV, 8, "x", "done"}, /* with nothing counted */
        {"agent", "../../etc/passwd", 7, "x", "ok"},
    };
    struct world *w = *state;
    struct curve_pair own;
    struct zsock *s = join(w, 0, &own);
    unsigned before;

    assert_true(event_taken(w, s, REV, 1, "x", "aborted"));
    before = rows(w);
    w->events = w->own_events = 0;
    for (size_t i = 0; i < ARRAY_LEN(forged); i++) {
        _cleanup_free_ char *text = event_message_of(forged[i].origin, forged[i].rev, forged[i].seq,
                                                     forged[i].id, forged[i].kind);

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

static bool let_all_in(void *ctx, const char *domain, const char *address,
                       const uint8_t key[KEY_SIZE], char ret_user[ZSOCK_USER_MAX])
{
    (void)ctx;
    (void)domain;
    (void)address;
    (void)key;
    return str_copy(ret_user, ZSOCK_USER_MAX, "anybody");
}

/* A hub that lets in a key that nobody knows does not start; nor one with too few descriptors. */
static void test_self_test(void **state)
{
    struct world *w = *state;
    const struct hub_config config = {.listen = "127.0.0.1", .port = PORT + 10, .keys = &w->keys};
    struct hub h = {.ctx = zctx_new()};
    struct err err;

    h.zap = zap_new(h.ctx, let_all_in, NULL, &err);
    assert_non_null(h.zap);
    h.enrol = zsock_server(h.ctx, PROTO_DOMAIN_ENROL, &w->keys, PROTO_ENROL_MAX,
                           "tcp://127.0.0.1:17410", &err);
    assert_non_null(h.enrol);
    assert_int_equal(hub_self_test(&h, &config, &err), -1);
    assert_int_equal(err.code, ERR_SAFETY);
    assert_non_null(strstr(err.msg, "let in a key that nobody knows"));
    zsock_free(h.enrol);
    zap_free(h.zap);
    zctx_free(h.ctx);
    assert_int_equal(hub_files(100, &err), 0);
    assert_int_equal(hub_files(10 * 1000 * 1000, &err), -1);
    assert_non_null(strstr(err.msg, "LimitNOFILE=20000256"));
}

/* An agent of version 1 gets its plan as before; one that knows signed ones only such, with a
 * counter above the one that it took. */
static void test_signed_plans(void **state)
{
    struct world *w = *state;
    struct curve_pair own;
    struct zsock *s = join(w, 0, &own);
    uint64_t last = 0, took = UINT64_C(1) << 53;
    struct err err;

    assert_true(answered(w, s, NULL, "\"plan\":{\"resources\":[]"));
    for (int i = 0; i < 3; i++) {
        _cleanup_free_ char *hello =
            str_fmt("{\"t\":\"hello\",\"v\":2,\"rev\":\"\",\"counter\":%llu,\"facts\":{}}",
                    (unsigned long long)(i == 2 ? took : 0));
        _cleanup_free_ char *got = ask_for(w, s, hello, "\"t\":\"plan\"", WAIT_MS);
        _cleanup_json_ json_t *j = NULL, *inside = NULL;
        const char *text, *sig;
        uint64_t counter;

        assert_non_null(got);
        assert_int_equal(js_parse(got, strlen(got), &j, &err), 0);
        assert_null(json_object_get(j, "plan"));
        text = js_opt_str(j, "text", "");
        sig = js_opt_str(j, "sig", "");
        assert_true(signed_holds(w->sign.pub, SIGNED_PLAN, text, sig));
        assert_int_equal(js_parse(text, strlen(text), &inside, &err), 0);
        assert_string_equal(js_opt_str(json_object_get(inside, "plan"), "rev", ""), REV);
        counter = js_opt_u64(inside, "counter", 0);
        assert_true(counter > last && (i < 2 || counter > took));
        last = counter;
    }
    leave(w, s);
}

/* A newer connection of the same key takes the older one's place. */
static void test_newer_connection(void **state)
{
    static const char hello[] = "{\"t\":\"hello\",\"v\":1,\"rev\":\"\",\"facts\":{}}";
    struct world *w = *state;
    struct curve_pair own;
    struct zsock *older = join(w, 0, &own), *newer = client(w, &own, PORT + 1);
    _cleanup_free_ char *text = event_message(REV, 1, "x", "ok");

    assert_true(event_taken(w, older, REV, 1, "x", "ok"));
    assert_true(answered(w, newer, hello, "\"ack\""));
    w->events = 0;
    assert_int_equal(zsock_send(older, NULL, text, strlen(text)), 0);
    assert_true(event_taken(w, newer, REV, 2, "x", "ok"));
    assert_true(event_taken(w, newer, REV, 3, "x", "ok"));
    assert_int_equal(w->events, 2);
    assert_null(ask_for(w, older, NULL, "\"seq\":3", 100));
    leave(w, older);
    leave(w, newer);
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

#define FILE_SIZE (33 * 1024 * 1024)
#define FETCHERS 2
#define TURN_BYTES (64 * 1024) /* at least, on average */

/* A node that downloads: a process of its own, so that only the server's side is in our loop. */
static pid_t fetcher(void)
{
    static const char url[] = "http://127.0.0.1:17402/blob/cafe";
    pid_t pid = fork();

    if (pid == 0) {
        execl("/usr/bin/curl", "curl", "-sf", "--noproxy", "*", "-o", "/dev/null", url,
              (char *)NULL);
        _exit(127);
    }
    return pid;
}

/* Files go out as fast as the nodes take them, in few turns of the owner's loop, which is not held
 * up by them either. */
static void test_files(void **state)
{
    struct world *w = *state;
    _cleanup_free_ char *path = str_fmt("%s/file", w->dir);
    struct http *http = http_new();
    struct http_fd fds[HUB_FDS];
    struct err err;
    pid_t pids[FETCHERS];
    size_t running = FETCHERS, turns = 0, most = (size_t)FETCHERS * FILE_SIZE / TURN_BYTES;
    uint64_t longest = 0;
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), status;

    if (access("/usr/bin/curl", X_OK) < 0)
        skip();
    assert_true(fd >= 0 && ftruncate(fd, FILE_SIZE) == 0);
    close(fd);
    hub_serve_file(w->hub, "cafe", path);
    for (size_t i = 0; i < FETCHERS; i++)
        pids[i] = fetcher();
    while (running && turns <= most) {
        uint64_t start = clock_mono_ms();

        assert_int_equal(hub_run(w->hub, &err), 0);
        longest = clock_mono_ms() - start > longest ? clock_mono_ms() - start : longest;
        hub_fds(w->hub, fds);
        http_wait(http, fds, HUB_FDS, clock_sooner(hub_due_ms(w->hub), 200));
        turns++;
        for (size_t i = 0; i < FETCHERS; i++)
            if (pids[i] && waitpid(pids[i], &status, WNOHANG) == pids[i]) {
                assert_int_equal(status, 0);
                pids[i] = 0;
                running--;
            }
    }
    for (size_t i = 0; i < FETCHERS; i++)
        if (pids[i]) {
            kill(pids[i], SIGKILL);
            waitpid(pids[i], NULL, 0);
        }
    http_free(http);
    print_message("%zu turns, the longest %llu ms\n", turns, (unsigned long long)longest);
    assert_int_equal(running, 0);
    assert_true(turns > 4); /* nor all at once */
}

/* A pass that fails leaves no transaction behind: what is recorded after it stays, and an event of
 * it is not acknowledged by a later one. */
static void test_failed_pass(void **state)
{
    struct world *w = *state;
    struct curve_pair own;
    struct zsock *s = join(w, 0, &own);
    _cleanup_free_ char *path = str_fmt("%s/muster.db", w->dir);
    _cleanup_free_ char *seen = NULL;
    static const char hello[] = "{\"t\":\"hello\",\"v\":1,\"rev\":\"\",\"facts\":{}}";
    uint64_t stored, acknowledged = 1;
    struct store *other;
    struct db *db;
    struct err err;
    uint64_t end = clock_mono_ms() + WAIT_MS;
    int rc = 0;

    assert_true(event_taken(w, s, REV, 1, "x", "ok"));
    assert_int_equal(db_open(path, false, 1000, &db, &err), 0);
    assert_int_equal(db_exec(db,
                             "CREATE TRIGGER full BEFORE INSERT ON event WHEN NEW.id = 'y'"
                             " BEGIN SELECT RAISE(ABORT, 'disk is full'); END",
                             &err),
                     0);
    for (uint64_t seq = 2; seq <= 40; seq++) { /* several of them in the pass that fails */
        _cleanup_free_ char *text = event_message(REV, seq, seq == 40 ? "y" : "x", "ok");

        assert_int_equal(zsock_send(s, NULL, text, strlen(text)), 0);
    }
    while (rc >= 0 && clock_mono_ms() < end)
        rc = hub_run(w->hub, &err);
    assert_int_equal(rc, -1);
    assert_int_equal(store_set(w->store, "state", "failed", &err), 0);
    assert_int_equal(store_open(w->dir, false, &other, &err), 0);
    assert_int_equal(store_get(other, "state", &seen, &err), 0);
    store_close(other);
    assert_non_null(seen);
    assert_string_equal(seen, "failed");

    db_close(db);
    stored = store_event_last(w->store, "fra", 1);
    assert_int_equal(zsock_send(s, NULL, hello, sizeof(hello) - 1), 0);
    while (acknowledged) { /* 0 answers the hello */
        _cleanup_free_ char *answer = ask_for(w, s, NULL, "\"ack\"", WAIT_MS);

        assert_non_null(answer);
        assert_int_equal(sscanf(answer, "{\"seq\":%" SCNu64, &acknowledged), 1);
        assert_true(acknowledged <= stored);
    }
    leave(w, s);
}

static void keep_event(void *ctx, const struct event *ev)
{
    *(struct event *)ctx = *ev;
}

/* All that an event says is still there when it is read again. */
static void test_store_keeps_counts(void **state)
{
    struct world *w = *state;
    struct event back = {0}, ev = {.ts = 1,
                                   .node = "fra",
                                   .seq = 1,
                                   .kind = EVENT_DONE,
                                   .id = "x",
                                   .count = {EVENT_BYTES, 5, INT64_MAX},
                                   .changed = 3,
                                   .ok = 9};
    uint64_t after = 0;
    struct err err;

    assert_int_equal(store_event_add(w->store, &ev, 1, &err), 1);
    assert_int_equal(store_events(w->store, &after, keep_event, &back, &err), 0);
    assert_int_equal(back.count.unit, EVENT_BYTES);
    assert_true(back.count.done == 5 && back.count.total == INT64_MAX);
    assert_int_equal(back.changed, 3);
    assert_int_equal(back.ok, 9);
    assert_int_equal(back.kind, EVENT_DONE);
}

/* A store of another version is neither used nor changed: it is named, with what to do. */
static void test_store_of_another_version(void **state)
{
    struct world *w = *state;
    struct store *s = NULL;
    struct err err;

    assert_int_equal(store_set(w->store, "schema", "1", &err), 0);
    for (int create = 0; create <= 1; create++) {
        assert_int_equal(store_open(w->dir, create, &s, &err), -1);
        assert_null(s);
        assert_non_null(strstr(err.msg, "another version of muster (schema 1,"));
        assert_non_null(strstr(err.msg, "muster destroy"));
    }
}

/* Many keys of few nodes, and keys that begin alike. */
static void test_key_index(void **state)
{
    struct keyindex x = {0};
    uint8_t key[KEY_SIZE] = {0};
    size_t at = 0, node;

    (void)state;
    assert_false(keyindex_next(&x, key, &at, &node));
    for (size_t i = 0; i < 5000; i++) {
        memcpy(key, &i, sizeof(i));
        keyindex_add(&x, key, i % 7);
        keyindex_add(&x, key, i % 7);
    }
    assert_int_equal(x.used, 5000);
    for (size_t i = 0; i < 5000; i++) {
        memcpy(key, &i, sizeof(i));
        at = 0;
        assert_true(keyindex_next(&x, key, &at, &node));
        assert_int_equal(node, i % 7);
        assert_false(keyindex_next(&x, key, &at, &node));
    }
    keyindex_add(&x, key, 9); /* another key with this start */
    at = 0;
    assert_true(keyindex_next(&x, key, &at, &node) && node == 4999 % 7);
    assert_true(keyindex_next(&x, key, &at, &node) && node == 9);
    assert_false(keyindex_next(&x, key, &at, &node));
    keyindex_free(&x);
}

/* An agent that connects again is silent on the connection that it left; a second machine is not.
 */
static void test_twin(void **state)
{
    const struct zmsg nowhere = {0}, a = {.rid = {1}, .rid_len = 5}, b = {.rid = {2}, .rid_len = 5},
                      c = {.rid = {3}, .rid_len = 5};
    struct twin t = {0};

    (void)state;
    twin_greeted(&t, &nowhere, &a, 1000);
    assert_false(twin_speaks(&t, &a, 100000));
    twin_greeted(&t, &a, &a, 2000); /* the same greeting again */
    assert_false(twin_speaks(&t, &a, 100000));
    twin_greeted(&t, &a, &b, 200000);
    assert_false(twin_speaks(&t, &b, 900000));
    assert_false(twin_speaks(&t, &a, 200100)); /* was on its way */
    assert_true(twin_speaks(&t, &a, 210000));
    twin_greeted(&t, &b, &c, 300000);
    assert_false(twin_speaks(&t, &c, 400000));
    assert_true(twin_speaks(&t, &b, 400000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_twin),
        cmocka_unit_test(test_key_index),
        cmocka_unit_test_setup_teardown(test_enrol_and_hello, setup, teardown),
        cmocka_unit_test_setup_teardown(test_used_key_freezes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_machines_with_one_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forged_events, setup, teardown),
        cmocka_unit_test_setup_teardown(test_new_incarnation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strangers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_self_test, setup, teardown),
        cmocka_unit_test_setup_teardown(test_signed_plans, setup, teardown),
        cmocka_unit_test_setup_teardown(test_newer_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rubbish, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failed_pass, setup, teardown),
        cmocka_unit_test_setup_teardown(test_store_keeps_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_store_of_another_version, setup, teardown),
    };
    struct err err;

    assert_int_equal(keys_init(&err), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
