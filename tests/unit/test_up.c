/* SPDX-License-Identifier: Apache-2.0 */
/* What `up` says of nodes that do not answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/httpd.h"
#include "common/js.h"
#include "common/str.h"
#include "controller/internal.h"

#define ANSWER_WITHIN_MS 60000

struct world {
    char dir[32];
    struct spec_node nodes[2];
    struct deployment d;
    struct survey survey;
    struct node_run runs[2];
    struct up up;
};

static int setup(void **state)
{
    static struct world w;
    struct err err;

    memset(&w, 0, sizeof(w));
    strcpy(w.dir, "/tmp/muster-up-XXXXXX");
    assert_non_null(mkdtemp(w.dir));
    assert_int_equal(store_open(w.dir, true, &w.d.store, &err), 0);
    str_copy(w.nodes[0].name, sizeof(w.nodes[0].name), "fra");
    str_copy(w.nodes[1].name, sizeof(w.nodes[1].name), "par");
    w.d.spec.nodes = w.nodes;
    w.d.spec.n_nodes = 2;
    w.up = (struct up){.d = &w.d,
                       .survey = &w.survey,
                       .runs = w.runs,
                       .cloud_done = true,
                       .hub_lock = -1,
                       .link.fd = -1};
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    struct err err;

    store_close(w->d.store);
    return fs_remove_tree(w->dir, &err);
}

static void enrolled(struct world *w, const char *name, uint64_t age_s)
{
    struct store_node n = {.bound = true, .incarnation = 1};
    struct err err;

    str_copy(n.name, sizeof(n.name), name);
    n.seen = clock_wall_ms() - age_s * 1000;
    assert_int_equal(store_node_put(w->d.store, &n, &err), 0);
}

static void test_silent_nodes(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    bool ready = true;

    enrolled(w, "fra", 10);
    enrolled(w, "par", 2 * 60 * 60 + 9);
    assert_int_equal(up_expect_nodes(&w->up, &err), 0);
    assert_int_equal(up_check_nodes(&w->up, &ready, &err), 0); /* they have a minute */
    assert_false(ready);
    w->up.waiting_since = clock_mono_ms() - ANSWER_WITHIN_MS - 1000;
    w->runs[0].heard = clock_mono_ms();
    assert_int_equal(up_check_nodes(&w->up, &ready, &err), -1);
    assert_int_equal(err.code, ERR_NODE);
    assert_non_null(strstr(err.msg, "par (last heard: 2 h ago)"));
    assert_null(strstr(err.msg, "fra"));
    w->runs[1].heard = clock_mono_ms();
    assert_int_equal(up_check_nodes(&w->up, &ready, &err), 0);

    /* A hub that runs has not heard it for long: that needs no minute. */
    w->up.waiting_since = w->runs[0].heard = clock_mono_ms() - 10000;
    w->runs[1].heard = 0;
    assert_int_equal(up_check_nodes(&w->up, &ready, &err), 0);
    w->runs[1].away = true;
    assert_int_equal(up_check_nodes(&w->up, &ready, &err), -1);
    assert_int_equal(err.code, ERR_NODE);
    assert_non_null(strstr(err.msg, "par (last heard: 2 h ago)"));
}

/* It is there, and does not do what it is asked. */
static void test_idle_node(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    bool ready;

    enrolled(w, "fra", 10);
    w->up.waiting_since = clock_mono_ms();
    w->runs[0].idle = clock_mono_ms() - ANSWER_WITHIN_MS + 5000;
    assert_int_equal(up_check_nodes(&w->up, &ready, &err), 0);
    w->runs[0].idle = clock_mono_ms() - ANSWER_WITHIN_MS - 1000;
    assert_int_equal(up_check_nodes(&w->up, &ready, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_non_null(strstr(err.msg, "fra: its agent is idle"));
}

/* A machine that is still being installed is no silent one. */
static void test_new_nodes(void **state)
{
    struct world *w = *state;
    struct store_node n = {.incarnation = 1};
    struct err err = {0};
    bool ready;

    str_copy(n.name, sizeof(n.name), "fra");
    assert_int_equal(store_node_put(w->d.store, &n, &err), 0); /* pending; par: none yet */
    assert_int_equal(up_expect_nodes(&w->up, &err), 0);
    w->up.waiting_since = clock_mono_ms() - ANSWER_WITHIN_MS - 1000;
    assert_int_equal(up_check_nodes(&w->up, &ready, &err), 0);
    assert_false(ready);
}

struct told {
    unsigned n;
    char first[EVENT_MSG_MAX], node[EVENT_NODE_MAX];
};

static void on_told(void *ctx, const struct event *ev)
{
    struct told *t = ctx;

    assert_int_equal(ev->kind, EVENT_FAILED);
    assert_string_equal(ev->id, "first-call");
    if (!t->n++) {
        str_copy(t->first, sizeof(t->first), ev->msg);
        str_copy(t->node, sizeof(t->node), ev->node);
    }
}

/* Its VM runs, its agent never calls: said once after some minutes, with what to look at; the other
 * node goes on. */
static void test_never_called(void **state)
{
    struct world *w = *state;
    struct store_node n = {.incarnation = 1, .enrol_expires = (uint64_t)time(NULL) + 3030};
    struct told told = {0};
    struct up_options options = {.progress = {.ctx = &told, .event = on_told}};
    struct err err = {0};
    bool ready;

    str_copy(n.name, sizeof(n.name), "fra");
    assert_int_equal(store_node_put(w->d.store, &n, &err), 0);
    w->up.options = &options;
    assert_int_equal(up_expect_nodes(&w->up, &err), 0);
    w->runs[1].heard = clock_mono_ms();
    w->up.waiting_since = clock_mono_ms() - 4 * 60000;
    assert_int_equal(up_check_nodes(&w->up, &ready, &err), 0);
    assert_int_equal(told.n, 0);
    w->up.waiting_since = clock_mono_ms() - 5 * 60000 - 1000;
    for (int i = 0; i < 3; i++)
        assert_int_equal(up_check_nodes(&w->up, &ready, &err), 0);
    assert_int_equal(told.n, 1);
    assert_string_equal(told.node, "fra");
    for (size_t i = 0; i < 4; i++) {
        static const char *const words[] = {"user-data", "console of fra", "another 50 min",
                                            "muster up --replace fra"};

        if (!strstr(told.first, words[i]))
            fail_msg("no '%s' in: %s", words[i], told.first);
    }
    w->up.waiting_since = clock_mono_ms() - 15 * 60000 - 1000;
    assert_int_equal(up_check_nodes(&w->up, &ready, &err), 0); /* the other one works still */
    w->runs[1].ready = true;
    assert_int_equal(up_check_nodes(&w->up, &ready, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_non_null(strstr(err.msg, "fra: its VM runs and its agent has not called for 15 min"));
    w->runs[0].heard = clock_mono_ms(); /* it was restarted */
    assert_int_equal(up_check_nodes(&w->up, &ready, &err), 0);
    w->up.options = NULL;
}

/* cloud: none: what a cloud would say, the agent says. */
static void test_none_facts(void **state)
{
    (void)state;
    static const char file[] =
        "deployment: d\ncloud: none\ncontroller: {address: 10.77.0.1}\n"
        "zones: [{name: Z, private: {cidr: 10.77.0.0/24}}]\n"
        "nodes:\n  - {name: a, zone: Z, address: 192.0.2.7, datadisk: {size: 3G}, ports: {8080: "
        "80}}\n  - {name: b, zone: Z, datadisk: {size: 3G}}\n"
        "database: {}\nweb: {}\n";
    _cleanup_(spec_problems_free) struct spec_problems problems = {0};
    _cleanup_json_ json_t *said =
        json_pack("{s:[{s:s, s:s, s:[s]}, {s:s, s:s, s:[s, s]}]}", "nics", "name", "eth0", "mac",
                  "02:00:00:00:00:01", "addresses", "192.0.2.7/24", "name", "eth1", "mac",
                  "02:00:00:00:00:02", "addresses", "10.78.0.9/24", "10.77.0.11/24");
    struct node_facts f, other;
    struct yaml_doc doc;
    struct spec s;
    struct err err;

    if (yaml_doc_parse("d", file, sizeof(file) - 1, &doc, &err) < 0)
        fail_msg("%s", err.msg);
    if (spec_parse("d", &doc, &s, &problems) < 0)
        fail_msg("%s", strbuf_str(&problems.text));
    yaml_doc_free(&doc);
    assert_true(up_none_facts(&s, 0, said, &f));
    assert_string_equal(f.private_address, "10.77.0.11");
    assert_string_equal(f.private_mac, "02:00:00:00:00:02");
    assert_string_equal(f.url, "http://192.0.2.7:8080");
    assert_int_equal(strlen(f.volume), 36);
    assert_true(up_none_facts(&s, 1, said, &other));
    assert_string_not_equal(f.volume, other.volume);
    assert_string_equal(other.url, "");
    assert_false(up_none_facts(&s, 0, NULL, &f));
    json_object_clear(said);
    assert_false(up_none_facts(&s, 0, said, &f));
    spec_free(&s);
}

/* The user-data waits in a file, for the operator alone, as long as its key is good. */
static void test_none_user_data(void **state)
{
    struct world *w = *state;
    struct reach reach = {.host = "192.0.2.1"};
    struct up_options options = {0};
    struct err err = {0};
    struct stat st;
    bool ready;

    enrolled(w, "par", 1);
    w->d.spec.cloud = CLOUD_NONE;
    w->d.state = w->dir;
    w->up.reach = &reach;
    w->up.options = &options;
    _cleanup_free_ char *path = str_fmt("%s/user-data.fra", w->dir);
    _cleanup_free_ char *none = str_fmt("%s/user-data.par", w->dir);
    _cleanup_free_ char *text = NULL;
    _cleanup_free_ char *again = NULL;
    assert_int_equal(up_expect_nodes(&w->up, &err), 0);
    w->up.waiting_since = clock_mono_ms() - 60 * 60000; /* nobody is in a hurry */
    w->runs[1].heard = clock_mono_ms();
    assert_int_equal(up_check_nodes(&w->up, &ready, &err), 0);
    assert_false(ready);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_false(fs_exists(none));
    assert_int_equal(fs_read(path, 65536, &text, NULL, &err), 0);
    assert_true(str_starts(text, "#cloud-config\n"));
    assert_true(w->up.last_event > 0);

    /* another run: somebody may have pasted it */
    w->runs[0].told_user_data = false;
    assert_int_equal(up_check_nodes(&w->up, &ready, &err), 0);
    assert_int_equal(fs_read(path, 65536, &again, NULL, &err), 0);
    assert_string_equal(again, text);
    w->d.state = NULL;
}

/* A plan is compiled once, not in every pass of the hub; its revision follows what it is made from.
 */
static void test_plan_is_kept(void **state)
{
    static const char file[] =
        "deployment: d\ncloud: local\ndefaults: {template: Debian 12, offering: 2048-1}\n"
        "zones:\n  - {name: Z, gateway: {cidr: 10.1.1.0/24, egress: [all]}, private: {cidr: "
        "10.10.1.0/24}}\n"
        "nodes:\n  - {name: fra, zone: Z, datadisk: {size: 1G, offering: EBS}}\n"
        "database: {cluster: d, mount: /media/d, filesystem: ext4}\n";
    _cleanup_(spec_problems_free) struct spec_problems problems = {0};
    struct world *w = *state;
    struct node_facts facts = {.volume = "11111111-1111-4111-8111-111111111111"};
    json_t *plans[1] = {0}, *plan, *again;
    char rev[EVENT_REV_MAX];
    struct yaml_doc doc;
    struct err err;

    assert_int_equal(yaml_doc_parse("d", file, sizeof(file) - 1, &doc, &err), 0);
    if (spec_parse("d", &doc, &w->d.spec, &problems) < 0)
        fail_msg("%s", strbuf_str(&problems.text));
    yaml_doc_free(&doc);
    w->up.facts = &facts;
    w->up.certs = (struct certs){1, (char *)"CA", (char *[]){(char *)"CERTIFICATE"}, NULL};
    assert_int_equal(store_secret_set(w->d.store, "tls_key_fra", "KEY", &err), 0);
    w->up.plans = plans;
    w->up.cloud_done = false;
    assert_null(up_plan(&w->up, 0));
    w->up.cloud_done = true;
    plan = up_plan(&w->up, 0);
    assert_non_null(plan);
    again = up_plan(&w->up, 0);
    assert_ptr_equal(plan, again);
    str_copy(rev, sizeof(rev), js_opt_str(plan, "rev", ""));
    json_decref(again);
    json_decref(plan);
    str_copy(facts.volume, sizeof(facts.volume), "22222222-2222-4222-8222-222222222222");
    up_drop_plans(&w->up);
    plan = up_plan(&w->up, 0);
    assert_string_not_equal(js_opt_str(plan, "rev", ""), rev);
    json_decref(plan);
    up_drop_plans(&w->up);
    spec_free(&w->d.spec);
}

struct served {
    unsigned calls;
    bool refuses;
    char userdata[256];
};

static void serve_cloud(void *ctx, const struct httpd_request *rq, struct httpd_response *ret)
{
    struct served *s = ctx;
    const char *userdata = pairs_get(&rq->args, "userdata");

    s->calls++;
    str_copy(s->userdata, sizeof(s->userdata), userdata ? userdata : rq->body);
    if (s->refuses)
        httpd_reply(ret, 431, "application/json",
                    xstrdup("{\"updatevirtualmachineresponse\":{\"errorcode\":431,"
                            "\"errortext\":\"not while it runs\"}}"));
    else
        httpd_reply(ret, 200, "application/json",
                    xstrdup("{\"updatevirtualmachineresponse\":{\"virtualmachine\":{\"id\":"
                            "\"7\"}}}"));
}

static void on_note(void *ctx, const struct event *ev)
{
    struct told *t = ctx;

    assert_int_equal(ev->kind, EVENT_NOTE);
    assert_string_equal(ev->id, "user-data");
    t->n++;
    str_copy(t->first, sizeof(t->first), ev->msg);
}

/* Runs until nothing is under way. */
static void erase_all(struct world *w, struct httpd *server)
{
    uint64_t end = clock_mono_ms() + ANSWER_WITHIN_MS;
    bool under_way = true;
    struct err err;

    while (under_way && clock_mono_ms() < end) {
        assert_int_equal(up_erase_user_data(&w->up, &under_way, &err), 0);
        httpd_run(server);
        cloud_tick(w->up.reach->cloud);
        http_wait(w->up.reach->http, NULL, 0, 5);
    }
    assert_false(under_way);
}

/* After a node is ready the cloud keeps no one-time key of it: once, again for another VM of that
 * name, and a refusal is said and no failure. */
static void test_erased_user_data(void **state)
{
    struct world *w = *state;
    struct cloud_access access = {
        .endpoint = "http://127.0.0.1:17560/client/api", .key = "k", .secret = "s"};
    struct reach reach = {.http = http_new()};
    struct resource vm = {.kind = RESOURCE_VM, .of_node = true, .node = 0, .id = "7"};
    struct served served = {.refuses = true};
    struct told told = {0};
    struct httpd *server = NULL;
    struct store_node n;
    struct err err;

    assert_int_equal(httpd_open("127.0.0.1", 17560, 8192, serve_cloud, &served, &server, &err), 0);
    reach.cloud = cloud_new(reach.http, &access);
    w->up.reach = &reach;
    w->up.options = &(struct up_options){.progress = {.ctx = &told, .event = on_note}};
    w->survey.resources = (struct resources){.v = &vm, .n = 1};
    enrolled(w, "fra", 1);
    erase_all(w, server);
    assert_int_equal(served.calls, 0); /* it is not ready */
    w->runs[0].ready = true;
    erase_all(w, server);
    assert_int_equal(served.calls, 1);
    assert_int_equal(told.n, 1);
    assert_non_null(strstr(told.first, "not while it runs"));
    erase_all(w, server);
    assert_int_equal(served.calls, 1); /* once in a run */

    served.refuses = false;
    w->runs[0] = (struct node_run){.ready = true};
    erase_all(w, server);
    assert_int_equal(served.calls, 2);
    assert_non_null(strstr(served.userdata, "I2Nsb3VkLWNvbmZpZw")); /* #cloud-config, no more */
    w->runs[0] = (struct node_run){.ready = true}; /* the next `up` has nothing to do */
    erase_all(w, server);
    assert_int_equal(served.calls, 2);
    assert_int_equal(store_node_get(w->d.store, "fra", &n, &err), 1);
    n.incarnation++;
    assert_int_equal(store_node_put(w->d.store, &n, &err), 0);
    w->runs[0] = (struct node_run){.ready = true};
    erase_all(w, server);
    assert_int_equal(served.calls, 3);
    cloud_free(reach.cloud);
    http_free(reach.http);
    httpd_close(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_silent_nodes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_idle_node, setup, teardown),
        cmocka_unit_test_setup_teardown(test_new_nodes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_never_called, setup, teardown),
        cmocka_unit_test(test_none_facts),
        cmocka_unit_test_setup_teardown(test_none_user_data, setup, teardown),
        cmocka_unit_test_setup_teardown(test_erased_user_data, setup, teardown),
        cmocka_unit_test_setup_teardown(test_plan_is_kept, setup, teardown),
    };
    struct err err;

    assert_int_equal(keys_init(&err), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
