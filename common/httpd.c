/* SPDX-License-Identifier: Apache-2.0 */
#include "common/httpd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/ipv4.h"
#include "common/str.h"

#define HTTPD_CONNECTIONS_MAX 256
#define HTTPD_PER_ADDRESS_MAX 128
#define HTTPD_SILENT_MAX 128 /* connections whose first request is not complete */
#define HTTPD_SILENT_PER_ADDRESS_MAX 32
#define HTTPD_HEADERS_MS 5000
#define HTTPD_IDLE_S 30
#define HTTPD_RUN_MS 5 /* of one httpd_run, while more can be sent at once */

/* A connection. */
struct client {
    int fd;       /* libmicrohttpd's */
    bool settled; /* the headers of a request have come, or it was cut */
    uint32_t address;
    uint64_t since;
    struct client *next;
};

struct httpd {
    struct MHD_Daemon *daemon;
    struct client *clients; /* the newest first */
    httpd_handler handler;
    void *ctx;
    size_t body_max;
    struct exchange *delayed;
};

/* What is gathered of one request between the calls of libmicrohttpd. */
struct exchange {
    struct strbuf body;
    bool too_long;
    /* An answer that waits for its time. */
    struct MHD_Connection *connection;
    struct httpd_response answer;
    uint64_t due_ms;
    bool due;
    struct exchange *next;
};

static enum MHD_Result collect_arg(void *ctx, enum MHD_ValueKind kind, const char *name,
                                   const char *value)
{
    (void)kind;
    pairs_add(ctx, name, value ? value : "");
    return MHD_YES;
}

/* "bytes=N-", as a client asks that had the start of the file before; 0: it wants all of it. */
static uint64_t wanted_from(struct MHD_Connection *c, uint64_t size)
{
    const char *range = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Range");
    char number[24];
    uint64_t from;

    if (!range || !str_starts(range, "bytes=") || !str_ends(range, "-") ||
        !str_copy(number, sizeof(number), range + strlen("bytes=")))
        return 0;
    number[strlen(number) - 1] = '\0';
    return str_to_u64(number, UINT64_MAX, &from) == 0 && from < size ? from : 0;
}

static struct MHD_Response *file_response(struct MHD_Connection *c, int fd, uint64_t size,
                                          struct httpd_response *r)
{
    uint64_t from = r->status == MHD_HTTP_OK ? wanted_from(c, size) : 0;

    if (from > 0) {
        _cleanup_free_ char *part = str_fmt("bytes %llu-%llu/%llu", (unsigned long long)from,
                                            (unsigned long long)size - 1, (unsigned long long)size);

        httpd_reply_header(r, "Content-Range", part);
        r->status = MHD_HTTP_PARTIAL_CONTENT;
    }
    return MHD_create_response_from_fd_at_offset64(size - from, fd, from);
}

static struct MHD_Response *response_of(struct MHD_Connection *c, struct httpd_response *r)
{
    if (!r->file) {
        if (!r->body)
            r->body = xstrdup("");
        return MHD_create_response_from_buffer(r->body_len, TAKE(r->body), MHD_RESPMEM_MUST_FREE);
    }
    _cleanup_close_ int fd = open(r->file, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        r->status = MHD_HTTP_NOT_FOUND;
        return MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
    }
    struct MHD_Response *resp = file_response(c, fd, (uint64_t)st.st_size, r);
    if (resp)
        fd = -1; /* closed with the response */
    return resp;
}

static void response_free(struct httpd_response *r)
{
    for (size_t i = 0; i < HTTPD_HEADERS_MAX; i++)
        free(r->headers[i].value);
    free(r->body);
    *r = (struct httpd_response){0};
}

/* A connected socket that is connected to nothing sends a reset. */
static void reset(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    const struct sockaddr none = {.sa_family = AF_UNSPEC};

    if (info)
        (void)connect(info->connect_fd, &none, sizeof(none));
}

static enum MHD_Result send_response(struct MHD_Connection *c, struct httpd_response *r)
{
    if (r->end != HTTPD_ANSWER) {
        if (r->end == HTTPD_RESET)
            reset(c);
        response_free(r);
        return MHD_NO;
    }
    if (r->status == 0)
        r->status = MHD_HTTP_NOT_FOUND;
    struct MHD_Response *resp = response_of(c, r);
    for (size_t i = 0; i < HTTPD_HEADERS_MAX; i++) {
        if (r->headers[i].name && resp)
            MHD_add_response_header(resp, r->headers[i].name, r->headers[i].value);
    }
    enum MHD_Result ok = resp ? MHD_queue_response(c, (unsigned)r->status, resp) : MHD_NO;
    if (resp)
        MHD_destroy_response(resp);
    response_free(r);
    return ok;
}

static void delay(struct httpd *h, struct exchange *x, struct MHD_Connection *c)
{
    x->connection = c;
    x->due_ms = clock_mono_ms() + x->answer.delay_ms;
    x->next = h->delayed;
    h->delayed = x;
    MHD_suspend_connection(c);
}

/* Lets those go on whose time has come, or all. */
static void resume(struct httpd *h, bool all)
{
    uint64_t now = clock_mono_ms();

    for (struct exchange **at = &h->delayed; *at;) {
        struct exchange *x = *at;

        if (!all && x->due_ms > now) {
            at = &x->next;
            continue;
        }
        *at = x->next;
        x->due = true;
        MHD_resume_connection(x->connection);
    }
}

/* ---- connections that say nothing ---- */

static void cut(struct client *s)
{
    shutdown(s->fd, SHUT_RDWR);
    s->settled = true;
}

/* Who comes in takes the place of the oldest of those that were there too long, not of nobody: a
 * node behind the same address is served all the same. */
static void make_room(struct httpd *h, uint32_t address)
{
    struct client *oldest = NULL, *of_address = NULL;
    size_t n = 0, same = 0;

    for (struct client *s = h->clients; s; s = s->next) {
        if (s->settled)
            continue;
        n++;
        oldest = s;
        if (s->address == address) {
            same++;
            of_address = s;
        }
    }
    if (same > HTTPD_SILENT_PER_ADDRESS_MAX)
        cut(of_address);
    else if (n > HTTPD_SILENT_MAX)
        cut(oldest);
}

static void forget_client(struct httpd *h, const void *which)
{
    for (struct client **at = &h->clients; *at; at = &(*at)->next)
        if (*at == which) {
            struct client *s = *at;

            *at = s->next;
            free(s);
            return;
        }
}

static void on_connection(void *cls, struct MHD_Connection *c, void **own,
                          enum MHD_ConnectionNotificationCode what)
{
    struct httpd *h = cls;
    const union MHD_ConnectionInfo *fd, *peer;
    struct client *s;

    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        forget_client(h, *own);
        *own = NULL;
        return;
    }
    fd = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    peer = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (!fd || !peer)
        return;
    s = xcalloc(1, sizeof(*s));
    *s = (struct client){.fd = fd->connect_fd, .since = clock_mono_ms(), .next = h->clients};
    if (peer->client_addr->sa_family == AF_INET)
        s->address = ((const struct sockaddr_in *)(const void *)peer->client_addr)->sin_addr.s_addr;
    h->clients = s;
    *own = s;
    make_room(h, s->address);
}

/* Its headers are there. */
static void has_spoken(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *own =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    if (own && own->socket_context)
        ((struct client *)own->socket_context)->settled = true;
}

static void cut_slow(struct httpd *h)
{
    uint64_t now = clock_mono_ms();

    for (struct client *s = h->clients; s; s = s->next)
        if (!s->settled && now - s->since >= HTTPD_HEADERS_MS)
            cut(s);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_len, void **con_cls)
{
    (void)version;
    struct httpd *h = cls;
    struct exchange *x = *con_cls;

    if (!x) {
        has_spoken(c);
        *con_cls = xcalloc(1, sizeof(*x));
        return MHD_YES;
    }
    if (*data_len > 0) {
        if (x->body.len + *data_len > h->body_max)
            x->too_long = true;
        else
            strbuf_add(&x->body, data, *data_len);
        *data_len = 0;
        return MHD_YES;
    }

    if (x->due)
        return send_response(c, &x->answer);
    struct httpd_response r = {0};
    if (x->too_long) {
        httpd_reply(&r, MHD_HTTP_CONTENT_TOO_LARGE, "text/plain", xstrdup("body too large\n"));
        return send_response(c, &r);
    }
    char client[INET_ADDRSTRLEN] = "";
    uint16_t port = 0;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info && info->client_addr->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)info->client_addr;

        inet_ntop(AF_INET, &in->sin_addr, client, sizeof(client));
        port = ntohs(in->sin_port);
    }
    _cleanup_(pairs_free) struct pairs args = {0};
    MHD_get_connection_values(c, MHD_GET_ARGUMENT_KIND, collect_arg, &args);
    struct httpd_request rq = {.method = method,
                               .path = url,
                               .client = client,
                               .client_port = port,
                               .args = args,
                               .body = strbuf_str(&x->body),
                               .body_len = x->body.len,
                               .impl = c};
    h->handler(h->ctx, &rq, &r);
    if (r.delay_ms == 0)
        return send_response(c, &r);
    x->answer = r;
    delay(h, x, c);
    return MHD_YES;
}

static void on_completed(void *cls, struct MHD_Connection *c, void **con_cls,
                         enum MHD_RequestTerminationCode why)
{
    (void)cls;
    (void)c;
    (void)why;
    struct exchange *x = *con_cls;

    if (x) {
        /* A form may hold secrets (user data): not left behind in freed memory. */
        if (x->body.s)
            explicit_bzero(x->body.s, x->body.len);
        strbuf_free(&x->body);
        response_free(&x->answer);
    }
    free(x);
    *con_cls = NULL;
}

/* The socket is ours so that "in use" can be told from other failures. */
static int listen_on(const char *address, uint16_t port, int *ret_fd, struct err *err)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
    uint32_t at;

    if (ipv4_parse(address, &at) < 0)
        return err_set(err, ERR_USAGE, "listen on '%s': not an IPv4 address", address);
    sa.sin_addr.s_addr = htonl(at);
    _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_errno(err, errno, "socket");
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, SOMAXCONN) < 0) {
        int e = errno;

        err_errno(err, e, "listen on %s:%u", address, port);
        errno = e;
        return -1;
    }
    *ret_fd = fd;
    fd = -1;
    return 0;
}

int httpd_open(const char *address, uint16_t port, size_t body_max, httpd_handler handler,
               void *ctx, struct httpd **ret, struct err *err)
{
    int fd = -1;

    if (listen_on(address, port, &fd, err) < 0)
        return -1;
    /* A peer that is gone is an error of its connection, not the end of the program; libmicrohttpd
     * uses sendfile only when it is told so. */
    signal(SIGPIPE, SIG_IGN);
    struct httpd *h = xcalloc(1, sizeof(*h));
    *h = (struct httpd){.handler = handler, .ctx = ctx, .body_max = body_max};
    h->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, port, NULL, NULL, on_request, h,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)HTTPD_CONNECTIONS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        (unsigned)HTTPD_PER_ADDRESS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTPD_IDLE_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)256 * 1024, MHD_OPTION_SIGPIPE_HANDLED_BY_APP,
        1, MHD_OPTION_END);
    if (!h->daemon) {
        close(fd);
        free(h);
        return err_set(err, ERR_FAILED, "listen on %s:%u: the HTTP server did not start", address,
                       port);
    }
    *ret = h;
    return 0;
}

int httpd_fd(const struct httpd *h)
{
    return MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

int httpd_due_ms(const struct httpd *h)
{
    MHD_UNSIGNED_LONG_LONG ms = 0;
    uint64_t now = clock_mono_ms();
    bool bound = MHD_get_timeout(h->daemon, &ms) == MHD_YES;

    for (const struct exchange *x = h->delayed; x; x = x->next) {
        uint64_t left = x->due_ms > now ? x->due_ms - now : 0;

        ms = bound && ms < left ? ms : left;
        bound = true;
    }
    for (const struct client *s = h->clients; s; s = s->next) {
        uint64_t passed = now - s->since;
        uint64_t left = passed < HTTPD_HEADERS_MS ? HTTPD_HEADERS_MS - passed : 0;

        if (s->settled)
            continue;
        ms = bound && ms < left ? ms : left;
        bound = true;
    }
    return !bound ? -1 : ms > 60000 ? 60000 : (int)ms;
}

/* Its descriptors are edge-triggered: it tells by its timeout that it can go on, and sends one part
 * of each file a turn. */
void httpd_run(struct httpd *h)
{
    uint64_t start = clock_mono_ms();
    MHD_UNSIGNED_LONG_LONG ms;

    resume(h, false);
    cut_slow(h);
    do
        MHD_run(h->daemon);
    while (MHD_get_timeout(h->daemon, &ms) == MHD_YES && ms == 0 &&
           clock_mono_ms() - start < HTTPD_RUN_MS);
}

void httpd_close(struct httpd *h)
{
    if (!h)
        return;
    resume(h, true);
    MHD_stop_daemon(h->daemon); /* closes the listening socket */
    free(h);
}

const char *httpd_header(const struct httpd_request *rq, const char *name)
{
    return MHD_lookup_connection_value(rq->impl, MHD_HEADER_KIND, name);
}

void httpd_reply(struct httpd_response *ret, int status, const char *type, char *text)
{
    ret->status = status;
    ret->body = text;
    ret->body_len = strlen(text);
    httpd_reply_header(ret, "Content-Type", type);
}

void httpd_reply_header(struct httpd_response *ret, const char *name, const char *value)
{
    for (size_t i = 0; i < HTTPD_HEADERS_MAX; i++) {
        if (!ret->headers[i].name) {
            ret->headers[i].name = name;
            ret->headers[i].value = xstrdup(value);
            return;
        }
    }
}
