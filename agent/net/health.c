/* SPDX-License-Identifier: Apache-2.0 */
/* The health of this node for whoever asks: HTTP (GET, HEAD, OPTIONS) on one port, and on
 * another a line as HAProxy's agent-check reads it. Each connection gets one answer, which fits
 * into its send buffer, and is closed; nothing that a client sends or leaves undone holds others
 * up. Not by common/httpd.h: its library brings GnuTLS into a process that is to stay small. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/health/health.h"
#include "agent/net/internal.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

#define CLIENTS_MAX 16
#define REQUEST_MAX 2048
#define REQUEST_TIMEOUT_MS 5000
#define LISTEN_AGAIN_MS 5000
#define BACKLOG 64

struct client {
    int fd; /* -1: free */
    uint64_t until;
    size_t len;
    char request[REQUEST_MAX + 1];
};

struct net_health {
    int http_port, line_port;
    int http, line; /* -1: could not be opened; tried again */
    uint64_t open_next;
    bool complained;
    json_t *state; /* the last one reported, or NULL */
    uint64_t state_at;
    struct health judged;
    struct client clients[CLIENTS_MAX];
};

static int listen_on(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static void open_both(struct net_health *h, uint64_t now)
{
    if (h->http < 0)
        h->http = listen_on(h->http_port);
    if (h->line < 0 && h->http >= 0)
        h->line = listen_on(h->line_port);
    h->open_next = now + LISTEN_AGAIN_MS;
    if ((h->http < 0 || h->line < 0) && !h->complained) {
        log_warn("health: cannot listen on ports %d and %d: %s", h->http_port, h->line_port,
                 strerror(errno));
        h->complained = true;
    }
}

void net_health_open(struct net *n, int http_port, int line_port)
{
    struct net_health *h = xcalloc(1, sizeof(*h));

    h->http_port = http_port;
    h->line_port = line_port;
    h->http = h->line = -1;
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        h->clients[i].fd = -1;
    n->health = h;
    open_both(h, clock_mono_ms());
}

void net_health_state(struct net *n, json_t *state)
{
    struct net_health *h = n->health;

    json_decref(h->state);
    h->state = json_incref(state);
    h->state_at = clock_mono_ms();
    health_judge(&h->judged, h->state, 0);
}

static uint64_t judge(struct net_health *h, uint64_t now)
{
    uint64_t age = h->state ? now - h->state_at : 0;

    health_judge(&h->judged, h->state, age);
    return age;
}

static void client_end(struct client *c)
{
    close(c->fd);
    c->fd = -1;
}

static void answer(struct net *n, struct client *c, uint64_t now)
{
    struct net_health *h = n->health;
    struct health_source s = {.node = n->boot->node, .state = h->state};
    _cleanup_(strbuf_free) struct strbuf body = {0}, all = {0};
    char method[16] = "", path[256] = "";
    const char *type = "application/json";
    int status = 400;

    s.age_ms = judge(h, now);
    if (sscanf(c->request, "%15[A-Z] %255[^ \r\n?]", method, path) == 2 &&
        (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 ||
         strcmp(method, "OPTIONS") == 0))
        status = health_answer(&h->judged, &s, path, &type, &body);
    else
        strbuf_adds(&body, "{\"error\":\"this takes GET, HEAD and OPTIONS\"}\n");
    strbuf_addf(&all,
                "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
                status,
                status == 200   ? "OK"
                : status == 503 ? "Service Unavailable"
                : status == 404 ? "Not Found"
                                : "Bad Request",
                type, body.len);
    if (strcmp(method, "HEAD") != 0)
        strbuf_add(&all, strbuf_str(&body), body.len);
    if (send(c->fd, all.s, all.len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)all.len)
        shutdown(c->fd, SHUT_WR);
    client_end(c);
}

/* Until the empty line that ends a request's head. */
static void client_read(struct net *n, struct client *c, uint64_t now)
{
    ssize_t got = recv(c->fd, c->request + c->len, REQUEST_MAX - c->len, 0);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        client_end(c);
        return;
    }
    c->len += (size_t)got;
    c->request[c->len] = '\0';
    if (strstr(c->request, "\r\n\r\n") || strstr(c->request, "\n\n") || c->len == REQUEST_MAX)
        answer(n, c, now);
}

/* When all places are taken the oldest makes room: it has had its time, or is not in earnest. */
static struct client *place(struct net_health *h)
{
    struct client *oldest = &h->clients[0];

    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        if (h->clients[i].fd < 0)
            return &h->clients[i];
        if (h->clients[i].until < oldest->until)
            oldest = &h->clients[i];
    }
    client_end(oldest);
    return oldest;
}

static void accept_http(struct net *n, uint64_t now)
{
    struct net_health *h = n->health;
    int fd = accept4(h->http, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return;
    struct client *c = place(h);
    c->fd = fd;
    c->len = 0;
    c->until = now + REQUEST_TIMEOUT_MS;
    client_read(n, c, now); /* mostly it is there already */
}

static void accept_line(struct net_health *h, uint64_t now)
{
    _cleanup_(strbuf_free) struct strbuf line = {0};
    int fd = accept4(h->line, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return;
    judge(h, now);
    health_check_line(&h->judged, &line);
    if (send(fd, line.s, line.len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)line.len)
        shutdown(fd, SHUT_WR);
    close(fd);
}

int net_health_fds(const struct net *n, int *fds, int max)
{
    const struct net_health *h = n->health;
    int k = 0;

    if (max < CLIENTS_MAX + 2)
        return 0;
    fds[k++] = h->http; /* poll passes over -1 */
    fds[k++] = h->line;
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (h->clients[i].fd >= 0)
            fds[k++] = h->clients[i].fd;
    return k;
}

void net_health_serve(struct net *n, uint64_t now)
{
    struct net_health *h = n->health;

    if ((h->http < 0 || h->line < 0) && now >= h->open_next)
        open_both(h, now);
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        struct client *c = &h->clients[i];

        if (c->fd >= 0)
            client_read(n, c, now);
        if (c->fd >= 0 && now >= c->until)
            client_end(c);
    }
    if (h->http >= 0)
        accept_http(n, now);
    if (h->line >= 0)
        accept_line(h, now);
}

uint64_t net_health_due(const struct net *n)
{
    const struct net_health *h = n->health;
    uint64_t due = h->http < 0 || h->line < 0 ? h->open_next : UINT64_MAX;

    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (h->clients[i].fd >= 0 && h->clients[i].until < due)
            due = h->clients[i].until;
    return due;
}

void net_health_close(struct net *n)
{
    struct net_health *h = n->health;

    if (!h)
        return;
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (h->clients[i].fd >= 0)
            client_end(&h->clients[i]);
    if (h->http >= 0)
        close(h->http);
    if (h->line >= 0)
        close(h->line);
    json_decref(h->state);
    free(h);
    n->health = NULL;
}
