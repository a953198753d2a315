/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP requests that run side by side in the caller's loop (libcurl). TLS is verified, redirects
 * are refused, answers are bounded. */
#ifndef MUSTER_CONTROLLER_CLOUD_HTTP_H
#define MUSTER_CONTROLLER_CLOUD_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

struct http;

struct http_fd {
    int fd;
    short revents; /* set by http_wait: POLLIN or 0 */
};

struct http_answer {
    long status; /* of HTTP, or 0 with `err` set when no whole answer came */
    const char *body;
    size_t len;
    long retry_after_s;   /* what the server asked for, 0: nothing */
    const char *location; /* where a redirect leads, which is not followed; or NULL */
    struct err err;
};

/* Called once per request; the answer is valid during the call. */
typedef void (*http_done_fn)(void *ctx, const struct http_answer *a);

struct http *http_new(void);
void http_free(struct http *h); /* drops what is under way without calling back */

struct http_call {
    const char *url;
    const char *form;   /* NULL: GET, else a form's POST */
    const char *site;   /* as visitors call it, "https://www.example.org"; NULL: as `url` says */
    size_t max;         /* bytes of the answer */
    unsigned timeout_s; /* of the whole request */
    bool once;          /* not to be sent twice, whatever happens to the connection */
};
/* Starts a request; copies what it needs. */
void http_start(struct http *h, const struct http_call *call, http_done_fn done, void *ctx);
/* Waits at most `timeout_ms` for progress or for one of the descriptors to become readable, and
 * delivers what has finished. */
void http_wait(struct http *h, struct http_fd *fds, size_t n, int timeout_ms);
/* Requests under way. */
size_t http_pending(const struct http *h);

#endif
