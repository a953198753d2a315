/* SPDX-License-Identifier: Apache-2.0 */
#include "common/zguard.h"

#include <fcntl.h>
#include <linux/tcp.h> /* tcpi_bytes_received */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#include "common/clock.h"
#include "common/str.h"
#include "common/zsock.h"

#define LOOK_MS 100
#define LOOK_MAX 1024      /* connections: of more, others are looked at the next time */
#define SLACK (512 * 1024) /* bytes: what the kernel may hold unread (ZSOCK_RCVBUF, doubled) */
#define MESSAGE_COST 64    /* bytes: a frame's header and its CURVE envelope, rounded up */
#define QUIET_BYTES_S 16   /* heartbeats are bytes without a message */
#define PER_USER_MAX 4     /* a broken connection lives on here until TCP misses its peer */
#define SILENT_MIN 256     /* connections from which no message came yet */
#define SILENT_MAX 4096

/* One connection, found by its descriptor, which belongs to libzmq's I/O thread: it may be closed
 * and its number used again at any moment; the cookie tells. */
struct conn {
    bool live;
    bool cut;
    bool spoke; /* a message of `user` came */
    char user[ZSOCK_USER_MAX];
    uint64_t cookie;
    uint64_t opened;
    uint64_t taken; /* bytes that arrived as messages */
    uint64_t seen;  /* bytes received, at the last look */
    uint64_t looked;
};

struct zguard {
    void *monitor;
    size_t max_msg, queued_max;
    struct conn *conns; /* by descriptor */
    size_t cap;
    size_t silent, silent_max;
    uint64_t looked;
    size_t next; /* descriptor at which the next look begins */
    unsigned cuts;
};

static size_t silent_limit(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur / 4 < SILENT_MIN)
        return SILENT_MIN;
    return files.rlim_cur / 4 > SILENT_MAX ? SILENT_MAX : (size_t)files.rlim_cur / 4;
}

struct zguard *zguard_new(struct zctx *c, void *socket, size_t max_msg, unsigned queue)
{
    static _Atomic unsigned serial;
    struct zguard *g = xcalloc(1, sizeof(*g));
    char name[64];
    int no_limit = 0; /* a full pipe would make the I/O thread wait for us */

    snprintf(name, sizeof(name), "inproc://guard-%u", ++serial);
    g->max_msg = max_msg;
    g->queued_max = max_msg * queue;
    g->silent_max = silent_limit();
    if (zmq_socket_monitor(socket, name, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED) < 0) {
        free(g);
        return NULL;
    }
    g->monitor = zmq_socket(zctx_raw(c), ZMQ_PAIR);
    if (!g->monitor || zmq_setsockopt(g->monitor, ZMQ_RCVHWM, &no_limit, sizeof(no_limit)) < 0 ||
        zmq_connect(g->monitor, name) < 0) {
        zguard_free(g, socket);
        return NULL;
    }
    return g;
}

void zguard_free(struct zguard *g, void *socket)
{
    if (!g)
        return;
    zmq_socket_monitor(socket, NULL, 0);
    if (g->monitor)
        zmq_close(g->monitor);
    free(g->conns);
    free(g);
}

int zguard_fd(struct zguard *g)
{
    int fd = -1;
    size_t len = sizeof(fd);

    zmq_getsockopt(g->monitor, ZMQ_FD, &fd, &len);
    return fd;
}

bool zguard_pending(struct zguard *g)
{
    int events = 0;
    size_t len = sizeof(events);

    return zmq_getsockopt(g->monitor, ZMQ_EVENTS, &events, &len) == 0 && (events & ZMQ_POLLIN);
}

unsigned zguard_cuts(const struct zguard *g)
{
    return g->cuts;
}

static uint64_t cookie_of(int fd)
{
    uint64_t cookie = 0;
    socklen_t len = sizeof(cookie);

    return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 ? cookie : 0;
}

/* A descriptor of our own is the same socket for as long as we look at it. */
static void cut(struct zguard *g, int fd)
{
    struct conn *c = &g->conns[fd];
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);

    if (own >= 0 && cookie_of(own) == c->cookie && shutdown(own, SHUT_RDWR) == 0)
        g->cuts++;
    if (own >= 0)
        close(own);
    g->silent -= !c->spoke && !c->cut;
    c->cut = true;
}

/* The oldest connection of that user, NULL: of those that said nothing yet. */
static void cut_oldest(struct zguard *g, const char *user)
{
    const struct conn *oldest = NULL;

    for (size_t i = 0; i < g->cap; i++) {
        const struct conn *c = &g->conns[i];

        if (c->live && !c->cut && (user ? str_eq(c->user, user) : !c->spoke) &&
            (!oldest || c->opened < oldest->opened))
            oldest = c;
    }
    if (oldest)
        cut(g, (int)(oldest - g->conns));
}

void zguard_kick(struct zguard *g, const char *user)
{
    unsigned cuts = g->cuts;

    for (size_t i = 0; i < g->cap; i++)
        if (g->conns[i].live && !g->conns[i].cut && str_eq(g->conns[i].user, user))
            cut(g, (int)i);
    g->cuts = cuts;
}

static void forget(struct zguard *g, size_t fd)
{
    if (fd >= g->cap || !g->conns[fd].live)
        return;
    g->silent -= !g->conns[fd].spoke && !g->conns[fd].cut;
    g->conns[fd] = (struct conn){0};
}

static void on_accepted(struct zguard *g, size_t fd)
{
    uint64_t cookie = cookie_of((int)fd);

    forget(g, fd);
    if (!cookie) /* already closed: its end is the next that the monitor tells */
        return;
    if (fd >= g->cap) {
        size_t cap = fd + 64;

        g->conns = xrealloc(g->conns, cap * sizeof(*g->conns));
        memset(g->conns + g->cap, 0, (cap - g->cap) * sizeof(*g->conns));
        g->cap = cap;
    }
    g->conns[fd] = (struct conn){.live = true, .cookie = cookie, .opened = clock_mono_ms()};
    if (++g->silent > g->silent_max)
        cut_oldest(g, NULL);
}

/* One event: two frames, the first of them a number of 16 and one of 32 bits. */
static bool next_event(struct zguard *g, uint16_t *ret_event, int32_t *ret_value)
{
    zmq_msg_t f;
    bool more;

    *ret_event = 0;
    *ret_value = -1;
    zmq_msg_init(&f);
    if (zmq_msg_recv(&f, g->monitor, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&f);
        return false;
    }
    if (zmq_msg_size(&f) >= sizeof(*ret_event) + sizeof(*ret_value)) {
        memcpy(ret_event, zmq_msg_data(&f), sizeof(*ret_event));
        memcpy(ret_value, (char *)zmq_msg_data(&f) + sizeof(*ret_event), sizeof(*ret_value));
    }
    more = zmq_msg_more(&f);
    zmq_msg_close(&f);
    if (more) {
        zmq_msg_init(&f);
        zmq_msg_recv(&f, g->monitor, ZMQ_DONTWAIT);
        zmq_msg_close(&f);
    }
    return true;
}

static void take_events(struct zguard *g)
{
    uint16_t event;
    int32_t fd;

    while (next_event(g, &event, &fd)) {
        if (fd < 0)
            continue;
        if (event == ZMQ_EVENT_ACCEPTED)
            on_accepted(g, (size_t)fd);
        else if (event == ZMQ_EVENT_DISCONNECTED)
            forget(g, (size_t)fd);
    }
}

void zguard_took(struct zguard *g, int fd, const char *user, size_t len)
{
    struct conn *c;
    size_t same = 0;

    if (fd < 0 || (size_t)fd >= g->cap || !g->conns[fd].live)
        take_events(g);
    if (fd < 0 || (size_t)fd >= g->cap || !g->conns[fd].live)
        return; /* it has ended; this is what was left of it */
    c = &g->conns[fd];
    c->taken += len + MESSAGE_COST;
    if (!user) {
        if (!c->cut)
            cut(g, fd);
        return;
    }
    if (c->spoke)
        return;
    g->silent -= !c->cut;
    c->spoke = true;
    str_copy(c->user, sizeof(c->user), user);
    for (size_t i = 0; i < g->cap; i++)
        same += g->conns[i].live && !g->conns[i].cut && str_eq(g->conns[i].user, user);
    if (same > PER_USER_MAX)
        cut_oldest(g, user);
}

static uint64_t bytes_of(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 ? info.tcpi_bytes_received : 0;
}

/* What came before the last look has been taken by now, unless its message had not ended. */
static bool holds_back(const struct zguard *g, const struct conn *c, uint64_t bytes, bool drained)
{
    if (bytes - c->taken > g->queued_max + g->max_msg + SLACK)
        return true;
    return drained && c->seen > c->taken && c->seen - c->taken > g->max_msg + SLACK;
}

void zguard_look(struct zguard *g, bool drained)
{
    uint64_t now = clock_mono_ms();

    take_events(g);
    if (now - g->looked < LOOK_MS)
        return;
    g->looked = now;
    for (size_t n = 0, tried = 0; n < LOOK_MAX && tried < g->cap; tried++) {
        size_t i = g->next = (g->next + 1) % g->cap;
        struct conn *c = &g->conns[i];
        uint64_t bytes;

        if (!c->live || c->cut)
            continue;
        n++;
        bytes = bytes_of((int)i);
        c->taken += (now - (c->looked ? c->looked : c->opened)) * QUIET_BYTES_S / 1000;
        c->looked = now;
        if (c->taken > bytes)
            c->taken = bytes;
        if (holds_back(g, c, bytes, drained))
            cut(g, (int)i);
        c->seen = bytes;
    }
}
