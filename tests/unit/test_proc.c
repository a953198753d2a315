/* SPDX-License-Identifier: Apache-2.0 */
/* Child programs: their output, their end, and those that do not begin or do not end. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"

static void count_line(void *ctx, const char *line)
{
    (void)line;
    ++*(int *)ctx;
}

static void test_proc(void **state)
{
    _cleanup_(proc_result_free) struct proc_result r = {0};
    struct err err;
    int lines = 0;
    const struct proc_opts opts = {.input = "a\nb\nc", .on_line = count_line, .ctx = &lines};
    const struct proc_opts brief = {.timeout_s = 1};

    (void)state;
    assert_int_equal(proc_run(PROC_ARGV("/bin/cat"), &opts, &r, &err), 0);
    assert_string_equal(strbuf_str(&r.out), "a\nb\nc");
    assert_int_equal(lines, 3);
    assert_int_equal(proc_call(PROC_ARGV("cat"), &err), -1);
    assert_int_equal(proc_call(PROC_ARGV("/bin/ls", "/nonexistent"), &err), -1);
    assert_non_null(strstr(err.msg, "exit status 2"));
    assert_int_equal(proc_run(PROC_ARGV("/bin/sleep", "60"), &brief, NULL, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
}

/* A program that could not be started has not said that all is well. */
static struct strbuf sunk;

static void sink(const char *line)
{
    strbuf_addf(&sunk, "%s|", line);
}

/* Whoever keeps what programs say hears commands, whole and unfinished lines, and a bad end. */
static void test_proc_sink(void **state)
{
    struct err err;

    (void)state;

    proc_set_sink(sink);
    assert_int_equal(proc_call(PROC_ARGV("/usr/bin/printf", "a\nb"), &err), 0);
    assert_int_equal(proc_call(PROC_ARGV("/bin/false"), &err), -1);
    proc_set_sink(NULL);
    assert_int_equal(proc_call(PROC_ARGV("/usr/bin/printf", "c\n"), &err), 0);
    assert_string_equal(strbuf_str(&sunk),
                        "$ /usr/bin/printf a\nb|a|b|$ /bin/false|/bin/false: exit status 1|");
    strbuf_free(&sunk);
}

static void test_proc_not_started(void **state)
{
    struct proc_result r = {0};
    struct err err;
    char path[] = "/tmp/test-proc-XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0 && write(fd, "#!/nonexistent\n", 15) == 15);
    assert_int_equal(proc_run(PROC_ARGV(path), NULL, &r, &err), -1);
    assert_int_equal(r.status, PROC_NOT_STARTED); /* it may not be executed */
    assert_int_equal(fchmod(fd, 0700), 0);
    close(fd);
    assert_int_equal(proc_run(PROC_ARGV(path), NULL, &r, &err), -1);
    assert_int_equal(r.status, PROC_NOT_STARTED); /* nor what it names */
    proc_result_free(&r);
    unlink(path);
    /* Somebody else took how it ended. */
    signal(SIGCHLD, SIG_IGN);
    assert_int_equal(proc_run(PROC_ARGV("/bin/true"), NULL, &r, &err), -1);
    assert_int_equal(r.status, PROC_NOT_STARTED);
    signal(SIGCHLD, SIG_DFL);
    proc_result_free(&r);
}

static void stop_it(void *ctx)
{
    *(bool *)ctx = true;
}

static void test_proc_give_up(void **state)
{
    struct proc_result r;
    struct err err;
    bool stop = false;
    const struct proc_opts opts = {.on_tick = stop_it, .tick_s = 1, .give_up = &stop, .ctx = &stop};

    (void)state;
    assert_int_equal(proc_run(PROC_ARGV("/bin/sleep", "600"), &opts, &r, &err), -1);
    assert_int_equal(r.status, 128 + SIGKILL);
    proc_result_free(&r);
}

static void add_length(void *ctx, const char *line)
{
    *(size_t *)ctx += strlen(line);
}

/* What writes all the time meets its deadline all the same, loses no byte of a long line, and a
 * child that it leaves behind keeps nobody. */
static void test_proc_endless(void **state)
{
    static const char leaves[] = "yes &"; /* ends by SIGPIPE */
    _cleanup_(proc_result_free) struct proc_result r = {0};
    struct err err;
    size_t bytes = 0;
    bool stop = true;
    const struct proc_opts brief = {.timeout_s = 1}, stopped = {.give_up = &stop};
    const struct proc_opts counted = {.on_line = add_length, .ctx = &bytes};

    (void)state;
    assert_int_equal(proc_run(PROC_ARGV("/usr/bin/yes"), &brief, NULL, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_int_equal(proc_run(PROC_ARGV("/usr/bin/yes"), &stopped, NULL, &err), -1);
    assert_int_equal(
        proc_run(PROC_ARGV("/usr/bin/head", "-c", "50000", "/dev/zero"), &counted, NULL, &err), 0);
    assert_int_equal(bytes, 0); /* zeros end a string */
    assert_int_equal(
        proc_run(PROC_ARGV("/usr/bin/printf", "%050000d\n", "0"), &counted, NULL, &err), 0);
    assert_int_equal(bytes, 50000);
    assert_int_equal(proc_run(PROC_ARGV("/bin/sh", "-c", leaves), NULL, &r, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proc),
        cmocka_unit_test(test_proc_sink),
        cmocka_unit_test(test_proc_not_started),
        cmocka_unit_test(test_proc_give_up),
        cmocka_unit_test(test_proc_endless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
