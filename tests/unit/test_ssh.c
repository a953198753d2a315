/* SPDX-License-Identifier: Apache-2.0 */
/* What a program on a node says, on its way to this terminal. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"
#include "controller/cli/ssh.h"

struct said {
    int status;
    char *out, *errors;
};

static int redirect(int fd, const char *path)
{
    int saved = dup(fd), to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(saved >= 0 && to >= 0 && dup2(to, fd) == fd);
    close(to);
    return saved;
}

static struct said run(const char *script)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    char dir[] = "/tmp/muster-ssh-XXXXXX";
    struct said s = {0};
    struct err err;

    assert_non_null(mkdtemp(dir));
    _cleanup_free_ char *out = str_fmt("%s/out", dir);
    _cleanup_free_ char *errors = str_fmt("%s/errors", dir);
    fflush(NULL);
    int saved[2] = {redirect(1, out), redirect(2, errors)};
    s.status = ssh_print(argv, &err);
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        dup2(saved[i], i + 1);
        close(saved[i]);
    }
    assert_int_equal(fs_read(out, 1 << 20, &s.out, NULL, &err), 0);
    assert_int_equal(fs_read(errors, 1 << 20, &s.errors, NULL, &err), 0);
    assert_int_equal(fs_remove_tree(dir, &err), 0);
    return s;
}

static void said_free(struct said *s)
{
    free(s->out);
    free(s->errors);
}

static void test_filter(void **state)
{
    (void)state;
    _cleanup_(said_free) struct said s =
        run("printf 'a\\033[2Jb\\n\\302\\233c\\342\\200\\256d\\377e\\000f\\n\\303\\244'; "
            "printf 'x\\033]0;title\\007\\n' >&2; exit 3");

    assert_int_equal(s.status, 3);
    assert_string_equal(s.out, "a?[2Jb\n?c?d?e?f\n\xc3\xa4");
    assert_string_equal(s.errors, "x?]0;title?\n");
}

/* Lines that come in parts, and one without end. */
static void test_parts(void **state)
{
    (void)state;
    _cleanup_(said_free) struct said s = run("printf 'one '; printf '\\303'; printf '\\244\\n'; "
                                             "head -c 200000 /dev/zero | tr '\\0' x");

    assert_int_equal(s.status, 0);
    assert_int_equal(strncmp(s.out, "one \xc3\xa4\nxxx", 10), 0);
    assert_int_equal(strlen(s.out), 7 + 200000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filter),
        cmocka_unit_test(test_parts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
