/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's three programs as they ship, against a real hub over loopback: enrolment, a plan, and
 * what a new `up` asks of a node that is ready. The agent has /etc, /run and /var/lib of its own.
 * Needs root; skipped else. */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/measure/measure.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/proto.h"
#include "common/str.h"
#include "controller/cloud/resources.h"
#include "controller/nodes/hub.h"
#include "controller/up.h"

#define PORT 17490
#define WAIT_MS 60000
#define REV "0123456789abcdef"
#define SKIPPED 77

struct world {
    char dir[32];
    char *file; /* what the plan wants */
    struct spec spec;
    struct spec_node node;
    struct store *store;
    struct curve_pair keys, once;
    struct sign_pair sign;
    struct hub *hub;
    pid_t agent;
    uint64_t looked;
    bool ready;
    unsigned changed, drifted;
    json_t *measured; /* how the last part of a network test ended, or NULL */
};

static json_t *give_plan(void *ctx, size_t node)
{
    const struct world *w = ctx;

    (void)node;
    return json_pack("{s:i, s:s, s:s, s:s, s:{}, s:[{s:s, s:s, s:s, s:s, s:s}]}", "version", 1,
                     "deployment", "d", "node", "fra", "rev", REV, "secrets", "resources", "type",
                     "file", "id", "file:f", "path", w->file, "content", "in sync\n", "mode",
                     "0640");
}

/* par is this machine, too. */
static char *give_roster(void *ctx, uint64_t epoch)
{
    (void)ctx;
    return str_fmt("{\"v\":1,\"deployment\":\"d\",\"epoch\":%llu,\"members\":["
                   "{\"name\":\"fra\",\"address\":\"127.0.0.1\"},"
                   "{\"name\":\"par\",\"address\":\"127.0.0.2\"}]}",
                   (unsigned long long)epoch);
}

static void on_event(void *ctx, const struct event *ev, bool past)
{
    struct world *w = ctx;

    w->changed += ev->kind == EVENT_CHANGED && !past;
    w->drifted += ev->kind == EVENT_NOTE && str_starts(ev->msg, "drifted: ");
}

static void on_state(void *ctx, size_t node, const json_t *state)
{
    struct world *w = ctx;

    (void)node;
    w->looked = js_opt_u64(state, "looked", 0);
    w->ready = proto_phase_of(state) == PHASE_READY;
}

static void on_measured(void *ctx, size_t node, const json_t *said)
{
    struct world *w = ctx;

    (void)node;
    json_decref(w->measured);
    w->measured = json_incref((json_t *)said);
}

static void open_hub(struct world *w)
{
    const struct hub_hooks hooks = {w, give_plan, give_roster, on_event, on_state, on_measured};
    const struct hub_config config = {"127.0.0.1", PORT,  &w->keys,
                                      &w->sign,    false, HUB_LOOK_REPAIRS};
    struct err err = {0};

    w->changed = w->drifted = 0;
    if (hub_open(&config, &w->spec, w->store, &hooks, &w->hub, &err) < 0)
        fail_msg("%s", err.msg);
}

static void write_file(const char *path, const char *text)
{
    struct err err;

    if (fs_write_atomic(path, text, strlen(text), 0600, &err) < 0)
        _exit(1);
}

/* In the child: places of its own, then the agent. */
static void run_agent(const struct world *w, unsigned port)
{
    char enrol[64], to[64], controller[KEY_HEX_SIZE], sign[KEY_HEX_SIZE], secret[KEY_HEX_SIZE];
    _cleanup_free_ char *program = NULL;
    char self[256];
    json_t *boot;
    char *text;
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    snprintf(enrol, sizeof(enrol), "tcp://127.0.0.1:%u", port);
    snprintf(to, sizeof(to), "tcp://127.0.0.1:%u", port + 1);
    keys_hex(w->keys.pub, KEY_SIZE, controller);
    keys_hex(w->sign.pub, KEY_SIZE, sign);
    keys_hex(w->once.sec, KEY_SIZE, secret);
    boot = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I}", "v", 1, "deployment", "d",
                     "node", "fra", "enrol", enrol, "main", to, "controller_key", controller,
                     "sign_key", sign, "bootstrap_secret", secret, "expires",
                     (json_int_t)(time(NULL) + 60));
    text = js_text(boot);
    if (n <= 0 || unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", "/etc", "tmpfs", 0, "mode=755") < 0 ||
        mount("tmpfs", "/run", "tmpfs", 0, "mode=755") < 0 ||
        mount("tmpfs", "/var/lib", "tmpfs", 0, "mode=755") < 0 ||
        mkdir("/etc/muster-agent", 0700) < 0)
        _exit(SKIPPED);
    write_file("/etc/passwd", "root:x:0:0::/root:/bin/sh\n"
                              "muster-agent:x:64000:64000::/nonexistent:/usr/sbin/nologin\n");
    write_file("/etc/group", "root:x:0:\nmuster-agent:x:64000:\n");
    chmod("/etc/passwd", 0644);
    chmod("/etc/group", 0644);
    write_file("/etc/muster-agent/bootstrap.json", text);
    self[n] = '\0';
    *strrchr(self, '/') = '\0';
    program = str_fmt("%s/muster-agent", self);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execl(program, "muster-agent", "run", NULL);
    _exit(127);
}

static int setup(void **state)
{
    static struct world w;
    struct store_node n = {.enrol_expires = (uint64_t)time(NULL) + 60, .incarnation = 1};
    struct err err;

    memset(&w, 0, sizeof(w));
    strcpy(w.dir, "/tmp/muster-whole-XXXXXX");
    assert_non_null(mkdtemp(w.dir));
    w.file = str_fmt("%s/wanted", w.dir);
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
    *state = &w;
    return 0;
}

static void start_agent(struct world *w, unsigned port)
{
    w->agent = fork();
    assert_true(w->agent >= 0);
    if (w->agent == 0)
        run_agent(w, port);
}

static int teardown(void **state)
{
    struct world *w = *state;
    struct err err;

    if (w->agent) {
        kill(w->agent, SIGKILL);
        waitpid(w->agent, NULL, 0);
    }
    json_decref(w->measured);
    hub_close(w->hub);
    store_close(w->store);
    free(w->file);
    return fs_remove_tree(w->dir, &err);
}

/* Runs the hub until the node has looked for it. */
static void until_looked(struct world *w)
{
    uint64_t end = clock_mono_ms() + WAIT_MS;
    struct err err;

    while (clock_mono_ms() < end && !(w->ready && w->looked == hub_look_id(w->hub))) {
        int status = 0;

        if (waitpid(w->agent, &status, WNOHANG) == w->agent) {
            w->agent = 0;
            if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
                skip();
            fail_msg("the agent ended (%d)", status);
        }
        if (hub_run(w->hub, &err) == 0)
            clock_pause_ms(2);
    }
    assert_true(w->ready && w->looked == hub_look_id(w->hub));
}

static bool as_wanted(const struct world *w)
{
    _cleanup_free_ char *text = NULL;
    struct stat st;
    struct err err;

    return fs_read(w->file, 100, &text, NULL, &err) == 0 && str_eq(text, "in sync\n") &&
           stat(w->file, &st) == 0 && (st.st_mode & 07777) == 0640;
}

/* A later `up`: a new hub on the same store. */
static void up_again(struct world *w)
{
    uint64_t began = clock_mono_ms();

    hub_close(w->hub);
    open_hub(w);
    until_looked(w);
    printf("asked and answered after %llu ms\n", (unsigned long long)(clock_mono_ms() - began));
}

static void test_up_asks(void **state)
{
    struct world *w = *state;
    struct err err;

    open_hub(w);
    start_agent(w, PORT);
    until_looked(w);
    assert_true(as_wanted(w));
    assert_int_equal(w->changed, 1);

    up_again(w);
    assert_int_equal(w->changed, 0);
    assert_int_equal(w->drifted, 0);

    /* changed by hand, while nobody listens */
    assert_int_equal(fs_write_atomic(w->file, "by hand\n", 8, 0666, &err), 0);
    up_again(w);
    assert_true(as_wanted(w));
    assert_int_equal(w->drifted, 1);
    assert_int_equal(w->changed, 1);

    assert_int_equal(unlink(w->file), 0);
    up_again(w);
    assert_true(as_wanted(w));
    assert_int_equal(w->changed, 1);

    up_again(w);
    assert_int_equal(w->changed, 0);
}

/* Gives the agent a part of a network test and waits for how it ended. */
static const json_t *measure(struct world *w, enum nettest_what what, const char *node)
{
    struct nettest_order o = {.what = what, .seconds = 1, .streams = 2};
    uint64_t end = clock_mono_ms() + WAIT_MS, id;
    struct err err;

    str_copy(o.node, sizeof(o.node), node);
    id = hub_measure(w->hub, 0, &o);
    assert_true(id > 0);
    while (clock_mono_ms() < end && js_opt_u64(w->measured, "id", 0) != id)
        if (hub_run(w->hub, &err) == 0)
            clock_pause_ms(2);
    assert_true(js_opt_u64(w->measured, "id", 0) == id);
    return w->measured;
}

/* The programs for real; who is measured comes from the signed roster alone. */
static void test_measure(void **state)
{
    const struct measure_node par = {"127.0.0.2", "", 0}, fra = {"127.0.0.1", "", 0};
    struct world *w = *state;
    const json_t *said;
    struct nettest_latency l;
    struct nettest_throughput t;
    struct err err;
    int status;

    if (access(MEASURE_PING, X_OK) != 0 || access(MEASURE_IPERF, X_OK) != 0)
        skip();
    open_hub(w);
    start_agent(w, PORT);
    until_looked(w);
    said = measure(w, NETTEST_PREPARE, "");
    if (!js_opt_bool(said, "ok", false))
        fail_msg("%s", js_opt_str(said, "why", ""));
    said = measure(w, NETTEST_LATENCY, "par");
    if (nettest_latency_parse(json_object_get(said, "figures"), &l, &err) < 0)
        fail_msg("%s", js_opt_str(said, "why", ""));
    assert_true(l.sent == NETTEST_PINGS_PER_SECOND && l.received > 0);
    said = measure(w, NETTEST_LATENCY, "127.0.0.2");
    assert_false(js_opt_bool(said, "ok", true));
    assert_non_null(strstr(js_opt_str(said, "why", ""), "no node '127.0.0.2'"));

    pid_t server = fork();
    if (server == 0) {
        const struct nettest_order o = {
            .what = NETTEST_SERVE, .node = "fra", .seconds = 1, .streams = 2};
        json_t *none = NULL;

        _exit(measure_run(&o, &par, &fra, &none, &err) < 0);
    }
    said = measure(w, NETTEST_THROUGHPUT, "par");
    if (nettest_throughput_parse(json_object_get(said, "figures"), &t, &err) < 0)
        fail_msg("%s", js_opt_str(said, "why", ""));
    assert_true(t.reachable && t.bytes > 0);
    assert_int_equal(waitpid(server, &status, 0), server);
    assert_int_equal(status, 0);
}

static const char file_text[] = "deployment: d\n"
                                "cloud: vdc\n"
                                "controller: {address: 127.0.0.1, port: 17500}\n"
                                "defaults: {template: Debian 12, offering: 2048-1}\n"
                                "zones: [{name: Z, gateway: {cidr: 10.1.1.0/24, egress: [all]}}]\n"
                                "nodes: [{name: fra, zone: Z, ports: {52200: 22}}]\n";

static void read_spec(struct spec *ret)
{
    _cleanup_(spec_problems_free) struct spec_problems problems = {0};
    struct yaml_doc doc;
    struct err err;

    assert_int_equal(yaml_doc_parse("d", file_text, sizeof(file_text) - 1, &doc, &err), 0);
    if (spec_parse("d", &doc, ret, &problems) != 0)
        fail_msg("%s", strbuf_str(&problems.text));
    yaml_doc_free(&doc);
}

/* The run itself, its cloud part done: it ends when the node has looked, each time. */
static void test_up_run(void **state)
{
    struct world *w = *state;
    _cleanup_free_ char *package = str_fmt("%s/muster.db", w->dir); /* any file will do */
    const struct up_options options = {.package = package};
    struct cloud_access access = {.endpoint = "http://127.0.0.1:9/client/api"};
    struct deployment d = {
        .file = w->file, .state = w->dir, .store = w->store, .keys = w->keys, .sign = w->sign};
    struct reach reach = {.http = http_new(), .host = "127.0.0.1"};
    struct survey v = {0};
    struct up_result result;
    struct err err = {0};

    read_spec(&d.spec);
    reach.cloud = cloud_new(reach.http, &access);
    resources_build(&d.spec, &v.resources);
    for (size_t i = 0; i < v.resources.n; i++)
        v.resources.v[i].state = RESOURCE_DONE;
    start_agent(w, 17500);
    for (unsigned i = 0; i < 3; i++) {
        uint64_t began = clock_mono_ms();

        if (up_run(&d, &reach, &v, &options, &result, &err) < 0)
            fail_msg("%s", err.msg);
        printf("up: %llu ms\n", (unsigned long long)(clock_mono_ms() - began));
        assert_int_equal(result.created + result.repaired + result.removed + result.changed, 0);
    }
    resources_free(&v.resources);
    spec_free(&d.spec);
    cloud_free(reach.cloud);
    http_free(reach.http);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_up_asks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_measure, setup, teardown),
        cmocka_unit_test_setup_teardown(test_up_run, setup, teardown),
    };
    struct err err;

    if (geteuid() != 0)
        return SKIPPED;
    assert_int_equal(keys_init(&err), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
