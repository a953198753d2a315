/* SPDX-License-Identifier: Apache-2.0 */
/* An application's files: what the site wrote survives a new version and the step back. */
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

#include "agent/app/archive.h"
#include "agent/app/config.h"
#include "agent/app/data.h"
#include "agent/app/files.h"
#include "agent/sys/conf.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"

static char top[64];

static char *at(const char *rest)
{
    return str_fmt("%s/%s", top, rest);
}

static void put(const char *rest, const char *text)
{
    struct err err = {0};
    _cleanup_free_ char *path = at(rest);
    _cleanup_free_ char *dir = xstrdup(path);

    *strrchr(dir, '/') = '\0';
    assert_int_equal(fs_mkdirs(dir, 0755, &err), 0);
    assert_int_equal(fs_write_atomic(path, text, strlen(text), 0644, &err), 0);
}

static void has(const char *rest, const char *want)
{
    struct err err = {0};
    _cleanup_free_ char *path = at(rest);
    _cleanup_free_ char *text = NULL;

    if (!want) {
        assert_false(fs_exists(path));
        return;
    }
    if (fs_read(path, 4096, &text, NULL, &err) < 0)
        fail_msg("%s", err.msg);
    assert_string_equal(text, want);
}

static int setup(void **state)
{
    (void)state;
    strcpy(top, "/tmp/muster-app-XXXXXX");
    return mkdtemp(top) ? 0 : -1;
}

static int teardown(void **state)
{
    struct err err;

    (void)state;
    return fs_remove_tree(top, &err);
}

struct versions {
    struct app_data d;
    json_t *directories;
    char *home, *v1, *v2, *dist1, *dist2;
};

static void versions_fill(struct versions *v, const char *directory, const char *other)
{
    v->directories = json_pack("[s, s]", directory, other);
    v->home = at("home");
    v->v1 = at("v1"), v->v2 = at("v2");
    v->dist1 = at("v1.dist"), v->dist2 = at("v2.dist");
    v->d = (struct app_data){v->home, v->directories, getuid(), getgid()};
}

static void versions_free(struct versions *v)
{
    json_decref(v->directories);
    free(v->home);
    free(v->v1);
    free(v->v2);
    free(v->dist1);
    free(v->dist2);
}

static void test_versions(void **state)
{
    struct versions v;
    struct err err = {0};

    (void)state;
    versions_fill(&v, "upload", "local/themes");
    put("v1/index.php", "1");
    put("v1/upload/shipped", "old");
    put("v1/upload/edited", "old");
    put("v1/local/themes/deep/style", "old");
    assert_int_equal(app_data_split(&v.d, v.v1, v.dist1, &err), 0);
    assert_false(app_data_linked(&v.d, v.v1)); /* nothing is behind the links yet */
    assert_int_equal(app_data_merge(&v.d, v.dist1, NULL, &err), 0);
    assert_true(app_data_linked(&v.d, v.v1));
    has("v1/upload/shipped", "old");
    has("v1/local/themes/deep/style", "old");
    put("v1/upload/photo", "mine");
    put("v1/upload/edited", "mine");
    has("v1.dist/upload/edited", "old");

    put("v2/upload/shipped", "new");
    put("v2/upload/edited", "new");
    put("v2/upload/added", "new");
    put("v2/local/themes/deep/style", "new");
    assert_int_equal(app_data_split(&v.d, v.v2, v.dist2, &err), 0);
    for (int i = 0; i < 2; i++) { /* killed and run again */
        assert_int_equal(app_data_merge(&v.d, v.dist2, v.dist1, &err), 0);
        has("v2/upload/shipped", "new");
        has("v2/upload/edited", "mine");
        has("v2/upload/added", "new");
        has("v2/upload/photo", "mine");
        has("v2/local/themes/deep/style", "new");
    }
    assert_int_equal(app_data_merge(&v.d, v.dist1, v.dist2, &err), 0); /* one step back */
    has("v1/upload/shipped", "old");
    has("v1/upload/edited", "mine");
    has("v1/upload/photo", "mine");
    versions_free(&v);
}

static void test_adopt(void **state)
{
    struct versions v;
    struct err err = {0};

    (void)state;
    versions_fill(&v, "upload", "upload/inner");
    put("v1/index.php", "1");
    put("v1/upload/photo", "mine");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(app_data_adopt(&v.d, v.v1, &err), 0);
        assert_int_equal(app_data_merge(&v.d, v.dist1, NULL, &err), 0);
        assert_true(app_data_linked(&v.d, v.v1));
        has("home/upload/photo", "mine");
        has("v1/upload/photo", "mine");
    }
    put("v2/upload/photo", "other");
    assert_int_equal(app_data_adopt(&v.d, v.v2, &err), -1); /* two of them: nobody's is lost */
    assert_int_equal(err.code, ERR_SAFETY);
    has("v2/upload/photo", "other");
    has("home/upload/photo", "mine");
    versions_free(&v);
}

/* What the site put in a file's place, or as a link out of its directory, stays and is not
 * followed.
 */
static void test_links(void **state)
{
    struct versions v;
    struct err err = {0};

    (void)state;
    versions_fill(&v, "a", "b");
    put("outside/x", "keep");
    put("v1/a/dir/x", "new");
    put("v1/a/file", "new");
    assert_int_equal(app_data_split(&v.d, v.v1, v.dist1, &err), 0);
    put("home/a/other", "mine");
    _cleanup_free_ char *outside = at("outside");
    _cleanup_free_ char *link = at("home/a/dir");
    _cleanup_free_ char *file = at("home/a/file");
    assert_int_equal(symlink(outside, link), 0);
    assert_int_equal(mkdir(file, 0755), 0);
    assert_int_equal(app_data_merge(&v.d, v.dist1, NULL, &err), 0);
    has("outside/x", "keep");
    has("home/a/other", "mine");
    versions_free(&v);
}

static void test_magic(void **state)
{
    struct err err = {0};
    bool zip = false;

    (void)state;
    put("download.php?code=1", "PK\3\4rest");
    put("a.zip", "hello");
    put("short", "PK");
    _cleanup_free_ char *script = at("download.php?code=1");
    _cleanup_free_ char *named = at("a.zip");
    _cleanup_free_ char *small = at("short");
    assert_int_equal(fs_is_zip(script, &zip, &err), 0);
    assert_true(zip);
    assert_int_equal(fs_is_zip(named, &zip, &err), 0);
    assert_false(zip);
    assert_int_equal(fs_is_zip(small, &zip, &err), 0);
    assert_false(zip);
}

static void make_link(const char *target, const char *rest)
{
    _cleanup_free_ char *to = at(target);
    _cleanup_free_ char *path = at(rest);

    assert_int_equal(symlink(to, path), 0);
}

/* A directory in a directory that the site owns: where the site puts a link, nothing is made behind
 * it.
 */
static void test_directory_behind_a_link(void **state)
{
    struct versions v;
    struct err err = {0};

    (void)state;
    versions_fill(&v, "local", "local/a/b");
    put("outside/file", "");
    assert_int_equal(app_data_merge(&v.d, v.dist1, NULL, &err), 0);
    _cleanup_free_ char *made = at("home/local/a/b");
    _cleanup_free_ char *parent = at("home/local/a");
    assert_true(fs_exists(made));
    assert_int_equal(fs_remove_tree(parent, &err), 0);
    make_link("outside", "home/local/a");
    int r = app_data_merge(&v.d, v.dist1, NULL, &err);
    has("outside/b", NULL);
    assert_int_equal(r, -1);
    assert_int_equal(err.code, ERR_SAFETY);
    versions_free(&v);
}

static int directory_of(const struct versions *v, const char *path, struct err *err)
{
    return app_config_directory(v->v1, v->home, v->directories, path, true, err);
}

static void assert_same_directory(int fd, const char *rest)
{
    struct stat a, b;
    _cleanup_free_ char *path = at(rest);

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &a), 0);
    assert_int_equal(stat(path, &b), 0);
    assert_true(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
    close(fd);
}

static void test_config_directory(void **state)
{
    struct versions v;
    struct err err = {0};

    (void)state;
    versions_fill(&v, "local", "upload");
    put("v1/index.php", "");
    put("v1/etc/shipped", "");
    put("home/local/x", "");
    put("outside/file", "");
    make_link("home/local", "v1/local");
    make_link("v1/etc", "v1/conf"); /* the archive's own, which nobody changes */
    assert_same_directory(directory_of(&v, "config.php", &err), "v1");
    assert_same_directory(directory_of(&v, "new/deep/config.php", &err), "v1/new/deep");
    assert_same_directory(directory_of(&v, "conf/config.php", &err), "v1/etc");
    assert_same_directory(directory_of(&v, "local/config/db.php", &err), "home/local/config");

    make_link("outside", "home/local/there");
    assert_int_equal(directory_of(&v, "local/there/db.php", &err), -1);
    assert_int_equal(err.code, ERR_SAFETY);
    assert_int_equal(directory_of(&v, "local/there/new/db.php", &err), -1);
    assert_int_equal(err.code, ERR_SAFETY);
    has("outside/new", NULL);
    versions_free(&v);
}

/* What the site put in the file's place is replaced, not followed, and not waited for. */
static void test_config_file(void **state)
{
    struct err err = {0};
    struct conf c = {"db.php", "secret", 0640, getuid(), getgid()};

    (void)state;
    put("directory/x", "");
    put("outside/file", "theirs");
    _cleanup_free_ char *path = at("directory");
    _cleanup_free_ char *file = at("directory/db.php");
    _cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY);
    assert_string_equal(conf_differs_at(dir, &c), "file is missing");
    make_link("outside/file", "directory/db.php");
    assert_string_equal(conf_differs_at(dir, &c), "is not a regular file");
    assert_int_equal(conf_write_at(dir, &c, &err), 0);
    has("outside/file", "theirs");
    has("directory/db.php", "secret");
    assert_null(conf_differs_at(dir, &c));
    assert_int_equal(chmod(file, 0644), 0);
    assert_string_equal(conf_differs_at(dir, &c), "mode differs");
    put("directory/db.php", "secret and more");
    assert_string_equal(conf_differs_at(dir, &c), "content differs");
    put("directory/db.php", "secr");
    assert_string_equal(conf_differs_at(dir, &c), "content differs");
    assert_int_equal(unlink(file), 0);
    assert_int_equal(mkfifo(file, 0600), 0);
    assert_string_equal(conf_differs_at(dir, &c), "is not a regular file");
    assert_int_equal(conf_write_at(dir, &c, &err), 0);
    has("directory/db.php", "secret");
}

/* apt's proxy is for packages: what the controller offers is not asked from it. */
static void test_direct(void **state)
{
    (void)state;
    static const char sha[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    static const struct {
        const char *before, *after;
        bool direct;
    } rows[] = {
        {"http://198.51.100.1:7402/blob/", "", true},
        {"http://198.51.100.1/blob/", "", true},
        {"https://198.51.100.1:7402/blob/", "", false}, /* nothing of the controller's is */
        {"http://198.51.100.1:7402/blob/", "0", false},
        {"http://198.51.100.1:7402/", "", false},
        {"http://198.51.100.1:7402/x/blob/", "", false},
        {"http://a@198.51.100.1:7402/blob/", "", false},
        {"http:///blob/", "", false},
        {"http://", "", false},
    };
    struct err err = {0};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        _cleanup_free_ char *url = str_fmt("%s%s%s", rows[i].before, sha, rows[i].after);
        _cleanup_free_ char *option = archive_direct(url, sha);

        if (!rows[i].direct)
            assert_null(option);
        else
            assert_string_equal(option, "-oAcquire::http::Proxy::198.51.100.1=DIRECT");
    }
    assert_int_equal(archive_url_check("https://h/a?sig=1", &err), 0);
    assert_int_equal(archive_url_check("https://ci:tok3n@h/a", &err), -1);
    assert_null(strstr(err.msg, "tok3n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_direct),
        cmocka_unit_test_setup_teardown(test_versions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_adopt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_links, setup, teardown),
        cmocka_unit_test_setup_teardown(test_magic, setup, teardown),
        cmocka_unit_test_setup_teardown(test_directory_behind_a_link, setup, teardown),
        cmocka_unit_test_setup_teardown(test_config_directory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_config_file, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
