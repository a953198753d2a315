/* SPDX-License-Identifier: Apache-2.0 */
/* The hub as a service: its socket, what clients may ask, and what it hands out after a restart. */
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "controller/nodes/planner.h"
#include "controller/serve/internal.h"
#include "serve_world.h"

/* Of two members one is stopped only when it is the one that is not heard, and the other one runs
 * without a quorum. */
static void test_fence(void **state)
{
    static const struct {
        struct fence_look look[2];
        size_t n;
        bool due;
        size_t survivor;
    } cases[] = {
        {{{true, "non-primary"}, {false, "primary"}}, 2, true, 0},
        {{{false, ""}, {true, "non-primary"}}, 2, true, 1},
        {{{true, "primary"}, {false, ""}}, 2, false, 0},
        {{{true, "stopped"}, {false, ""}}, 2, false, 0}, /* it was restarted: may lack more */
        {{{true, ""}, {false, ""}}, 2, false, 0},
        {{{true, "non-primary"}, {true, "non-primary"}}, 2, false, 0},
        {{{false, "non-primary"}, {false, "non-primary"}}, 2, false, 0},
        {{{true, "non-primary"}, {false, ""}}, 3, false, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t survivor = 9;

        assert_int_equal(fence_is_due(cases[i].look, cases[i].n, &survivor), cases[i].due);
        if (cases[i].due)
            assert_int_equal(survivor, cases[i].survivor);
    }
}

static void raw(struct world *w, const char *text)
{
    assert_int_equal(write(w->link.fd, text, strlen(text)), strlen(text));
}

/* What is no request is answered with why and the end of the connection; the hub goes on. */
static void test_hostile(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"nonsense\n", "no JSON"},
        {"[]\n", "an object"},
        {"{}\n", "'v'"},
        {"{\"v\":2,\"do\":\"state\"}\n", "version 2"},
        {"{\"v\":1}\n", "'do'"},
        {"{\"v\":1,\"do\":\"destroy\"}\n", "no request"},
        {"{\"v\":1,\"do\":\"state\"}\n", "'wait_ms'"},
        {"{\"v\":1,\"do\":\"state\",\"wait_ms\":-1}\n", "'wait_ms'"},
        {"{\"v\":1,\"do\":\"state\",\"wait_ms\":30001}\n", "'wait_ms'"},
        {"{\"v\":1,\"do\":\"events\"}\n", "'after'"},
        {"{\"v\":1,\"do\":\"events\",\"after\":1,\"follow\":1}\n", "'follow'"},
        {"{\"v\":1,\"do\":\"events\",\"after\":1,\"states\":\"y\"}\n", "'states'"},
        {"{\"v\":1,\"do\":\"up\"}\n", "'file'"},
        {"{\"v\":1,\"do\":\"up\",\"file\":\"../x\"}\n", "'file'"},
        {"{\"v\":1,\"do\":\"forget\",\"node\":\"\"}\n", "'node'"},
        {"{\"v\":1,\"do\":\"forget\",\"node\":\"a b\"}\n", "'node'"},
        {"{\"v\":1,\"do\":\"measure\"}\n", "'from'"},
        {"{\"v\":1,\"do\":\"measure\",\"from\":\"fra\"}\n", "'what'"},
        {"{\"v\":1,\"do\":\"measure\",\"from\":\"fra\",\"what\":\"serve\",\"node\":\"par\","
         "\"seconds\":1,\"streams\":1,\"public\":false,\"force\":false}\n",
         "a part of"},
        {"{\"v\":1,\"do\":\"measure\",\"from\":\"fra\",\"what\":\"latency\",\"node\":\"par\","
         "\"seconds\":61,\"streams\":1,\"public\":false,\"force\":false}\n",
         "'seconds'"},
        {"{\"v\":1,\"v\":1}\n", "no JSON"},
    };
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_json_ json_t *j = NULL;

        client(w);
        raw(w, cases[i].text);
        j = wait_for(w, "error");
        if (!strstr(js_opt_str(j, "error", ""), cases[i].why))
            fail_msg("%s: %s", cases[i].text, js_opt_str(j, "error", "(nothing)"));
        assert_null(wait_for(w, "never"));
        assert_true(chan_fill(&w->link) == false);
    }
}

/* A line without end, and more clients than there is room for. */
static void test_bounds(void **state)
{
    struct world *w = *state;
    _cleanup_free_ char *long_line = xcalloc(1, REQUEST_MAX + 2);
    _cleanup_json_ json_t *j = NULL;
    struct chan others[CLIENTS_MAX + 4];
    struct err err;

    memset(long_line, ' ', REQUEST_MAX + 1);
    client(w);
    raw(w, long_line);
    j = wait_for(w, "error");
    assert_non_null(strstr(js_opt_str(j, "error", ""), "too long"));
    chan_close(&w->link);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_int_equal(link_open(w->dir, &others[i], &err), 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(service_run(w->service, 0, &err), 0);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        assert_int_equal(chan_fill(&others[i]), i < CLIENTS_MAX);
        chan_close(&others[i]);
    }
    client(w); /* and then there is room again */
    link_ask(&w->link, REQUEST_EVENTS, json_pack("{s:i}", "after", 0));
    json_decref(j);
    j = wait_for(w, "end");
    assert_non_null(j);
}

static void test_mode(void **state)
{
    struct world *w = *state;
    _cleanup_free_ char *path = str_fmt("%s/hub.sock", w->dir);
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void put_event(struct world *w, const char *msg)
{
    struct event ev = {.ts = 1, .origin = EVENT_OF_CONTROLLER};
    struct err err;

    event_fill(&ev, EVENT_NOTE, "x:y", "%s", msg);
    assert_int_equal(store_event_own(w->store, &ev, &err), 0);
}

/* Events of another process, too, in their order and each once, for as long as it listens. */
static void test_events(void **state)
{
    struct world *w = *state;
    struct err err;

    for (int i = 0; i < 450; i++)
        put_event(w, "old");
    client(w);
    link_ask(&w->link, REQUEST_EVENTS, json_pack("{s:i, s:b}", "after", 2, "follow", 1));
    for (uint64_t n = 3; n <= 450; n++) {
        _cleanup_json_ json_t *j = wait_for(w, "event");

        assert_int_equal(js_opt_u64(j, "n", 0), n);
    }
    put_event(w, "new");
    _cleanup_json_ json_t *j = wait_for(w, "event");
    assert_string_equal(js_opt_str(json_object_get(j, "event"), "msg", ""), "new");
    assert_int_equal(store_events_prune(w->store, NULL, 10, &err), 0);
    uint64_t after = 0, end = 0;
    assert_int_equal(store_event_end(w->store, &end, &err), 0);
    assert_int_equal(end, 451);
    assert_int_equal(store_event_tail(w->store, &(struct event_filter){0}, 3, &after, &err), 0);
    assert_int_equal(after, 448);
}

static uint64_t look_of(const char *text, bool *ret_repair)
{
    _cleanup_json_ json_t *j = NULL;
    struct err err;

    assert_int_equal(js_parse(text, strlen(text), &j, &err), 0);
    *ret_repair = js_opt_bool(j, "repair", true);
    return js_opt_u64(j, "id", 0);
}

static void answer(struct world *w, uint64_t looked, const char *drift)
{
    _cleanup_free_ char *text =
        str_fmt("{\"t\":\"state\",\"state\":{\"phase\":\"ready\",\"looked\":%llu,\"drift\":[%s]}}",
                (unsigned long long)looked, drift);

    say(w, text);
}

static const json_t *node_in(const json_t *j, size_t i)
{
    return json_array_get(json_object_get(j, "nodes"), i);
}

/* The agent of fra, from its one-time key on. */
static void enrol(struct world *w)
{
    struct curve_pair own;
    char hex[KEY_HEX_SIZE];

    keys_curve_new(&own);
    keys_hex(own.pub, KEY_SIZE, hex);
    _cleanup_free_ char *text =
        proto_text(PROTO_ENROL, json_pack("{s:i, s:s, s:s}", "v", 1, "curve", hex, "seal", hex));
    w->agent = dial(w, &w->once, PORT);
    say(w, text);
    free(hears(w, "bound"));
    zsock_free(w->agent);
    w->agent = dial(w, &own, PORT + 1);
    say(w, HELLO);
}

/* Runs the service until the program of the operator's has said that text so often; time is taken
 * off its waits. */
static void told(struct world *w, const char *file, const char *text)
{
    uint64_t end = clock_mono_ms() + WAIT_MS;
    struct err err;

    for (;;) {
        _cleanup_free_ char *said = NULL;

        if (fs_read(file, 4096, &said, NULL, &err) == 0 && str_eq(said, text))
            return;
        if (clock_mono_ms() > end)
            fail_msg("told '%s', not '%s'", said ? said : "", text);
        w->service->dns.since = w->service->dns.next = 0;
        assert_int_equal(service_run(w->service, 5, &err), 0);
    }
}

/* Which sites serve is told when it changes, again when that failed, and never that none does. */
static void test_dns(void **state)
{
    struct world *w = *state;
    _cleanup_free_ char *program = str_fmt("%s/dns", w->dir);
    _cleanup_free_ char *file = str_fmt("%s/told", w->dir);
    _cleanup_free_ char *script =
        str_fmt("#!/bin/sh\necho \"$MUSTER_SITES\" >>%s\n[ $(wc -l <%s) -gt 1 ]\n", file, file);
    struct err err;

    assert_int_equal(fs_write_atomic(program, script, strlen(script), 0755, &err), 0);
    str_copy(w->spec.frontdoor.dns, sizeof(w->spec.frontdoor.dns), program);
    enrol(w);
    free(hears(w, "\"look\""));
    str_copy(w->service->facts[0].public_address, 16, "198.51.100.10");
    str_copy(w->service->facts[1].public_address, 16, "198.51.100.11");
    answer(w, 1, "");
    for (int i = 0; i < 20; i++) /* of par nothing is known yet */
        assert_int_equal(service_run(w->service, 5, &err), 0);
    assert_null(w->service->dns.wanted);
    w->service->started -= HUB_FRESH_MS;
    told(w, file, "198.51.100.10\n198.51.100.10\n"); /* the first time it fails */
    say(w, "{\"t\":\"state\",\"state\":{\"phase\":\"ready\",\"looked\":1,\"drift\":[],"
           "\"drain\":\"x\"}}");
    for (uint64_t end = clock_mono_ms() + 3000; clock_mono_ms() < end;) {
        w->service->dns.since = 0;
        assert_int_equal(service_run(w->service, 5, &err), 0);
    }
    told(w, file, "198.51.100.10\n198.51.100.10\n"); /* nobody serves: it stays as it was */
}

/* All that a deployment's agent meets: enrolment, a look that repairs nothing, the plan that an
 * `up` stored, a restart of the hub, a question, an answer, and none. */
static void test_agent(void **state)
{
    struct world *w = *state;
    _cleanup_free_ char *text = NULL;
    _cleanup_free_ char *plan = NULL;
    _cleanup_json_ json_t *j = NULL;
    _cleanup_json_ json_t *stored = NULL;
    bool repair;
    uint64_t id, first;
    struct err err;

    enrol(w);
    text = hears(w, "\"look\"");
    first = look_of(text, &repair);
    assert_false(repair);
    answer(w, first, "\"file:f\"");

    /* `status`: asked now, answered now */
    client(w);
    link_ask(&w->link, REQUEST_STATE, json_pack("{s:i}", "wait_ms", 20000));
    free(text);
    text = hears(w, "\"look\"");
    id = look_of(text, &repair);
    assert_true(id > first && !repair);
    answer(w, id, "\"file:f\"");
    j = wait_for(w, "nodes");
    assert_true(js_opt_bool(node_in(j, 0), "checked", false));
    assert_true(js_opt_bool(node_in(j, 0), "heard", false));
    assert_false(js_opt_bool(node_in(j, 1), "checked", true)); /* never came */
    assert_false(js_opt_bool(node_in(j, 1), "heard", true));

    /* asked and not answered: said so */
    link_ask(&w->link, REQUEST_STATE, json_pack("{s:i}", "wait_ms", 100));
    json_decref(j);
    j = wait_for(w, "nodes");
    assert_false(js_opt_bool(node_in(j, 0), "checked", true));

    /* `up`: another file first, then this one: the plan and a look that repairs */
    link_ask(&w->link, REQUEST_UP, json_pack("{s:s}", "file", DIGEST));
    json_decref(j);
    j = wait_for(w, "look");
    free(text);
    text = hears(w, "\"repair\":true");
    assert_int_equal(look_of(text, &repair), js_opt_u64(j, "look", 0));
    stored = json_pack("{s:s, s:[], s:{}}", "rev", "0123456789abcdef", "resources", "secrets");
    assert_int_equal(service_store_plan(w->store, "fra", stored, &err), 0);
    link_ask(&w->link, REQUEST_UP, json_pack("{s:s}", "file", DIGEST));
    plan = hears(w, "0123456789abcdef");
    assert_false(service_is_outdated(w->service));

    /* killed and started again: the agent finds it, and the plan is still known */
    service_close(w->service);
    w->service = NULL;
    chan_close(&w->link);
    open_service(w, false);
    say(w, HELLO);
    free(plan);
    plan = hears(w, "0123456789abcdef");
    client(w);
    raw(w,
        "{\"v\":1,\"do\":\"up\",\"file\":\"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
        "bbbbbbbb\"}\n");
    json_decref(j);
    j = wait_for(w, "again");
    assert_non_null(j);
    assert_true(service_is_outdated(w->service));
}

/* The hub of a `status` hands out nothing; a run that meets it is told so, and it ends. */
static void test_only_looks(void **state)
{
    struct world *w = *state;
    _cleanup_json_ json_t *j = NULL;

    service_close(w->service);
    open_service(w, true);
    client(w);
    link_ask(&w->link, REQUEST_UP, json_pack("{s:s}", "file", DIGEST));
    j = wait_for(w, "again");
    assert_non_null(j);
    assert_true(service_is_outdated(w->service));
}

/* One hub of a deployment: the second one is told who has it. */
static void test_lock(void **state)
{
    struct world *w = *state;
    struct err err;
    int fd = link_lock(w->dir, "muster serve", &err), second;

    assert_true(fd >= 0);
    second = link_lock(w->dir, "muster watch", &err);
    assert_int_equal(second, -1);
    assert_int_equal(err.code, ERR_LOCKED);
    _cleanup_free_ char *who = str_fmt("muster serve, process %d", (int)getpid());
    assert_non_null(strstr(err.msg, who));
    close(fd);
    second = link_lock(w->dir, "muster watch", &err);
    assert_true(second >= 0);
    close(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fence),
        cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mode, setup, teardown),
        cmocka_unit_test_setup_teardown(test_events, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_looks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lock, setup, teardown),
    };
    struct err err;

    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(keys_init(&err), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
