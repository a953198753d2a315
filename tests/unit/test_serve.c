/* SPDX-License-Identifier: Apache-2.0 */
/* The hub as a service: its socket, what clients may ask, and what it hands out after a restart. */
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define PORT 17440
#define WAIT_MS 8000

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
#include "controller/serve/internal.h"
#include "controller/serve/link.h"

#define DIGEST "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

struct world {
    char dir[32];
    struct spec spec;
    struct spec_node nodes[2];
    struct store *store;
    struct curve_pair keys, once;
    struct sign_pair sign;
    struct service *service;
    struct chan link;
    struct zctx *z;
    struct zsock *agent;
};

static void open_service(struct world *w, bool only_looks)
{
    const struct service_config config = {.state = w->dir,
                                          .digest = DIGEST,
                                          .spec = &w->spec,
                                          .store = w->store,
                                          .keys = &w->keys,
                                          .sign = &w->sign,
                                          .only_looks = only_looks};
    struct err err;

    if (service_open(&config, &w->service, &err) < 0)
        fail_msg("%s", err.msg);
}

static void put_node(struct world *w, size_t i, const char *name)
{
    struct store_node n = {.enrol_expires = (uint64_t)time(NULL) + 60, .incarnation = 1};
    struct err err;

    str_copy(w->nodes[i].name, sizeof(w->nodes[i].name), name);
    str_copy(n.name, sizeof(n.name), name);
    keys_curve_new(&w->once);
    memcpy(n.enrol_pub, w->once.pub, KEY_SIZE);
    assert_int_equal(store_node_put(w->store, &n, &err), 0);
}

static int setup(void **state)
{
    static struct world w;
    struct err err;

    memset(&w, 0, sizeof(w));
    strcpy(w.dir, "/tmp/muster-serve-XXXXXX");
    assert_non_null(mkdtemp(w.dir));
    keys_curve_new(&w.keys);
    keys_sign_new(&w.sign);
    w.spec = (struct spec){.nodes = w.nodes, .n_nodes = 2, .controller_port = PORT};
    assert_int_equal(store_open(w.dir, true, &w.store, &err), 0);
    put_node(&w, 1, "par");
    put_node(&w, 0, "fra"); /* last: the one-time key is its */
    open_service(&w, false);
    w.link.fd = -1;
    w.z = zctx_new();
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    struct err err;

    chan_close(&w->link);
    service_close(w->service);
    zsock_free(w->agent);
    zctx_free(w->z);
    store_close(w->store);
    return fs_remove_tree(w->dir, &err);
}

/* Runs the service until the client gets a message with that member; NULL: its end, or none. */
static json_t *wait_for(struct world *w, const char *member)
{
    uint64_t end = clock_mono_ms() + WAIT_MS;
    json_t *j = NULL;
    struct err err;
    int rc;

    while (clock_mono_ms() < end) {
        assert_int_equal(service_run(w->service, 5, &err), 0);
        while ((rc = link_next(&w->link, &j)) == 1) {
            if (json_object_get(j, member))
                return j;
            json_decref(j);
        }
        if (rc < 0)
            return NULL;
    }
    return NULL;
}

static void client(struct world *w)
{
    struct err err;

    chan_close(&w->link);
    assert_int_equal(link_open(w->dir, &w->link, &err), 0);
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
    assert_int_equal(store_events_prune(w->store, 10, &err), 0);
    uint64_t after = 0, end = 0;
    assert_int_equal(store_event_end(w->store, &end, &err), 0);
    assert_int_equal(end, 451);
    assert_int_equal(store_event_tail(w->store, &(struct event_filter){0}, 3, &after, &err), 0);
    assert_int_equal(after, 448);
}

/* ---- with an agent ---- */

static void say(struct world *w, const char *text)
{
    uint64_t end = clock_mono_ms() + WAIT_MS;
    struct err err;

    while (zsock_send(w->agent, NULL, text, strlen(text)) < 0 && clock_mono_ms() < end)
        service_run(w->service, 5, &err);
}

/* Runs the service until the agent gets a message with that text; the caller frees. */
static char *hears(struct world *w, const char *part)
{
    uint64_t end = clock_mono_ms() + WAIT_MS;
    struct zmsg m;
    struct err err;

    while (clock_mono_ms() < end) {
        assert_int_equal(service_run(w->service, 5, &err), 0);
        while (zsock_recv(w->agent, &m) == 1) {
            if (strstr(m.body, part))
                return m.body;
            zmsg_free(&m);
        }
    }
    fail_msg("the agent was not told: %s", part);
    return NULL;
}

static struct zsock *dial(struct world *w, const struct curve_pair *own, unsigned port)
{
    _cleanup_free_ char *endpoint = str_fmt("tcp://127.0.0.1:%u", port);
    struct err err;

    return zsock_client(w->z, own, w->keys.pub, PROTO_MAIN_MAX, endpoint, &err);
}

#define HELLO "{\"t\":\"hello\",\"v\":1,\"rev\":\"\",\"facts\":{}}"

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

/* All that a deployment's agent meets: enrolment, a look that repairs nothing, the plan that an
 * `up` stored, a restart of the hub, a question, an answer, and none. */
static void test_agent(void **state)
{
    struct world *w = *state;
    struct curve_pair own;
    char hex[KEY_HEX_SIZE];
    _cleanup_free_ char *text = NULL;
    _cleanup_free_ char *plan = NULL;
    _cleanup_json_ json_t *j = NULL;
    _cleanup_json_ json_t *stored = NULL;
    bool repair;
    uint64_t id, first;
    struct err err;

    keys_curve_new(&own);
    keys_hex(own.pub, KEY_SIZE, hex);
    text = proto_text(PROTO_ENROL, json_pack("{s:i, s:s, s:s}", "v", 1, "curve", hex, "seal", hex));
    w->agent = dial(w, &w->once, PORT);
    say(w, text);
    free(hears(w, "bound"));
    zsock_free(w->agent);
    w->agent = dial(w, &own, PORT + 1);
    say(w, HELLO);
    free(text);
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

/* ---- the network test ---- */

/* Enrols both nodes; their connections. */
static void two_agents(struct world *w, struct zsock *ret[2])
{
    for (size_t i = 0; i < 2; i++) {
        struct curve_pair own;
        char hex[KEY_HEX_SIZE];
        struct err err;

        keys_curve_new(&own);
        keys_hex(own.pub, KEY_SIZE, hex);
        assert_int_equal(
            store_node_bind(w->store, w->nodes[i].name, hex, hex, (uint64_t)time(NULL), &err), 1);
        hub_forget(w->service->hub, i);
        w->agent = ret[i] = dial(w, &own, PORT + 1);
        say(w, HELLO);
        free(hears(w, "\"look\""));
    }
}

static void database(struct world *w, struct zsock *agent, const char *is)
{
    _cleanup_free_ char *text =
        str_fmt("{\"t\":\"state\",\"state\":{\"phase\":\"ready\",\"db\":{\"state\":\"%s\"}}}", is);
    struct err err;

    w->agent = agent;
    say(w, text);
    for (int i = 0; i < 20; i++)
        assert_int_equal(service_run(w->service, 5, &err), 0);
}

static void ask_measure_of(struct world *w, const char *from, const char *what, const char *node,
                           bool force)
{
    link_ask(&w->link, REQUEST_MEASURE,
             json_pack("{s:s, s:s, s:s, s:i, s:i, s:b, s:b}", "from", from, "what", what, "node",
                       node, "seconds", 1, "streams", 1, "public", 0, "force", (int)force));
}

/* The client's answer has this in it. */
static void measured(struct world *w, const char *cause, const char *why)
{
    _cleanup_json_ json_t *j = wait_for(w, "measured");
    const json_t *m = json_object_get(j, "measured");

    assert_non_null(m);
    assert_string_equal(js_opt_str(m, "cause", "?"), cause);
    if (!strstr(js_opt_str(m, "why", ""), why))
        fail_msg("not '%s': %s", why, js_opt_str(m, "why", ""));
    assert_int_equal(js_opt_bool(m, "ok", false), !*cause && !*why);
    assert_int_equal(json_is_object(json_object_get(m, "figures")), !*cause && !*why);
}

/* What this agent is told to do; the number of it. */
static uint64_t told(struct world *w, struct zsock *agent, const char *what, const char *node)
{
    _cleanup_json_ json_t *j = NULL;
    _cleanup_free_ char *text = NULL;
    struct nettest_order o;
    struct err err;

    w->agent = agent;
    text = hears(w, "\"measure\"");
    assert_int_equal(js_parse(text, strlen(text), &j, &err), 0);
    assert_int_equal(nettest_order_parse(json_object_get(j, "order"), &o, &err), 0);
    assert_string_equal(nettest_what_name(o.what), what);
    assert_string_equal(o.node, node);
    return js_opt_u64(j, "id", 0);
}

static void tell(struct world *w, struct zsock *agent, uint64_t id, bool ok, const char *why)
{
    _cleanup_free_ char *text = str_fmt("{\"t\":\"measured\",\"id\":%llu,\"ok\":%s,\"why\":\"%s\","
                                        "\"figures\":{}}",
                                        (unsigned long long)id, ok ? "true" : "false", why);

    w->agent = agent;
    say(w, text);
}

static void test_measure(void **state)
{
    struct world *w = *state;
    struct zsock *agents[2];
    struct chan second;
    uint64_t serve, send;
    struct err err;

    client(w);
    ask_measure_of(w, "fra", "latency", "par", false);
    measured(w, "usage", "without a database");
    w->spec.database.present = true;
    ask_measure_of(w, "fra", "latency", "par", false);
    measured(w, "safety", "no answer from");
    ask_measure_of(w, "fra", "latency", "par", true);
    measured(w, "silent", "no answer from fra");
    two_agents(w, agents);
    ask_measure_of(w, "fra", "latency", "ham", false);
    measured(w, "usage", "no two nodes");
    ask_measure_of(w, "fra", "latency", "fra", false);
    measured(w, "usage", "no two nodes");

    /* not while a state transfer is under way, or may be */
    ask_measure_of(w, "fra", "latency", "par", false);
    measured(w, "safety", "fra: the state of its database is not known");
    database(w, agents[0], "Synced");
    database(w, agents[1], "Donor/Desynced");
    ask_measure_of(w, "fra", "latency", "par", false);
    measured(w, "safety", "par: its database gives its data");
    database(w, agents[1], "Synced");

    /* one node is asked; another test has to wait, answers of others do not count */
    ask_measure_of(w, "fra", "latency", "par", false);
    send = told(w, agents[0], "latency", "par");
    chan_flush(&w->link);
    second = w->link;
    assert_int_equal(link_open(w->dir, &w->link, &err), 0);
    ask_measure_of(w, "par", "latency", "fra", false);
    measured(w, "locked", "another network test");
    chan_close(&w->link);
    w->link = second;
    tell(w, agents[1], send, true, "");
    tell(w, agents[0], send + 1, true, "");
    tell(w, agents[0], send, true, "");
    measured(w, "", "");

    /* the other one lets it connect; why it does not is what the client is told */
    ask_measure_of(w, "par", "throughput", "fra", false);
    serve = told(w, agents[0], "serve", "par");
    send = told(w, agents[1], "throughput", "fra");
    assert_true(serve != send);
    tell(w, agents[0], serve, false, "its port is taken");
    for (int i = 0; i < 20; i++)
        assert_int_equal(service_run(w->service, 5, &err), 0);
    tell(w, agents[1], send, false, "refused");
    measured(w, "", "fra: its port is taken");

    /* a client that goes leaves nothing behind */
    ask_measure_of(w, "par", "latency", "fra", false);
    told(w, agents[1], "latency", "fra");
    client(w);
    ask_measure_of(w, "fra", "prepare", "", false);
    send = told(w, agents[0], "prepare", "");
    tell(w, agents[0], send, false, "no package");
    measured(w, "", "fra: no package");
    zsock_free(agents[0]); /* teardown frees the other one */
    w->agent = agents[1];
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
        cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mode, setup, teardown),
        cmocka_unit_test_setup_teardown(test_events, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_measure, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_looks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lock, setup, teardown),
    };
    struct err err;

    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(keys_init(&err), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
