/* SPDX-License-Identifier: Apache-2.0 */
/* What checks compare with: times of systemd, values of the database's settings, links. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/galera/settings.h"
#include "agent/galera/sql.h"
#include "agent/galera/tclog.h"
#include "agent/sys/conf.h"
#include "agent/sys/svc.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"

static char top[64];

static int setup(void **state)
{
    (void)state;
    snprintf(top, sizeof(top), "/tmp/test-checks-XXXXXX");
    return mkdtemp(top) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    struct err err;

    return fs_remove_tree(top, &err);
}

static void test_time(void **state)
{
    (void)state;
    assert_int_equal(svc_time("Fri 2026-11-27 10:25:30.123456 UTC"), 1795775130123456);
    assert_int_equal(svc_time("Thu 1970-01-01 00:00:01.000002 UTC"), 1000002);
    assert_int_equal(svc_time(""), 0);
    assert_int_equal(svc_time("n/a"), 0);
}

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void test_changed_after(void **state)
{
    (void)state;
    struct err err;
    _cleanup_free_ char *path = str_fmt("%s/unit", top);
    const struct timespec old[2] = {{1000, 0}, {1000, 0}};
    struct stat st;

    int64_t before = now_us() - 1000000;
    assert_int_equal(fs_write_atomic(path, "x", 1, 0644, &err), 0);
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0); /* as 'touch -d' does */
    assert_true(svc_changed_after(path, before));
    assert_int_equal(stat(path, &st), 0);
    assert_false(svc_changed_after(path, now_us()));
    assert_false(svc_changed_after(path, 0)); /* not known */
    assert_false(svc_changed_after("/nonexistent/unit", before));
}

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *want, *have;
        bool same;
    } rows[] = {
        {"ON", "1", true},
        {"OFF", "ON", false},
        {"128M", "134217728", true},
        {"0.8", "0.80", true},
        {"4", "1", false},
        {"ROW", "row", true},
        {"ROW", "MIXED", false},
        {"/data/x", "/data/x/", true},
        {"/data/x", "/data/y", false},
        {"InnoDB", "", false},
        {"1", "2", false},
        {"10.0.0.1:4444", "10.0.0.1:4444", true},
        {"10.0.0.1", "10.0.0.2", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (settings_same(rows[i].want, rows[i].have) != rows[i].same)
            fail_msg("%s and %s", rows[i].want, rows[i].have);
}

static void test_options(void **state)
{
    (void)state;
    static const char have[] = "evs.send_window = 512; gcs.fc_limit = 128; gcs.fc_limit_x=1;last=;";
    char v[32];

    assert_true(settings_option(have, "gcs.fc_limit", v, sizeof(v)));
    assert_string_equal(v, "128");
    assert_true(settings_option("a=1;gcs.fc_limit=16", "gcs.fc_limit", v, sizeof(v)));
    assert_string_equal(v, "16");
    assert_true(settings_option(have, "last", v, sizeof(v)));
    assert_string_equal(v, "");
    assert_false(settings_option(have, "gcs.fc", v, sizeof(v)));
    assert_false(settings_option("", "a", v, sizeof(v)));
}

static void test_link(void **state)
{
    (void)state;
    struct err err = {0};
    _cleanup_free_ char *path = str_fmt("%s/link", top);

    assert_false(conf_linked(path, "../a"));
    assert_int_equal(conf_link(path, "../a", &err), 0);
    assert_true(conf_linked(path, "../a"));
    assert_false(conf_linked(path, "../ab"));
    assert_int_equal(conf_link(path, "../b", &err), 0);
    assert_true(conf_linked(path, "../b"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(fs_write_atomic(path, "x", 1, 0644, &err), 0);
    assert_false(conf_linked(path, "../b"));
    assert_int_equal(conf_link(path, "../b", &err), 0);
    assert_true(conf_linked(path, "../b"));
}

/* A log that the server would refuse is kept under another name; any other stays. */
static void test_tclog(void **state)
{
    (void)state;
    static const char good[5] = {(char)0xfe, 0x23, 0x05, 0x74, 2};
    static const struct {
        const char *head;
        size_t size;
        bool torn;
    } rows[] = {
        {good, 24576, false},
        {"A\x23\x05\x74\x02", 24576, true}, /* it ended well */
        {"", 0, true},
        {good, 5000, true},
        {"\0\0\0\0\0", 8192, true},
    };
    _cleanup_free_ char *path = str_fmt("%s/tc.log", top);
    _cleanup_free_ char *dir = str_fmt("%s/kept", top);
    struct err err = {0};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        _cleanup_free_ char *to = NULL;
        _cleanup_free_ char *bytes = xcalloc(1, rows[i].size + 1);
        size_t head = rows[i].size ? 5 : 0;

        memcpy(bytes, rows[i].head, head);
        assert_int_equal(fs_write_atomic(path, bytes, rows[i].size, 0600, &err), 0);
        if (tclog_set_aside(top, dir, &to, &err) < 0)
            fail_msg("%s", err.msg);
        assert_int_equal(to != NULL, rows[i].torn);
        assert_int_equal(fs_exists(path), !rows[i].torn);
        if (to)
            assert_true(fs_exists(to));
        unlink(path);
    }
    _cleanup_free_ char *none = NULL;
    assert_int_equal(tclog_set_aside(top, dir, &none, &err), 0);
    assert_null(none);
}

/* A user that is not there is refused by 1045 or by 1698: as if it had some account's plugin. */
static void test_codes_of_account(void **state)
{
    static const unsigned of_account[] = {1044, 1045, 1142, 1698, 1820, 1862, 4151};
    static const unsigned others[] = {0, 1040, 1049, 1146, 1205, 2002, 2003, 2006, 2013};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(of_account); i++)
        assert_true(sql_code_of_account(of_account[i]));
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_false(sql_code_of_account(others[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_codes_of_account),
        cmocka_unit_test_setup_teardown(test_changed_after, setup, teardown),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_options),
        cmocka_unit_test_setup_teardown(test_link, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tclog, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
