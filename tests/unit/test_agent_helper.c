/* SPDX-License-Identifier: Apache-2.0 */
/* A child that is bound to its parent never outlives it, not even when the parent ends between the
 * fork and the line that binds it: prctl is wrapped, and ends the parent first. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/ipc/helper.h"
#include "common/clock.h"
#include "parent_ends.h"

/* What the child, which is this program again, wrote before its end of the pipe was closed. */
static ssize_t child_said(bool ends)
{
    int pair[2], status = 0;
    char text[8];

    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    pid_t parent = fork();
    if (parent == 0) {
        const char *const argv[] = {"test_agent_helper", "child", NULL};

        parent_ends = ends;
        pid_t pid = helper_start(argv, -1, pair[1], true);
        waitpid(pid, &status, 0);
        _exit(0);
    }
    close(pair[1]);
    ssize_t n = read(pair[0], text, sizeof(text));
    close(pair[0]);
    assert_int_equal(waitpid(parent, &status, 0), parent);
    return n;
}

static void test_child_of_a_live_parent(void **state)
{
    (void)state;
    assert_int_equal(child_said(false), 3);
}

static void test_child_of_a_parent_that_ended(void **state)
{
    (void)state;
    assert_int_equal(child_said(true), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_child_of_a_live_parent),
        cmocka_unit_test(test_child_of_a_parent_that_ended),
    };

    if (argc > 1 && strcmp(argv[1], "child") == 0)
        return write(4, "ran", 3) == 3 ? 0 : 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
