/* SPDX-License-Identifier: Apache-2.0 */
/* What is decided for each kind of disk, on plain files and without root (tests/e2e/disk.sh has the
 * same rows on devices); and a table that grows, killed at every point. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/disk/disk.h"
#include "common/fs.h"
#include "common/keys.h"
#include "common/proc.h"
#include "common/str.h"

#define MIB (1024ULL * 1024)
#define SIZE (320 * MIB)
#define LARGER (480 * MIB)
#define VOLUME "11111111-aaaa-4aaa-8aaa-111111111111"
#define IMPORTANT "irreplaceable"
#define IMPORTANT_AT (64 * MIB)

static char image[64];
static int64_t fails_at = -1; /* reads beyond this byte fail */

ssize_t __real_pread(int fd, void *buf, size_t len, off_t at);
ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t at);
ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t at)
{
    if (fails_at >= 0 && at >= fails_at) {
        errno = EIO;
        return -1;
    }
    return __real_pread(fd, buf, len, at);
}

static void run_tool(const char *const *argv)
{
    struct err err = {0};

    if (proc_run(argv, NULL, NULL, &err) < 0)
        fail_msg("%s", err.msg);
}

static void poke(uint64_t at, const void *data, size_t len)
{
    int fd = open(image, O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, len, (off_t)at), len);
    close(fd);
}

static void image_new(uint64_t size)
{
    assert_int_equal(truncate(image, 0), 0);
    assert_int_equal(truncate(image, (off_t)size), 0);
}

static void gpt_on_image(const char *name, const char *uuid)
{
    char *number = str_fmt("1:%s", uuid), *title = str_fmt("1:%s", name);

    run_tool(PROC_ARGV("/usr/sbin/sgdisk", "--clear", "--new=1:2048:0", "--change-name", title,
                       "--partition-guid", number, image));
    free(number);
    free(title);
}

/* What a probe knows each by, where it is looked for. */
static void signature(const char *kind, uint64_t base)
{
    static const unsigned char md[] = {0xfc, 0x4e, 0x2b, 0xa9, 1};
    static const unsigned char zfs[] = {0x0c, 0xb1, 0xba};

    if (str_eq(kind, "lvm"))
        poke(base + 512, "LABELONE\1\0\0\0\0\0\0\0\0\0\0\0 \0\0\0LVM2 001", 32);
    else if (str_eq(kind, "luks"))
        poke(base, "LUKS\xba\xbe\0\1", 8);
    else if (str_eq(kind, "mdraid"))
        poke(base + 4096, md, sizeof(md));
    else if (str_eq(kind, "swap"))
        poke(base + 4086, "SWAPSPACE2", 10);
    else if (str_eq(kind, "zfs"))
        for (uint64_t i = 0; i < 8; i++)
            poke(base + 128 * 1024 + i * 1024, zfs, sizeof(zfs));
    else
        run_tool(PROC_ARGV(str_eq(kind, "xfs")     ? "/usr/sbin/mkfs.xfs"
                           : str_eq(kind, "btrfs") ? "/usr/sbin/mkfs.btrfs"
                                                   : "/usr/sbin/mkfs.ext4",
                           "-q", str_eq(kind, "ext4") ? "-F" : "-f", image));
}

static int look_at(struct disk_facts *f, struct err *err)
{
    struct disk_want w;

    disk_want_fill(&w, VOLUME, "ext4", f->size);
    int fd = open(image, O_RDONLY | O_CLOEXEC);
    int r = disk_classify(fd, f->size, &w, &f->look, err);
    close(fd);
    return r;
}

static void expect(const char *what, struct disk_facts f, enum disk_action action, unsigned rule)
{
    struct disk_want w;
    struct disk_decision d;
    struct err err = {0};
    char name[8];

    if (!f.size)
        f.size = SIZE;
    if (look_at(&f, &err) < 0)
        fail_msg("%s: %s", what, err.msg);
    disk_want_fill(&w, VOLUME, "ext4", SIZE);
    disk_decide(&w, &f, &d);
    if (d.action != action || d.rule != rule)
        fail_msg("%s: %s by R%u, not %s by R%u: %s", what, disk_action_name(d.action), d.rule,
                 disk_action_name(action), rule, d.why);
    snprintf(name, sizeof(name), "(R%u)", rule);
    assert_non_null(strstr(d.why, name));
}

static void test_whole_disk(void **state)
{
    (void)state;
    static const struct {
        const char *kind;
        unsigned rule;
    } rows[] = {{"ext4", 4}, {"xfs", 4}, {"btrfs", 4},  {"lvm", 4},
                {"luks", 4}, {"zfs", 4}, {"mdraid", 5}, {"swap", 5}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        image_new(SIZE);
        signature(rows[i].kind, 0);
        expect(rows[i].kind, (struct disk_facts){0}, DISK_REFUSE, rows[i].rule);
        expect(rows[i].kind, (struct disk_facts){.consent = true}, DISK_PARTITION, 7);
    }
}

static void test_partitioned(void **state)
{
    (void)state;
    static const char *const kinds[] = {"", "lvm", "luks", "mdraid", "swap", "zfs"};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        image_new(SIZE);
        gpt_on_image("data", "33333333-cccc-4ccc-8ccc-333333333333");
        if (*kinds[i])
            signature(kinds[i], MIB);
        expect(kinds[i], (struct disk_facts){0}, DISK_REFUSE, 8);
        poke(512, "xxxxxxxx", 8); /* the copy at the end still tells */
        expect(kinds[i], (struct disk_facts){0}, DISK_REFUSE, 8);
    }
}

static void test_ours(void **state)
{
    (void)state;
    struct disk_want w;
    struct disk_intent made = {.pending = true, .action = "mkfs"};
    struct disk_intent grew = {.pending = true, .action = "grow"};

    disk_want_fill(&w, VOLUME, "ext4", SIZE);
    image_new(SIZE);
    expect("blank", (struct disk_facts){0}, DISK_PARTITION, 5);
    expect("blank, mounted", (struct disk_facts){.used = "/"}, DISK_REFUSE, 3);
    expect("blank, busy", (struct disk_facts){.busy = true}, DISK_REFUSE, 2);
    expect("blank, read-only", (struct disk_facts){.readonly = true}, DISK_REFUSE, 2);
    expect("smaller", (struct disk_facts){.size = SIZE - MIB}, DISK_REFUSE, 6);
    gpt_on_image(DISK_PART_NAME, w.part_uuid);
    expect("table", (struct disk_facts){0}, DISK_FORMAT, 8);
    poke(2 * MIB, "half made", 9);
    expect("half made", (struct disk_facts){0}, DISK_REFUSE, 11);
    expect("half made, on record", (struct disk_facts){.intent = made}, DISK_FORMAT, 11);
    expect("what growth left is data", (struct disk_facts){.intent = grew}, DISK_REFUSE, 11);
    run_tool(PROC_ARGV("/usr/sbin/mkfs.ext4", "-q", "-F", "-U", w.fs_uuid, "-E", "offset=1048576",
                       image, "300M"));
    expect("ours", (struct disk_facts){.known = true}, DISK_NOTHING, 8);
    expect("ours, mounted", (struct disk_facts){.known = true, .used = "/x"}, DISK_NOTHING, 8);
    expect("ours, consent", (struct disk_facts){.known = true, .consent = true}, DISK_NOTHING, 8);
    expect("not known", (struct disk_facts){0}, DISK_TELL, 10);
    expect("record left", (struct disk_facts){.known = true, .intent = made}, DISK_TELL, 11);
    expect("grew", (struct disk_facts){.known = true, .table_short = true}, DISK_GROW, 13);
}

/* Somebody zeroed the start; a copy further in still tells what is on the disk. */
static void test_copies(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        uint64_t at, size; /* MiB */
    } rows[] = {
        {"btrfs", 64, 10 * 1024},
        {"btrfs in a partition", 65, 50 * 1024},
        {"btrfs", 256 * 1024, 300 * 1024},
        {"BlueStore", 1024, 10 * 1024},
        {"BlueStore", 10 * 1024, 20 * 1024},
        {"BlueStore", 100 * 1024, 200 * 1024},
        {"BlueStore", 1000 * 1024, 1200 * 1024},
        {"OCFS2", 4 * 1024, 50 * 1024},
        {"OCFS2", 16 * 1024, 50 * 1024},
        {"OCFS2", 64 * 1024, 100 * 1024},
        {"NTFS", 3 * 1024, 50 * 1024},
        {"NTFS in a partition", 3 * 1024 + 1, 50 * 1024},
        {"LUKS2", 4, 10 * 1024},
        {"LUKS2 in a partition", 5, 10 * 1024},
        {"XFS of 5 TiB", 2 * 1024 * 1024, 5 * 1024 * 1024},
        {"ZFS before a partition of 8 MiB", 10 * 1024 - 9, 10 * 1024},
        {"software RAID 0.9", 10 * 1024 - 1, 10 * 1024},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct disk_facts f = {.size = rows[i].size * MIB};
        struct err err = {0};

        image_new(f.size);
        if (look_at(&f, &err) < 0 || f.look.kind != DISK_BLANK)
            fail_msg("%s: nothing in it, but not blank: %s%s", rows[i].what, err.msg, f.look.why);
        poke(rows[i].at * MIB + 64, "copy", 4);
        if (look_at(&f, &err) < 0 || f.look.kind != DISK_FOREIGN || f.look.rule != 5)
            fail_msg("%s, a copy at %llu MiB of %llu: %s%s", rows[i].what,
                     (unsigned long long)rows[i].at, (unsigned long long)rows[i].size, err.msg,
                     f.look.why);
    }
}

static void test_read_error(void **state)
{
    (void)state;
    struct disk_facts f = {.size = SIZE};
    struct err err = {0};

    image_new(SIZE);
    fails_at = (int64_t)SIZE / 2;
    int r = look_at(&f, &err);
    fails_at = -1;
    assert_int_equal(r, -1);
    assert_int_equal(err.code, ERR_SAFETY);
    assert_non_null(strstr(err.msg, "(R5)"));
}

/* As the table with our filesystem is when its volume has become larger. */
static void grown_image(const struct disk_want *w)
{
    image_new(SIZE);
    gpt_on_image(DISK_PART_NAME, w->part_uuid);
    run_tool(PROC_ARGV("/usr/sbin/mkfs.ext4", "-q", "-F", "-U", w->fs_uuid, "-E", "offset=1048576",
                       image, "300M"));
    poke(IMPORTANT_AT, IMPORTANT, strlen(IMPORTANT));
    assert_int_equal(truncate(image, (off_t)LARGER), 0);
}

static void grow_checked(const struct disk_want *w)
{
    struct disk_look look;
    struct err err = {0};
    char text[sizeof(IMPORTANT)] = "";
    bool is_short = false;
    int fd = open(image, O_RDWR | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(disk_classify(fd, LARGER, w, &look, &err), 0);
    if (look.kind != DISK_OURS)
        fail_msg("half grown: %s", look.why);
    if (disk_table_grow(fd, LARGER, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(disk_table_short(fd, LARGER, &is_short, &err), 0);
    assert_false(is_short);
    assert_int_equal(disk_classify(fd, LARGER, w, &look, &err), 0);
    assert_int_equal(look.kind, DISK_OURS);
    assert_int_equal(look.part_start, MIB);
    assert_true(look.part_start + look.part_size > LARGER - 2 * MIB);
    assert_int_equal(pread(fd, text, strlen(IMPORTANT), (off_t)IMPORTANT_AT), strlen(IMPORTANT));
    assert_string_equal(text, IMPORTANT);
    close(fd);
    run_tool(PROC_ARGV("/usr/sbin/sgdisk", "--verify", image));
}

static void test_grow(void **state)
{
    (void)state;
    struct disk_want w;
    bool is_short = false;
    struct err err = {0};

    disk_want_fill(&w, VOLUME, "ext4", LARGER);
    grown_image(&w);
    int fd = open(image, O_RDONLY | O_CLOEXEC);
    assert_int_equal(disk_table_short(fd, LARGER, &is_short, &err), 0);
    close(fd);
    assert_true(is_short);
    for (int n = 1, status = -1; status != 0; n++) {
        grown_image(&w);
        pid_t pid = fork();
        if (pid == 0) {
            char text[16];

            snprintf(text, sizeof(text), "%d", n);
            setenv("MUSTER_KILL_AT", text, 1); /* works where the build has kill points */
            fd = open(image, O_RDWR | O_CLOEXEC);
            _exit(disk_table_grow(fd, LARGER, &err) < 0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
        grow_checked(&w);
    }
}

/* A copy that is torn in any byte that matters is not used; the other one is. */
static void test_torn(void **state)
{
    (void)state;
    static const uint64_t places[] = {512, 516, 512 + 20, 512 + 24, 512 + 90, 1024 + 40};
    struct disk_want w;

    disk_want_fill(&w, VOLUME, "ext4", LARGER);
    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
        grown_image(&w);
        grow_checked(&w);
        poke(places[i], "\xa5", 1);
        grow_checked(&w);
    }
}

static int setup(void **state)
{
    (void)state;
    snprintf(image, sizeof(image), "/tmp/test-disk-table-XXXXXX");
    int fd = mkstemp(image);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    return unlink(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_disk), cmocka_unit_test(test_partitioned),
        cmocka_unit_test(test_ours),       cmocka_unit_test(test_read_error),
        cmocka_unit_test(test_grow),       cmocka_unit_test(test_torn),
        cmocka_unit_test(test_copies),
    };
    struct err err;

    if (keys_init(&err) < 0)
        return 1;
    return cmocka_run_group_tests(tests, setup, teardown);
}
