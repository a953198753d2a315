/* SPDX-License-Identifier: Apache-2.0 */
/* A backup's file: what was written is read again, and nothing else is ever taken for it. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/backup.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"

static char dir[64], path[96];
static uint8_t key[KEY_SIZE];
static struct backup_head head = {.name = "saas-20261127T102530Z-fra",
                                  .deployment = "saas",
                                  .node = "fra",
                                  .server = "10.11.6-MariaDB-0+deb12u1",
                                  .compress = "zstd",
                                  .at = 1795775130000};

static int setup(void **state)
{
    struct err err;

    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/test-backup-XXXXXX");
    if (keys_init(&err) < 0 || !mkdtemp(dir))
        return -1;
    snprintf(path, sizeof(path), "%s/one.mbk", dir);
    keys_random(key, sizeof(key));
    backup_key_id(key, head.key_id);
    return 0;
}

static int teardown(void **state)
{
    struct err err;

    (void)state;
    return fs_remove_tree(dir, &err);
}

static void must(int r, const struct err *err)
{
    if (r < 0)
        fail_msg("%s", err->msg);
}

#define INFO "{\"position\":\"abc:1\"}"

static void write_small(char sha[SHA256_HEX_SIZE])
{
    struct backup_writer *w = NULL;
    struct err err = {0};

    unlink(path);
    must(backup_writer_open(path, &head, key, &w, &err), &err);
    must(backup_write(w, BACKUP_DATABASE, "rows ", 5, &err), &err);
    must(backup_write(w, BACKUP_DATABASE, "and rows", 8, &err), &err);
    must(backup_write(w, BACKUP_FILES, "a photo", 7, &err), &err);
    must(backup_writer_end(w, INFO, sha, &err), &err);
    backup_writer_free(w);
}

struct seen {
    struct strbuf parts[BACKUP_INFO + 1];
};

static void seen_free(struct seen *s)
{
    for (size_t i = 0; i < ARRAY_LEN(s->parts); i++)
        strbuf_free(&s->parts[i]);
}

/* All of it; what comes of a file that is refused later is no harm: nobody may act before the end.
 */
static int read_all(const uint8_t with[KEY_SIZE], struct seen *s, struct err *err)
{
    struct backup_reader *r = NULL;
    struct backup_head h;
    enum backup_part part;
    const void *data;
    size_t len;
    int rc = backup_reader_open(path, with, &h, &r, err);

    if (rc < 0)
        return -1;
    while ((rc = backup_read(r, &part, &data, &len, err)) == 1)
        strbuf_add(&s->parts[part], data, len);
    backup_reader_free(r);
    return rc;
}

static void test_round(void **state)
{
    char sha[SHA256_HEX_SIZE], really[SHA256_HEX_SIZE];
    _cleanup_(seen_free) struct seen s = {0};
    struct backup_head h;
    struct err err = {0};
    struct stat st;

    (void)state;
    write_small(sha);
    must(read_all(key, &s, &err), &err);
    assert_string_equal(strbuf_str(&s.parts[BACKUP_DATABASE]), "rows and rows");
    assert_string_equal(strbuf_str(&s.parts[BACKUP_FILES]), "a photo");
    assert_string_equal(strbuf_str(&s.parts[BACKUP_INFO]), INFO);
    must(keys_sha256_file(path, really, &err), &err);
    assert_string_equal(sha, really);
    must(backup_head_read(path, &h, &err), &err);
    assert_string_equal(h.name, head.name);
    assert_string_equal(h.server, head.server);
    assert_true(h.at == head.at);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_never_over_another(void **state)
{
    char sha[SHA256_HEX_SIZE];
    struct backup_writer *w = NULL;
    struct err err = {0};

    (void)state;
    write_small(sha);
    assert_int_equal(backup_writer_open(path, &head, key, &w, &err), -1);
}

static void test_every_cut(void **state)
{
    char sha[SHA256_HEX_SIZE];
    struct stat st;

    (void)state;
    write_small(sha);
    assert_int_equal(stat(path, &st), 0);
    for (off_t n = st.st_size - 1; n >= 0; n--) {
        _cleanup_(seen_free) struct seen s = {0};
        struct err err = {0};

        assert_int_equal(truncate(path, n), 0);
        if (read_all(key, &s, &err) != -1)
            fail_msg("cut after %lld of %lld bytes, and taken", (long long)n,
                     (long long)st.st_size);
        assert_true(strstr(err.msg, "cut off") || strstr(err.msg, "no backup"));
    }
}

static void test_every_byte(void **state)
{
    char sha[SHA256_HEX_SIZE], *text = NULL;
    struct err err = {0};
    size_t len = 0;

    (void)state;
    write_small(sha);
    must(fs_read(path, 65536, &text, &len, &err), &err);
    for (size_t i = 0; i < len; i++)
        for (int bit = 0; bit < 8; bit += 7) {
            _cleanup_(seen_free) struct seen s = {0};

            text[i] ^= (char)(1 << bit);
            must(fs_write_atomic(path, text, len, 0600, &err), &err);
            if (read_all(key, &s, &err) != -1)
                fail_msg("bit %d of byte %zu was changed, and taken", bit, i);
            text[i] ^= (char)(1 << bit);
        }
    free(text);
}

static void test_something_behind(void **state)
{
    char sha[SHA256_HEX_SIZE];
    _cleanup_(seen_free) struct seen s = {0};
    struct err err = {0};

    (void)state;
    write_small(sha);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, "x", 1), 1);
    assert_int_equal(read_all(key, &s, &err), -1);
    assert_non_null(strstr(err.msg, "follows its end"));
}

static void test_another_key(void **state)
{
    char sha[SHA256_HEX_SIZE];
    uint8_t other[KEY_SIZE] = {1};
    _cleanup_(seen_free) struct seen s = {0};
    struct err err = {0};

    (void)state;
    write_small(sha);
    assert_int_equal(read_all(other, &s, &err), -1);
    assert_int_equal(err.code, ERR_SAFETY);
    assert_non_null(strstr(err.msg, "another key"));
    assert_non_null(strstr(err.msg, "deployment saas"));
}

/* A header that says this key, and parts that are not of it. */
static void test_key_id_alone_opens_nothing(void **state)
{
    char sha[SHA256_HEX_SIZE], id[BACKUP_KEY_ID_SIZE];
    uint8_t other[KEY_SIZE] = {1};
    _cleanup_(seen_free) struct seen s = {0};
    struct err err = {0};

    (void)state;
    str_copy(id, sizeof(id), head.key_id);
    backup_key_id(other, head.key_id);
    write_small(sha);
    str_copy(head.key_id, sizeof(head.key_id), id);
    assert_int_equal(read_all(other, &s, &err), -1);
    assert_non_null(strstr(err.msg, "damaged"));
}

static void test_other_formats(void **state)
{
    char sha[SHA256_HEX_SIZE], *text = NULL;
    _cleanup_(seen_free) struct seen s = {0};
    struct err err = {0};
    size_t len = 0;

    (void)state;
    write_small(sha);
    must(fs_read(path, 65536, &text, &len, &err), &err);
    text[8] = 2;
    must(fs_write_atomic(path, text, len, 0600, &err), &err);
    assert_int_equal(read_all(key, &s, &err), -1);
    assert_non_null(strstr(err.msg, "format 2"));
    text[0] = 'X';
    must(fs_write_atomic(path, text, len, 0600, &err), &err);
    assert_int_equal(read_all(key, &s, &err), -1);
    assert_non_null(strstr(err.msg, "no backup"));
    free(text);
}

/* Pieces of one backup in another order, or twice, or of another backup with the same key. */
static void test_pieces_moved(void **state)
{
    struct backup_writer *w = NULL;
    struct err err = {0};
    char sha[SHA256_HEX_SIZE], *text = NULL;
    uint8_t big[BACKUP_CHUNK_MAX];
    size_t len = 0, sealed = 4 + 1 + BACKUP_CHUNK_MAX + KEYS_STREAM_OVERHEAD;

    (void)state;
    memset(big, 'a', sizeof(big));
    unlink(path);
    must(backup_writer_open(path, &head, key, &w, &err), &err);
    for (int i = 0; i < 3; i++)
        must(backup_write(w, BACKUP_DATABASE, big, sizeof(big), &err), &err);
    must(backup_writer_end(w, INFO, sha, &err), &err);
    backup_writer_free(w);
    must(fs_read(path, 4 << 20, &text, &len, &err), &err);
    size_t first = len - 3 * sealed - (4 + 1 + strlen(INFO) + KEYS_STREAM_OVERHEAD);
    _cleanup_free_ char *moved = xcalloc(1, len);

    memcpy(moved, text, len);
    memcpy(moved + first + sealed, text + first + 2 * sealed, sealed);
    memcpy(moved + first + 2 * sealed, text + first + sealed, sealed);
    must(fs_write_atomic(path, moved, len, 0600, &err), &err);
    _cleanup_(seen_free) struct seen s = {0};
    assert_int_equal(read_all(key, &s, &err), -1);
    memcpy(moved, text, len); /* without the second */
    memmove(moved + first + sealed, moved + first + 2 * sealed, len - first - 2 * sealed);
    must(fs_write_atomic(path, moved, len - sealed, 0600, &err), &err);
    assert_int_equal(read_all(key, &s, &err), -1);
    free(text);
}

/* 64 MiB with the memory of a few pieces. */
static void test_streams(void **state)
{
    struct backup_writer *w = NULL;
    struct backup_reader *r = NULL;
    struct backup_head h;
    struct err err = {0};
    struct rusage before, after;
    enum backup_part part;
    const void *data;
    uint64_t n = 0;
    size_t len;
    char sha[SHA256_HEX_SIZE];
    uint8_t buf[100000];
    int rc;

    (void)state;
    unlink(path);
    keys_random(buf, sizeof(buf));
    getrusage(RUSAGE_SELF, &before);
    must(backup_writer_open(path, &head, key, &w, &err), &err);
    for (int i = 0; i < 671; i++)
        must(backup_write(w, i < 600 ? BACKUP_DATABASE : BACKUP_FILES, buf, sizeof(buf), &err),
             &err);
    must(backup_writer_end(w, INFO, sha, &err), &err);
    backup_writer_free(w);
    must(backup_reader_open(path, key, &h, &r, &err), &err);
    while ((rc = backup_read(r, &part, &data, &len, &err)) == 1)
        n += part == BACKUP_INFO ? 0 : len;
    must(rc, &err);
    backup_reader_free(r);
    getrusage(RUSAGE_SELF, &after);
    assert_true(n == 671 * sizeof(buf));
    assert_true(after.ru_maxrss - before.ru_maxrss < 16 * 1024);
    unlink(path);
}

static void test_names(void **state)
{
    static const char *const bad[] = {"",   ".",   "..",   "../x",  "a/b",
                                      "-x", "a b", "a\nb", "x.mbk", "\xc3\xa4"};
    char name[BACKUP_NAME_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(backup_name_valid(bad[i]));
    backup_name_make("saas", "fra", 1795775130000, name);
    assert_string_equal(name, "saas-20261127T102530Z-fra");
    assert_true(backup_name_valid(name));
}

static void test_keys(void **state)
{
    uint8_t got[KEY_SIZE];
    char hex[KEY_HEX_SIZE];
    struct err err;

    (void)state;
    keys_hex(key, sizeof(key), hex);
    _cleanup_free_ char *text = str_fmt("\n " BACKUP_KEY_PREFIX "%s \r\n", hex);
    assert_int_equal(backup_key_parse(text, got, &err), 0);
    assert_memory_equal(got, key, sizeof(key));
    assert_int_equal(backup_key_parse(hex, got, &err), -1);
    assert_int_equal(backup_key_parse(BACKUP_KEY_PREFIX "00", got, &err), -1);
    assert_int_equal(backup_key_parse("", got, &err), -1);
}

static void test_schedule(void **state)
{
    const struct backup_schedule day = {86400, 2 * 3600 + 30 * 60}, hour = {3600, 0};
    uint64_t at = 20000 * 86400ull + 2 * 3600 + 30 * 60;

    (void)state;
    assert_true(backup_period(&day, at) == 20000);
    assert_true(backup_period(&day, at - 1) == 19999);
    assert_true(backup_due_s(&day, 20000, 0) == at);
    assert_true(backup_due_s(&day, 20000, 2) == at + 2 * BACKUP_STAGGER_S);
    assert_true(backup_period(&day, 5) == 0);
    /* Sixteen members have their turns within the period. */
    assert_true(backup_due_s(&(struct backup_schedule){60, 0}, 7, 15) < 8 * 60);
    assert_true(backup_period(&hour, backup_due_s(&hour, 9, 15)) == 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round),
        cmocka_unit_test(test_never_over_another),
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_something_behind),
        cmocka_unit_test(test_another_key),
        cmocka_unit_test(test_key_id_alone_opens_nothing),
        cmocka_unit_test(test_other_formats),
        cmocka_unit_test(test_pieces_moved),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_schedule),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
