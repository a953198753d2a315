/* SPDX-License-Identifier: Apache-2.0 */
/* The hub against real sockets: who gets in, who does not, and what happens to keys used twice. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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
#include "controller/http.h"
#include "controller/hub.h"

#define PORT 17400
#define WAIT_MS 8000

struct world {
    char dir[32];
    struct spec spec;
    struct spec_node node;
    struct store *store;
    struct curve_pair keys;
    struct sign_pair sign;
    struct curve_pair once;
    struct hub *hub;
    struct zctx *clients;
    struct zsock *open[8]; /* of the clients; a failed test leaves some */
    bool past;             /* of the last event */
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

    (void)ev;
    w->past = past;
}

static void on_state(void *ctx, size_t node, const json_t *state)
{
    (void)ctx;
    (void)node;
    (void)state;
}

static int setup(void **state)
{
    static struct world w;
    struct err err;
    struct store_node n = {.enrol_expires = (uint64_t)time(NULL) + 60, .incarnation = 1};
    const struct hub_hooks hooks = {&w, give_plan, no_roster, on_event, on_state};
    const struct hub_config config = {"127.0.0.1", PORT, &w.keys, &w.sign};

    memset(&w, 0, sizeof(w));
    strcpy(w.dir, "/tmp/muster-hub-XXXXXX");
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

/* Sends (again and again, as an agent does) and runs the hub until an answer comes; NULL: none
 * within the time, or the handshake was refused. */
static char *ask(struct world *w, struct zsock *s, const char *text)
{
    uint64_t end = clock_mono_ms() + WAIT_MS, next = 0;
    struct zmsg m;
    struct err err;

    while (clock_mono_ms() < end && !zsock_was_refused(s)) {
        if (clock_mono_ms() >= next && zsock_send(s, NULL, text, strlen(text)) == 0)
            next = clock_mono_ms() + 500;
        assert_int_equal(hub_run(w->hub, &err), 0);
        if (zsock_recv(s, &m) == 1)
            return m.body;
        clock_pause_ms(5);
    }
    return NULL;
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

static void test_enrol_and_hello(void **state)
{
    struct world *w = *state;
    struct curve_pair own, other;
    _cleanup_free_ char *text = NULL;
    _cleanup_free_ char *other_text = NULL;
    struct zsock *s;
    char *answer;

    keys_curve_new(&own);
    keys_curve_new(&other);
    text = enrol_text(&own);
    other_text = enrol_text(&other);

    s = client(w, &own, PORT + 1); /* the main socket before enrolment */
    answer = ask(w, s, "{\"t\":\"hello\"}");
    assert_null(answer);
    assert_true(zsock_was_refused(s));
    leave(w, s);

    s = client(w, &w->once, PORT);
    answer = ask(w, s, text);
    assert_string_equal(answer, "{\"t\":\"bound\"}");
    free(answer);
    answer = ask(w, s, text); /* the answer was lost: the same keys again */
    assert_string_equal(answer, "{\"t\":\"bound\"}");
    free(answer);
    leave(w, s);

    s = client(w, &own, PORT + 1);
    answer = ask(w, s, "{\"t\":\"hello\",\"v\":1,\"rev\":\"\",\"last_seq\":7,\"facts\":{}}");
    assert_string_equal(answer, "{\"seq\":0,\"t\":\"ack\"}"); /* nothing of it is stored yet */
    free(answer);
    answer = ask(w, s, "{\"t\":\"state\",\"state\":{}}");
    assert_non_null(strstr(answer, "\"t\":\"plan\""));
    free(answer);
    answer = ask(w, s,
                 "{\"t\":\"event\",\"event\":{\"ts\":1,\"node\":\"other\",\"rev\":\"r\",\"seq\":7,"
                 "\"id\":\"x\",\"kind\":\"ok\",\"ms\":0,\"msg\":\"\"}}");
    assert_string_equal(answer, "{\"seq\":7,\"t\":\"ack\"}");
    free(answer);
    assert_true(w->past); /* it was there when the agent said hello */
    answer = ask(w, s,
                 "{\"t\":\"event\",\"event\":{\"ts\":1,\"node\":\"fra\",\"rev\":\"r\",\"seq\":8,"
                 "\"id\":\"x\",\"kind\":\"ok\",\"ms\":0,\"msg\":\"\"}}");
    assert_string_equal(answer, "{\"seq\":8,\"t\":\"ack\"}");
    free(answer);
    assert_false(w->past);

    /* an agent that has the plan gets it again when something drifted from it */
    answer = ask(w, s, "{\"t\":\"hello\",\"v\":1,\"rev\":\"0123456789abcdef\",\"facts\":{}}");
    assert_string_equal(answer, "{\"seq\":8,\"t\":\"ack\"}");
    free(answer);
    answer = ask(w, s, "{\"t\":\"state\",\"state\":{\"drift\":[\"file:f\"]}}");
    assert_non_null(strstr(answer, "\"t\":\"plan\""));
    free(answer);

    /* a second machine with the stolen one-time key freezes the node, for good */
    struct zsock *thief = client(w, &w->once, PORT);
    answer = ask(w, thief, other_text);
    assert_non_null(strstr(answer, "\"t\":\"refused\""));
    free(answer);
    leave(w, thief);
    answer = ask(w, s, "{\"t\":\"hello\",\"v\":1,\"rev\":\"\",\"facts\":{}}");
    assert_null(answer); /* connected, but no message of it is heard any more */
    leave(w, s);
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
        http_wait(http, fds, HUB_FDS, hub_wait_ms(w->hub, 200));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_enrol_and_hello, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strangers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rubbish, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files, setup, teardown),
    };
    struct err err;

    assert_int_equal(keys_init(&err), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
