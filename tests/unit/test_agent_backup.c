/* SPDX-License-Identifier: Apache-2.0 */
/* Backups on a node without a database: what lies there, what goes, and where files come to. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/backup/internal.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/proc.h"
#include "common/str.h"

static char dir[64];
static uint8_t key[KEY_SIZE] = {7};
static struct backup_conf conf = {.node = "fra", .deployment = "saas", .key = "k"};
static json_t *apps;

static int setup(void **state)
{
    struct err err;

    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/test-backups-XXXXXX");
    if (keys_init(&err) < 0 || !mkdtemp(dir))
        return -1;
    apps = json_pack("[s]", "album");
    conf.mount = conf.datadir = dir;
    conf.apps = apps;
    return 0;
}

static int teardown(void **state)
{
    struct err err;

    (void)state;
    json_decref(apps);
    return fs_remove_tree(dir, &err);
}

static void must(int r, const struct err *err)
{
    if (r < 0)
        fail_msg("%s", err->msg);
}

static void make_directory(const char *path)
{
    struct err err = {0};
    _cleanup_free_ char *p = str_fmt("%s/%s", dir, path);

    must(fs_mkdirs(p, 0755, &err), &err);
}

static void make_file(const char *path, const char *text)
{
    struct err err = {0};
    _cleanup_free_ char *p = str_fmt("%s/%s", dir, path);

    must(fs_write_atomic(p, text, strlen(text), 0644, &err), &err);
}

static bool there(const char *path)
{
    _cleanup_free_ char *p = str_fmt("%s/%s", dir, path);
    struct stat st;

    return lstat(p, &st) == 0;
}

static void make_backup(const char *name, uint64_t at)
{
    struct backup_head h = {
        .deployment = "saas", .node = "fra", .server = "10.11", .compress = "gzip", .at = at};
    struct backup_writer *w = NULL;
    struct err err = {0};
    _cleanup_free_ char *path = backup_path(&conf, name);
    char sha[SHA256_HEX_SIZE];

    str_copy(h.name, sizeof(h.name), name);
    backup_key_id(key, h.key_id);
    unlink(path);
    must(backup_writer_open(path, &h, key, &w, &err), &err);
    must(backup_writer_end(w, "{}", sha, &err), &err);
    backup_writer_free(w);
}

/* Names and contents of others are counted, or named as what they are; none is believed. */
static void test_list(void **state)
{
    _cleanup_json_ json_t *list = NULL;
    unsigned strange = 0;
    struct err err;

    (void)state;
    make_directory("muster-backup");
    make_backup("saas-1", 1000);
    make_backup("saas-2", 2000);
    make_file("muster-backup/saas-3.mbk", "MUSTERBK");
    make_file("muster-backup/-rf.mbk", "x");
    make_file("muster-backup/a b\n\x1b[2J.mbk", "x");
    make_file("muster-backup/.saas-4.part", "x");
    make_file("muster-backup/saas-2.json", "{\"verified\": 5, \"name\": \"other\", \"at\": 9}");
    make_directory("muster-backup/saas-5.mbk");
    _cleanup_free_ char *from = backup_path(&conf, "saas-1"), *to = backup_path(&conf, "saas-6");
    assert_int_equal(symlink(from, to), 0);
    list = backup_list(&conf, &strange, &err);
    assert_int_equal(json_array_size(list), 3);
    assert_int_equal(strange, 4);
    const json_t *newest = json_array_get(list, 0);
    assert_string_equal(js_opt_str(newest, "name", ""), "saas-2");
    assert_int_equal(js_opt_u64(newest, "at", 0), 2000);
    assert_int_equal(js_opt_u64(newest, "verified", 0), 5);
    assert_string_equal(js_opt_str(json_array_get(list, 1), "name", ""), "saas-1");
    assert_non_null(json_object_get(json_array_get(list, 2), "problem"));
}

/* Whether a backup was verified cannot be read: it is not one that may go. And a directory that
 * cannot be read is not one without backups. */
static void test_unreadable(void **state)
{
    struct err err = {0};
    unsigned strange;
    struct backup_conf other = conf;
    _cleanup_free_ char *directory = str_fmt("%s/none", conf.mount);

    (void)state;
    make_directory("muster-backup");
    make_backup("saas-7", 7000);
    make_file("muster-backup/saas-7.json", "{\"verified\": 5");
    _cleanup_json_ json_t *list = backup_list(&conf, &strange, &err);
    bool said = false;
    size_t i;
    json_t *b;
    json_array_foreach(list, i, b) said =
        said || (str_eq(js_opt_str(b, "name", ""), "saas-7") && json_object_get(b, "problem"));
    assert_true(said);
    other.mount = directory;
    _cleanup_json_ json_t *none = backup_list(&other, &strange, &err);
    assert_int_equal(json_array_size(none), 0);
    assert_non_null(none);
    make_directory("none");
    make_file("none/muster-backup", "x");
    assert_null(backup_list(&other, &strange, &err));
}

/* A copy under another's name is not that one. */
static void test_renamed(void **state)
{
    unsigned strange;
    struct err err = {0};
    _cleanup_free_ char *from = backup_path(&conf, "saas-1"), *to = backup_path(&conf, "saas-9");

    (void)state;
    make_backup("saas-1", 1000);
    assert_int_equal(rename(from, to), 0);
    _cleanup_json_ json_t *list = backup_list(&conf, &strange, &err);
    bool said = false;
    size_t i;
    json_t *b;
    json_array_foreach(list, i, b) said =
        said || (str_eq(js_opt_str(b, "name", ""), "saas-9") && json_object_get(b, "problem"));
    assert_true(said);
    must(backup_delete(&conf, "saas-9", &err), &err);
    assert_int_equal(backup_delete(&conf, "saas-9", &err), -1);
}

static json_t *entry(const char *name, uint64_t at, bool verified, const char *of)
{
    json_t *j = json_pack("{s:s, s:I, s:s}", "name", name, "at", (json_int_t)at, "deployment", of);

    if (verified)
        json_object_set_new(j, "verified", json_integer(1));
    return j;
}

static char *surplus(json_t *list, uint64_t keep)
{
    _cleanup_json_ json_t *gone = backup_surplus(list, "saas", keep);
    struct strbuf b = {0};
    size_t i;
    json_t *n;

    json_array_foreach(gone, i, n) strbuf_addf(&b, "%s ", json_string_value(n));
    return b.s ? b.s : xstrdup("");
}

static void test_retention(void **state)
{
    _cleanup_json_ json_t *list = json_array();

    (void)state;
    json_array_append_new(list, entry("f", 60, false, "saas"));
    json_array_append_new(list, entry("x", 55, false, "other"));
    json_array_append_new(list, entry("e", 50, false, "saas"));
    json_array_append_new(list, entry("d", 40, false, "saas"));
    json_array_append_new(list, entry("c", 30, true, "saas"));
    json_array_append_new(list, entry("b", 20, true, "saas"));
    json_array_append_new(list, entry("a", 10, false, "saas"));
    _cleanup_free_ char *two = surplus(list, 2), *four = surplus(list, 4), *all = surplus(list, 0);
    assert_string_equal(two, "d b a "); /* c is the last that was verified */
    assert_string_equal(four, "b a ");
    assert_string_equal(all, "");
}

static void test_sums(void **state)
{
    _cleanup_json_ json_t *a = json_pack("{s:s, s:s}", "a.t", "1", "a.u", "2");
    _cleanup_json_ json_t *same = json_deep_copy(a);
    _cleanup_json_ json_t *b = json_pack("{s:s, s:s}", "a.t", "9", "b.x", "2");
    struct err err = {0};

    (void)state;
    assert_int_equal(backup_sums_compare(a, same, &err), 0);
    assert_int_equal(backup_sums_compare(a, b, &err), -1);
    assert_non_null(strstr(err.msg, "a.t differs"));
    assert_non_null(strstr(err.msg, "a.u is missing"));
    assert_non_null(strstr(err.msg, "b.x is too many"));
}

static void begin_files(void)
{
    struct err err = {0};

    for (size_t i = 0; i < 2; i++) {
        _cleanup_free_ char *p = str_fmt("%s/%s", dir, i ? "muster-backup/.work" : "muster-app");

        must(fs_remove_tree(p, &err), &err);
    }
    make_directory("muster-backup/.work/files/album/photos/deep");
    make_directory("muster-app/album/photos");
    make_file("muster-backup/.work/files/album/photos/one", "old");
    make_file("muster-backup/.work/files/album/photos/deep/two", "two");
}

static void test_files(void **state)
{
    struct files_done done;
    struct err err = {0};
    char text[8] = "";

    (void)state;
    begin_files();
    make_file("muster-app/album/photos/one", "changed");
    make_file("muster-app/album/photos/new", "new");
    make_directory("muster-backup/.work/files/other");
    make_file("muster-backup/.work/files/other/x", "x");
    must(backup_files_place(&conf, &done, &err), &err);
    assert_int_equal(done.files, 2);
    assert_true(there("muster-app/album/photos/new"));
    assert_true(there("muster-app/album/photos/deep/two"));
    assert_false(there("muster-app/other"));
    _cleanup_free_ char *p = str_fmt("%s/muster-app/album/photos/one", dir);
    _cleanup_close_ int fd = open(p, O_RDONLY);
    assert_int_equal(read(fd, text, sizeof(text) - 1), 3);
    assert_string_equal(text, "old");
}

/* The site had a link in the place of a directory: nothing is written through it. */
static void test_no_link_is_followed(void **state)
{
    struct files_done done;
    struct err err = {0};
    _cleanup_free_ char *out = str_fmt("%s/outside", dir);
    _cleanup_free_ char *at = str_fmt("%s/muster-app/album/photos/deep", dir);

    (void)state;
    begin_files();
    make_directory("outside");
    assert_int_equal(symlink(out, at), 0);
    assert_int_equal(backup_files_place(&conf, &done, &err), -1);
    assert_int_equal(err.code, ERR_SAFETY);
    assert_false(there("outside/two"));
}

static void test_links_that_lead_out(void **state)
{
    static const char *const targets[] = {"/etc/passwd", "../../..", "..", "a/../../b", "one"};
    struct files_done done;
    struct err err = {0};

    (void)state;
    begin_files();
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        _cleanup_free_ char *p = str_fmt("%s/muster-backup/.work/files/album/photos/l%zu", dir, i);

        assert_int_equal(symlink(targets[i], p), 0);
    }
    must(backup_files_place(&conf, &done, &err), &err);
    assert_int_equal(done.links, 4);
    assert_true(there("muster-app/album/photos/l4"));
    assert_false(there("muster-app/album/photos/l0"));
}

static void test_no_devices(void **state)
{
    struct files_done done;
    struct err err = {0};
    _cleanup_free_ char *p = str_fmt("%s/muster-backup/.work/files/album/photos/fifo", dir);

    (void)state;
    begin_files();
    assert_int_equal(mkfifo(p, 0600), 0);
    assert_int_equal(backup_files_place(&conf, &done, &err), -1);
    assert_non_null(strstr(err.msg, "neither a file nor a directory"));
}

/* What one of the two programs says is why it failed. */
static void test_pipeline(void **state)
{
    struct pipeline p;
    struct err err = {0};
    char buf[64];

    (void)state;
    must(pipeline_read(PROC_ARGV("/usr/bin/printf", "hello"), pipeline_compress("gzip"), &p, &err),
         &err);
    assert_true(read(p.fd, buf, sizeof(buf)) > 0);
    must(pipeline_end(&p, &err), &err);
    must(pipeline_read(PROC_ARGV("/usr/bin/ls", "/nonexistent"), pipeline_compress("gzip"), &p,
                       &err),
         &err);
    while (read(p.fd, buf, sizeof(buf)) > 0)
        continue;
    assert_int_equal(pipeline_end(&p, &err), -1);
    assert_non_null(strstr(err.msg, "/usr/bin/ls: exit status 2"));
    assert_int_equal(pipeline_read(PROC_ARGV("/nonexistent"), pipeline_compress("gzip"), &p, &err),
                     -1);
}

static int parse(const char *more, struct err *err)
{
    _cleanup_free_ char *text = str_fmt(
        "{\"node\":\"fra\",\"deployment\":\"saas\",\"mount\":\"/m\",\"datadir\":\"/m/mysql\","
        "\"members\":[\"fra\"],\"keep\":7,%s}",
        more);
    _cleanup_json_ json_t *j = NULL;
    struct backup_conf c;

    must(js_parse(text, strlen(text), &j, err), err);
    return backup_conf_read(j, &c, err);
}

static void test_step(void **state)
{
    struct err err = {0};

    (void)state;
    must(parse("\"apps\":[\"album\"],\"every\":86400,\"offset\":9000", &err), &err);
    assert_int_equal(parse("\"apps\":[\"..\"],\"every\":0,\"offset\":0", &err), -1);
    assert_int_equal(parse("\"apps\":[\"-x\"],\"every\":0,\"offset\":0", &err), -1);
    assert_int_equal(parse("\"apps\":[],\"every\":1,\"offset\":0", &err), -1);
    assert_int_equal(parse("\"apps\":[],\"every\":3600,\"offset\":3600", &err), -1);
}

/* What an end without warning left is gone, and the rest stays. */
static void test_tidy(void **state)
{
    struct err err = {0};

    (void)state;
    make_directory("muster-backup/.work/copy");
    make_directory("muster-backup-scratch/data");
    make_backup("saas-7", 7000);
    make_file("muster-backup/saas-7.json", "{}");
    make_file("muster-backup/saas-8.json", "{}");
    make_file("muster-backup/.saas-8.part", "x");
    make_file("muster-backup/state.json", "{}");
    make_file("muster-backup-scratch/server.pid", "1\n"); /* no server of ours */
    must(backup_tidy(&conf, &err), &err);
    assert_false(there("muster-backup/.work"));
    assert_false(there("muster-backup-scratch"));
    assert_false(there("muster-backup/.saas-8.part"));
    assert_false(there("muster-backup/saas-8.json"));
    assert_true(there("muster-backup/saas-7.json"));
    assert_true(there("muster-backup/saas-7.mbk"));
    assert_true(there("muster-backup/state.json"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_renamed),
        cmocka_unit_test(test_retention),
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_no_link_is_followed),
        cmocka_unit_test(test_links_that_lead_out),
        cmocka_unit_test(test_no_devices),
        cmocka_unit_test(test_pipeline),
        cmocka_unit_test(test_step),
        cmocka_unit_test(test_tidy),
    };

    if (geteuid() != 0)
        return 77;
    return cmocka_run_group_tests(tests, setup, teardown);
}
