/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of disks: their content, their names, and filesystems that stand still meanwhile. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"
#include "controller/localvdc/machine/compute.h"
#include "controller/localvdc/machine/disk.h"
#include "controller/localvdc/machine/hold.h"
#include "controller/localvdc/machine/image.h"
#include "controller/localvdc/machine/power.h"

#define MIB (1 << 20)
#define SIZE (64 * MIB)

struct world {
    char dir[40], disk[64], copy[64], part[72];
};

static int setup(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));
    struct err err = {0};

    str_copy(w->dir, sizeof(w->dir), "/tmp/test_vdc_snapshot.XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->disk, sizeof(w->disk), "%s/disk.img", w->dir);
    snprintf(w->copy, sizeof(w->copy), "%s/copy.img", w->dir);
    image_part(w->copy, w->part, sizeof(w->part));
    if (disk_make(w->disk, SIZE, &err) < 0)
        fail_msg("%s", err.msg);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    struct err err = {0};

    disk_release(w->disk, &err);
    disk_release(w->copy, &err);
    int r = fs_remove_tree(w->dir, &err);
    free(w);
    return r;
}

static void put(const char *path, off_t at, char c, size_t n)
{
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
    _cleanup_free_ char *buf = xcalloc(1, n);

    memset(buf, c, n);
    assert_int_equal(pwrite(fd, buf, n, at), n);
}

static void same(const char *a, const char *b)
{
    struct err err = {0};
    _cleanup_free_ char *x = NULL, *y = NULL;
    size_t n = 0, m = 0;

    assert_int_equal(fs_read(a, 2 * SIZE, &x, &n, &err), 0);
    assert_int_equal(fs_read(b, 2 * SIZE, &y, &m, &err), 0);
    assert_int_equal(n, m);
    assert_int_equal(memcmp(x, y, n), 0);
}

static long long used(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return (long long)st.st_blocks * 512;
}

static void passes_follow_the_disk(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    _cleanup_(image_drop) struct image m = {.from = -1, .to = -1};

    put(w->disk, 0, 'a', 100);
    put(w->disk, 10 * MIB, 'b', MIB);
    put(w->disk, SIZE - 1, 'c', 1);
    assert_int_equal(image_begin(w->disk, w->copy, &m, &err), 0);
    assert_int_equal(image_check_space(&m, &err), 0);
    assert_int_equal(image_update(&m, &err), 0);
    same(w->disk, w->part);
    assert_true(used(w->part) < 4 * MIB);

    /* Something is written, something is discarded, the disk grows: the next pass has it. */
    put(w->disk, 20 * MIB, 'd', 70000);
    _cleanup_close_ int fd = open(w->disk, O_RDWR | O_CLOEXEC);
    assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 10 * MIB, MIB), 0);
    assert_int_equal(ftruncate(fd, SIZE + 5), 0);
    assert_int_equal(image_update(&m, &err), 0);
    same(w->disk, w->part);
    assert_true(used(w->part) < MIB);
    assert_false(fs_exists(w->copy));
    assert_int_equal(image_grow(&m, SIZE + MIB, &err), 0);
    assert_int_equal(image_commit(&m, &err), 0);
    assert_false(fs_exists(w->part));
    struct stat st;
    assert_int_equal(stat(w->copy, &st), 0);
    assert_int_equal(st.st_size, SIZE + MIB);
}

/* What was cut off has no name that anybody reads, and the next attempt begins again. */
static void half_a_copy_is_none(void **state)
{
    struct world *w = *state;
    struct err err = {0};

    put(w->disk, MIB, 'x', MIB);
    pid_t pid = fork();
    if (pid == 0) {
        struct image m;

        if (image_begin(w->disk, w->copy, &m, &err) == 0 && image_update(&m, &err) == 0)
            raise(SIGKILL);
        _exit(1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_true(fs_exists(w->part));
    assert_false(fs_exists(w->copy));

    put(w->part, SIZE - MIB, 'y', MIB);
    struct image m;
    assert_int_equal(image_begin(w->disk, w->copy, &m, &err), 0);
    int shared = image_share(&m, &err);
    assert_true(shared >= 0);
    if (shared == 0)
        assert_int_equal(image_update(&m, &err), 0);
    assert_int_equal(image_commit(&m, &err), 0);
    image_drop(&m);
    same(w->disk, w->copy);

    assert_int_equal(image_begin(w->disk, w->copy, &m, &err), 0);
    image_drop(&m);
    assert_false(fs_exists(w->part));
    same(w->disk, w->copy);
    _cleanup_free_ char *none = str_fmt("%s/none.img", w->dir);
    assert_int_equal(image_begin(none, w->copy, &m, &err), -1);
    assert_int_equal(image_lock(none, &err), -1);
}

static void attaching_waits_for_a_copy(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    int ready[2];
    char c = 0;

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    _cleanup_close_ int lock = image_lock(w->disk, &err);
    assert_true(lock >= 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(ready[0]);
        close(lock);
        _exit(image_lock(w->disk, &err) >= 0 && write(ready[1], "x", 1) == 1 ? 0 : 1);
    }
    close(ready[1]);
    put(w->disk, 0, 'l', 1); /* the lock is for those who ask for it */
    close(lock);
    lock = -1;
    assert_int_equal(read(ready[0], &c, 1), 1);
    close(ready[0]);
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* A program of this machine; the test is skipped where it cannot do such things. */
static void run(const char *const argv[])
{
    struct err err = {0};

    if (proc_call(argv, &err) < 0) {
        print_message("skipped: %s\n", err.msg);
        skip();
    }
}

/* What was written and not synced is on the disk, whole, and nothing comes after it. */
static void a_frozen_filesystem_stands_still(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    struct held held = {0};
    char dev[32];
    _cleanup_free_ char *at = str_fmt("%s/mnt", w->dir), *file = str_fmt("%s/f", at);

    if (geteuid() != 0)
        skip();
    run(PROC_ARGV("/sbin/mkfs.ext4", "-q", w->disk));
    assert_int_equal(mkdir(at, 0755), 0);
    if (disk_attach(w->disk, dev, &err) < 0) {
        print_message("skipped: %s\n", err.msg);
        skip();
    }
    if (mount(dev, at, "ext4", 0, NULL) < 0) {
        print_message("skipped: mount: %s\n", strerror(errno));
        skip();
    }
    FILE *f = fopen(file, "we");
    assert_non_null(f);
    assert_true(fputs("not synced", f) >= 0);
    assert_int_equal(fclose(f), 0);

    int frozen = power_freeze_image(getpid(), w->disk, &held, &err);
    assert_int_equal(held.n, 1);
    _cleanup_close_ int top = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int again = ioctl(top, FIFREEZE, 0), why = errno;
    struct image m;
    int copied = image_begin(w->disk, w->copy, &m, &err) == 0 ? image_update(&m, &err) : -1;
    copied = copied == 0 ? image_commit(&m, &err) : -1;
    image_drop(&m);
    assert_int_equal(power_thaw(&held, &err), 0);
    assert_int_equal(held.n, 0);
    assert_int_equal(frozen, 0);
    assert_int_equal(again, -1);
    assert_int_equal(why, EBUSY);
    assert_int_equal(copied, 0);
    assert_int_equal(power_thaw_image(getpid(), w->disk, &err), 0); /* nothing to do */
    f = fopen(file, "we");                                          /* it goes on */
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);

    /* Frozen by a process that was killed. */
    assert_int_equal(power_freeze_image(getpid(), w->disk, &held, &err), 0);
    assert_int_equal(power_thaw_image(getpid(), w->disk, &err), 0);
    assert_int_equal(ioctl(top, FITHAW, 0), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(power_thaw(&held, &err), 0);
    close(top);
    top = -1;
    assert_int_equal(umount(at), 0);

    run(PROC_ARGV("/sbin/e2fsck", "-fn", w->copy));
    assert_int_equal(disk_attach(w->copy, dev, &err), 0);
    assert_int_equal(mount(dev, at, "ext4", MS_RDONLY, NULL), 0);
    _cleanup_free_ char *text = NULL;
    int read = fs_read(file, 100, &text, NULL, &err);
    assert_int_equal(umount(at), 0);
    assert_int_equal(read, 0);
    assert_string_equal(text, "not synced");
}

/* The process that holds a guest says when, and ends when the other side does. */
static void a_hold_ends_with_its_holder(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    struct vdb *db = NULL;
    int pair[2];
    char text[512] = "";
    static const struct {
        const char *vm, *hypervisor, *says;
        int status;
    } cases[] = {{"v", "LXC", "held", 0}, {"v", "Simulator", "", 1}, {"w", "LXC", "", 1}};
    _cleanup_free_ char *path = str_fmt("%s/state.db", w->dir);

    assert_int_equal(vdb_open(path, true, &db, &err), 0);
    _cleanup_json_ json_t *volume = json_pack("{s:s}", "id", "d");
    assert_int_equal(vdb_put(db, "volume", "d", volume, &err), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_json_ json_t *vm =
            json_pack("{s:s,s:s}", "id", "v", "hypervisor", cases[i].hypervisor);
        int status = -1;

        assert_int_equal(vdb_put(db, "vm", "v", vm, &err), 0);
        vdb_close(&db);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        pid_t pid = fork();
        if (pid == 0) {
            close(pair[0]);
            if (vdb_open(path, false, &db, &err) < 0)
                _exit(2);
            _exit(hold_run(db, cases[i].vm, "d", pair[1], &err) == 0 ? 0 : 1);
        }
        close(pair[1]);
        ssize_t n = recv(pair[0], text, sizeof(text) - 1, 0);
        text[n > 0 ? n : 0] = '\0';
        assert_string_equal(text, cases[i].says);
        close(pair[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(WEXITSTATUS(status), cases[i].status);
        assert_int_equal(vdb_open(path, false, &db, &err), 0);
    }
    vdb_close(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(passes_follow_the_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(half_a_copy_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(attaching_waits_for_a_copy, setup, teardown),
        cmocka_unit_test_setup_teardown(a_frozen_filesystem_stands_still, setup, teardown),
        cmocka_unit_test_setup_teardown(a_hold_ends_with_its_holder, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
