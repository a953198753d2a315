/* SPDX-License-Identifier: Apache-2.0 */
/* The hub as `muster up` runs it, serving one file, and a peer that measures how long its events
 * wait meanwhile. tests/bench/files.sh uses it. usage: bench_files serve FILE PORT DIR    until
 * SIGTERM; the file is /blob/file of PORT + 2 bench_files events PORT DIR        until SIGTERM;
 * then prints the times in ms, a line each */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/proto.h"
#include "common/str.h"
#include "common/zsock.h"
#include "controller/nodes/hub.h"

#define LOOK_MS 200 /* as up.c */
#define EVERY_MS                                                                                   \
    250 /* between two events: the hub takes five in a second from one agent for good */
#define ANSWER_MS 5000 /* by then an event was lost */
#define REV "0123456789abcdef"

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
    (void)sig;
    stop = 1;
}

static int fail(const struct err *err)
{
    fprintf(stderr, "bench_files: %s\n", err->msg);
    return 1;
}

/* ---- the hub ---- */

static json_t *no_plan(void *ctx, size_t node)
{
    (void)ctx;
    (void)node;
    return NULL;
}

static char *no_roster(void *ctx, uint64_t epoch)
{
    (void)ctx;
    (void)epoch;
    return NULL;
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

/* What the peer needs to know: the server's key, its own one-time keys. In hex, a line each. */
static int write_keys(const char *dir, const struct curve_pair *server,
                      const struct curve_pair *once, struct err *err)
{
    _cleanup_free_ char *path = str_fmt("%s/keys", dir);
    _cleanup_free_ char *text = NULL;
    char hex[3][KEY_HEX_SIZE];

    keys_hex(server->pub, KEY_SIZE, hex[0]);
    keys_hex(once->pub, KEY_SIZE, hex[1]);
    keys_hex(once->sec, KEY_SIZE, hex[2]);
    text = str_fmt("%s\n%s\n%s\n", hex[0], hex[1], hex[2]);
    return fs_write_atomic(path, text, strlen(text), 0600, err);
}

static int loop(struct hub *hub, struct err *err)
{
    struct http *http = http_new();
    int more = 0;

    while (!stop && (more = hub_run(hub, err)) >= 0) {
        struct http_fd fds[HUB_FDS];

        hub_fds(hub, fds);
        http_wait(http, fds, HUB_FDS, more ? 0 : clock_sooner(LOOK_MS, hub_due_ms(hub)));
    }
    http_free(http);
    return more < 0 ? -1 : 0;
}

static int serve(const char *file, uint16_t port, const char *dir)
{
    struct spec_node node = {.name = "peer"};
    struct spec spec = {.nodes = &node, .n_nodes = 1};
    struct store_node n = {.name = "peer", .incarnation = 1};
    const struct hub_hooks hooks = {
        .plan = no_plan, .roster = no_roster, .event = on_event, .state = on_state};
    struct curve_pair keys, once;
    struct sign_pair sign;
    const struct hub_config config = {
        .listen = "127.0.0.1", .port = port, .keys = &keys, .sign = &sign};
    struct store *store;
    struct hub *hub;
    struct err err;
    int rc;

    keys_curve_new(&keys);
    keys_curve_new(&once);
    keys_sign_new(&sign);
    n.enrol_expires = (uint64_t)time(NULL) + 3600;
    memcpy(n.enrol_pub, once.pub, KEY_SIZE);
    if (store_open(dir, true, &store, &err) < 0 || store_node_put(store, &n, &err) < 0 ||
        hub_open(&config, &spec, store, &hooks, &hub, &err) < 0 ||
        write_keys(dir, &keys, &once, &err) < 0)
        return fail(&err);
    hub_serve_file(hub, "file", file);
    rc = loop(hub, &err);
    hub_close(hub);
    store_close(store);
    return rc < 0 ? fail(&err) : 0;
}

/* ---- the peer ---- */

/* Sends, as soon as the connection takes it, and waits for an answer with `part` in it: the time in
 * ms, -1 without one. */
static int ask(struct zsock *s, const char *text, const char *part)
{
    uint64_t began = clock_mono_ms(), end = began + ANSWER_MS;
    bool sent = false;
    struct zmsg m;

    while (clock_mono_ms() < end) {
        struct pollfd p = {.fd = zsock_fd(s), .events = POLLIN};
        bool found = false;

        if (!sent && zsock_send(s, NULL, text, strlen(text)) == 0) {
            sent = true;
            began = clock_mono_ms();
        }
        while (!found && zsock_recv(s, &m) == 1) {
            found = strstr(m.body, part) != NULL;
            zmsg_free(&m);
        }
        if (found)
            return (int)(clock_mono_ms() - began);
        poll(&p, 1, 10);
    }
    return -1;
}

static int read_keys(const char *dir, uint8_t server[KEY_SIZE], struct curve_pair *once,
                     struct err *err)
{
    _cleanup_free_ char *path = str_fmt("%s/keys", dir);
    _cleanup_free_ char *text = NULL;
    char hex[3][KEY_HEX_SIZE];

    if (fs_read(path, 1024, &text, NULL, err) < 0)
        return -1;
    if (sscanf(text, "%64s %64s %64s", hex[0], hex[1], hex[2]) != 3 ||
        keys_unhex(hex[0], server, KEY_SIZE) < 0 || keys_unhex(hex[1], once->pub, KEY_SIZE) < 0 ||
        keys_unhex(hex[2], once->sec, KEY_SIZE) < 0)
        return err_set(err, ERR_FAILED, "%s: not keys", path);
    return 0;
}

static char *enrol_text(const struct curve_pair *own)
{
    char hex[KEY_HEX_SIZE];

    keys_hex(own->pub, KEY_SIZE, hex);
    return proto_text(PROTO_ENROL, json_pack("{s:i, s:s, s:s}", "v", 1, "curve", hex, "seal", hex));
}

static char *event_message(unsigned seq)
{
    return proto_text(PROTO_EVENT,
                      json_pack("{s:{s:i, s:s, s:s, s:s, s:i, s:s, s:s, s:i, s:s}}", "event", "ts",
                                1, "node", "peer", "origin", "agent", "rev", REV, "seq", (int)seq,
                                "id", "bench", "kind", "ok", "ms", 0, "msg", ""));
}

static void measure(struct zsock *s)
{
    for (unsigned seq = 1; !stop; seq++) {
        _cleanup_free_ char *text = event_message(seq);
        _cleanup_free_ char *ack = str_fmt("{\"seq\":%u,\"t\":\"ack\"}", seq);

        printf("%d\n", ask(s, text, ack));
        clock_pause_ms(EVERY_MS);
    }
}

static int events(uint16_t port, const char *dir)
{
    _cleanup_free_ char *enrol_at = str_fmt("tcp://127.0.0.1:%u", port);
    _cleanup_free_ char *main_at = str_fmt("tcp://127.0.0.1:%u", port + 1u);
    _cleanup_free_ char *enrol = NULL;
    uint8_t server[KEY_SIZE];
    struct curve_pair once, own;
    struct zctx *ctx = zctx_new();
    struct zsock *s;
    struct err err;

    keys_curve_new(&own);
    enrol = enrol_text(&own);
    if (read_keys(dir, server, &once, &err) < 0 ||
        !(s = zsock_client(ctx, &once, server, PROTO_MAIN_MAX, enrol_at, &err)))
        return fail(&err);
    if (ask(s, enrol, "bound") < 0) {
        err_set(&err, ERR_TIMEOUT, "the hub did not enrol the peer");
        return fail(&err);
    }
    zsock_free(s);
    s = zsock_client(ctx, &own, server, PROTO_MAIN_MAX, main_at, &err);
    if (!s)
        return fail(&err);
    if (ask(s, "{\"t\":\"hello\",\"v\":1,\"rev\":\"\",\"facts\":{}}", "\"ack\"") < 0) {
        err_set(&err, ERR_TIMEOUT, "the hub did not answer the peer's hello");
        return fail(&err);
    }
    puts("ready");
    fflush(stdout);
    measure(s);
    zsock_free(s);
    zctx_free(ctx);
    return 0;
}

int main(int argc, char **argv)
{
    struct sigaction sa = {.sa_handler = on_signal};
    struct err err;

    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (keys_init(&err) < 0)
        return fail(&err);
    if (argc == 5 && str_eq(argv[1], "serve"))
        return serve(argv[2], (uint16_t)atoi(argv[3]), argv[4]);
    if (argc == 4 && str_eq(argv[1], "events"))
        return events((uint16_t)atoi(argv[2]), argv[3]);
    fputs("usage: bench_files serve FILE PORT DIR | events PORT DIR\n", stderr);
    return 2;
}
