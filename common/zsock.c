/* SPDX-License-Identifier: Apache-2.0 */
#include "common/zsock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <zmq.h>

#include "common/str.h"
#include "common/zguard.h"

#define HANDSHAKE_MS 4000
#define HEARTBEAT_MS 10000
#define HEARTBEAT_DEAD_MS 30000
#define RECONNECT_MS 250
#define RECONNECT_MAX_MS 1000
#define CONNECT_MS 3000 /* a SYN that got lost is sent once more after a second */
#define QUEUE_MAX 200
#define QUEUE_IN_MAX 64 /* messages that wait in a server, of each connection */
#define FILES_WANTED 65536
#define SERVER_RCVBUF (128 * 1024)
/* Of a server, in place of heartbeats of its own: libzmq cancels a timer in a time that rises with
 * their number. Seconds; the same names are TCP's. */
#define KEEPALIVE_IDLE_S 20
#define KEEPALIVE_AGAIN_S 5
#define KEEPALIVE_TRIES 3
#define UNANSWERED_MS 30000 /* what was sent must have arrived by then */

struct zctx {
    void *raw;
};

struct zsock {
    void *raw;
    void *monitor;        /* clients only: tells a refusal from silence */
    struct zguard *guard; /* servers only */
    bool server;
    bool refused;
    unsigned handshakes;
};

/* A server whose descriptors are used up accepts nobody and spins. */
static void raise_files(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur >= FILES_WANTED)
        return;
    files.rlim_cur = FILES_WANTED;
    if (files.rlim_max < FILES_WANTED) {
        const struct rlimit more = {FILES_WANTED, FILES_WANTED}; /* for root */

        if (setrlimit(RLIMIT_NOFILE, &more) == 0)
            return;
        files.rlim_cur = files.rlim_max;
    }
    setrlimit(RLIMIT_NOFILE, &files);
}

struct zctx *zctx_new(void)
{
    struct zctx *c = xcalloc(1, sizeof(*c));

    raise_files();
    c->raw = zmq_ctx_new();
    if (!c->raw)
        abort();
    zmq_ctx_set(c->raw, ZMQ_BLOCKY, 0);
    zmq_ctx_set(c->raw, ZMQ_MAX_SOCKETS, 4096);
    return c;
}

void zctx_free(struct zctx *c)
{
    if (!c)
        return;
    zmq_ctx_term(c->raw);
    free(c);
}

void *zctx_raw(struct zctx *c)
{
    return c->raw;
}

void zmsg_free(struct zmsg *m)
{
    free(m->body);
    m->body = NULL;
}

static int set_int(void *s, int option, int value)
{
    return zmq_setsockopt(s, option, &value, sizeof(value));
}

static int common_options(void *s, const struct curve_pair *own, size_t max_msg)
{
    int64_t max = (int64_t)max_msg;

    if (set_int(s, ZMQ_LINGER, 0) < 0 || set_int(s, ZMQ_SNDHWM, QUEUE_MAX) < 0 ||
        set_int(s, ZMQ_RCVHWM, QUEUE_MAX) < 0 || set_int(s, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS) < 0 ||
        zmq_setsockopt(s, ZMQ_MAXMSGSIZE, &max, sizeof(max)) < 0 ||
        zmq_setsockopt(s, ZMQ_CURVE_SECRETKEY, own->sec, KEY_SIZE) < 0)
        return -1;
    return 0;
}

static int server_options(void *s, const char *domain)
{
    if (set_int(s, ZMQ_CURVE_SERVER, 1) < 0 || set_int(s, ZMQ_ROUTER_MANDATORY, 1) < 0 ||
        set_int(s, ZMQ_BACKLOG, 4096) < 0 || set_int(s, ZMQ_RCVHWM, QUEUE_IN_MAX) < 0 ||
        set_int(s, ZMQ_RCVBUF, SERVER_RCVBUF) < 0 || set_int(s, ZMQ_TCP_KEEPALIVE, 1) < 0 ||
        set_int(s, ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S) < 0 ||
        set_int(s, ZMQ_TCP_KEEPALIVE_INTVL, KEEPALIVE_AGAIN_S) < 0 ||
        set_int(s, ZMQ_TCP_KEEPALIVE_CNT, KEEPALIVE_TRIES) < 0 ||
        set_int(s, ZMQ_TCP_MAXRT, UNANSWERED_MS) < 0 ||
        zmq_setsockopt(s, ZMQ_ZAP_DOMAIN, domain, strlen(domain)) < 0)
        return -1;
    return 0;
}

static int client_options(void *s, const struct curve_pair *own, const uint8_t *server_pub)
{
    if (zmq_setsockopt(s, ZMQ_CURVE_PUBLICKEY, own->pub, KEY_SIZE) < 0 ||
        zmq_setsockopt(s, ZMQ_CURVE_SERVERKEY, server_pub, KEY_SIZE) < 0 ||
        set_int(s, ZMQ_IMMEDIATE, 1) < 0 || set_int(s, ZMQ_RECONNECT_IVL, RECONNECT_MS) < 0 ||
        set_int(s, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS) < 0 ||
        set_int(s, ZMQ_CONNECT_TIMEOUT, CONNECT_MS) < 0 ||
        set_int(s, ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS) < 0 ||
        set_int(s, ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_DEAD_MS) < 0)
        return -1;
    return 0;
}

struct zsock *zsock_server(struct zctx *c, const char *domain, const struct curve_pair *own,
                           size_t max_msg, const char *endpoint, struct err *err)
{
    void *s = zmq_socket(c->raw, ZMQ_ROUTER);
    struct zguard *guard = NULL;
    struct zsock *z;

    if (!s || common_options(s, own, max_msg) < 0 || server_options(s, domain) < 0 ||
        !(guard = zguard_new(c, s, max_msg, QUEUE_IN_MAX)) || zmq_bind(s, endpoint) < 0) {
        int errnum = zmq_errno();

        zguard_free(guard, s);
        if (s)
            zmq_close(s);
        err_set(err, ERR_FAILED, "cannot listen on %s: %s", endpoint, zmq_strerror(errnum));
        return NULL;
    }
    z = xcalloc(1, sizeof(*z));
    z->raw = s;
    z->guard = guard;
    z->server = true;
    return z;
}

static void *monitor_open(struct zctx *c, void *s)
{
    _Thread_local static unsigned serial;
    char name[64];
    void *m;

    snprintf(name, sizeof(name), "inproc://monitor-%u", ++serial);
    if (zmq_socket_monitor(s, name,
                           ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) < 0)
        return NULL;
    m = zmq_socket(c->raw, ZMQ_PAIR);
    if (m && zmq_connect(m, name) < 0) {
        zmq_close(m);
        m = NULL;
    }
    return m;
}

struct zsock *zsock_client(struct zctx *c, const struct curve_pair *own,
                           const uint8_t server_pub[KEY_SIZE], size_t max_msg, const char *endpoint,
                           struct err *err)
{
    void *s = zmq_socket(c->raw, ZMQ_DEALER);
    struct zsock *z;

    if (!s || common_options(s, own, max_msg) < 0 || client_options(s, own, server_pub) < 0) {
        if (s)
            zmq_close(s);
        err_set(err, ERR_FAILED, "cannot make a socket for %s: %s", endpoint,
                zmq_strerror(zmq_errno()));
        return NULL;
    }
    z = xcalloc(1, sizeof(*z));
    z->raw = s;
    z->monitor = monitor_open(c, s);
    if (zmq_connect(s, endpoint) < 0) {
        err_set(err, ERR_FAILED, "cannot connect to %s: %s", endpoint, zmq_strerror(zmq_errno()));
        zsock_free(z);
        return NULL;
    }
    return z;
}

void zsock_linger(struct zsock *s, int ms)
{
    set_int(s->raw, ZMQ_LINGER, ms);
}

void zsock_free(struct zsock *s)
{
    if (!s)
        return;
    zguard_free(s->guard, s->raw);
    if (s->monitor) {
        zmq_socket_monitor(s->raw, NULL, 0);
        zmq_close(s->monitor);
    }
    zmq_close(s->raw);
    free(s);
}

/* Reads one whole multi-part message and keeps it only when it has exactly `want` frames; the
 * last one is the body. */
static int recv_frames(struct zsock *s, size_t want, struct zmsg *ret)
{
    struct zmsg m = {0};
    size_t frames = 0, bytes = 0;
    bool bad = false, more = true;
    int fd = -1;

    while (more) {
        zmq_msg_t f;
        const char *user;

        zmq_msg_init(&f);
        if (zmq_msg_recv(&f, s->raw, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&f);
            zmsg_free(&m);
            return errno == EINTR && frames == 0 ? recv_frames(s, want, ret) : 0;
        }
        frames++;
        bytes += zmq_msg_size(&f);
        more = zmq_msg_more(&f);
        if (s->server && frames > 1)
            fd = zmq_msg_get(&f, ZMQ_SRCFD);
        if (s->server && frames == 1) {
            m.rid_len = zmq_msg_size(&f);
            if (m.rid_len > ZSOCK_RID_MAX)
                bad = true;
            else
                memcpy(m.rid, zmq_msg_data(&f), m.rid_len);
        } else if (frames == want && !m.body) {
            user = s->server ? zmq_msg_gets(&f, "User-Id") : "";
            if (s->server && (!user || !*user || !str_copy(m.user, sizeof(m.user), user)))
                bad = true;
            m.len = zmq_msg_size(&f);
            m.body = xcalloc(m.len + 1, 1);
            memcpy(m.body, zmq_msg_data(&f), m.len);
        }
        zmq_msg_close(&f);
    }
    if (s->guard)
        zguard_took(s->guard, fd, bad || frames != want ? NULL : m.user, bytes);
    if (bad || frames != want) {
        zmsg_free(&m);
        return -1;
    }
    *ret = m;
    return 1;
}

int zsock_recv(struct zsock *s, struct zmsg *ret)
{
    int rc;

    do
        rc = recv_frames(s, s->server ? 2 : 1, ret);
    while (rc < 0);
    if (rc == 0 && s->guard)
        zguard_look(s->guard, true);
    return rc;
}

void zsock_look(struct zsock *s)
{
    if (s->guard)
        zguard_look(s->guard, false);
}

void zsock_kick(struct zsock *s, const char *user)
{
    if (s->guard)
        zguard_kick(s->guard, user);
}

unsigned zsock_cuts(const struct zsock *s)
{
    return s->guard ? zguard_cuts(s->guard) : 0;
}

int zsock_send(struct zsock *s, const struct zmsg *to, const char *body, size_t len)
{
    if (s->server && zmq_send(s->raw, to->rid, to->rid_len, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0)
        return -1;
    return zmq_send(s->raw, body, len, ZMQ_DONTWAIT) < 0 ? -1 : 0;
}

static int raw_fd(void *raw)
{
    int fd = -1;
    size_t len = sizeof(fd);

    if (raw)
        zmq_getsockopt(raw, ZMQ_FD, &fd, &len);
    return fd;
}

int zsock_fd(struct zsock *s)
{
    return raw_fd(s->raw);
}

int zsock_monitor_fd(struct zsock *s)
{
    return s->guard ? zguard_fd(s->guard) : raw_fd(s->monitor);
}

static bool raw_pending(void *raw)
{
    int events = 0;
    size_t len = sizeof(events);

    return raw && zmq_getsockopt(raw, ZMQ_EVENTS, &events, &len) == 0 && (events & ZMQ_POLLIN);
}

bool zsock_pending(struct zsock *s)
{
    return raw_pending(s->raw) || raw_pending(s->monitor) || (s->guard && zguard_pending(s->guard));
}

/* Takes up what the monitor saw since the last look. */
static void monitor_drain(struct zsock *s)
{
    zmq_msg_t f;

    while (s->monitor) {
        uint16_t event = 0;
        bool more;

        zmq_msg_init(&f);
        if (zmq_msg_recv(&f, s->monitor, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&f);
            break;
        }
        if (zmq_msg_size(&f) >= sizeof(event))
            memcpy(&event, zmq_msg_data(&f), sizeof(event));
        more = zmq_msg_more(&f);
        zmq_msg_close(&f);
        if (more) { /* the endpoint's name */
            zmq_msg_init(&f);
            zmq_msg_recv(&f, s->monitor, ZMQ_DONTWAIT);
            zmq_msg_close(&f);
        }
        s->refused = event != ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
        s->handshakes += !s->refused;
    }
}

bool zsock_was_refused(struct zsock *s)
{
    monitor_drain(s);
    return s->refused;
}

unsigned zsock_handshakes(struct zsock *s)
{
    monitor_drain(s);
    return s->handshakes;
}
