/* SPDX-License-Identifier: Apache-2.0 */
/* Many agents, each with keys and a connection of its own, against the hub and, in the same run,
 * against a bare ROUTER with CURVE that answers each greeting: what a connection costs the server.
 * The ratios are what counts. usage: agentswarm [AGENTS] [SECONDS]   1000 20 without arguments; the
 * agents enrol, greet, send their state every 10 s, and then all dial again. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/proto.h"
#include "common/str.h"
#include "common/zap.h"
#include "controller/nodes/hub.h"

#define PORT 17720
#define LOOK_MS 200     /* as up.c */
#define STATE_MS 10000  /* as an agent */
#define PER_CONTEXT 500 /* sockets of one I/O thread */
#define WAIT_MS 600000  /* all agents are there, or the run has failed */
#define GREET_AGAIN_MS 5000

enum kind { BARE, HUB, KINDS };

static const char *const names[KINDS] = {"bare ROUTER", "hub"};

static int fail(const struct err *err)
{
    fprintf(stderr, "agentswarm: %s\n", err->msg);
    return 1;
}

/* The same keys on both sides, without a file. */
static void keys_of(const char *role, size_t i, struct curve_pair *ret)
{
    _cleanup_free_ char *seed = str_fmt("agentswarm %s %zu", role, i);
    char hex[SHA256_HEX_SIZE];

    keys_sha256(seed, strlen(seed), hex);
    keys_unhex(hex, ret->sec, KEY_SIZE);
    keys_curve_public(ret->sec, ret->pub);
}

/* ---- the servers ---- */

static json_t *a_plan(void *ctx, size_t node)
{
    json_t **plans = ctx;

    return json_incref(plans[node]);
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

static void say_ready(void)
{
    puts("ready");
    fflush(stdout);
}

static int serve_hub(size_t agents, const char *dir)
{
    struct spec spec = {.nodes = xcalloc(agents, sizeof(*spec.nodes)), .n_nodes = agents};
    json_t **plans = xcalloc(agents, sizeof(json_t *));
    const struct hub_hooks hooks = {
        .ctx = plans, .plan = a_plan, .roster = no_roster, .event = on_event, .state = on_state};
    struct curve_pair keys, once;
    struct sign_pair sign;
    const struct hub_config config = {
        .listen = "127.0.0.1", .port = PORT, .keys = &keys, .sign = &sign, .service = true};
    struct store *store;
    struct hub *hub;
    struct err err;

    keys_of("server", 0, &keys);
    keys_sign_new(&sign);
    if (store_open(dir, true, &store, &err) < 0 || store_begin(store, &err) < 0)
        return fail(&err);
    for (size_t i = 0; i < agents; i++) {
        struct store_node n = {.incarnation = 1, .enrol_expires = (uint64_t)time(NULL) + 3600};

        snprintf(spec.nodes[i].name, sizeof(spec.nodes[i].name), "n%zu", i);
        str_copy(n.name, sizeof(n.name), spec.nodes[i].name);
        keys_of("once", i, &once);
        memcpy(n.enrol_pub, once.pub, KEY_SIZE);
        if (store_node_put(store, &n, &err) < 0)
            return fail(&err);
        plans[i] = json_pack("{s:s, s:[]}", "rev", "0123456789abcdef", "resources");
    }
    if (store_commit(store, &err) < 0 || hub_open(&config, &spec, store, &hooks, &hub, &err) < 0)
        return fail(&err);
    say_ready();
    for (int more; (more = hub_run(hub, &err)) >= 0;) {
        struct pollfd p[HUB_FDS];
        struct http_fd fds[HUB_FDS];

        hub_fds(hub, fds);
        for (size_t i = 0; i < HUB_FDS; i++)
            p[i] = (struct pollfd){.fd = fds[i].fd, .events = POLLIN};
        poll(p, HUB_FDS, more ? 0 : clock_sooner(LOOK_MS, hub_due_ms(hub)));
    }
    return fail(&err);
}

static bool let_in(void *ctx, const char *domain, const char *address, const uint8_t key[KEY_SIZE],
                   char ret_user[ZSOCK_USER_MAX])
{
    (void)ctx;
    (void)domain;
    (void)address;
    (void)key;
    return str_copy(ret_user, ZSOCK_USER_MAX, "agent");
}

static void answer_all(void *s)
{
    static const char ack[] = "{\"seq\":0,\"t\":\"ack\"}";
    char rid[256], body[PROTO_UP_MAX];

    for (int n; (n = zmq_recv(s, rid, sizeof(rid), ZMQ_DONTWAIT)) >= 0;) {
        int len = zmq_recv(s, body, sizeof(body), ZMQ_DONTWAIT);

        if (len > 0 && memmem(body, (size_t)len, "hello", 5)) {
            zmq_send(s, rid, (size_t)n, ZMQ_SNDMORE | ZMQ_DONTWAIT);
            zmq_send(s, ack, sizeof(ack) - 1, ZMQ_DONTWAIT);
        }
    }
}

static int serve_bare(void)
{
    struct zctx *z = zctx_new();
    struct curve_pair keys;
    struct err err;
    struct zap *zap = zap_new(z, let_in, NULL, &err);
    void *s = zmq_socket(zctx_raw(z), ZMQ_ROUTER);
    int one = 1, backlog = 4096, fd = -1;
    size_t len = sizeof(fd);

    keys_of("server", 0, &keys);
    zmq_setsockopt(s, ZMQ_CURVE_SERVER, &one, sizeof(one));
    zmq_setsockopt(s, ZMQ_CURVE_SECRETKEY, keys.sec, KEY_SIZE);
    zmq_setsockopt(s, ZMQ_BACKLOG, &backlog, sizeof(backlog));
    zmq_setsockopt(s, ZMQ_ZAP_DOMAIN, "bare", 4);
    if (!zap || zmq_bind(s, "tcp://127.0.0.1:17721") < 0)
        return 1;
    zmq_getsockopt(s, ZMQ_FD, &fd, &len);
    say_ready();
    for (;;) {
        struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = zap_fd(zap), .events = POLLIN}};

        zap_serve(zap);
        answer_all(s);
        zap_serve(zap);
        poll(p, 2, LOOK_MS);
    }
}

/* ---- the agents ---- */

struct agent {
    struct zsock *s;
    bool greeted, bound;
    uint64_t next; /* to send again */
};

struct swarm {
    size_t n;
    struct zctx **contexts;
    struct agent *agents;
};

static void dial(struct swarm *w, size_t i, bool enrols)
{
    struct agent *a = &w->agents[i];
    struct curve_pair own, server;
    struct err err;

    keys_of(enrols ? "once" : "own", i, &own);
    keys_of("server", 0, &server);
    zsock_free(a->s);
    a->s = zsock_client(w->contexts[i / PER_CONTEXT], &own, server.pub, PROTO_MAIN_MAX,
                        enrols ? "tcp://127.0.0.1:17720" : "tcp://127.0.0.1:17721", &err);
    a->greeted = false;
    a->next = 0;
    if (!a->s)
        exit(fail(&err));
}

static char *enrolment(size_t i)
{
    char hex[KEY_HEX_SIZE];
    struct curve_pair own;

    keys_of("own", i, &own);
    keys_hex(own.pub, KEY_SIZE, hex);
    return proto_text(PROTO_ENROL,
                      json_pack("{s:i, s:s, s:s}", "v", PROTO_VERSION, "curve", hex, "seal", hex));
}

static const char hello[] = "{\"t\":\"hello\",\"v\":2,\"agent\":\"swarm\",\"boot\":\"\","
                            "\"rev\":\"0123456789abcdef\",\"last_seq\":0,\"counter\":0,"
                            "\"facts\":{}}";
static const char state[] = "{\"t\":\"state\",\"state\":{\"phase\":\"ready\",\"rev\":"
                            "\"0123456789abcdef\",\"changed\":0,\"ok\":20,\"step\":\"\"}}";

/* Until each has what it waits for. */
static void until_all(struct swarm *w, bool enrols)
{
    uint64_t end = clock_mono_ms() + WAIT_MS;
    size_t missing = w->n;

    while (missing) {
        uint64_t now = clock_mono_ms();

        missing = 0;
        for (size_t i = 0; i < w->n; i++) {
            struct agent *a = &w->agents[i];
            bool *done = enrols ? &a->bound : &a->greeted;
            struct zmsg m;

            if (*done)
                continue;
            if (now >= a->next && zsock_handshakes(a->s)) {
                _cleanup_free_ char *text = enrols ? enrolment(i) : xstrdup(hello);

                if (zsock_send(a->s, NULL, text, strlen(text)) == 0)
                    a->next = now + GREET_AGAIN_MS;
            }
            while (zsock_recv(a->s, &m) == 1) {
                *done = *done || strstr(m.body, enrols ? "bound" : "\"ack\"");
                zmsg_free(&m);
            }
            missing += !*done;
        }
        if (now > end) {
            fprintf(stderr, "agentswarm: %zu agents got no answer\n", missing);
            exit(1);
        }
        clock_pause_ms(2);
    }
}

/* As agents that have nothing to do: a state now and then, and what comes is read. */
static void idle(struct swarm *w, unsigned seconds)
{
    uint64_t began = clock_mono_ms(), end = began + seconds * 1000ULL;

    for (size_t i = 0; i < w->n; i++)
        w->agents[i].next = began + i * STATE_MS / w->n;
    while (clock_mono_ms() < end) {
        uint64_t now = clock_mono_ms();

        for (size_t i = 0; i < w->n; i++) {
            struct agent *a = &w->agents[i];
            struct zmsg m;

            if (now < a->next)
                continue;
            a->next += STATE_MS;
            zsock_send(a->s, NULL, state, sizeof(state) - 1);
            while (zsock_recv(a->s, &m) == 1)
                zmsg_free(&m);
        }
        clock_pause_ms(10);
    }
}

/* ---- what it costs ---- */

static double cpu_ms(pid_t pid)
{
    _cleanup_free_ char *path = str_fmt("/proc/%d/stat", (int)pid);
    unsigned long user = 0, sys = 0;
    _cleanup_free_ char *text = NULL;
    struct err err;
    const char *at;

    if (fs_read(path, 4096, &text, NULL, &err) < 0 || !(at = strrchr(text, ')')) ||
        sscanf(at, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys) != 2)
        return 0;
    return (double)(user + sys) * 1000 / (double)sysconf(_SC_CLK_TCK);
}

static double resident_kb(pid_t pid)
{
    _cleanup_free_ char *path = str_fmt("/proc/%d/statm", (int)pid);
    _cleanup_free_ char *text = NULL;
    unsigned long pages = 0;
    struct err err;

    if (fs_read(path, 4096, &text, NULL, &err) < 0 || sscanf(text, "%*u %lu", &pages) != 1)
        return 0;
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1024;
}

struct cost {
    double enrol_s, connect_ms, connect_s, idle_percent, again_ms, kb;
};

static pid_t start(enum kind kind, size_t agents, const char *dir)
{
    char count[24], line[16] = "";
    int out[2];
    pid_t pid;

    snprintf(count, sizeof(count), "%zu", agents);
    if (pipe(out) < 0)
        return -1;
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(out[1], 1);
        execl("/proc/self/exe", "agentswarm", "serve", kind == HUB ? "hub" : "bare", count, dir,
              (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    if (read(out[0], line, sizeof(line) - 1) <= 0 || !str_starts(line, "ready")) {
        fprintf(stderr, "agentswarm: the %s did not start\n", names[kind]);
        exit(1);
    }
    return pid;
}

static struct cost run(enum kind kind, size_t agents, unsigned seconds)
{
    char dir[] = "/tmp/muster-swarm-XXXXXX";
    size_t contexts = (agents + PER_CONTEXT - 1) / PER_CONTEXT;
    struct swarm w = {.n = agents,
                      .contexts = xcalloc(contexts, sizeof(struct zctx *)),
                      .agents = xcalloc(agents, sizeof(struct agent))};
    struct cost c = {0};
    double before, empty;
    uint64_t began;
    struct err err;
    pid_t pid;

    if (!mkdtemp(dir))
        exit(1);
    pid = start(kind, agents, dir);
    empty = resident_kb(pid);
    for (size_t i = 0; i < contexts; i++)
        w.contexts[i] = zctx_new();
    if (kind == HUB) {
        began = clock_mono_ms();
        for (size_t i = 0; i < agents; i++)
            dial(&w, i, true);
        until_all(&w, true);
        c.enrol_s = (double)(clock_mono_ms() - began) / 1000;
    }
    for (int again = 0; again < 2; again++) {
        before = cpu_ms(pid);
        began = clock_mono_ms();
        for (size_t i = 0; i < agents; i++)
            dial(&w, i, false);
        until_all(&w, false);
        c.again_ms = (cpu_ms(pid) - before) / (double)agents;
        if (again)
            break;
        c.connect_ms = c.again_ms;
        c.connect_s = (double)(clock_mono_ms() - began) / 1000;
        before = cpu_ms(pid);
        idle(&w, seconds);
        c.idle_percent = (cpu_ms(pid) - before) / (seconds * 10.0);
    }
    c.kb = (resident_kb(pid) - empty) / (double)agents;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    for (size_t i = 0; i < agents; i++)
        zsock_free(w.agents[i].s);
    for (size_t i = 0; i < contexts; i++)
        zctx_free(w.contexts[i]);
    free(w.contexts);
    free(w.agents);
    fs_remove_tree(dir, &err);
    return c;
}

static void row(const char *what, double bare, double hub)
{
    printf("%-44s %10.3f %10.3f %8.2f\n", what, bare, hub, bare > 0 ? hub / bare : 0);
}

int main(int argc, char **argv)
{
    size_t agents = argc > 1 ? (size_t)atol(argv[1]) : 1000;
    unsigned seconds = argc > 2 ? (unsigned)atoi(argv[2]) : 20;
    struct cost c[KINDS];
    struct err err;

    if (keys_init(&err) < 0)
        return fail(&err);
    if (argc == 5 && str_eq(argv[1], "serve"))
        return str_eq(argv[2], "hub") ? serve_hub((size_t)atol(argv[3]), argv[4]) : serve_bare();
    if (!agents || !seconds) {
        fputs("usage: agentswarm [AGENTS] [SECONDS]\n", stderr);
        return 2;
    }
    for (enum kind k = BARE; k < KINDS; k++)
        c[k] = run(k, agents, seconds);
    printf("%zu agents, %u s\n%-44s %10s %10s %8s\n", agents, seconds, "", names[BARE], names[HUB],
           "ratio");
    row("ms of the processor, a first connection", c[BARE].connect_ms, c[HUB].connect_ms);
    row("ms of the processor, a reconnection", c[BARE].again_ms, c[HUB].again_ms);
    row("% of a core, idle with states", c[BARE].idle_percent, c[HUB].idle_percent);
    row("kB of memory an agent", c[BARE].kb, c[HUB].kb);
    row("s until all are connected", c[BARE].connect_s, c[HUB].connect_s);
    printf("%-44s %10s %10.3f\n", "s until all are enrolled", "-", c[HUB].enrol_s);
    return 0;
}
