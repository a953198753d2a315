/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP client and the HTTP server against each other, in one loop over real sockets. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/httpd.h"
#include "common/str.h"
#include "controller/cloud/http.h"

#define PORT 17520
#define URL "http://127.0.0.1:17520"
#define WAIT_MS 20000
#define ZEROS 4096 /* after the first line of the answer with zeros in it */

struct world {
    struct http *http;
    struct httpd *server;
    char file[32];
    size_t answers;
    struct strbuf body; /* of the last answer */
};

static void on_request(void *ctx, const struct httpd_request *rq, struct httpd_response *ret)
{
    if (str_eq(rq->path, "/file")) {
        ret->status = 200;
        ret->file = ((struct world *)ctx)->file;
    }
    if (str_eq(rq->path, "/zeros")) {
        ret->status = 200;
        ret->body_len = 5 + ZEROS;
        ret->body = xcalloc(ret->body_len, 1);
        memcpy(ret->body, "first", 5);
    }
}

static int setup(void **state)
{
    static struct world w;
    struct err err;

    w = (struct world){0};
    w.http = http_new();
    if (httpd_open("127.0.0.1", PORT, 1024, on_request, &w, &w.server, &err) < 0)
        fail_msg("%s", err.msg);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    http_free(w->http);
    httpd_close(w->server);
    strbuf_free(&w->body);
    return 0;
}

static void on_answer(void *ctx, const struct http_answer *a)
{
    struct world *w = ctx;

    if (a->status != 200)
        fail_msg("status %ld: %s", a->status, a->err.msg);
    w->answers++;
    strbuf_reset(&w->body);
    strbuf_add(&w->body, a->body, a->len);
}

static void until_answered(struct world *w, struct http_fd *fds, size_t n)
{
    uint64_t end = clock_mono_ms() + WAIT_MS;

    while (http_pending(w->http) && clock_mono_ms() < end) {
        httpd_run(w->server);
        http_wait(w->http, fds, n, 10);
    }
    assert_int_equal(http_pending(w->http), 0);
}

/* An answer may hold any byte: its length is what came, not where the first zero is. */
static void test_zeros(void **state)
{
    struct world *w = *state;
    const struct http_call call = {.url = URL "/zeros", .max = 1 << 20, .timeout_s = 10};

    http_start(w->http, &call, on_answer, w);
    until_answered(w, NULL, 0);
    assert_int_equal(w->answers, 1);
    assert_int_equal(w->body.len, 5 + ZEROS);
    assert_memory_equal(w->body.s, "first\0\0", 7);
}

/* The loop waits for as many descriptors as its owner has. */
static void test_many_fds(void **state)
{
    struct world *w = *state;
    const struct http_call call = {.url = URL "/zeros", .max = 1 << 20, .timeout_s = 10};
    struct http_fd fds[40];

    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = (struct http_fd){.fd = httpd_fd(w->server), .revents = POLLHUP};
    http_start(w->http, &call, on_answer, w);
    until_answered(w, fds, ARRAY_LEN(fds));
    assert_int_equal(w->answers, 1);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        assert_int_not_equal(fds[i].revents, POLLHUP);
}

/* A download that was cut goes on where it was, by a client that is not ours. */
static void test_range(void **state)
{
    struct world *w = *state;
    struct err err;
    static const struct {
        const char *from, *want;
    } rows[] = {{"4-", "456789"}, {"0-", "0123456789"}, {"9-", "9"}, {"x-", "0123456789"}};

    if (access("/usr/bin/curl", X_OK) < 0)
        skip();
    strcpy(w->file, "/tmp/test-http-XXXXXX");
    int fd = mkstemp(w->file);
    assert_true(fd >= 0 && write(fd, "0123456789", 10) == 10);
    close(fd);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        _cleanup_free_ char *out = str_fmt("%s.out", w->file);
        _cleanup_free_ char *range = str_fmt("Range: bytes=%s", rows[i].from);
        _cleanup_free_ char *text = NULL;
        pid_t pid = fork();
        int status = 0;

        if (pid == 0) {
            execl("/usr/bin/curl", "curl", "-sf", "--noproxy", "*", "-H", range, "-o", out,
                  URL "/file", (char *)NULL);
            _exit(127);
        }
        for (uint64_t end = clock_mono_ms() + WAIT_MS;
             waitpid(pid, &status, WNOHANG) == 0 && clock_mono_ms() < end;) {
            struct http_fd in = {.fd = httpd_fd(w->server)};

            httpd_run(w->server);
            http_wait(w->http, &in, 1, 10);
        }
        assert_int_equal(status, 0);
        if (fs_read(out, 100, &text, NULL, &err) < 0)
            fail_msg("%s", err.msg);
        assert_string_equal(text, rows[i].want);
        unlink(out);
    }
    unlink(w->file);
}

#define SILENT 260

static int knock(void)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
        assert_int_equal(errno, EINPROGRESS);
    return fd;
}

static size_t ended(const int *fds, size_t n)
{
    size_t count = 0;
    char c;

    for (size_t i = 0; i < n; i++) {
        ssize_t got = recv(fds[i], &c, 1, MSG_PEEK);

        count += got == 0 || (got < 0 && errno != EAGAIN && errno != ENOTCONN);
    }
    return count;
}

/* More connections than the server keeps, from the address of one that downloads, say nothing, or
 * begin a request and never end it. */
static void test_silent_clients(void **state)
{
    struct world *w = *state;
    const struct http_call call = {.url = URL "/zeros", .max = 1 << 20, .timeout_s = 10};
    uint64_t end = clock_mono_ms() + WAIT_MS;
    int fds[SILENT];

    for (size_t i = 0; i < SILENT; i++) {
        fds[i] = knock();
        httpd_run(w->server);
        if (i % 2)
            (void)!send(fds[i], "GET / HTT", 9, MSG_NOSIGNAL);
    }
    http_start(w->http, &call, on_answer, w);
    until_answered(w, NULL, 0);
    assert_int_equal(w->answers, 1);
    while (ended(fds, SILENT) < SILENT && clock_mono_ms() < end) { /* nobody keeps his place */
        httpd_run(w->server);
        clock_pause_ms(5);
    }
    assert_int_equal(ended(fds, SILENT), SILENT);
    for (size_t i = 0; i < SILENT; i++)
        close(fds[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_zeros, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_fds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_range, setup, teardown),
        cmocka_unit_test_setup_teardown(test_silent_clients, setup, teardown),
    };

    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
