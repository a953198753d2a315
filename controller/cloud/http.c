/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cloud/http.h"

#include <curl/curl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/str.h"

#define CONNECT_TIMEOUT_S 10

struct request {
    CURL *easy;
    char *form;
    struct curl_slist *headers;
    struct strbuf body;
    size_t max;
    bool too_long;
    char detail[CURL_ERROR_SIZE];
    http_done_fn done;
    void *ctx;
    struct request *next;
};

struct http {
    CURLM *multi;
    struct request *all;
    size_t pending;
};

struct http *http_new(void)
{
    struct http *h = xcalloc(1, sizeof(*h));

    if (curl_global_init(CURL_GLOBAL_DEFAULT) || !(h->multi = curl_multi_init()))
        abort();
    curl_multi_setopt(h->multi, CURLMOPT_MAX_HOST_CONNECTIONS, 8L);
    return h;
}

static void request_free(struct http *h, struct request *r)
{
    struct request **at = &h->all;

    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    h->pending--;
    curl_multi_remove_handle(h->multi, r->easy);
    curl_easy_cleanup(r->easy);
    free(r->form);
    strbuf_free(&r->body);
    curl_slist_free_all(r->headers);
    free(r);
}

void http_free(struct http *h)
{
    if (!h)
        return;
    while (h->all)
        request_free(h, h->all);
    curl_multi_cleanup(h->multi);
    curl_global_cleanup();
    free(h);
}

static size_t on_data(char *data, size_t size, size_t n, void *ctx)
{
    struct request *r = ctx;

    if (r->body.len + size * n > r->max) {
        r->too_long = true;
        return 0;
    }
    strbuf_add(&r->body, data, size * n);
    return size * n;
}

/* The server behind `url` is asked as its visitors ask it. */
static void ask_for_site(struct request *r, const char *site)
{
    bool tls = str_starts(site, "https://");
    const char *host = strstr(site, "://");
    _cleanup_free_ char *header = NULL;

    host = host ? host + 3 : site;
    header = str_fmt("Host: %.*s", (int)strcspn(host, "/"), host);
    r->headers = curl_slist_append(r->headers, header);
    if (tls) /* as the front door that ends TLS says it */
        r->headers = curl_slist_append(r->headers, "X-Forwarded-Proto: https");
    curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, r->headers);
}

void http_start(struct http *h, const struct http_call *call, http_done_fn done, void *ctx)
{
    struct request *r = xcalloc(1, sizeof(*r));

    r->easy = curl_easy_init();
    if (!r->easy)
        abort();
    r->max = call->max;
    r->done = done;
    r->ctx = ctx;
    curl_easy_setopt(r->easy, CURLOPT_URL, call->url);
    curl_easy_setopt(r->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(r->easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(r->easy, CURLOPT_TIMEOUT, (long)call->timeout_s);
    curl_easy_setopt(r->easy, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
    curl_easy_setopt(r->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(r->easy, CURLOPT_USERAGENT, "muster/" MUSTER_VERSION);
    curl_easy_setopt(r->easy, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(r->easy, CURLOPT_WRITEDATA, r);
    curl_easy_setopt(r->easy, CURLOPT_ERRORBUFFER, r->detail);
    curl_easy_setopt(r->easy, CURLOPT_PRIVATE, r);
    /* On a connection that was used before, libcurl sends a request again by itself when the server
     * closes it without an answer. */
    curl_easy_setopt(r->easy, CURLOPT_FRESH_CONNECT, call->once ? 1L : 0L);
    if (call->form) {
        r->form = xstrdup(call->form);
        curl_easy_setopt(r->easy, CURLOPT_POSTFIELDS, r->form);
        curl_easy_setopt(r->easy, CURLOPT_POSTFIELDSIZE, (long)strlen(r->form));
    }
    if (call->site && *call->site)
        ask_for_site(r, call->site);
    curl_multi_add_handle(h->multi, r->easy);
    r->next = h->all;
    h->all = r;
    h->pending++;
}

static void deliver(struct http *h, struct request *r, CURLcode rc)
{
    struct http_answer a = {0};
    http_done_fn done = r->done;
    void *ctx = r->ctx;
    curl_off_t retry_after = 0;
    char *redirect = NULL;
    _cleanup_(strbuf_free) struct strbuf body = r->body; /* may hold any byte, zero too */
    _cleanup_free_ char *location = NULL;

    r->body = (struct strbuf){0};
    if (rc == CURLE_OK) {
        curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &a.status);
        curl_easy_getinfo(r->easy, CURLINFO_RETRY_AFTER, &retry_after);
        curl_easy_getinfo(r->easy, CURLINFO_REDIRECT_URL, &redirect);
        a.location = location = redirect ? xstrdup(redirect) : NULL;
        a.retry_after_s = (long)retry_after;
        a.body = strbuf_str(&body);
        a.len = body.len;
    } else if (r->too_long) {
        err_set(&a.err, ERR_CLOUD, "answer longer than %zu bytes", r->max);
    } else {
        err_set(&a.err, rc == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT : ERR_CLOUD, "%s",
                r->detail[0] ? r->detail : curl_easy_strerror(rc));
    }
    request_free(h, r);
    done(ctx, &a);
}

void http_wait(struct http *h, struct http_fd *fds, size_t n, int timeout_ms)
{
    _cleanup_free_ struct curl_waitfd *extra = xcalloc(n, sizeof(*extra));
    int running, left;
    CURLMsg *m;

    for (size_t i = 0; i < n; i++)
        extra[i] = (struct curl_waitfd){.fd = fds[i].fd, .events = CURL_WAIT_POLLIN};
    curl_multi_perform(h->multi, &running);
    if ((size_t)running == h->pending)
        curl_multi_poll(h->multi, extra, (unsigned)n, timeout_ms, NULL);
    for (size_t i = 0; i < n; i++)
        fds[i].revents = (size_t)running == h->pending && extra[i].revents ? POLLIN : 0;
    curl_multi_perform(h->multi, &running);
    while ((m = curl_multi_info_read(h->multi, &left))) {
        struct request *r = NULL;

        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&r);
        deliver(h, r, m->data.result);
    }
}

size_t http_pending(const struct http *h)
{
    return h->pending;
}
