/* SPDX-License-Identifier: Apache-2.0 */
/* The network test at the hub: what it refuses, whom it asks, and what its client is told. */
#include <signal.h>

#define PORT 17460

#include "serve_world.h"

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
    ask_measure_of(w, "fra", "prepare", "", false); /* nor are packages fetched then */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_measure, setup, teardown),
    };
    struct err err;

    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(keys_init(&err), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
