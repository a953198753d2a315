/* SPDX-License-Identifier: Apache-2.0 */
/* A node's health: what is judged from a state, and the two ports as clients see them. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/health/health.h"
#include "agent/net/internal.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/js.h"

static json_t *parse(const char *text)
{
    json_t *j = json_loads(text, 0, NULL);

    assert_non_null(j);
    return j;
}

static const char primary[] = "{'phase':'ready','db':{'state':'Synced','status':'Primary','cluster_"
                              "size':2},'web':{'status':200,'why':''}}";

static char *quoted(const char *text)
{
    char *copy = xstrdup(text);

    for (char *c = copy; *c; c++)
        if (*c == '\'')
            *c = '"';
    return copy;
}

static const struct row {
    const char *state;
    uint64_t age;
    enum health_value database, ready;
    const char *reason; /* part of the first one; NULL: there is none */
} rows[] = {
    {primary, 0, HEALTH_YES, HEALTH_YES, NULL},
    {primary, HEALTH_STALE_MS, HEALTH_YES, HEALTH_YES, NULL},
    {primary, HEALTH_STALE_MS + 1, HEALTH_UNKNOWN, HEALTH_UNKNOWN, "last look was 30 s ago"},
    {NULL, 0, HEALTH_UNKNOWN, HEALTH_UNKNOWN, "has not looked yet"},
    {"{'phase':'converging','db':{'state':'Donor/"
     "Desynced','status':'Primary'},'web':{'status':200,'why':''}}",
     0, HEALTH_YES, HEALTH_YES, NULL},
    {"{'phase':'ready','db':{'state':'Synced','status':'non-Primary'},'web':{'status':200,'why':''}"
     "}",
     0, HEALTH_NO, HEALTH_NO, "the database is Synced (non-Primary)"},
    {"{'phase':'ready','db':{'state':'Joining','status':'Primary'},'web':{'status':200,'why':''}}",
     0, HEALTH_NO, HEALTH_NO, "Joining"},
    {"{'phase':'ready','db':{'state':'Stopped','status':'Disconnected'}}", 0, HEALTH_NO, HEALTH_NO,
     "Stopped"},
    {"{'phase':'ready','db':{'state':'Unknown','status':'Unknown','unknown':'error 1040'},"
     "'web':{'status':200,'why':''}}",
     0, HEALTH_UNKNOWN, HEALTH_UNKNOWN, "error 1040"},
    /* what is known to fail outweighs what is not known */
    {"{'phase':'ready','db':{'state':'Unknown','status':'Unknown','unknown':'x'},'web':{'status':"
     "500,'why':'HTTP 500'}}",
     0, HEALTH_UNKNOWN, HEALTH_NO, "could not be asked"},
    {"{'phase':'ready','db':{'state':'Synced','status':'Primary'},'web':{'status':503,'why':'the "
     "site answers HTTP 503 at /'}}",
     0, HEALTH_YES, HEALTH_NO, "HTTP 503"},
    {"{'phase':'ready','db':{'state':'Synced','status':'Primary'},'web':{'status':0,'why':'its web "
     "server does not answer: refused'}}",
     0, HEALTH_YES, HEALTH_NO, "does not answer"},
    {"{'phase':'ready','web':null}", 0, HEALTH_YES, HEALTH_UNKNOWN, "has not looked at the web"},
    {"{'phase':'ready','web':{'status':403,'why':'PHP is not active in Apache'}}", 0, HEALTH_YES,
     HEALTH_NO, "PHP"},
    {"{'phase':'ready','web':{'status':302,'why':''}}", 0, HEALTH_YES, HEALTH_YES, NULL},
    {"{'phase':'ready'}", 0, HEALTH_YES, HEALTH_YES, NULL},
    {"{'phase':'converging'}", 0, HEALTH_YES, HEALTH_NO, "converging"},
    {"{}", 0, HEALTH_YES, HEALTH_NO, "not carried out"},
    {"{'phase':'ready','db':{}}", 0, HEALTH_NO, HEALTH_NO, "no known state"},
    {"{'phase':'ready','db':7,'web':'200'}", 0, HEALTH_NO, HEALTH_NO, "no known state"},
    {"{'phase':'ready','db':{'state':'Donor/Desynced','status':'Primary','blocked':true}}", 0,
     HEALTH_NO, HEALTH_NO, "by rsync"},
};

static void test_judge(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct health h = {0};
        _cleanup_free_ char *text = rows[i].state ? quoted(rows[i].state) : NULL;
        _cleanup_json_ json_t *j = text ? parse(text) : NULL;

        health_judge(&h, j, rows[i].age);
        if (h.database != rows[i].database || h.ready != rows[i].ready)
            fail_msg("row %zu: database %d, ready %d", i, (int)h.database, (int)h.ready);
        if (!rows[i].reason)
            assert_int_equal(h.n_reasons, 0);
        else if (!h.n_reasons || !strstr(h.reasons[0], rows[i].reason))
            fail_msg("row %zu: '%s'", i, h.n_reasons ? h.reasons[0] : "");
        /* the site's own answer counts while the database cannot be asked */
        assert_int_equal(h.traffic, h.ready == HEALTH_YES || (h.ready == HEALTH_UNKNOWN && h.site));
    }
}

/* A look that failed neither takes a node out of traffic nor puts it in. */
static void test_unknown_keeps_traffic(void **state)
{
    struct health h = {0};
    _cleanup_free_ char *good = quoted(primary), *bad = quoted(rows[7].state),
                        *unknown = quoted("{'phase':'ready','db':{'unknown':'x'},'web':null}");
    _cleanup_json_ json_t *yes = parse(good), *no = parse(bad), *maybe = parse(unknown);

    (void)state;
    health_judge(&h, maybe, 0);
    assert_false(h.traffic);
    health_judge(&h, yes, 0);
    health_judge(&h, maybe, 0);
    assert_true(h.traffic);
    assert_int_equal(h.ready, HEALTH_UNKNOWN);
    health_judge(&h, yes, HEALTH_STALE_MS + 1);
    assert_true(h.traffic);
    health_judge(&h, no, 0);
    assert_false(h.traffic);
    health_judge(&h, maybe, 0);
    assert_false(h.traffic);
}

static int answer_of(const struct health *h, const json_t *state, const char *path,
                     struct strbuf *body)
{
    const char *type;
    const struct health_source s = {.node = "fra", .state = state, .age_ms = 1500};

    return health_answer(h, &s, path, &type, body);
}

static void test_answers(void **state)
{
    static const struct {
        const char *path;
        int yes, no, unknown; /* status; unknown: after it was known to be good */
    } paths[] = {
        {"/", 200, 503, 200},           {"/live", 200, 200, 200}, {"/ready", 200, 503, 503},
        {"/read-write", 200, 503, 503}, {"/x", 404, 404, 404},    {"//", 404, 404, 404},
    };
    _cleanup_free_ char *good = quoted(primary), *bad = quoted(rows[7].state),
                        *unknown = quoted(rows[8].state);
    _cleanup_json_ json_t *yes = parse(good), *no = parse(bad), *maybe = parse(unknown);

    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        struct health h = {0};
        _cleanup_(strbuf_free) struct strbuf a = {0}, b = {0}, c = {0};

        health_judge(&h, yes, 0);
        assert_int_equal(answer_of(&h, yes, paths[i].path, &a), paths[i].yes);
        health_judge(&h, maybe, 0);
        assert_int_equal(answer_of(&h, maybe, paths[i].path, &b), paths[i].unknown);
        health_judge(&h, no, 0);
        assert_int_equal(answer_of(&h, no, paths[i].path, &c), paths[i].no);
        if (i > 3)
            continue;
        _cleanup_json_ json_t *ja = parse(a.s), *jb = parse(b.s), *jc = parse(c.s);
        assert_true(json_is_true(json_object_get(ja, "ready")));
        assert_true(json_is_null(json_object_get(jb, "ready")));
        assert_true(json_is_false(json_object_get(jc, "read_write")));
        assert_int_equal(json_array_size(json_object_get(jc, "reasons")), 1);
        assert_string_equal(js_opt_str(jc, "node", ""), "fra");
    }
}

/* Finishes what it has: that it could serve is known all the same. One that cannot serve says so.
 */
static void test_drain(void **state)
{
    (void)state;
    static const char drained[] =
        "{'phase':'ready','drain':'a new disk','db':{'state':'Synced','status':'Primary'},'web':{"
        "'status':200,'why':''}}";
    static const char broken[] =
        "{'phase':'ready','drain':'a new disk','db':{'state':'Stopped','status':'Disconnected'}}";
    struct health h = {0};
    _cleanup_(strbuf_free) struct strbuf root = {0}, ready = {0}, live = {0}, line = {0},
                                         after = {0}, down = {0};
    _cleanup_free_ char *good = quoted(primary), *one = quoted(drained), *two = quoted(broken);
    _cleanup_json_ json_t *yes = parse(good), *drain = parse(one), *no = parse(two);

    health_judge(&h, drain, 0);
    assert_int_equal(answer_of(&h, drain, "/", &root), 404);
    assert_int_equal(answer_of(&h, drain, "/ready", &ready), 404);
    assert_int_equal(answer_of(&h, drain, "/live", &live), 200);
    _cleanup_json_ json_t *said = parse(root.s);
    assert_true(json_is_false(json_object_get(said, "traffic")));
    assert_true(json_is_true(json_object_get(said, "ready")));
    assert_non_null(strstr(root.s, "drain: a new disk"));
    health_check_line(&h, &line);
    assert_string_equal(line.s, "drain\n");
    health_judge(&h, drain, HEALTH_STALE_MS + 1); /* nobody ended it */
    strbuf_reset(&root);
    assert_int_equal(answer_of(&h, drain, "/", &root), 404);
    health_judge(&h, no, 0);
    assert_int_equal(answer_of(&h, no, "/", &down), 503);
    health_judge(&h, yes, 0);
    assert_int_equal(answer_of(&h, yes, "/", &after), 200);
}

/* What is not known is absent, not zero. */
static void test_metrics(void **state)
{
    struct health h = {0};
    _cleanup_(strbuf_free) struct strbuf a = {0}, b = {0};
    _cleanup_free_ char *good = quoted(primary), *unknown = quoted(rows[8].state);
    _cleanup_json_ json_t *yes = parse(good), *maybe = parse(unknown);

    (void)state;
    health_judge(&h, yes, 0);
    assert_int_equal(answer_of(&h, yes, "/metrics", &a), 200);
    assert_non_null(strstr(a.s, "\nmuster_ready 1\n"));
    assert_non_null(strstr(a.s, "\nmuster_database_cluster_size 2\n"));
    assert_non_null(strstr(a.s, "\nmuster_state_age_seconds 1.5\n"));
    health_judge(&h, maybe, 0);
    assert_int_equal(answer_of(&h, maybe, "/metrics", &b), 200);
    assert_null(strstr(b.s, "muster_ready"));
    assert_null(strstr(b.s, "muster_database_primary"));
    assert_null(strstr(b.s, "cluster_size"));
    assert_non_null(strstr(b.s, "\nmuster_traffic 1\n"));
}

/* --- over sockets ----------------------------------------------------------------------------- */

#define HTTP_PORT 17484
#define LINE_PORT 17485

static struct bootstrap boot = {.node = "fra"};
static struct net n = {.boot = &boot};

static void serve_until(int fd, short what)
{
    uint64_t end = clock_mono_ms() + 10000;

    for (;;) {
        struct pollfd p = {.fd = fd, .events = what};

        net_health_serve(&n, clock_mono_ms());
        if (poll(&p, 1, 5) == 1)
            return;
        assert_true(clock_mono_ms() < end);
    }
}

static int connect_to(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static void read_all(int fd, char *ret, size_t cap)
{
    size_t len = 0;

    for (;;) {
        serve_until(fd, POLLIN);
        ssize_t got = recv(fd, ret + len, cap - 1 - len, 0);

        assert_true(got >= 0);
        if (got == 0)
            break;
        len += (size_t)got;
    }
    ret[len] = '\0';
    close(fd);
}

static void ask(const char *request, char *ret, size_t cap)
{
    int fd = connect_to(HTTP_PORT);

    assert_int_equal(send(fd, request, strlen(request), 0), (ssize_t)strlen(request));
    read_all(fd, ret, cap);
}

static void report(const char *text)
{
    _cleanup_free_ char *json = quoted(text);
    _cleanup_json_ json_t *j = parse(json);

    net_health_state(&n, j);
}

static void test_sockets(void **state)
{
    char answer[8192];

    (void)state;
    net_health_open(&n, HTTP_PORT, LINE_PORT);
    ask("GET / HTTP/1.0\r\n\r\n", answer, sizeof(answer));
    assert_non_null(strstr(answer, "HTTP/1.1 503 "));
    report(primary);
    ask("GET /?x=1 HTTP/1.0\r\n\r\n", answer, sizeof(answer));
    assert_non_null(strstr(answer, "HTTP/1.1 200 "));
    assert_non_null(strstr(answer, "\"node\":\"fra\""));
    ask("OPTIONS / HTTP/1.0\r\n\r\n", answer, sizeof(answer));
    assert_non_null(strstr(answer, "HTTP/1.1 200 "));
    ask("HEAD /ready HTTP/1.1\r\nHost: x\r\n\r\n", answer, sizeof(answer));
    assert_non_null(strstr(answer, "HTTP/1.1 200 "));
    assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
    ask("POST / HTTP/1.0\r\n\r\n", answer, sizeof(answer));
    assert_non_null(strstr(answer, "HTTP/1.1 400 "));
    ask("\x16\x03\x01\n\n", answer, sizeof(answer));
    assert_non_null(strstr(answer, "HTTP/1.1 400 "));
    read_all(connect_to(LINE_PORT), answer, sizeof(answer));
    assert_string_equal(answer, "up ready\n");
    report(rows[7].state);
    read_all(connect_to(LINE_PORT), answer, sizeof(answer));
    assert_string_equal(answer, "down#the database is Stopped (Disconnected)\n");
    net_health_close(&n);
}

/* Clients that send nothing, or bytes without an end, hold nobody up. */
static void test_bad_clients(void **state)
{
    enum { IDLE = 200 };
    int idle[IDLE];
    char answer[8192], *long_text = xcalloc(1, 100001);

    (void)state;
    net_health_open(&n, HTTP_PORT, LINE_PORT);
    report(primary);
    for (int i = 0; i < IDLE; i++) {
        idle[i] = connect_to(HTTP_PORT);
        net_health_serve(&n, clock_mono_ms());
    }
    ask("GET /ready HTTP/1.0\r\n\r\n", answer, sizeof(answer));
    assert_non_null(strstr(answer, "HTTP/1.1 200 "));
    for (int i = 0; i < IDLE; i++)
        close(idle[i]);
    int fd = connect_to(HTTP_PORT);
    memset(long_text, 'a', 100000);
    send(fd, long_text, 100000, MSG_NOSIGNAL | MSG_DONTWAIT);
    serve_until(fd, POLLIN | POLLHUP); /* ended, however much more comes */
    close(fd);
    free(long_text);
    ask("GET /ready HTTP/1.0\r\n\r\n", answer, sizeof(answer));
    assert_non_null(strstr(answer, "HTTP/1.1 200 "));
    net_health_close(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_judge),       cmocka_unit_test(test_unknown_keeps_traffic),
        cmocka_unit_test(test_answers),     cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_drain),       cmocka_unit_test(test_sockets),
        cmocka_unit_test(test_bad_clients),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
