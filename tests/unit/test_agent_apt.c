/* SPDX-License-Identifier: Apache-2.0 */
/* What is understood of apt's output, and which repositories are accepted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/apt/apt.h"
#include "agent/sys/life.h"
#include "agent/worker/plan.h"
#include "common/cleanup.h"
#include "common/js.h"
#include "common/proc.h"

static void hear(struct apt_output *s, const char *const *lines)
{
    for (; *lines; lines++)
        apt_output_line(s, *lines);
}

static void test_progress(void **state)
{
    (void)state;
    struct apt_output s = {0};

    hear(&s,
         (const char *const[]){"dlstatus:1:0.0000:Retrieving file 1 of 4",
                               "0 upgraded, 4 newly installed, 0 to remove and 0 not upgraded.",
                               "Need to get 31.2 MB of archives.",
                               "dlstatus:2:25.0000:Retrieving file 2 of 4 (3s remaining)", NULL});
    assert_string_equal(s.doing, "download 25 %, 7.8 of 31.2 MB: file 2 of 4 (3s remaining)");
    assert_int_equal(s.count.unit, EVENT_BYTES);
    assert_int_equal(s.count.done, 7800000);
    assert_int_equal(s.count.total, 31200000);
    hear(&s, (const char *const[]){"pmstatus:less:5.8824:Unpacking less (amd64)",
                                   "pmstatus:libc6:amd64:11.7647:Unpacking libc6:amd64 (amd64)",
                                   "pmstatus:less:17.6471:Installed less (amd64)", NULL});
    assert_string_equal(s.doing,
                        "install 18 %, 2 unpacked and 1 configured of 4 packages: Installed "
                        "less (amd64)");
    assert_int_equal(s.count.unit, EVENT_PACKAGES);
    assert_int_equal(s.count.done, 1);
    assert_int_equal(s.count.total, 4);
    assert_string_equal(s.error, "");
    assert_false(apt_output_line(&s, "pmstatus:none"));
    assert_false(apt_output_line(&s, "dlstatus:1:x:y"));
    assert_false(apt_output_line(&s, ""));
}

static void test_partly_there(void **state)
{
    (void)state;
    struct apt_output s = {0};

    apt_output_line(&s, "Need to get 1,024 kB/31.2 MB of archives.");
    assert_true(s.bytes == 1024e3);
    apt_output_line(&s, "Need to get 0 B/31.2 MB of archives.");
    assert_true(s.bytes == 0);
    apt_output_line(&s, "Need to get 9,999,999,999,999,999,999 GB of archives.");
    assert_true(s.bytes == 0);
    apt_output_line(&s, "dlstatus:1:50.0000:Retrieving file 1 of 1");
    assert_int_equal(s.count.unit, EVENT_UNCOUNTED); /* nothing is known of it */
}

/* The most telling complaint counts, wherever it stands. */
static void test_errors(void **state)
{
    (void)state;
    struct apt_output s = {0};

    hear(&s, (const char *const[]){
                 "E: Failed to fetch http://m/a.deb  404  Not Found [IP: 10.0.0.1 80]",
                 "E: Failed to fetch http://m/b.deb  404  Not Found",
                 "E: Unable to fetch some archives, maybe run apt-get update or try with "
                 "--fix-missing?",
                 NULL});
    assert_string_equal(s.error,
                        "Failed to fetch http://m/a.deb  404  Not Found [IP: 10.0.0.1 80]");
    assert_non_null(strstr(apt_output_advice(s.error), "mirror"));

    s = (struct apt_output){0};
    hear(&s,
         (const char *const[]){
             "E: Sub-process /usr/bin/dpkg returned an error code (1)",
             "dpkg: error processing archive /x/b.deb (--unpack):",
             "pmerror:/x/b.deb:20.0:cannot copy extracted data: No space left on device", NULL});
    assert_string_equal(s.error,
                        "package /x/b.deb: cannot copy extracted data: No space left on device");
    assert_non_null(strstr(apt_output_advice(s.error), "df"));

    s = (struct apt_output){0};
    hear(&s,
         (const char *const[]){"W: GPG error: http://m x InRelease: NO_PUBKEY 12",
                               "E: The repository 'http://m x InRelease' is not signed.", NULL});
    assert_non_null(strstr(s.error, "NO_PUBKEY"));
    assert_non_null(strstr(apt_output_advice(s.error), "key"));
    assert_non_null(strstr(
        apt_output_advice("Release file for http://m is not valid yet (invalid for another 300d)."),
        "clock"));
    assert_string_equal(apt_output_advice("of another kind"), "");
}

#define KEY "-----BEGIN PGP PUBLIC KEY BLOCK-----\\nx"

static int repo(const char *text, struct apt_repo *r, struct err *err)
{
    static json_t *j;

    json_decref(j);
    j = NULL;
    if (!text)
        return 0;
    assert_int_equal(js_parse(text, strlen(text), &j, err), 0);
    return apt_repo_parse(j, "package:My.Own", r, err);
}

static void test_repository(void **state)
{
    static const struct {
        const char *text, *why;
    } bad[] = {
        {"{\"url\":\"ftp://m/\",\"suite\":\"s\",\"components\":[\"main\"],\"key\":\"" KEY "\"}",
         "'url'"},
        {"{\"url\":\"http://m/\\nSigned-By: "
         "x\",\"suite\":\"s\",\"components\":[\"main\"],\"key\":\"" KEY "\"}",
         "'url'"},
        {"{\"url\":\"http://m/\",\"suite\":\"a b\",\"components\":[\"main\"],\"key\":\"" KEY "\"}",
         "'suite'"},
        {"{\"url\":\"http://m/\",\"suite\":\"s\",\"components\":[],\"key\":\"" KEY "\"}",
         "'components'"},
        {"{\"url\":\"http://m/\",\"suite\":\"s\",\"components\":[\"main\"],\"key\":\"x\"}",
         "'key'"},
        {"{\"url\":\"http://m/\",\"suite\":\"s\",\"components\":[\"main\"]}", "'key' is missing"},
    };

    (void)state;
    struct apt_repo r = {0};
    struct err err = {0};
    assert_int_equal(
        repo("{\"url\":\"https://m/d\",\"suite\":\"./\",\"components\":[],\"key\":\"" KEY "\"}", &r,
             &err),
        0);
    assert_string_equal(r.name, "muster--y--wn");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(repo(bad[i].text, &r, &err), -1);
        if (!strstr(err.msg, bad[i].why))
            fail_msg("'%s' does not say '%s'", err.msg, bad[i].why);
    }
    repo(NULL, &r, &err);
}

static void test_life(void **state)
{
    static const struct {
        uint64_t done, total;
        const char *text;
    } cases[] = {
        {0, 0, "0 kB: copy"},
        {812000, 0, "812 kB: copy"},
        {1250000, 0, "1.2 MB: copy"},
        {0, 3900000000, "0 %, 0.0 of 3.9 GB: copy"},
        {1200000000, 3900000000, "31 %, 1.2 of 3.9 GB: copy"},
        {1000, 1000, "100 %, 1 of 1 kB: copy"},
        {1001000, 1000000, "1.0 MB: copy"}, /* more than was counted before */
        {7000000000000000, 0, "7000.0 TB: copy"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[64];

        life_text("copy", cases[i].done, cases[i].total, text, sizeof(text));
        assert_string_equal(text, cases[i].text);
    }
}

struct said {
    unsigned n;
    char last[EVENT_MSG_MAX];
    struct event_count count;
};

static void keep(void *ctx, const struct event *ev)
{
    struct said *s = ctx;

    s->n++;
    strcpy(s->last, ev->msg);
    s->count = ev->count;
}

/* A child writes to a file and is watched at it; what it leaves is said. */
static void test_life_of_a_child(void **state)
{
    char path[] = "/tmp/muster-life-XXXXXX";
    struct said said = {0};
    struct run run = {.node = "", .rev = "", .id = "x", .emit = keep, .ctx = &said};
    struct err err;
    int fd = mkstemp(path);

    (void)state;
    assert_int_equal(write(fd, "0123456789", 10), 10);
    close(fd);
    assert_int_equal(life_measure(path), 10);
    assert_int_equal(life_measure("/nonexistent/x"), 0);
    assert_true(life_measure("/") > 0);
    struct life l = {.run = &run, .what = "grow", .where = path};
    assert_int_equal(life_run(&l, PROC_ARGV("/usr/bin/truncate", "-s", "2000010", path), &err), 0);
    assert_string_equal(said.last, "grow");
    run.spoke = 0; /* a second has passed */
    life_bytes(&l, life_measure(path) - l.from);
    assert_string_equal(said.last, "2.0 MB: grow");
    assert_int_equal(said.count.unit, EVENT_BYTES);
    assert_int_equal(said.count.done, 2000000);
    assert_int_equal(said.count.total, 0);
    /* The same again says nothing, until it has been the same for long. */
    unsigned before = said.n;
    run.spoke = 0;
    life_bytes(&l, 2000000);
    assert_int_equal(said.n, before);
    l.changed -= 12000;
    life_bytes(&l, 2000000);
    assert_string_equal(said.last, "nothing new for 12 s: 2.0 MB: grow");
    assert_int_equal(life_run(&l, PROC_ARGV("/bin/false"), &err), -1);
    unlink(path);
}

static void test_pin(void **state)
{
    static const struct {
        const char *url, *origin;
    } cases[] = {
        {"https://deb.example.org/mariadb-11.4/repo", "\"deb.example.org\""},
        {"http://user:p@host:8080/x", "\"host\""},
        {"http://host", "\"host\""},
        {"http://[fd00::1]:80/", "\"fd00::1\""},
        {"http://host/a@b:c/", "\"host\""},
        {"file:/srv/repo", "\"\""},
        {"file:///srv/repo", "\"\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct apt_repo r = {.url = cases[i].url};
        _cleanup_free_ char *text = apt_repo_pin(&r);

        if (!strstr(text, cases[i].origin))
            fail_msg("%s gives %s", cases[i].url, text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_progress), cmocka_unit_test(test_partly_there),
        cmocka_unit_test(test_errors),   cmocka_unit_test(test_repository),
        cmocka_unit_test(test_life),     cmocka_unit_test(test_life_of_a_child),
        cmocka_unit_test(test_pin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
