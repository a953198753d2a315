/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration of the front door, in a real HAProxy on loopback: two sites with their health,
 * and visitors whose requests the sites write down. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/frontdoor/frontdoor.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"

#define FRONT_PORT 17580
#define SITE_PORT 17581
#define HEALTH_PORT 17582
#define VISITORS 4
#define WAIT_MS 60000
#define WORK_MS 20 /* of a site for a request */

enum { FRA, PAR, SITES };

static const char *const names[SITES] = {"fra", "par"};
static const char *const addresses[SITES] = {"127.0.0.1", "127.0.0.2"};

static struct shared {
    volatile int health[SITES]; /* what it answers */
    volatile unsigned done, failed_reads, failed_posts, served[SITES];
    volatile bool stop;
} * shared;

static char top[64];
static pid_t sites[SITES], healths[SITES], visitors[VISITORS], haproxy;

static struct frontdoor two(void)
{
    return (struct frontdoor){
        .node = names[FRA], .peers = {{names[PAR], addresses[PAR]}}, .n_peers = 1};
}

/* --- what is behind it ------------------------------------------------------------------------ */

static int listen_at(const char *address, int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    inet_pton(AF_INET, address, &at.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 128) < 0)
        fail_msg("%s:%d: %s", address, port, strerror(errno));
    return fd;
}

/* Head and body of a request; false: it did not come whole. */
static bool read_request(int fd, char *ret, size_t cap)
{
    size_t len = 0;

    for (;;) {
        ssize_t n = recv(fd, ret + len, cap - 1 - len, 0);
        const char *end, *length;

        if (n <= 0)
            return false;
        len += (size_t)n;
        ret[len] = '\0';
        end = strstr(ret, "\r\n\r\n");
        length = strcasestr(ret, "\r\nContent-Length: ");
        if (end && len >= (size_t)(end + 4 - ret) + (length ? strtoul(length + 18, NULL, 10) : 0))
            return true;
    }
}

static void say(int fd, int status, const char *text)
{
    char answer[512];
    int len = snprintf(answer, sizeof(answer),
                       "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                       status, strlen(text), text);

    if (send(fd, answer, (size_t)len, MSG_NOSIGNAL) == len)
        shutdown(fd, SHUT_WR);
}

static void note(const char *file, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void note(const char *file, const char *fmt, ...)
{
    _cleanup_free_ char *path = str_fmt("%s/%s", top, file);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    char line[256];
    va_list ap;

    va_start(ap, fmt);
    int len = vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    if (write(fd, line, (size_t)len) != len)
        _exit(1);
}

/* Executes a request, that is: writes it down. */
static void serve(int site, int fd)
{
    char request[4096], method[8] = "", path[64] = "", text[128];

    if (!read_request(fd, request, sizeof(request)) ||
        sscanf(request, "%7s %63s", method, path) != 2)
        return;
    const char *from = strcasestr(request, "\r\nX-Forwarded-For: ");
    from = from ? from + strlen("\r\nX-Forwarded-For: ") : "";
    note("executed", "%s %s %s\n", method, path, names[site]);
    __atomic_add_fetch(&shared->served[site], 1, __ATOMIC_SEQ_CST);
    if (str_starts(path, "/drop")) /* executed, and nobody knows */
        return;
    if (str_starts(path, "/503")) {
        say(fd, 503, names[site]);
        return;
    }
    clock_pause_ms(WORK_MS);
    snprintf(text, sizeof(text), "%s for %.*s", names[site], (int)strcspn(from, "\r"), from);
    say(fd, 200, text);
}

static pid_t child(void)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setpgid(0, 0);
        signal(SIGCHLD, SIG_IGN);
        signal(SIGPIPE, SIG_IGN);
    } else {
        setpgid(pid, pid);
    }
    return pid;
}

static void site_start(int site)
{
    int at = listen_at(addresses[site], SITE_PORT);

    sites[site] = child();
    for (int fd; sites[site] == 0 && (fd = accept(at, NULL, NULL)) >= 0;) {
        if (fork() == 0) {
            serve(site, fd);
            _exit(0);
        }
        close(fd);
    }
    close(at);
}

static void health_start(int site)
{
    int at = listen_at(addresses[site], HEALTH_PORT);
    char request[4096];

    healths[site] = child();
    for (int fd; healths[site] == 0 && (fd = accept(at, NULL, NULL)) >= 0; close(fd))
        if (read_request(fd, request, sizeof(request)) && str_starts(request, "GET / "))
            say(fd, shared->health[site], "");
    close(at);
}

/* With all that it has begun. */
static void end(pid_t *pid)
{
    if (*pid <= 0)
        return;
    killpg(*pid, SIGKILL);
    waitpid(*pid, NULL, 0);
    *pid = 0;
}

/* --- visitors --------------------------------------------------------------------------------- */

/* Its status; 0: no answer. */
static int visit(const char *method, const char *path, const char *header, char *ret, size_t cap)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(FRONT_PORT)};
    _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char request[512];
    int status = 0;
    size_t len = 0;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int n = snprintf(
        request, sizeof(request),
        "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%sContent-Length: %d\r\n\r\n%s", method,
        path, header, str_eq(method, "POST") ? 3 : 0, str_eq(method, "POST") ? "a=b" : "");
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0 ||
        send(fd, request, (size_t)n, MSG_NOSIGNAL) != n)
        return 0;
    for (ssize_t got; len < cap - 1 && (got = recv(fd, ret + len, cap - 1 - len, 0)) > 0;)
        len += (size_t)got;
    ret[len] = '\0';
    return sscanf(ret, "HTTP/1.1 %d", &status) == 1 ? status : 0;
}

/* One in four is a POST. */
static void visitor_start(int who)
{
    char answer[4096], path[64];

    visitors[who] = child();
    for (int i = 0; visitors[who] == 0 && !shared->stop; i++) {
        bool post = i % 4 == who;

        snprintf(path, sizeof(path), "/%d-%d", who, i);
        int status = visit(post ? "POST" : "GET", path, "", answer, sizeof(answer));
        if (status == 200 && post)
            note("acknowledged", "%s\n", path);
        if (status != 200) {
            note("failed", "%s %s %d\n", post ? "POST" : "GET", path, status);
            __atomic_add_fetch(post ? &shared->failed_posts : &shared->failed_reads, 1,
                               __ATOMIC_SEQ_CST);
        }
        __atomic_add_fetch(&shared->done, 1, __ATOMIC_SEQ_CST);
    }
    if (visitors[who] == 0)
        _exit(0);
}

/* --- waiting for ------------------------------------------------------------------------------ */

static bool passed(uint64_t begun)
{
    if (clock_mono_ms() - begun > WAIT_MS)
        return true;
    clock_pause_ms(10);
    return false;
}

static void more_requests(unsigned n)
{
    unsigned from = shared->done;

    for (uint64_t begun = clock_mono_ms(); shared->done - from < n;)
        if (passed(begun))
            fail_msg("%u requests of %u", shared->done - from, n);
}

static void served_by(int site)
{
    unsigned from = shared->served[site];

    for (uint64_t begun = clock_mono_ms(); shared->served[site] - from < 10;)
        if (passed(begun))
            fail_msg("%s gets no requests", names[site]);
}

/* HAProxy says that new requests go to fra (or not, and that none is under way), and whether par
 * takes them. */
static void door_is(bool own_up, unsigned others)
{
    _cleanup_free_ char *path = str_fmt("%s/admin.sock", top);
    struct frontdoor_load l = {0};
    struct err err = {0};

    for (uint64_t begun = clock_mono_ms();;) {
        if (frontdoor_load(path, names[PAR], &l, &err) == 0 && l.own_up == own_up &&
            l.others == others && l.peer_up == (others == 1) && (own_up || l.flight == 0))
            return;
        if (passed(begun))
            fail_msg("up %d, others %u, flight %u; %s", l.own_up, l.others, l.flight, err.msg);
    }
}

/* --- HAProxy ---------------------------------------------------------------------------------- */

static void swap(char **text, const char *from, const char *to)
{
    char *at = strstr(*text, from);

    if (!at)
        fail_msg("no '%s' in %s", from, *text);
    char *fresh = str_fmt("%.*s%s%s", (int)(at - *text), *text, to, at + strlen(from));
    free(*text);
    *text = fresh;
}

static void haproxy_start(void)
{
    const struct frontdoor f = two();
    char *text = frontdoor_text(&f, NULL);
    _cleanup_free_ char *path = str_fmt("%s/haproxy.cfg", top);
    _cleanup_free_ char *admin = str_fmt("stats socket %s/admin.sock level", top);
    _cleanup_free_ char *log = str_fmt("%s/haproxy.log", top);
    struct err err;

    swap(&text, "    chroot /var/lib/haproxy\n", "");
    swap(&text, "    user haproxy\n    group haproxy\n", "");
    swap(&text, "stats socket " FRONTDOOR_SOCKET " user root group root mode 600 level", admin);
    swap(&text, "bind :80", "bind 127.0.0.1:17580");
    swap(&text, "127.0.0.1:8080", "127.0.0.1:17581");
    swap(&text, "127.0.0.2:8080", "127.0.0.2:17581");
    swap(&text, "port 7404", "port 17582");
    assert_int_equal(fs_write_atomic(path, text, strlen(text), 0600, &err), 0);
    free(text);
    if (proc_call(PROC_ARGV(FRONTDOOR_PROGRAM, "-c", "-q", "-f", path), &err) < 0)
        fail_msg("%s", err.msg);
    haproxy = child();
    if (haproxy == 0) {
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);

        dup2(fd, 1);
        dup2(fd, 2);
        signal(SIGCHLD, SIG_DFL);
        execl(FRONTDOOR_PROGRAM, FRONTDOOR_PROGRAM, "-W", "-f", path, NULL);
        _exit(127);
    }
}

static int setup(void **state)
{
    (void)state;
    str_copy(top, sizeof(top), "/tmp/test-frontdoor-XXXXXX");
    assert_non_null(mkdtemp(top));
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    for (int i = 0; i < SITES; i++) {
        shared->health[i] = 200;
        health_start(i);
        site_start(i);
    }
    haproxy_start();
    door_is(true, 1);
    for (int i = 0; i < VISITORS; i++)
        visitor_start(i);
    more_requests(50);
    return 0;
}

static int teardown(void **state)
{
    struct err err;

    (void)state;
    for (int i = 0; i < VISITORS; i++)
        end(&visitors[i]);
    end(&haproxy);
    for (int i = 0; i < SITES; i++) {
        end(&sites[i]);
        end(&healths[i]);
    }
    munmap(shared, sizeof(*shared));
    fs_remove_tree(top, &err);
    return 0;
}

/* The visitors go home: what they asked for is answered. */
static void stop_visitors(void)
{
    shared->stop = true;
    for (int i = 0; i < VISITORS; i++) {
        waitpid(visitors[i], NULL, 0);
        visitors[i] = 0;
    }
}

static char *written(const char *file)
{
    _cleanup_free_ char *path = str_fmt("%s/%s", top, file);
    char *text = NULL;
    struct err err;

    return fs_read(path, 16 * 1024 * 1024, &text, NULL, &err) == 0 ? text : xstrdup("");
}

static unsigned times(const char *text, const char *what)
{
    unsigned n = 0;

    for (const char *at = text; (at = strstr(at, what)); at++)
        n++;
    return n;
}

/* No POST was executed twice, and each that was acknowledged was executed. */
static void posts_were_executed_once(void)
{
    _cleanup_free_ char *executed = written("executed"), *good = written("acknowledged");
    char *save = NULL;
    unsigned n = 0;

    for (const char *at = executed; (at = strstr(at, "POST /")); at++) {
        _cleanup_free_ char *what = strndup(at, strcspn(at + 5, " ") + 6);

        if (times(executed, what) != 1)
            fail_msg("executed %u times: %s", times(executed, what), what);
    }
    for (char *path = strtok_r(good, "\n", &save); path; path = strtok_r(NULL, "\n", &save), n++) {
        _cleanup_free_ char *what = str_fmt("POST %s ", path);

        assert_int_equal(times(executed, what), 1);
    }
    assert_true(n > 10);
}

static void nothing_failed(void)
{
    _cleanup_free_ char *failed = written("failed");

    if (*failed)
        fail_msg("of %u requests failed: %s", shared->done, failed);
}

/* --- what happens ----------------------------------------------------------------------------- */

/* 404: what is under way is finished, nothing new comes, and the web server may be stopped. */
static void test_drain(void **state)
{
    (void)state;
    assert_int_equal(shared->served[PAR], 0); /* as long as the own one serves */
    shared->health[FRA] = 404;
    door_is(false, 1);
    unsigned before = shared->served[FRA];
    more_requests(100);
    end(&sites[FRA]);
    more_requests(100);
    assert_int_equal(shared->served[FRA], before);
    site_start(FRA);
    shared->health[FRA] = 200;
    door_is(true, 1);
    served_by(FRA);
    stop_visitors();
    nothing_failed();
    posts_were_executed_once();
}

static void test_cannot_serve(void **state)
{
    (void)state;
    shared->health[FRA] = 503;
    door_is(false, 1);
    served_by(PAR);
    end(&healths[FRA]); /* its agent is away */
    shared->health[FRA] = 200;
    more_requests(100);
    door_is(false, 1);
    health_start(FRA);
    door_is(true, 1);
    served_by(FRA);
    shared->health[PAR] = 404; /* a peer that drains is no reserve */
    door_is(true, 0);
    more_requests(50);
    stop_visitors();
    nothing_failed();
    posts_were_executed_once();
}

/* A web server that is killed while it works, and whose agent has not seen it yet. What it had is
 * lost, and is not sent again when it may change something. A read is tried again, but may meet the
 * web server's processes one by one while they end. */
static void test_killed(void **state)
{
    (void)state;
    end(&sites[FRA]);
    door_is(false, 1);
    served_by(PAR);
    unsigned before = shared->failed_reads + shared->failed_posts;
    more_requests(100); /* while its health says 200 */
    shared->health[FRA] = 503;
    more_requests(100);
    stop_visitors();
    _cleanup_free_ char *failed = written("failed");
    if (before > 2 * VISITORS || shared->failed_reads + shared->failed_posts != before)
        fail_msg("of %u requests failed: %s", shared->done, failed);
    posts_were_executed_once();
}

/* What may have been executed is sent again only when it changes nothing. */
static void test_sent_again(void **state)
{
    (void)state;
    char answer[4096];

    stop_visitors();
    assert_int_equal(visit("POST", "/drop-a", "", answer, sizeof(answer)), 502);
    assert_int_equal(visit("POST", "/503-a", "", answer, sizeof(answer)), 503);
    assert_int_equal(visit("DELETE", "/drop-b", "", answer, sizeof(answer)), 502);
    door_is(true, 1);
    visit("GET", "/drop-c", "", answer, sizeof(answer));
    _cleanup_free_ char *executed = written("executed");
    assert_int_equal(times(executed, "POST /drop-a "), 1);
    assert_int_equal(times(executed, "POST /503-a "), 1);
    assert_int_equal(times(executed, "DELETE /drop-b "), 1);
    assert_true(times(executed, "GET /drop-c ") > 1);
}

static void follows(bool closed)
{
    _cleanup_free_ char *path = str_fmt("%s/admin.sock", top);
    struct frontdoor_load l = {0};
    struct err err = {0};

    for (uint64_t begun = clock_mono_ms();;) {
        assert_int_equal(frontdoor_follow(path, &err), 0);
        if (frontdoor_load(path, NULL, &l, &err) == 0 && l.closed == closed)
            return;
        if (passed(begun))
            fail_msg("closed %d, up %d, apart %d; %s", l.closed, l.own_up, l.apart, err.msg);
    }
}

/* Without a site of its own, and cut off from the other one, it accepts nobody; an error of all
 * sites is answered, since no other address would do better. */
static void test_apart(void **state)
{
    (void)state;
    char answer[4096];

    stop_visitors();
    shared->health[FRA] = shared->health[PAR] = 503;
    door_is(false, 0);
    follows(false);
    for (uint64_t begun = clock_mono_ms(); visit("GET", "/a", "", answer, sizeof(answer)) != 503;)
        if (passed(begun))
            fail_msg("no site serves, and it is not said");
    follows(false);
    end(&healths[PAR]);
    end(&sites[PAR]);
    follows(true);
    assert_int_equal(visit("GET", "/b", "", answer, sizeof(answer)), 0);
    shared->health[FRA] = 200;
    follows(false);
    assert_int_equal(visit("GET", "/c", "", answer, sizeof(answer)), 200);
}

/* Another configuration: connections that are there are served to their end. */
static void test_reload(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        kill(haproxy, SIGUSR2);
        more_requests(100);
        door_is(true, 1);
    }
    stop_visitors();
    nothing_failed();
    posts_were_executed_once();
}

/* A visitor does not say who he is. */
static void test_address(void **state)
{
    (void)state;
    char answer[4096];

    assert_int_equal(visit("GET", "/x",
                           "X-Forwarded-For: 192.0.2.1\r\nx-forwarded-for: 192.0.2.2\r\n", answer,
                           sizeof(answer)),
                     200);
    assert_non_null(strstr(answer, "fra for 127.0.0.1"));
    assert_null(strstr(answer, "192.0.2"));
    _cleanup_free_ char *executed = written("executed");
    assert_non_null(strstr(executed, "GET /x fra\n"));
}

int main(void)
{
    const struct CMUnitTest real[] = {
        cmocka_unit_test_setup_teardown(test_drain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cannot_serve, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sent_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reload, setup, teardown),
        cmocka_unit_test_setup_teardown(test_address, setup, teardown),
    };
    int failed = 0;

    signal(SIGPIPE, SIG_IGN);
    if (access(FRONTDOOR_PROGRAM, X_OK) == 0)
        failed = cmocka_run_group_tests_name("haproxy", real, NULL, NULL);
    else
        puts("skipped: haproxy is not here");
    return failed;
}
