/* SPDX-License-Identifier: Apache-2.0 */
/* The manifest of a version: each single fault on its files is found, and repaired from a freshly
 * unpacked tree; what others put there is named, and stays. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/app/manifest.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"

static char top[64], release[80], fresh[80], manifest[80], aside[80];
static struct manifest_others others;

static void put(const char *dir, const char *rest, const char *text)
{
    struct err err = {0};
    _cleanup_free_ char *path = str_fmt("%s/%s", dir, rest);
    _cleanup_free_ char *parent = xstrdup(path);

    *strrchr(parent, '/') = '\0';
    assert_int_equal(fs_mkdirs(parent, 0755, &err), 0);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static char *in(const char *rest)
{
    return str_fmt("%s/%s", release, rest);
}

static void tree(const char *dir)
{
    _cleanup_free_ char *photos = str_fmt("%s/photos", dir);
    _cleanup_free_ char *alias = str_fmt("%s/alias", dir);

    put(dir, "index.php", "<?php 1;");
    put(dir, "lib/deep/a.php", "<?php 2;");
    put(dir, "lib/b.php", "<?php 3;");
    assert_int_equal(symlink("lib/b.php", alias), 0);
    assert_int_equal(symlink("/home/photos", photos), 0);
}

static int setup(void **state)
{
    struct err err = {0};

    (void)state;
    if (getuid() != 0) /* its files are root's */
        return 0;
    strcpy(top, "/tmp/test-manifest-XXXXXX");
    if (!mkdtemp(top))
        return -1;
    snprintf(release, sizeof(release), "%s/r", top);
    snprintf(fresh, sizeof(fresh), "%s/r.new", top);
    snprintf(manifest, sizeof(manifest), "%s/r.manifest", top);
    snprintf(aside, sizeof(aside), "%s/r.aside", top);
    tree(release);
    tree(fresh);
    others.writable = json_pack("[s, s]", "photos", "var/cache");
    others.config = json_pack("[{s:s}, {s:s}]", "path", "config.php", "path", "local/conf/db.php");
    return manifest_write(release, manifest, &err);
}

static int teardown(void **state)
{
    struct err err;

    (void)state;
    if (getuid() != 0)
        return 0;
    json_decref((json_t *)others.writable);
    json_decref((json_t *)others.config);
    return fs_remove_tree(top, &err);
}

static void look(struct manifest_seen *ret)
{
    struct err err = {0};

    if (manifest_check(release, manifest, &others, ret, &err) < 0)
        fail_msg("%s", err.msg);
}

static void write_same_size(void)
{
    _cleanup_free_ char *path = in("index.php");
    struct timespec old[2];
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    old[0] = st.st_atim, old[1] = st.st_mtim;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "9", 1, 6), 1);
    assert_int_equal(futimens(fd, old), 0); /* hidden as well as it can be */
    close(fd);
}

static void fault(const char *what)
{
    _cleanup_free_ char *index = in("index.php");
    _cleanup_free_ char *lib = in("lib");
    _cleanup_free_ char *alias = in("alias");
    struct err err;

    if (str_eq(what, "gone"))
        assert_int_equal(unlink(index), 0);
    else if (str_eq(what, "longer"))
        put(release, "index.php", "<?php 1; // and more");
    else if (str_eq(what, "same size"))
        write_same_size();
    else if (str_eq(what, "mode"))
        assert_int_equal(chmod(index, 0600), 0);
    else if (str_eq(what, "owner"))
        assert_int_equal(chown(index, 33, 33), 0);
    else if (str_eq(what, "link"))
        assert_true(unlink(index) == 0 && symlink("/etc/passwd", index) == 0);
    else if (str_eq(what, "directory"))
        assert_true(unlink(index) == 0 && mkdir(index, 0755) == 0);
    else if (str_eq(what, "target"))
        assert_true(unlink(alias) == 0 && symlink("lib/c.php", alias) == 0);
    else if (str_eq(what, "top"))
        assert_int_equal(chmod(release, 0700), 0);
    else if (str_eq(what, "below"))
        assert_int_equal(chmod(lib, 0700), 0);
    else if (str_eq(what, "no lib"))
        assert_int_equal(fs_remove_tree(lib, &err), 0);
    else if (str_eq(what, "lib elsewhere"))
        assert_true(fs_remove_tree(lib, &err) == 0 && symlink(fresh, lib) == 0);
    else
        fail_msg("%s", what);
}

static void test_faults(void **state)
{
    static const struct {
        const char *fault, *says;
    } rows[] = {
        {"gone", "index.php is missing"},
        {"longer", "index.php has other content"},
        {"same size", "index.php has other content"},
        {"mode", "index.php has another mode"},
        {"owner", "index.php is not root's"},
        {"link", "index.php is something else"},
        {"directory", "index.php is something else"},
        {"target", "alias has other content"},
        {"top", "its directory has another mode"},
        {"below", "lib has another mode"},
        {"no lib", "lib is missing"},
        {"lib elsewhere", "lib is something else"},
    };
    struct manifest_seen seen;
    struct err err = {0};

    (void)state;
    if (getuid() != 0)
        skip();
    look(&seen);
    assert_int_equal(seen.n_differ + seen.n_added, 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        clock_pause_ms(30); /* its file times are of another tick */
        look(&seen);
        fault(rows[i].fault);
        look(&seen);
        if (!seen.n_differ || !strstr(seen.differs, rows[i].says))
            fail_msg("%s: '%s'", rows[i].fault, seen.differs);
        if (manifest_repair(fresh, release, aside, &others, &err) < 0)
            fail_msg("%s: %s", rows[i].fault, err.msg);
        look(&seen);
        if (seen.n_differ || seen.n_added)
            fail_msg("%s: repaired, and still '%s%s'", rows[i].fault, seen.differs, seen.added);
        assert_int_equal(fs_remove_tree(fresh, &err), 0);
        tree(fresh);
    }
}

/* Configuration and what the site writes to are others'; more than that is named, and stays. */
static void test_others(void **state)
{
    struct manifest_seen seen;
    struct err err = {0};
    _cleanup_free_ char *photos = NULL;

    (void)state;
    if (getuid() != 0)
        skip();
    put(release, "config.php", "x");
    put(release, "local/conf/db.php", "x");
    put(release, "var/cache/1", "x");
    photos = in("photos");
    assert_int_equal(unlink(photos), 0);
    look(&seen);
    assert_int_equal(seen.n_differ + seen.n_added, 0);
    put(release, "lib/mine.php", "x");
    put(release, "tools/x/y", "x");
    put(release, "local/more", "x");
    look(&seen);
    assert_int_equal(seen.n_differ, 0);
    assert_int_equal(seen.n_added, 3); /* what is in an added directory is not counted */
    assert_int_equal(manifest_repair(fresh, release, aside, &others, &err), 0);
    look(&seen);
    assert_int_equal(seen.n_added, 3);
}

/* What a repair replaces is kept. */
static void test_aside(void **state)
{
    struct err err = {0};
    _cleanup_free_ char *kept = str_fmt("%s/index.php.0", aside);
    _cleanup_free_ char *text = NULL;

    (void)state;
    if (getuid() != 0)
        skip();
    put(release, "index.php", "<?php 1; // by hand");
    assert_int_equal(manifest_repair(fresh, release, aside, &others, &err), 0);
    assert_int_equal(fs_read(kept, 100, &text, NULL, &err), 0);
    assert_string_equal(text, "<?php 1; // by hand");
}

/* A manifest that is not whole says nothing of the files: it is written again. */
static void test_damaged(void **state)
{
    struct manifest_seen seen;
    struct err err = {0};

    (void)state;
    if (getuid() != 0)
        skip();
    assert_int_equal(fs_write_atomic(manifest, "f 644 1", 7, 0600, &err), 0);
    look(&seen);
    assert_int_equal(seen.n_differ, 1);
    assert_non_null(strstr(seen.differs, "damaged"));
    assert_int_equal(unlink(manifest), 0); /* and one that cannot be read is not known */
    assert_int_equal(manifest_check(release, manifest, &others, &seen, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_faults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_others, setup, teardown),
        cmocka_unit_test_setup_teardown(test_aside, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
