/* SPDX-License-Identifier: Apache-2.0 */
/* What the controller takes for a good answer of a site. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/httpd.h"
#include "common/str.h"
#include "controller/nodes/verify.h"

#define PORT 17530
#define URL "http://127.0.0.1:17530"

/* A node's web server, in a process of its own. */
static pid_t serve(httpd_handler handler, void *page)
{
    struct err err;
    struct httpd *h;

    if (httpd_open("127.0.0.1", PORT, 1024, handler, page, &h, &err) < 0)
        fail_msg("%s", err.msg);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (struct http *wait = http_new();;) {
            struct http_fd fd = {.fd = httpd_fd(h)};

            httpd_run(h);
            http_wait(wait, &fd, 1, 100);
        }
    }
    httpd_close(h);
    return pid;
}

struct page {
    const char *path, *expect; /* of the file; NULL: it says nothing */
    int status;
    const char *location, *text;
    const char *why; /* a part of it; "" all is well */
};

static void on_visit(void *ctx, const struct httpd_request *rq, struct httpd_response *ret)
{
    const struct page *p = ctx;
    const char *host = httpd_header(rq, "Host"), *proto = httpd_header(rq, "X-Forwarded-Proto");

    if (!str_eq(host ? host : "", "www.example.org") || !str_eq(proto ? proto : "", "https") ||
        !str_eq(rq->path, p->path ? p->path : "/")) {
        httpd_reply(ret, 400, "text/plain", xstrdup("not asked as a visitor asks"));
        return;
    }
    httpd_reply(ret, p->status, "text/html", xstrdup(p->text));
    if (p->location)
        httpd_reply_header(ret, "Location", p->location);
}

/* What "ready" means for an application: what the file says, and never an installer. */
static void test_pages(void **state)
{
    static struct page pages[] = {
        {NULL, NULL, 200, NULL, "hello", ""},
        {NULL, NULL, 302, "https://www.example.org/wiki/Main", "", ""},
        {NULL, NULL, 302, "/install.php?language=en", "", "the application is not installed"},
        {NULL, NULL, 301, "https://www.example.org/wp-admin/install.php", "", "not installed"},
        {NULL, NULL, 302, "/mw-config/index.php", "", "not installed"},
        {NULL, NULL, 302, "https://install.example.org/home", "", ""},
        {NULL, NULL, 404, NULL, "", "HTTP 404 at /"},
        {NULL, NULL, 200, NULL, "<?php $password = 'x';", "serves its code as text"},
        {NULL, NULL, 500, NULL, "", "HTTP 500"},
        {"/about", NULL, 200, NULL, "hello", ""},
        {"/about", "<title>Us", 200, NULL, "<html><title>Us</title>", ""},
        {"/about", "<title>Us", 200, NULL, "<html><title>Maintenance</title>", "does not say"},
        {"/about", "<title>Us", 302, "/login", "<title>Us", "sends visitors to"},
        {"/about", NULL, 503, NULL, "", "HTTP 503 at /about"},
    };
    struct spec_node node = {.name = "fra"};
    struct spec s = {.nodes = &node, .n_nodes = 1, .web.present = true, .database.present = true};
    const char *const urls[] = {URL};

    (void)state;
    str_copy(s.app.site, sizeof(s.app.site), "https://www.example.org");
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        const struct page *p = &pages[i];
        struct verify_result r;
        struct http *h = http_new();
        pid_t pid = serve(on_visit, &pages[i]);

        str_copy(s.app.health_path, sizeof(s.app.health_path), p->path ? p->path : "");
        str_copy(s.app.health_expect, sizeof(s.app.health_expect), p->expect ? p->expect : "");
        bool well = verify_sites(h, &s, urls, 20, &r);
        http_free(h);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        if (well != (p->why[0] == '\0') || !strstr(r.why, p->why))
            fail_msg("page %zu: '%s' instead of '%s'", i, r.why, p->why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pages)};

    return cmocka_run_group_tests_name("verify", tests, NULL, NULL);
}
