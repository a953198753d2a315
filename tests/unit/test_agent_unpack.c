/* SPDX-License-Identifier: Apache-2.0 */
/* Archives that others made: what is taken over, and what is refused by its name. As root only. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/app/files.h"
#include "agent/app/unpack.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"

#define LIMITS ((struct unpack_limits){1 << 20, 100})

static char top[64]; /* holds: in (what is packed), archive, out (what came of it) */

static char *at(const char *rest)
{
    return str_fmt("%s/%s", top, rest);
}

static void run_in(const char *directory, const char *const argv[])
{
    struct err err;
    _cleanup_free_ char *cwd = at(directory);
    const struct proc_opts opts = {.cwd = cwd};

    if (proc_run(argv, &opts, NULL, &err) < 0)
        fail_msg("%s", err.msg);
}

/* A shell makes the tree, tar packs all of it or what is named. */
static void pack(const char *script)
{
    run_in("in", PROC_ARGV("/bin/sh", "-ec", script));
}

#define PACK_ALL "tar -cf ../archive ."

static int unpack(uint64_t strip, struct err *err)
{
    char path[PATH_MAX];
    _cleanup_free_ char *archive = at("archive");
    _cleanup_free_ char *out = at("out");

    str_copy(path, sizeof(path), out);
    *err = (struct err){0};
    if (unpack_archive(archive, out, &LIMITS, err) < 0 ||
        app_files_strip(strip, path, sizeof(path), err) < 0)
        return -1;
    return unpack_take(path, &LIMITS, err);
}

static void refused(const char *name)
{
    struct err err;

    assert_int_equal(unpack(0, &err), -1);
    if (!strstr(err.msg, name) || err.code != ERR_SAFETY)
        fail_msg("code %d, not about %s: %s", err.code, name, err.msg);
}

static void taken(uint64_t strip)
{
    struct err err;

    if (unpack(strip, &err) < 0)
        fail_msg("%s", err.msg);
}

static void is(const char *rest, mode_t mode)
{
    struct stat st;
    _cleanup_free_ char *path = at(rest);

    if (lstat(path, &st) < 0)
        fail_msg("%s is missing", rest);
    if (st.st_uid != 0 || st.st_gid != 0 || (!S_ISLNK(mode) && st.st_mode != mode) ||
        (st.st_mode & S_IFMT) != (mode & S_IFMT))
        fail_msg("%s: owner %u:%u, mode %o", rest, st.st_uid, st.st_gid, st.st_mode);
}

static int setup(void **state)
{
    struct err err;

    (void)state;
    strcpy(top, "/tmp/muster-unpack-XXXXXX");
    if (!mkdtemp(top)) /* mode 0700: as unreachable for others as the agent's cache */
        return -1;
    _cleanup_free_ char *in = at("in");
    _cleanup_free_ char *out = at("out");
    return fs_mkdirs(in, 0755, &err) < 0 || fs_mkdirs(out, 0755, &err) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    struct err err;

    (void)state;
    return fs_remove_tree(top, &err);
}

/* Packed under a strict umask, with a set-user-ID bit and a directory that its owner cannot write.
 */
static void test_modes(void **state)
{
    (void)state;
    pack("umask 077; mkdir a b; echo 1 >a/f; echo 2 >a/run; chmod 4711 a/run; chmod 0666 a/f;"
         "echo 3 >b/f; chown 1234:1234 b/f; ln a/f a/same; chmod 0500 a; chmod 2777 b;"
         "tar -cf ../archive a b; chmod 700 a; echo 4 >a/late; chmod 500 a;"
         "tar -rf ../archive a/late");
    taken(0);
    is("out", S_IFDIR | 0755);
    is("out/a", S_IFDIR | 0755);
    is("out/b", S_IFDIR | 0755);
    is("out/a/f", S_IFREG | 0644);
    is("out/a/same", S_IFREG | 0644);
    is("out/a/late", S_IFREG | 0644);
    is("out/b/f", S_IFREG | 0644);
    is("out/a/run", S_IFREG | 0755);
}

static void test_links(void **state)
{
    (void)state;
    pack("mkdir -p a/b; echo 1 >a/f; ln -s ../f a/b/up; ln -s missing a/dangling; ln -s . "
         "self;" PACK_ALL);
    taken(0);
    is("out/a/b/up", S_IFLNK);
    is("out/a/dangling", S_IFLNK);
}

static void test_link_absolute(void **state)
{
    (void)state;
    pack("mkdir a; ln -s /etc/passwd a/pw;" PACK_ALL);
    refused("'a/pw'");
}

static void test_link_up(void **state)
{
    (void)state;
    pack("mkdir a; ln -s ../../x a/up;" PACK_ALL);
    refused("'a/up'");
}

/* Each part looks as if it stayed inside. */
static void test_link_by_links(void **state)
{
    (void)state;
    pack("ln -s . d; ln -s d/d/../../x out;" PACK_ALL);
    refused("'out'");
}

static void test_fifo(void **state)
{
    (void)state;
    pack("mkdir a; mkfifo a/pipe;" PACK_ALL);
    refused("'a/pipe' is a fifo");
}

static void test_device(void **state)
{
    (void)state;
    pack("mkdir a; mknod a/null c 1 3;" PACK_ALL);
    refused("a/null");
}

static void test_dots(void **state)
{
    (void)state;
    pack("echo 1 >f; tar -cPf ../archive --transform 's,^,../../,' f");
    refused("leads out of it");
}

static void test_limits(void **state)
{
    (void)state;
    pack("for i in $(seq 101); do : >$i; done;" PACK_ALL);
    refused("100 entries");
}

static void test_size(void **state)
{
    (void)state;
    pack("truncate -s 3M a; tar -cSf ../archive a");
    refused("more than 1 MB");
}

/* What macOS puts beside the one directory. */
static void test_macos(void **state)
{
    (void)state;
    if (access("/usr/bin/zip", X_OK) < 0 || access("/usr/bin/unzip", X_OK) < 0)
        skip();
    pack("umask 077; mkdir -p site/sub __MACOSX; echo 1 >site/sub/f; echo 2 >__MACOSX/._site;"
         "zip -qr ../archive.zip .; mv ../archive.zip ../archive");
    taken(1);
    is("out/site", S_IFDIR | 0755);
    is("out/site/sub/f", S_IFREG | 0644);
}

static void test_strip_link(void **state)
{
    struct err err;

    (void)state;
    pack("ln -s /etc top;" PACK_ALL);
    assert_int_equal(unpack(1, &err), -1);
    assert_non_null(strstr(err.msg, "'top' is no directory"));
}

static void test_damaged(void **state)
{
    struct err err;

    (void)state;
    pack("mkdir a; echo 1 >a/f; tar -czf ../archive a; truncate -s 40 ../archive");
    assert_int_equal(unpack(0, &err), -1);
    assert_null(strstr(err.msg, "previous errors"));
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(test_modes),         UNIT(test_links), UNIT(test_link_absolute), UNIT(test_link_up),
        UNIT(test_link_by_links), UNIT(test_fifo),  UNIT(test_device),        UNIT(test_dots),
        UNIT(test_limits),        UNIT(test_size),  UNIT(test_macos),         UNIT(test_strip_link),
        UNIT(test_damaged),
    };

    if (geteuid() != 0) {
        puts("skipped: needs root");
        return 0;
    }
    return cmocka_run_group_tests_name("unpack", tests, NULL, NULL);
}
