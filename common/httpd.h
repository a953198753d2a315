/* SPDX-License-Identifier: Apache-2.0 */
/* A small HTTP server without threads of its own: the owner's loop polls its descriptor, not longer
 * than httpd_due_ms says, and calls httpd_run, which calls the handler for every complete
 * request and sends what the clients take, for some milliseconds. SIGPIPE is ignored from
 * httpd_open on. */
#ifndef MUSTER_HTTPD_H
#define MUSTER_HTTPD_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/pairs.h"

struct httpd;

/* Borrowed for the time of the call. */
struct httpd_request {
    const char *method; /* "GET", "HEAD", "POST", … */
    const char *path;   /* decoded, without the query */
    const char *client; /* the peer's IPv4 address as text */
    uint16_t client_port;
    struct pairs args; /* of the query string, decoded */
    const char *body;  /* NUL-terminated; "" without one */
    size_t body_len;
    void *impl;
};

#define HTTPD_HEADERS_MAX 8

enum httpd_end {
    HTTPD_ANSWER,
    HTTPD_CLOSE, /* close the connection instead */
    HTTPD_RESET, /* the same, with a TCP reset */
};

/* Zeroed before the handler is called: status 0 means 404. Either `body` (malloc'ed, taken over)
 * or `file` (a path that is opened and sent whole, or from where the client asks; missing: 404;
 * what has that name never changes). */
struct httpd_response {
    int status;
    enum httpd_end end;
    unsigned delay_ms; /* before it is sent; other requests are answered meanwhile */
    char *body;
    size_t body_len;
    const char *file;
    struct {
        const char *name; /* a literal */
        char *value;      /* malloc'ed, taken over */
    } headers[HTTPD_HEADERS_MAX];
};

typedef void (*httpd_handler)(void *ctx, const struct httpd_request *rq,
                              struct httpd_response *ret);

/* Listens on the IPv4 address. `body_max` bounds a request's body in bytes (413 beyond). An
 * address in use is ERR_FAILED with errno EADDRINUSE. */
int httpd_open(const char *address, uint16_t port, size_t body_max, httpd_handler handler,
               void *ctx, struct httpd **ret, struct err *err);
int httpd_fd(const struct httpd *h); /* poll for reading (level-triggered) */
/* At most this many milliseconds may pass before the next httpd_run; -1: no bound. */
int httpd_due_ms(const struct httpd *h);
void httpd_run(struct httpd *h);
void httpd_close(struct httpd *h);

/* Value of a request's header, or NULL. */
const char *httpd_header(const struct httpd_request *rq, const char *name);
/* Sets body and length from a text that is taken over, and Content-Type. */
void httpd_reply(struct httpd_response *ret, int status, const char *type, char *text);
void httpd_reply_header(struct httpd_response *ret, const char *name, const char *value);

#endif
