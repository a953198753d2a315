/* SPDX-License-Identifier: Apache-2.0 */
/* Moving a data directory: a copy that differs in anything is found. AppArmor's additions. */
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
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/galera/datadir.h"
#include "common/fs.h"
#include "common/str.h"

static char from[64], to[80];

static void put(const char *dir, const char *name, const char *text)
{
    struct err err = {0};
    char path[160];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    assert_int_equal(fs_write_atomic(path, text, strlen(text), 0640, &err), 0);
}

static void directory(const char *dir, const char *name)
{
    char path[160];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static int setup(void **state)
{
    (void)state;
    snprintf(from, sizeof(from), "/tmp/test-datadir-XXXXXX");
    if (!mkdtemp(from))
        return -1;
    snprintf(to, sizeof(to), "%s.copy", from);
    directory(from, "mysql");
    directory(from, "#rocksdb");
    directory(from, "lost+found");
    put(from, "ibdata1", "rows");
    put(from, "mysql/user.MYD", "root");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    struct err err;

    fs_remove_tree(to, &err);
    return fs_remove_tree(from, &err);
}

static void test_used(void **state)
{
    (void)state;
    assert_false(datadir_used(from));
    put(from, "aria_log_control", "");
    assert_false(datadir_used(from));
    directory(from, "shop");
    assert_true(datadir_used(from));
    assert_false(datadir_used("/nonexistent"));
}

static void expect_different(void)
{
    struct err err = {0};

    assert_int_equal(datadir_compare(from, to, NULL, &err), -1);
    assert_int_equal(datadir_copy(from, to, NULL, &err), 0);
    assert_int_equal(datadir_compare(from, to, NULL, &err), 0);
}

static void test_copy(void **state)
{
    (void)state;
    struct err err = {0};
    char path[160], lost[160];

    directory(from, "shop");
    put(from, "shop/t.ibd", "42");
    put(from, "long", "");
    snprintf(path, sizeof(path), "%s/long", from);
    assert_int_equal(truncate(path, 300000), 0);
    assert_int_equal(datadir_copy(from, to, NULL, &err), 0);
    snprintf(lost, sizeof(lost), "%s/lost+found", to);
    assert_false(fs_exists(lost));
    put(to, "shop/t.ibd", "43");
    expect_different();
    put(to, "shop/more", "");
    expect_different();
    snprintf(path, sizeof(path), "%s/shop/t.ibd", to);
    assert_int_equal(chmod(path, 0600), 0);
    expect_different();
    assert_int_equal(unlink(path), 0);
    expect_different();
    snprintf(path, sizeof(path), "%s/long", to);
    assert_int_equal(truncate(path, 299999), 0);
    expect_different();
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "x", 1, 299999), 1);
    close(fd);
    expect_different();
}

static void test_lock(void **state)
{
    (void)state;
    struct err err = {0};
    char path[160];
    int ready[2];

    assert_int_equal(pipe(ready), 0);
    snprintf(path, sizeof(path), "%s/ibdata1", from);
    pid_t pid = fork();
    if (pid == 0) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int fd = open(path, O_RDWR | O_CLOEXEC);

        if (fcntl(fd, F_SETLK, &lock) == 0 && write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    char c;
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(datadir_copy(from, to, NULL, &err), -1);
    assert_int_equal(err.code, ERR_SAFETY);
    kill(pid, 9);
    waitpid(pid, NULL, 0);
    close(ready[0]);
    close(ready[1]);
    assert_int_equal(datadir_copy(from, to, NULL, &err), 0);
}

static void test_apparmor(void **state)
{
    (void)state;
    static const char ours[] = "# muster-agent begin\n\"/d/\" r,\n\"/d/**\" rwk,\n"
                               "# muster-agent end\n";

    assert_null(apparmor_local(""));
    assert_null(apparmor_local("/usr/sbin/mariadbd-safe (enforce)\nfirefox (enforce)\n"));
    assert_string_equal(apparmor_local("a (enforce)\n/usr/sbin/mysqld (enforce)\n"),
                        "/etc/apparmor.d/local/usr.sbin.mysqld");
    char *first = apparmor_with("# Site-specific", "/d");
    char *again = apparmor_with(first, "/d");
    assert_string_equal(first, again);
    assert_int_equal(strncmp(first, "# Site-specific\n", 16), 0);
    assert_string_equal(first + 16, ours);
    char *behind = str_fmt("%sowner /x r,\n", first);
    char *moved = apparmor_with(behind, "/e");
    assert_non_null(strstr(moved, "\"/e/**\" rwk,\n# muster-agent end\nowner /x r,\n"));
    assert_null(strstr(moved, "/d"));
    free(first);
    free(again);
    free(behind);
    free(moved);
}

#define ON_DIR(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_DIR(test_used),
        ON_DIR(test_copy),
        ON_DIR(test_lock),
        cmocka_unit_test(test_apparmor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
