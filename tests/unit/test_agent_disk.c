/* SPDX-License-Identifier: Apache-2.0 */
/* Classification of disks on image files: only zeros are blank, only our own marks are ours, and
 * everything else is foreign. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/disk/disk.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/keys.h"
#include "common/proc.h"
#include "common/str.h"

#define MIB (1024ULL * 1024)
#define SIZE (640 * MIB) /* sparse; large enough for xfs and for ext4's backup superblocks */
#define VOLUME "11111111-aaaa-4aaa-8aaa-111111111111"
#define OTHER "22222222-bbbb-4bbb-8bbb-222222222222"

static char image[64];

static int setup(void **state)
{
    (void)state;
    snprintf(image, sizeof(image), "/tmp/test-disk-XXXXXX");
    int fd = mkstemp(image);
    if (fd < 0 || ftruncate(fd, (off_t)SIZE) < 0)
        return -1;
    return close(fd);
}

static int teardown(void **state)
{
    (void)state;
    return unlink(image);
}

static void run_tool(const char *const *argv)
{
    struct err err = {0};

    if (proc_run(argv, NULL, NULL, &err) < 0)
        fail_msg("%s", err.msg);
}

static const char *filesystem = "ext4";

static struct disk_look classify(void)
{
    struct disk_want w;
    struct disk_look look;
    struct err err = {0};
    int fd = open(image, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    disk_want_fill(&w, VOLUME, filesystem, SIZE);
    if (disk_classify(fd, SIZE, &w, &look, &err) < 0)
        fail_msg("%s", err.msg);
    close(fd);
    return look;
}

static void expect(enum disk_kind kind)
{
    struct disk_look look = classify();

    if (look.kind != kind)
        fail_msg("%s instead of %s: %s", disk_kind_name(look.kind), disk_kind_name(kind), look.why);
}

static void poke(uint64_t at, const void *data, size_t len)
{
    int fd = open(image, O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, len, (off_t)at), len);
    close(fd);
}

static void zero(uint64_t at, size_t len)
{
    char *zeros = calloc(1, len);

    poke(at, zeros, len);
    free(zeros);
}

/* A GPT as the agent writes it, for `volume`. */
static void our_table(const char *volume)
{
    struct disk_want w;

    disk_want_fill(&w, volume, "ext4", SIZE);
    char *uuid = str_fmt("1:%s", w.part_uuid);
    run_tool(PROC_ARGV("/usr/sbin/sgdisk", "--clear", "--new=1:2048:0",
                       "--change-name=1:" DISK_PART_NAME, "--partition-guid", uuid, image));
    free(uuid);
}

static void our_filesystem(const char *uuid)
{
    run_tool(PROC_ARGV("/usr/sbin/mkfs.ext4", "-q", "-F", "-U", uuid, "-E", "offset=1048576", image,
                       "600M"));
}

static void test_blank(void **state)
{
    (void)state;
    expect(DISK_BLANK);
}

static void test_noise(void **state)
{
    (void)state;
    char noise[4096];
    static const uint64_t places[] = {
        0,         1 * MIB,  3 * MIB + 4096, SIZE - 4096, SIZE / 64 * 7 / 4096 * 4096,
        128 * MIB, SIZE / 4, SIZE / 2};

    keys_random(noise, sizeof(noise));
    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
        poke(places[i], noise, sizeof(noise));
        expect(DISK_FOREIGN);
        zero(places[i], sizeof(noise));
        expect(DISK_BLANK);
    }
}

static void test_whole_disk_filesystems(void **state)
{
    (void)state;
    static const char *const tools[] = {"/usr/sbin/mkfs.ext4", "/usr/sbin/mkfs.xfs",
                                        "/usr/sbin/mkfs.btrfs", "/usr/sbin/mkswap"};

    for (size_t i = 0; i < 4; i++) {
        if (!fs_exists(tools[i]))
            continue;
        run_tool(i == 0   ? PROC_ARGV(tools[i], "-q", "-F", image)
                 : i == 3 ? PROC_ARGV(tools[i], image)
                          : PROC_ARGV(tools[i], "-q", "-f", image));
        expect(DISK_FOREIGN);
        assert_int_equal(truncate(image, 0), 0);
        assert_int_equal(truncate(image, (off_t)SIZE), 0);
    }
}

static void test_lost_superblock(void **state)
{
    (void)state;
    /* Everything that a probe would know is gone, but the backups are there. */
    run_tool(PROC_ARGV("/usr/sbin/mkfs.ext4", "-q", "-F", image));
    zero(0, 4 * MIB);
    expect(DISK_FOREIGN);
    assert_int_equal(truncate(image, 0), 0);
    assert_int_equal(truncate(image, (off_t)SIZE), 0);
    run_tool(PROC_ARGV("/usr/sbin/mkfs.xfs", "-q", "-f", image));
    zero(0, 4 * MIB);
    expect(DISK_FOREIGN);
}

static void test_lost_table(void **state)
{
    (void)state;
    our_table(OTHER);
    our_filesystem("33333333-cccc-4ccc-8ccc-333333333333");
    zero(0, MIB);
    expect(DISK_FOREIGN); /* the backup GPT tells */
    zero(SIZE - MIB, MIB);
    expect(DISK_FOREIGN); /* and without it the filesystem does */
}

static void test_ours(void **state)
{
    (void)state;
    struct disk_want w;

    disk_want_fill(&w, VOLUME, "ext4", SIZE);
    our_table(VOLUME);
    expect(DISK_TABLE_OURS);
    poke(2 * MIB, "half made", 9);
    expect(DISK_UNFINISHED);
    our_filesystem(w.fs_uuid);
    expect(DISK_OURS);
    struct disk_look look = classify();
    assert_int_equal(look.part_start, MIB);
    /* The same disk must never be taken for that of another volume. */
    our_filesystem("33333333-cccc-4ccc-8ccc-333333333333");
    expect(DISK_FOREIGN);
}

/* mkfs.xfs was killed: libblkid knows the superblock already. */
static void test_unfinished_xfs(void **state)
{
    struct disk_want w;

    (void)state;
    disk_want_fill(&w, VOLUME, "xfs", SIZE);
    our_table(VOLUME);
    _cleanup_free_ char *uuid = str_fmt("uuid=%s", w.fs_uuid);
    _cleanup_free_ char *part = str_fmt("%s.part", image);
    run_tool(PROC_ARGV("/usr/bin/truncate", "-s", "400M", part));
    run_tool(PROC_ARGV("/usr/sbin/mkfs.xfs", "-q", "-f", "-m", uuid, part));
    _cleanup_free_ char *from = str_fmt("if=%s", part), *to = str_fmt("of=%s", image);
    run_tool(PROC_ARGV("/usr/bin/dd", "status=none", "conv=notrunc,sparse", "bs=1M", "seek=1", from,
                       to));
    unlink(part);
    filesystem = "xfs";
    expect(DISK_OURS);
    poke(MIB + 126, "\1", 1);
    expect(DISK_UNFINISHED);
    filesystem = "ext4";
}

static void test_other_volume(void **state)
{
    (void)state;
    our_table(OTHER);
    expect(DISK_FOREIGN);
}

static void test_truncated(void **state)
{
    (void)state;
    struct disk_want w;
    struct disk_look look = {0};
    struct err err = {0};

    disk_want_fill(&w, VOLUME, "ext4", SIZE);
    assert_int_equal(truncate(image, (off_t)SIZE / 2), 0);
    int fd = open(image, O_RDONLY | O_CLOEXEC);
    int r = disk_classify(fd, SIZE, &w, &look, &err);
    close(fd);
    assert_true(r < 0 || look.kind == DISK_FOREIGN);
}

static void test_journal(void **state)
{
    (void)state;
    struct disk_want w, other;
    struct disk_intent intent;
    struct err err = {0};
    char dir[] = "/tmp/test-journal-XXXXXX";

    assert_non_null(mkdtemp(dir));
    disk_want_fill(&w, VOLUME, "ext4", SIZE);
    disk_want_fill(&other, OTHER, "ext4", SIZE);
    assert_int_equal(disk_journal_read(dir, &w, &intent, &err), 0);
    assert_false(intent.pending);
    assert_int_equal(disk_journal_intent(dir, &w, "mkfs", false, &err), 0);
    assert_int_equal(disk_journal_read(dir, &w, &intent, &err), 0);
    assert_true(intent.pending);
    assert_int_equal(disk_journal_read(dir, &other, &intent, &err), 0);
    assert_false(intent.pending);
    assert_int_equal(disk_journal_done(dir, &w, &err), 0);
    assert_int_equal(disk_journal_read(dir, &w, &intent, &err), 0);
    assert_false(intent.pending);
    assert_false(disk_consent_used(dir, VOLUME));
    assert_int_equal(disk_consent_use(dir, VOLUME, &err), 0);
    assert_true(disk_consent_used(dir, VOLUME));
    assert_int_equal(fs_remove_tree(dir, &err), 0);
    /* A disk that another machine made: nothing was ever noted here. */
    assert_int_equal(disk_journal_done(dir, &w, &err), 0);
}

/* A check that could not be started has not found the filesystem to be clean. */
static void test_check_not_started(void **state)
{
    (void)state;
    struct disk_want w;
    struct err err = {0};
    struct rlimit was, none;

    disk_want_fill(&w, VOLUME, "ext4", SIZE);
    run_tool(PROC_ARGV("/usr/sbin/mkfs.ext4", "-q", "-F", image));
    if (disk_check_filesystem(image, &w, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    none = (struct rlimit){.rlim_cur = 3, .rlim_max = was.rlim_max}; /* no pipe to be had */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int r = disk_check_filesystem(image, &w, &err);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    assert_int_equal(r, -1);
    assert_int_not_equal(err.code, ERR_SAFETY); /* nor to be damaged */
    assert_non_null(strstr(err.msg, "cannot be checked"));
}

#define ON_IMAGE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_IMAGE(test_blank),
        ON_IMAGE(test_noise),
        ON_IMAGE(test_whole_disk_filesystems),
        ON_IMAGE(test_lost_superblock),
        ON_IMAGE(test_lost_table),
        ON_IMAGE(test_unfinished_xfs),
        ON_IMAGE(test_ours),
        ON_IMAGE(test_other_volume),
        ON_IMAGE(test_truncated),
        ON_IMAGE(test_check_not_started),
        cmocka_unit_test(test_journal),
    };
    struct err err;

    if (keys_init(&err) < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
