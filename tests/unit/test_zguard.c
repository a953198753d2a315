/* SPDX-License-Identifier: Apache-2.0 */
/* A CURVE server against peers that hold a good key and send what no agent sends. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/str.h"
#include "common/zap.h"
#include "common/zsock.h"
#include "reexec.h"

#define PORT 17460
#define MSG_MAX (64 * 1024)
#define WAIT_MS 20000

struct world {
    struct curve_pair server_keys, peer_keys;
    struct zctx *z;
    struct zap *zap;
    struct zsock *server;
    char endpoint[64];
    unsigned got;
    bool nameless; /* the handler lets everybody in, under no name */
};

static bool allow(void *ctx, const char *domain, const char *address, const uint8_t key[KEY_SIZE],
                  char ret_user[ZSOCK_USER_MAX])
{
    (void)domain;
    (void)address;
    (void)key;
    return str_copy(ret_user, ZSOCK_USER_MAX, ((struct world *)ctx)->nameless ? "" : "peer");
}

static void open_server(struct world *w, unsigned port)
{
    struct err err;

    snprintf(w->endpoint, sizeof(w->endpoint), "tcp://127.0.0.1:%u", port);
    w->server = zsock_server(w->z, "any", &w->server_keys, MSG_MAX, w->endpoint, &err);
    assert_non_null(w->server);
}

static int setup(void **state)
{
    static struct world w;
    struct err err;

    memset(&w, 0, sizeof(w));
    keys_curve_new(&w.server_keys);
    keys_curve_new(&w.peer_keys);
    *state = &w;
    w.z = zctx_new();
    w.zap = zap_new(w.z, allow, &w, &err);
    assert_non_null(w.zap);
    open_server(&w, PORT);
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    zsock_free(w->server);
    zap_free(w->zap);
    zctx_free(w->z);
    return 0;
}

/* One turn of a loop that has other things to do, too. */
static void serve(struct world *w, unsigned pause_ms)
{
    struct zmsg m;

    zap_serve(w->zap);
    while (zsock_recv(w->server, &m) == 1) {
        w->got++;
        zmsg_free(&m);
    }
    zap_serve(w->zap);
    clock_pause_ms(pause_ms);
}

static void *raw_client(void *ctx, const char *endpoint, const uint8_t server[KEY_SIZE],
                        const struct curve_pair *own)
{
    void *s = zmq_socket(ctx, ZMQ_DEALER);
    int linger = 0;

    zmq_setsockopt(s, ZMQ_LINGER, &linger, sizeof(linger));
    zmq_setsockopt(s, ZMQ_CURVE_PUBLICKEY, own->pub, KEY_SIZE);
    zmq_setsockopt(s, ZMQ_CURVE_SECRETKEY, own->sec, KEY_SIZE);
    zmq_setsockopt(s, ZMQ_CURVE_SERVERKEY, server, KEY_SIZE);
    if (zmq_connect(s, endpoint) < 0)
        _exit(1);
    return s;
}

/* `attack` in a process of its own. */
static pid_t start(const struct world *w, const char *attack)
{
    pid_t pid = reexec(attack, w->endpoint, w->server_keys.pub, &w->peer_keys);

    assert_true(pid >= 0);
    return pid;
}

static void stop(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static size_t resident_kib(void)
{
    size_t kib = 0;
    char line[128];
    FILE *f = fopen("/proc/self/status", "r");

    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "VmRSS: %zu", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib;
}

#define FRAME 4096
#define MESSAGE_MIB 256
#define SENT_PER_S (32 * 1024 * 1024) /* bytes */

/* Bounds how fast this process sends over its connection, which is its only one: what is read
 * between two looks then depends on the looks and not on how fast this machine is. */
static bool pace(void)
{
    unsigned rate = SENT_PER_S;
    struct sockaddr_in peer;

    for (int fd = 0; fd < 64; fd++) {
        socklen_t len = sizeof(peer);

        if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0 && peer.sin_family == AF_INET)
            return setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof(rate)) == 0;
    }
    return false;
}

/* The sender's own library holds the message back until it has its last frame. */
static void one_long_message(void *s)
{
    static char frame[FRAME];
    size_t n = (size_t)MESSAGE_MIB * 1024 * 1024 / FRAME;

    for (unsigned i = 0; !pace(); i++) {
        if (i > WAIT_MS)
            _exit(1);
        clock_pause_ms(1);
    }

    for (size_t i = 0; i < n; i++)
        if (zmq_send(s, frame, sizeof(frame), i + 1 < n ? ZMQ_SNDMORE : 0) < 0)
            _exit(1);
    for (;;)
        pause();
}

/* Many frames of 4 kB that belong to one message: until its end nothing of it is received. */
static void test_message_without_end(void **state)
{
    struct world *w = *state;
    uint64_t end = clock_mono_ms() + WAIT_MS;
    size_t before = resident_kib(), most = before;
    pid_t pid = start(w, "one_long_message");

    while (clock_mono_ms() < end && zsock_cuts(w->server) == 0) {
        serve(w, 200);
        most = resident_kib() > most ? resident_kib() : most;
    }
    for (unsigned i = 0; i < 10; i++) {
        serve(w, 100);
        most = resident_kib() > most ? resident_kib() : most;
    }
    stop(pid);
    printf("resident: %zu KiB before, %zu KiB at most\n", before, most);
    assert_true(zsock_cuts(w->server) > 0);
    assert_true(most - before < MESSAGE_MIB * 1024 / 4);
    assert_int_equal(w->got, 0);
}

#define HONEST 3000

static void honest(void *s)
{
    static char body[30000];

    for (unsigned i = 0; i < HONEST; i++)
        if (zmq_send(s, body, i % 3 ? sizeof(body) : 100, 0) < 0)
            _exit(1);
    for (;;)
        pause();
}

/* Whole messages are never a reason, however many wait and however seldom they are taken. */
static void test_busy_peer_is_left_alone(void **state)
{
    struct world *w = *state;
    uint64_t end = clock_mono_ms() + WAIT_MS;
    pid_t pid = start(w, "honest");

    while (clock_mono_ms() < end && w->got < HONEST) {
        serve(w, 0);
        for (unsigned i = 0; i < 3; i++) { /* a caller that takes nothing for a while */
            clock_pause_ms(10);
            zsock_look(w->server);
        }
    }
    stop(pid);
    assert_int_equal(w->got, HONEST);
    assert_int_equal(zsock_cuts(w->server), 0);
}

/* Nobody is let in without a User-Id, whatever the handler says. */
static void test_no_user(void **state)
{
    struct world *w = *state;
    uint64_t end = clock_mono_ms() + WAIT_MS;
    struct zctx *z = zctx_new();
    struct err err;
    struct zsock *s =
        zsock_client(z, &w->peer_keys, w->server_keys.pub, MSG_MAX, w->endpoint, &err);

    assert_non_null(s);
    w->nameless = true;
    while (!zsock_was_refused(s) && clock_mono_ms() < end) {
        zsock_send(s, NULL, "x", 1);
        serve(w, 1);
    }
    assert_true(zsock_was_refused(s));
    assert_int_equal(w->got, 0);
    zsock_free(s);
    zctx_free(z);
}

static void three_frames(void *s)
{
    zmq_send(s, "a", 1, ZMQ_SNDMORE);
    zmq_send(s, "b", 1, ZMQ_SNDMORE);
    zmq_send(s, "c", 1, 0);
    for (;;)
        pause();
}

static void test_wrong_frames(void **state)
{
    struct world *w = *state;
    uint64_t end = clock_mono_ms() + WAIT_MS;
    pid_t pid = start(w, "three_frames");

    while (clock_mono_ms() < end && zsock_cuts(w->server) == 0)
        serve(w, 10);
    stop(pid);
    assert_int_equal(zsock_cuts(w->server), 1);
    assert_int_equal(w->got, 0);
}

/* More connections of one key than a node can need: the oldest go. */
static void test_connections_of_one_user(void **state)
{
    struct world *w = *state;
    uint64_t end = clock_mono_ms() + WAIT_MS;
    void *ctx = zmq_ctx_new(), *s[7];

    for (size_t i = 0; i < ARRAY_LEN(s); i++) {
        unsigned got = w->got;

        s[i] = raw_client(ctx, w->endpoint, w->server_keys.pub, &w->peer_keys);
        assert_int_equal(zmq_send(s[i], "x", 1, 0), 1);
        while (clock_mono_ms() < end && w->got == got)
            serve(w, 5);
    }
    assert_int_equal(zsock_cuts(w->server), ARRAY_LEN(s) - 4);
    for (size_t i = 0; i < ARRAY_LEN(s); i++)
        zmq_close(s[i]);
    zmq_ctx_term(ctx);
}

static int knock(unsigned port)
{
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

/* A server with few descriptors, as many silent connections as it likes, and a peer that works. */
static void test_silent_connections(void **state)
{
    struct world *w = *state;
    struct rlimit before, few;
    static int fds[700];
    uint64_t end = clock_mono_ms() + WAIT_MS;
    pid_t pid;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){.rlim_cur = 1200, .rlim_max = before.rlim_max};
    zsock_free(w->server); /* a new one sees the low limit, which zctx_new had raised */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    open_server(w, PORT + 1);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = knock(PORT + 1);
        if (i % 50 == 0)
            serve(w, 1);
    }
    while (clock_mono_ms() < end && zsock_cuts(w->server) < ARRAY_LEN(fds) / 2)
        serve(w, 5);
    assert_true(zsock_cuts(w->server) >= ARRAY_LEN(fds) / 2); /* at most 300 are kept */
    pid = start(w, "honest");
    while (clock_mono_ms() < end && w->got < HONEST)
        serve(w, 5);
    stop(pid);
    assert_int_equal(w->got, HONEST);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    setrlimit(RLIMIT_NOFILE, &before);
}

static int attack(char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void *socket);
    } attacks[] = {
        {"one_long_message", one_long_message},
        {"honest", honest},
        {"three_frames", three_frames},
    };

    uint8_t server[KEY_SIZE];
    struct curve_pair own;

    for (size_t i = 0; i < ARRAY_LEN(attacks) && reexec_keys(argv, server, &own) == 0; i++)
        if (strcmp(attacks[i].name, argv[1]) == 0)
            attacks[i].run(raw_client(zmq_ctx_new(), argv[2], server, &own));
    return 1;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_message_without_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_busy_peer_is_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_user, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_frames, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connections_of_one_user, setup, teardown),
        cmocka_unit_test_setup_teardown(test_silent_connections, setup, teardown),
    };
    struct err err;

    assert_int_equal(keys_init(&err), 0);
    if (argc == REEXEC_ARGS)
        return attack(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
