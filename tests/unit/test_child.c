/* SPDX-License-Identifier: Apache-2.0 */
/* Children: one that is bound to its parent never outlives it, not even when the parent ends
 * between the fork and the line that binds it (prctl is wrapped, and ends the parent first); what
 * cannot be started says so and leaves nothing behind; a program gets the descriptors that it is to
 * have, and no other. */
#include <errno.h>
#include <fcntl.h>
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

#include "common/child.h"
#include "common/clock.h"
#include "common/proc.h"
#include "parent_ends.h"

#define NOBODY 65533

static void say_ran(void *ctx)
{
    const int *fd = ctx;

    if (write(*fd, "ran", 3) != 3)
        _exit(1);
}

static ssize_t all_of(int fd, char *ret, size_t cap)
{
    size_t len = 0;

    for (ssize_t n; len < cap - 1 && (n = read(fd, ret + len, cap - 1 - len)) > 0;)
        len += (size_t)n;
    ret[len] = '\0';
    return (ssize_t)len;
}

/* What a bound child wrote before its end of the pipe was closed. */
static ssize_t bound_child_said(bool ends)
{
    int pair[2], status = 0;
    char text[8];

    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    pid_t parent = fork();
    if (parent == 0) {
        const struct child_opts opts = {.bound = true};
        struct err err;
        pid_t pid;

        parent_ends = ends;
        if (child_call(say_ran, &pair[1], "a test", &opts, &pid, &err) == 0)
            waitpid(pid, NULL, 0);
        _exit(0);
    }
    close(pair[1]);
    ssize_t n = all_of(pair[0], text, sizeof(text));
    close(pair[0]);
    assert_int_equal(waitpid(parent, &status, 0), parent);
    return n;
}

static void test_bound(void **state)
{
    (void)state;
    assert_int_equal(bound_child_said(false), 3);
    assert_int_equal(bound_child_said(true), 0);
}

/* Becoming another user unbinds a process; the child of proc_run is bound all the same. */
static void test_bound_as_another_user(void **state)
{
    int pair[2];
    char text[16];

    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    pid_t parent = fork();
    if (parent == 0) {
        const struct proc_opts opts = {.uid = NOBODY, .gid = NOBODY, .pass_fd = 3};
        struct err err;

        dup2(pair[1], 3); /* a shell takes one digit, and whoever starts the test may hold more */
        proc_run(PROC_ARGV("/bin/sh", "-c", "echo runs >&3; exec sleep 600"), &opts, NULL, &err);
        _exit(0);
    }
    close(pair[1]);
    assert_int_equal(read(pair[0], text, sizeof(text)), 5);
    kill(parent, SIGKILL);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    alarm(30); /* the child would hold its end for minutes */
    assert_int_equal(read(pair[0], text, sizeof(text)), 0);
    alarm(0);
    close(pair[0]);
}

static void not_started(const char *const argv[], const struct child_opts *opts, const char *why)
{
    struct err err = {0};
    pid_t pid = -1;

    assert_int_equal(child_start(argv, opts, &pid, &err), -1);
    if (!strstr(err.msg, "could not be started") || !strstr(err.msg, why))
        fail_msg("'%s' does not say '%s'", err.msg, why);
    assert_int_equal(pid, -1);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing is left behind */
    assert_int_equal(errno, ECHILD);
}

static void test_not_started(void **state)
{
    const struct child_fd closed = {900, 3}, all[] = {{2, 3}, {2, 4}, {2, 5}, {2, 6}};
    const struct child_opts none = {0}, daemon = {.apart = CHILD_DAEMON};
    const struct child_opts nowhere = {.cwd = "/nonexistent"}, fds = {.fds = &closed, .n_fds = 1};
    const struct child_opts taken = {.fds = all, .n_fds = 4}; /* also where the report is */

    (void)state;
    not_started(PROC_ARGV("/nonexistent/program"), &none, "program could not be started: No such");
    not_started(PROC_ARGV("/nonexistent/program"), &daemon, "No such file");
    not_started(PROC_ARGV("/nonexistent/program"), &taken, "No such file");
    not_started(PROC_ARGV("/etc/passwd"), &none, "Permission denied");
    not_started(PROC_ARGV("/bin/true"), &nowhere, "in its directory: No such file");
    not_started(PROC_ARGV("/bin/true"), &fds, "with its descriptors: Bad file");
}

static void high_pipe(int pair[2])
{
    int low[2];

    assert_int_equal(pipe2(low, O_CLOEXEC), 0);
    for (int i = 0; i < 2; i++) {
        pair[i] = fcntl(low[i], F_DUPFD_CLOEXEC, 30);
        assert_true(pair[i] >= 30);
        close(low[i]);
    }
}

/* 3 and 4 of the child are 4 and 3 here. */
static void test_descriptors(void **state)
{
    static const char script[] = "printf three >&3; printf four >&4; [ ! -e /proc/self/fd/20 ]";
    int three[2], four[2], status;
    char text[16];
    struct err err = {0};
    pid_t pid;

    (void)state;
    high_pipe(three);
    high_pipe(four);
    assert_int_equal(dup2(four[1], 3), 3);
    assert_int_equal(dup2(three[1], 4), 4);
    assert_int_equal(dup2(0, 20), 20); /* stays open over exec, and is not meant for anybody */
    const struct child_fd fds[] = {{4, 3}, {3, 4}};
    const struct child_opts opts = {.fds = fds, .n_fds = 2};
    if (child_start(PROC_ARGV("/bin/sh", "-c", script), &opts, &pid, &err) < 0)
        fail_msg("%s", err.msg);
    const int ours[] = {3, 4, 20, three[1], four[1]};
    for (size_t i = 0; i < 5; i++)
        close(ours[i]);
    assert_int_equal(all_of(three[0], text, sizeof(text)), 5);
    assert_string_equal(text, "three");
    assert_int_equal(all_of(four[0], text, sizeof(text)), 4);
    assert_string_equal(text, "four");
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(three[0]);
    close(four[0]);
}

static void test_daemon(void **state)
{
    int pair[2];
    char text[32];
    struct err err = {0};

    (void)state;
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    const struct child_fd out = {pair[1], 1};
    const struct child_opts opts = {.fds = &out, .n_fds = 1, .apart = CHILD_DAEMON};
    assert_int_equal(child_start(PROC_ARGV("/bin/echo", "runs"), &opts, NULL, &err), 0);
    close(pair[1]);
    assert_int_equal(all_of(pair[0], text, sizeof(text)), 5);
    close(pair[0]);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* it is not ours to wait for */
    assert_int_equal(errno, ECHILD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bound),       cmocka_unit_test(test_bound_as_another_user),
        cmocka_unit_test(test_not_started), cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_daemon),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
