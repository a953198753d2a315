/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP requests that run side by side in the caller's loop (libcurl). TLS is verified, redirects
 * are refused, answers are bounded. */
#ifndef MUSTER_HTTP_H
#define MUSTER_HTTP_H

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

/* Starts a request; `form` NULL: GET, else a form's POST. `max` bounds the answer in bytes,
 * `timeout_s` the whole request. */
void http_start(struct http *h, const char *url, const char *form, size_t max, unsigned timeout_s,
                http_done_fn done, void *ctx);
/* Waits at most `timeout_ms` for progress or for one of the descriptors to become readable, and
 * delivers what has finished. */
void http_wait(struct http *h, struct http_fd *fds, size_t n, int timeout_ms);
/* Requests under way. */
size_t http_pending(const struct http *h);

#endif
