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
#include "agent/galera/transfer.h"
#include "common/cleanup.h"
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

/* Somebody moved the directory and left a link: the files are copied, not the link. */
static void test_link(void **state)
{
    (void)state;
    struct err err = {0};
    struct stat st;
    char link[96], inner[160];

    directory(from, "shop");
    put(from, "shop/t.ibd", "42");
    snprintf(link, sizeof(link), "%s.link", from);
    unlink(link);
    assert_int_equal(symlink(from, link), 0);
    assert_true(datadir_bytes(link) > 0);
    assert_int_equal(datadir_copy(link, to, NULL, &err), 0);
    assert_int_equal(lstat(to, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(datadir_compare(from, to, NULL, &err), 0);
    assert_int_equal(lstat(link, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(unlink(link), 0);

    snprintf(inner, sizeof(inner), "%s/sold", from);
    assert_int_equal(symlink("/srv/sold", inner), 0);
    assert_int_equal(datadir_copy(from, to, NULL, &err), -1);
    assert_int_equal(err.code, ERR_SAFETY);
    assert_non_null(strstr(err.msg, inner));
    assert_int_equal(unlink(inner), 0);

    put(from, "shop/far.isl", "/srv/far.ibd");
    assert_int_equal(datadir_copy(from, to, NULL, &err), -1);
    assert_non_null(strstr(err.msg, "shop/far.isl"));
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

static bool there(const char *name)
{
    char path[160];

    snprintf(path, sizeof(path), "%s/%s", from, name);
    return fs_exists(path);
}

static void put_pid(const char *name, pid_t pid)
{
    char text[32];

    snprintf(text, sizeof(text), "%d\n", (int)pid);
    put(from, name, text);
}

/* The number of a script that is gone is that of another process now; only a living script counts.
 */
static void test_left_by_transfer(void **state)
{
    (void)state;
    static const char *const names[] = {"wsrep_sst.pid", "rsync_sst.pid", "stunnel.pid",
                                        "sst_in_progress"};
    struct err err = {0};

    assert_int_equal(transfer_forget(from, &err), 0);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        put_pid(names[i], getpid());
    put(from, "stunnel.pid", "");
    put(from, "grastate.dat", "");
    assert_int_equal(transfer_forget(from, &err), 0);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_false(there(names[i]));
    assert_true(there("grastate.dat"));

    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/sleep", "wsrep_sst_mariabackup", "60", (char *)NULL);
        _exit(127);
    }
    char path[64], command[64] = "";
    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
    for (int i = 0; i < 500 && strcmp(command, "wsrep_sst_mariabackup") != 0; i++) {
        FILE *f = fopen(path, "re");

        assert_non_null(f);
        command[fread(command, 1, sizeof(command) - 1, f)] = '\0';
        fclose(f);
        usleep(10000);
    }
    put_pid("wsrep_sst.pid", pid);
    put_pid("sst_in_progress", 0);
    put_pid("rsync_sst.pid", pid);
    assert_int_equal(transfer_forget(from, &err), 0);
    assert_true(there("wsrep_sst.pid"));
    assert_true(there("sst_in_progress"));
    assert_false(there("rsync_sst.pid"));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(transfer_forget(from, &err), 0);
    assert_false(there("wsrep_sst.pid"));
    assert_false(there("sst_in_progress"));
}

#define ON_DIR(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_DIR(test_used),
        ON_DIR(test_copy),
        ON_DIR(test_link),
        ON_DIR(test_lock),
        ON_DIR(test_left_by_transfer),
        cmocka_unit_test(test_apparmor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
