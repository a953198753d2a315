/* SPDX-License-Identifier: Apache-2.0 */
/* What the step `web` writes, in a real Apache with a real PHP on loopback. */
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/app/web.h"
#include "agent/sys/webcheck.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/ports.h"
#include "common/proc.h"
#include "common/str.h"

#define APACHE "/usr/sbin/apache2"
#define MODULES "/usr/lib/apache2/modules"
#define PHP_MODULE MODULES "/libphp8.2.so"
#define PORT "17510"
#define WAIT_MS 10000

static char top[64];
static json_t *proxies;    /* of the site; NULL: it is not behind a front door */
static const char *header; /* of each request, or NULL */

static void put(const char *rest, const char *text)
{
    struct err err;
    _cleanup_free_ char *path = str_fmt("%s/%s", top, rest);
    _cleanup_free_ char *dir = xstrdup(path);

    *strrchr(dir, '/') = '\0';
    if (fs_mkdirs(dir, 0755, &err) < 0 || fs_write_atomic(path, text, strlen(text), 0644, &err) < 0)
        fail_msg("%s", err.msg);
}

/* The text of the site with our port and directory for log files. */
static void site_add(struct strbuf *conf)
{
    _cleanup_free_ char *root = str_fmt("%s/www", top);
    _cleanup_free_ char *site = web_site_text(root, "http://198.51.100.10", proxies, NULL);
    const char *port = proxies ? ":8080>" : ":80>";
    char *at = strstr(site, port);

    assert_non_null(at);
    strbuf_add(conf, site, (size_t)(at - site));
    strbuf_addf(conf, ":" PORT ">%s", at + strlen(port));
}

static void server(bool php, bool code, const char *verb)
{
    struct err err;
    struct strbuf conf = {0};
    _cleanup_free_ char *text = web_code_text();
    _cleanup_free_ char *path = str_fmt("%s/apache.conf", top);

    strbuf_addf(&conf,
                "ServerRoot %s\nServerName test\nListen 127.0.0.1:" PORT "\nPidFile %s/pid\n"
                "DefaultRuntimeDir %s\nUser www-data\nGroup www-data\nStartServers 1\n"
                "Define APACHE_LOG_DIR %s\nErrorLog %s/error.log\nTypesConfig /etc/mime.types\n"
                "LogFormat \"%%h\" combined\n<Directory />\n  Require all denied\n</Directory>\n",
                top, top, top, top, top);
    for (size_t i = 0; i < (proxies ? 7 : 5); i++) {
        static const char *const names[] = {"mpm_prefork", "authz_core", "alias",   "mime",
                                            "dir",         "remoteip",   "setenvif"};
        _cleanup_free_ char *line =
            str_fmt("LoadModule %s_module " MODULES "/mod_%s.so\n", names[i], names[i]);
        _cleanup_free_ char *rest = xstrdup(strbuf_str(&conf));

        strbuf_reset(&conf);
        strbuf_addf(&conf, "%s%s", line, rest);
    }
    if (php)
        strbuf_adds(&conf,
                    "LoadModule php_module " PHP_MODULE "\n<FilesMatch \".+\\.ph(?:ar|p|tml)$\">\n"
                    "  SetHandler application/x-httpd-php\n</FilesMatch>\n");
    if (code)
        strbuf_adds(&conf, text);
    site_add(&conf);
    put("apache.conf", strbuf_str(&conf));
    strbuf_free(&conf);
    if (proc_call(PROC_ARGV(APACHE, "-f", path, "-k", verb), &err) < 0)
        fail_msg("%s", err.msg);
}

static void stop(void)
{
    struct err err;
    _cleanup_free_ char *path = str_fmt("%s/apache.conf", top);
    _cleanup_free_ char *pid = str_fmt("%s/pid", top);

    if (!fs_exists(pid))
        return;
    proc_call(PROC_ARGV(APACHE, "-f", path, "-k", "stop"), &err);
    for (uint64_t end = clock_mono_ms() + WAIT_MS; fs_exists(pid) && clock_mono_ms() < end;)
        clock_pause_ms(20);
}

/* The answer with its headers; the caller frees. */
static char *get(const char *path)
{
    struct err err;
    struct proc_result r;
    _cleanup_free_ char *url = str_fmt("http://127.0.0.1:" PORT "%s", path);
    uint64_t end = clock_mono_ms() + WAIT_MS;

    while (proc_run(PROC_ARGV("/usr/bin/curl", "-si", "--noproxy", "*", "--path-as-is", "-H",
                              header ? header : "Accept: */*", "-H", "X-Forwarded-Proto: https",
                              "-H", "Host: www.example.org", url),
                    NULL, &r, &err) < 0) {
        proc_result_free(&r);
        if (clock_mono_ms() > end)
            fail_msg("%s", err.msg);
        clock_pause_ms(20); /* it starts */
    }
    return r.out.s;
}

static int status_of(const char *answer)
{
    int status = 0;

    assert_int_equal(sscanf(answer, "HTTP/1.%*d %d", &status), 1);
    return status;
}

static void answers(const char *path, int status, const char *text)
{
    _cleanup_free_ char *a = get(path);

    if (status_of(a) != status || (text && !strstr(a, text)) || strstr(a, "s3cret"))
        fail_msg("%s: %s", path, a);
}

/* What the agent says of the site, and whether the server that runs has PHP. */
static void visit_is(const char *path, int php, const char *why)
{
    _cleanup_free_ char *a = get(path);
    _cleanup_free_ char *pid = str_fmt("%s/pid", top);
    const struct visit_wanted wanted = {path, false, ""};
    struct webcheck seen;

    assert_int_equal(webcheck_php(pid), php);
    webcheck_visit_judge(status_of(a), a, &wanted, &seen);
    if (!strstr(seen.why, why) || (!*why && seen.why[0]))
        fail_msg("%s: '%s'", path, seen.why);
}

static int setup(void **state)
{
    (void)state;
    strcpy(top, "/tmp/muster-web-XXXXXX");
    if (!mkdtemp(top) || chmod(top, 0755) < 0)
        return -1;
    put("www/index.html", "static");
    put("www/config.php", "<?php $password = 's3cret'; echo 6 * 7;");
    put("www/old.PHTML", "<?php $password = 's3cret';");
    put("www/db.inc", "$password = 'other';");
    put("www/lib/.htaccess", "Require all granted\n");
    put("www/lib/a.phar", "<?php $password = 's3cret';");
    return 0;
}

static int teardown(void **state)
{
    struct err err;

    (void)state;
    stop();
    return fs_remove_tree(top, &err);
}

static void test_php_on(void **state)
{
    (void)state;
    server(true, true, "start");
    answers("/config.php", 200, "42");
    answers("/", 200, "static");
    visit_is("/config.php", 1, "");
}

static void test_php_off(void **state)
{
    (void)state;
    server(false, true, "start");
    answers("/config.php", 403, NULL);
    answers("/config.php/more", 403, NULL);
    answers("/old.PHTML", 403, NULL);
    answers("/lib/a.phar", 403, NULL);
    answers("/db.inc", 403, NULL);
    answers("/", 200, "static");
    visit_is("/config.php", 0, "the site answers HTTP 403 at /config.php");
}

/* Behind a front door Apache and PHP see the visitor and the port that he came by; only of those
 * who are known is that believed. */
static void test_behind(void **state)
{
    (void)state;
    put("www/who.php", "<?php echo $_SERVER['REMOTE_ADDR'], ' ', $_SERVER['SERVER_PORT'], ' ', "
                       "$_SERVER['HTTPS'] ?? 'off', ' ', isset($_SERVER['HTTP_X_FORWARDED_FOR']);");
    header = "X-Forwarded-For: 192.0.2.7";
    proxies = json_pack("[s, s]", "10.10.2.10", "127.0.0.1");
    server(true, true, "start");
    answers("/who.php", 200, "\r\n\r\n192.0.2.7 80 on ");
    answers("/lib", 301, "\r\nLocation: http://www.example.org/lib/\r\n");
    stop();
    json_decref(proxies);
    proxies = json_pack("[s]", "10.10.2.10");
    server(true, true, "start");
    answers("/who.php", 200, "\r\n\r\n127.0.0.1 80 ");
    json_decref(proxies);
    proxies = NULL;
    header = NULL;
}

static void test_ports(void **state)
{
    (void)state;
    _cleanup_free_ char *behind = web_ports_text(true), *plain = web_ports_text(false);

    assert_string_equal(behind, WEB_MARK "Listen 8080\n");
    assert_non_null(strstr(plain, "Listen 80\n"));
    assert_true(str_starts(plain, WEB_MARK));
}

/* As a server is that has not read our file: its 200 is not taken for good. */
static void test_source(void **state)
{
    (void)state;
    server(false, false, "start");
    visit_is("/old.PHTML", 0, "serves its code as text");
}

/* No server, or another program's process: nothing is known of PHP. */
static void test_php_unknown(void **state)
{
    _cleanup_free_ char *pid = str_fmt("%s/pid", top);
    _cleanup_free_ char *own = str_fmt("%d\n", getpid());

    (void)state;
    assert_int_equal(webcheck_php(pid), -1);
    put("pid", "x\n");
    assert_int_equal(webcheck_php(pid), -1);
    put("pid", own);
    assert_int_equal(webcheck_php(pid), -1);
    unlink(pid);
}

/* What the installed server is asked for; there is none here. */
static void test_visit(void **state)
{
    static const struct visit_wanted bad = {"/a\r\nX: y", true, ""};
    struct webcheck seen;

    (void)state;
    webcheck_visit(PORT_HTTP, "http://198.51.100.10", &bad, &seen);
    assert_int_equal(seen.status, 0);
    assert_non_null(strstr(seen.why, "no path"));
}

static void test_php_files(void **state)
{
    (void)state;
    _cleanup_free_ char *load = str_fmt("%s/mods-enabled/php8.2.load", top);

    assert_non_null(strstr(web_php_missing(top), "its module"));
    put("mods-enabled/php8.2.conf", "");
    assert_non_null(strstr(web_php_missing(top), "its module"));
    put("mods-enabled/php8.2.load", "");
    assert_non_null(strstr(web_php_missing(top), "mpm_prefork"));
    put("mods-enabled/mpm_prefork.load", "");
    assert_null(web_php_missing(top));
    unlink(load);
    assert_int_equal(symlink("../mods-available/php8.2.load", load), 0); /* that is gone */
    assert_non_null(web_php_missing(top));
}

/* What installs an application is what it is called by for ever. */
static void test_form(void **state)
{
    (void)state;
    static const struct {
        const char *site, *host; /* NULL: no address */
    } rows[] = {
        {"http://198.51.100.10", "Host: 198.51.100.10\r\nConnection:"},
        {"http://198.51.100.10:8080/x", "Host: 198.51.100.10:8080\r\nConnection:"},
        {"https://www.example.org", "Host: www.example.org\r\nX-Forwarded-Proto: https\r\n"},
        {"", NULL},
        {"http://", NULL},
        {"ftp://h", NULL},
        {"http://a\r\nX: y", NULL},
        {"http://me@h", NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        _cleanup_free_ char *text = webcheck_form(rows[i].site, "/install.php", "a=b");

        if (!rows[i].host) {
            assert_null(text);
            continue;
        }
        assert_non_null(text);
        assert_true(str_starts(text, "POST /install.php HTTP/1.0\r\n"));
        assert_non_null(strstr(text, rows[i].host));
        assert_null(strstr(text, "localhost"));
        assert_true(str_ends(text, "Content-Length: 3\r\n\r\na=b"));
    }
}

static void test_form_answer(void **state)
{
    (void)state;
    static const char moved[] =
        "HTTP/1.1 302 Found\r\nlocation: http://www.example.org/go?key=s3cret\r\n\r\nOK";
    static const struct {
        int status;
        const char *answer, *expect;
        int result;
        const char *said; /* in the note, or in the error */
    } rows[] = {
        {200, "HTTP/1.1 200 OK\r\n\r\ndone", NULL, 0, ""},
        {200, "HTTP/1.1 200 OK\r\n\r\ndone", "done", 0, ""},
        {200, "HTTP/1.1 200 OK\r\n\r\nno", "done", -1, "(status 200) has no 'done'"},
        {200, "HTTP/1.1 200 OK\r\n\r\n<?php", NULL, -1, "PHP is not active"},
        {404, "HTTP/1.1 404 No\r\n\r\n", NULL, -1, "status 404"},
        {302, moved, NULL, 0, "(status 302) to http://www.example.org/go: taken"},
        {302, moved, "OK", 0, ""},
        {302, moved, "no", -1, "(status 302, to http://www.example.org/go) has no 'no'"},
        {303, "HTTP/1.1 303 See\r\n\r\nLocation: /x", NULL, 0, "(status 303) to nowhere"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char note[400];
        struct err err = {0};

        assert_int_equal(webcheck_form_judge(rows[i].status, rows[i].answer, "/f", rows[i].expect,
                                             note, sizeof(note), &err),
                         rows[i].result);
        if (!*rows[i].said)
            assert_string_equal(note, "");
        else if (!strstr(rows[i].result ? err.msg : note, rows[i].said))
            fail_msg("%zu: %s%s", i, note, err.msg);
        assert_null(strstr(note, "s3cret"));
        assert_null(strstr(err.msg, "s3cret"));
    }
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest files[] = {
        UNIT(test_php_files),         UNIT(test_php_unknown),
        cmocka_unit_test(test_visit), cmocka_unit_test(test_form),
        cmocka_unit_test(test_ports), cmocka_unit_test(test_form_answer)};
    const struct CMUnitTest apache[] = {UNIT(test_php_on), UNIT(test_php_off), UNIT(test_source),
                                        UNIT(test_behind)};
    int failed = cmocka_run_group_tests_name("files", files, NULL, NULL);

    if (geteuid() == 0 && access(APACHE, X_OK) == 0 && access(PHP_MODULE, R_OK) == 0)
        failed += cmocka_run_group_tests_name("apache", apache, NULL, NULL);
    else
        puts("skipped: the server needs root, apache2-bin and libapache2-mod-php8.2");
    return failed;
}
