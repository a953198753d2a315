/* SPDX-License-Identifier: Apache-2.0 */
/* The shared directories: what is told to Syncthing, and what the kernel tells of changes. */
#include <fcntl.h>
#include <poll.h>
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

#include "agent/share/durable.h"
#include "agent/share/lost.h"
#include "agent/share/rest.h"
#include "agent/share/share.h"
#include "agent/share/tree.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/str.h"
#include "controller/nodes/device.h"

#define DEVICE_FRA "YGRFY75-5JDS5Y6-ANHNKXH-GEYCKGI-SMCZTTJ-2QO5SVG-K675ANQ-56MCWAV"
#define DEVICE_PAR "R4OCKBP-BC4IEPN-HZA3V65-DGSDAVX-4CYJ2CM-SQJQF4P-2EPR5AC-G53ZYQT"

static const char settings[] =
    "{\"app\":\"album\",\"node\":\"par\",\"home\":\"/data/muster-app/album\",\"directories\":["
    "{\"path\":\"photos\",\"ignore\":[\"cache\",\"*.tmp\",\"config.php\"]},"
    "{\"path\":\"wp/uploads\",\"ignore\":[]}],\"members\":["
    "{\"name\":\"fra\",\"address\":\"10.10.1.10\",\"device\":\"" DEVICE_FRA "\"},"
    "{\"name\":\"par\",\"address\":\"10.10.2.10\",\"device\":\"" DEVICE_PAR "\"}]}";

struct world {
    struct share share;
    char dir[64];
    struct tree *tree;
    struct changes changes;
};

static int parse(const char *text, struct share *ret)
{
    _cleanup_json_ json_t *j = NULL;
    struct err err;

    return js_parse(text, strlen(text), &j, &err) < 0 ? -1 : share_read(j, ret, &err);
}

static int setup(void **state)
{
    static struct world w;
    struct err err;

    memset(&w, 0, sizeof(w));
    *state = &w;
    assert_int_equal(parse(settings, &w.share), 0);
    str_copy(w.dir, sizeof(w.dir), "/tmp/test-share-XXXXXX");
    assert_non_null(mkdtemp(w.dir));
    w.share.home = w.dir;
    _cleanup_free_ char *photos = str_fmt("%s/photos/old", w.dir);
    _cleanup_free_ char *uploads = str_fmt("%s/wp/uploads", w.dir);
    assert_int_equal(fs_mkdirs(photos, 0755, &err), 0);
    assert_int_equal(fs_mkdirs(uploads, 0755, &err), 0);
    w.tree = tree_open(&w.share, &err);
    assert_non_null(w.tree);
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    struct err err;

    tree_free(w->tree);
    changes_clear(&w->changes);
    share_free(&w->share);
    fs_remove_tree(w->dir, &err);
    return 0;
}

/* --- pure ------------------------------------------------------------------------------------- */

static void test_settings(void **state)
{
    static const char *const bad[][2] = {
        {"\"album\"", "\"../x\""},
        {"/data/muster-app/album", "data"},
        {"/data/muster-app/album", "/data"},
        {"/data/muster-app/album", "/data/../etc/x"},
        {"\"node\":\"par\"", "\"node\":\"ams\""},
        {"\"photos\"", "\"../photos\""},
        {"\"photos\"", "\"/photos\""},
        {"\"photos\"", "\"!photos\""},
        {"\"cache\"", "\"a\\nb\""},
        {"\"cache\"", "7"},
        {"10.10.1.10", "10.10.1"},
        {DEVICE_FRA, "YGRFY75"},
        {"\"name\":\"fra\"", "\"name\":\"<x>\""},
    };
    struct share s;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct strbuf b = {0};
        const char *at = strstr(settings, bad[i][0]);

        assert_non_null(at);
        strbuf_add(&b, settings, (size_t)(at - settings));
        strbuf_adds(&b, bad[i][1]);
        strbuf_adds(&b, at + strlen(bad[i][0]));
        if (parse(b.s, &s) == 0)
            fail_msg("taken: %s", b.s);
        strbuf_free(&b);
    }
}

static void test_configuration(void **state)
{
    struct world *w = *state;
    _cleanup_free_ char *text = share_config_text(&w->share, "KEY", false);
    _cleanup_free_ char *ignore = share_ignore_text(&w->share);

    assert_string_equal(ignore, "// written by muster-agent\n/photos/cache\n/photos/*.tmp\n"
                                "/photos/config.php\n!/photos\n!/wp/uploads\n*\n");
    assert_non_null(strstr(text, "<listenAddress>tcp4://10.10.2.10:22000</listenAddress>"));
    assert_non_null(strstr(text, "<apikey>KEY</apikey>"));
    assert_non_null(strstr(text, "<fsPath>/data/muster-app/.muster-share/trash</fsPath>"));
    /* par is the later one of the pair: it waits to be called. */
    assert_non_null(strstr(text, "type=\"sendreceive\""));
    assert_null(strstr(text, "tcp4://10.10.1.10"));
    assert_non_null(strstr(text, "<allowedNetwork>10.10.1.10/32</allowedNetwork>"));
    assert_non_null(strstr(text, "fsWatcherEnabled=\"false\""));
    w->share.node = "fra";
    _cleanup_free_ char *other = share_config_text(&w->share, "KEY", true);
    assert_non_null(strstr(other, "type=\"receiveonly\""));
    assert_non_null(strstr(other, "<address>tcp4://10.10.2.10:22000</address>"));
}

static void test_has(void **state)
{
    const struct world *w = *state;

    assert_true(share_has(&w->share, "photos"));
    assert_true(share_has(&w->share, "photos/a/b"));
    assert_true(share_has(&w->share, "wp/uploads/x"));
    assert_false(share_has(&w->share, "photos2"));
    assert_false(share_has(&w->share, "wp"));
    assert_false(share_has(&w->share, "photos/cache"));
    assert_false(share_has(&w->share, "photos/cache/deep/x"));
    assert_false(share_has(&w->share, "photos/x.tmp"));
    assert_true(share_has(&w->share, "photos/a/x.tmp")); /* as Syncthing takes a rooted pattern */
    assert_false(share_has(&w->share, "photos/config.php"));
}

static void test_mass_delete(void **state)
{
    (void)state;
    assert_false(share_mass_delete(0, 0));
    assert_false(share_mass_delete(9, 0));
    assert_true(share_mass_delete(10, 4));
    assert_false(share_mass_delete(10, 5));
    assert_false(share_mass_delete(1000, 1200));
    assert_true(share_mass_delete(UINT64_MAX, 0));
}

static void test_answers(void **state)
{
    static const char good[] = "HTTP/1.0 200 OK\r\nContent-Type: x\r\n\r\n{\"a\":1}";
    static const char *const bad[] = {
        "",
        "HTTP/1.0 200 OK",
        "HTTP/1.0 403 Forbidden\r\n\r\nCSRF",
        "HTTP/1.0 200 OK\r\n\r\n{\"a\":",
        "SSH-2.0\r\n\r\n{}",
        "HTTP/1.0 200 OK\r\n\r\n{\"a\":1}{}",
    };
    json_t *j = NULL;
    struct err err;

    (void)state;
    assert_int_equal(rest_answer(good, strlen(good), &j, &err), 0);
    assert_int_equal(js_opt_u64(j, "a", 0), 1);
    json_decref(j);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(rest_answer(bad[i], strlen(bad[i]), &j, &err), -1);
    assert_int_equal(rest_answer("HTTP/1.0 200 OK\r\n\r\n", 19, &j, &err), 0);
    assert_null(j);
}

/* --- a lost index: Syncthing's answers made up -------------------------------------------------
 */

static json_t *answer(const char *text)
{
    json_t *j = NULL;
    struct err err;

    if (js_parse(text, strlen(text), &j, &err) < 0)
        fail_msg("%s: %s", text, err.msg);
    return j;
}

static bool heard(const struct world *w, struct lost *l, const char *state, unsigned needs,
                  bool connected, unsigned bytes, uint64_t now)
{
    _cleanup_free_ char *status_text =
        str_fmt("{\"state\":\"%s\",\"needFiles\":%u,\"needTotalItems\":7}", state, needs);
    _cleanup_free_ char *connections_text =
        str_fmt("{\"connections\":{\"" DEVICE_FRA "\":{\"connected\":%s,\"inBytesTotal\":%u},"
                "\"" DEVICE_PAR "\":{\"connected\":false,\"inBytesTotal\":0}}}",
                connected ? "true" : "false", bytes);
    _cleanup_json_ json_t *status = answer(status_text), *connections = answer(connections_text);

    return lost_heard(&w->share, status, connections, l, now);
}

/* The other node is there, and nothing has come from it for ten seconds. */
static void test_heard(void **state)
{
    const struct world *w = *state;
    struct lost l = {0};

    assert_false(heard(w, &l, "idle", 0, false, 0, 1000));
    assert_false(heard(w, &l, "idle", 0, false, 0, 900000)); /* nobody is there */
    assert_false(heard(w, &l, "idle", 0, true, 10, 901000));
    assert_false(heard(w, &l, "idle", 0, true, 20, 902000));
    assert_false(heard(w, &l, "idle", 0, true, 20, 903000));
    assert_false(heard(w, &l, "idle", 0, true, 20, 912999));
    assert_true(heard(w, &l, "idle", 0, true, 20, 913000));
    assert_false(heard(w, &l, "syncing", 0, true, 20, 914000)); /* from the beginning */
    assert_false(heard(w, &l, "idle", 1, true, 20, 915000));
    assert_false(heard(w, &l, "idle", 0, true, 20, 916000));
    assert_false(heard(w, &l, "idle", 0, true, 20, 925999));
    assert_true(heard(w, &l, "idle", 0, true, 20, 926000));
    /* Who never falls silent has said all that is old by then. */
    for (uint64_t now = 927000; now < 1021000; now += 1000)
        assert_false(heard(w, &l, "idle", 0, true, (unsigned)now, now));
    assert_true(heard(w, &l, "idle", 0, true, 1, 1021000));
    /* A connection that was lost begins again. */
    assert_false(heard(w, &l, "idle", 0, false, 1, 1022000));
    assert_false(heard(w, &l, "idle", 0, true, 2, 1023000));
}

static void test_deleted(void **state)
{
    static const struct {
        const char *answer;
        bool deleted;
    } rows[] = {
        {"{\"global\":{\"deleted\":true,\"localFlags\":0,\"modified\":\"2026-11-28T11:12:40Z\"},"
         "\"local\":{\"deleted\":false,\"localFlags\":8,\"modified\":"
         "\"2026-11-28T11:12:34.65Z\"}}",
         true},
        /* Written after it was deleted. */
        {"{\"global\":{\"deleted\":true,\"localFlags\":0,\"modified\":\"2026-11-28T11:12:40Z\"},"
         "\"local\":{\"deleted\":false,\"modified\":\"2026-11-28T11:12:41Z\"}}",
         false},
        /* It is gone here, too. */
        {"{\"global\":{\"deleted\":true,\"localFlags\":0,\"modified\":\"2026-11-28T11:12:40Z\"},"
         "\"local\":{\"deleted\":true,\"modified\":\"2026-11-28T11:12:40Z\"}}",
         false},
        /* Nobody else knows it: what is said to be global is this node's own. */
        {"{\"global\":{\"deleted\":false,\"localFlags\":8},\"local\":{\"deleted\":false}}", false},
        {"{\"global\":{\"deleted\":true,\"localFlags\":8},\"local\":{\"deleted\":false}}", false},
        {"{\"global\":{\"deleted\":false,\"localFlags\":0},\"local\":{\"deleted\":false}}", false},
        {"{\"global\":{\"deleted\":true},\"local\":{\"deleted\":false}}", false},
        {"{\"global\":{\"deleted\":true,\"localFlags\":0}}", false},
        {"{}", false},
        {"[]", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        _cleanup_json_ json_t *j = answer(rows[i].answer);

        if (lost_deleted(j) != rows[i].deleted)
            fail_msg("%s", rows[i].answer);
    }
}

/* What Syncthing itself calls the owner of this certificate. */
static void test_device(void **state)
{
    static const char pem[] = "-----BEGIN CERTIFICATE-----\n"
                              "MIICHTCCAaOgAwIBAgIJALIqubJFgGnTMAoGCCqGSM49BAMCMEoxEjAQBgNVBAoT\n"
                              "CVN5bmN0aGluZzEgMB4GA1UECxMXQXV0b21hdGljYWxseSBHZW5lcmF0ZWQxEjAQ\n"
                              "BgNVBAMTCXN5bmN0aGluZzAeFw0yNjExMjgwMDAwMDBaFw00NjExMjMwMDAwMDBa\n"
                              "MEoxEjAQBgNVBAoTCVN5bmN0aGluZzEgMB4GA1UECxMXQXV0b21hdGljYWxseSBH\n"
                              "ZW5lcmF0ZWQxEjAQBgNVBAMTCXN5bmN0aGluZzB2MBAGByqGSM49AgEGBSuBBAAi\n"
                              "A2IABNeQGaeNxHhXETIDgzAow1rE9qQAOEb9agEwSHreaiaESeuKvU3vjgQjjIHb\n"
                              "o0E2yrJsv0OR3UTRH4XNeR5nabe76JocEalK+tGsMIpHVcX4QhGmdVl7V2a7mycf\n"
                              "gJs//aNVMFMwDgYDVR0PAQH/BAQDAgWgMB0GA1UdJQQWMBQGCCsGAQUFBwMBBggr\n"
                              "BgEFBQcDAjAMBgNVHRMBAf8EAjAAMBQGA1UdEQQNMAuCCXN5bmN0aGluZzAKBggq\n"
                              "hkjOPQQDAgNoADBlAjAUDM84ePWatlqRAFT+am94/y+uauJ1lp9qK7pCn6QqeOLU\n"
                              "iTXgpr3tqPArkb920q0CMQDqfXAqltruYeTgD0ABlVIbxQlluV7R7H4TIoIpl7y1\n"
                              "Gkaj4oDYUrKEPCe5VwUqQDY=\n"
                              "-----END CERTIFICATE-----\n";
    char id[DEVICE_ID_SIZE];
    struct err err;

    (void)state;
    assert_int_equal(device_id(pem, id, &err), 0);
    assert_string_equal(id, DEVICE_FRA);
    assert_int_equal(device_id("-----BEGIN CERTIFICATE-----\n", id, &err), -1);
    assert_int_equal(
        device_id("-----BEGIN CERTIFICATE-----\n***\n-----END CERTIFICATE-----\n", id, &err), -1);
}

/* --- what changes ------------------------------------------------------------------------------
 */

static void put(const struct world *w, const char *path, const char *text)
{
    _cleanup_free_ char *full = str_fmt("%s/%s", w->dir, path);
    FILE *f = fopen(full, "we");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void move(const struct world *w, const char *from, const char *to)
{
    _cleanup_free_ char *a = str_fmt("%s/%s", w->dir, from), *b = str_fmt("%s/%s", w->dir, to);

    assert_int_equal(rename(a, b), 0);
}

static void make(const struct world *w, const char *path)
{
    _cleanup_free_ char *full = str_fmt("%s/%s", w->dir, path);

    assert_int_equal(mkdir(full, 0755), 0);
}

static void gone(const struct world *w, const char *path)
{
    _cleanup_free_ char *full = str_fmt("%s/%s", w->dir, path);

    assert_int_equal(remove(full), 0);
}

/* inotify's events are there when the call that made them has returned. */
static void expect(struct world *w, const char *const paths[])
{
    struct err err;
    size_t n = 0;

    assert_int_equal(tree_read(w->tree, &w->changes, &err), 0);
    for (; paths[n]; n++) {
        bool found = false;

        for (size_t i = 0; i < w->changes.n; i++)
            found = found || strcmp(w->changes.path[i], paths[n]) == 0;
        if (!found)
            fail_msg("no change of %s", paths[n]);
    }
    assert_int_equal(w->changes.n, n);
}

#define PATHS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NOTHING ((const char *const[]){NULL})

static void test_changes(void **state)
{
    struct world *w = *state;
    struct err err;

    put(w, "photos/a", "1");
    put(w, "photos/old/b", "2");
    put(w, "wp/uploads/c", "3");
    put(w, "wp/index.php", "not shared");
    expect(w, PATHS("photos/a", "photos/old/b", "wp/uploads/c"));
    assert_false(w->changes.whole);
    assert_int_equal(durable_make(w->dir, &w->changes, &err), 0);
    changes_clear(&w->changes);
    gone(w, "photos/a");
    move(w, "photos/old/b", "photos/b");
    expect(w, PATHS("photos/a", "photos/old/b", "photos/b"));
    assert_int_equal(w->changes.deleted, 2);
    assert_int_equal(durable_make(w->dir, &w->changes, &err), 0); /* what is gone is no error */
}

static void test_left_out(void **state)
{
    struct world *w = *state;

    make(w, "photos/cache");
    put(w, "photos/cache/x", "");
    put(w, "photos/y.tmp", "");
    put(w, "photos/config.php", "secret");
    expect(w, NOTHING);
}

/* A directory that comes with files in it, and one that goes to another place. */
static void test_directories(void **state)
{
    struct world *w = *state;
    _cleanup_free_ char *outside = str_fmt("%s/new/deep", w->dir);
    struct err err;

    assert_int_equal(fs_mkdirs(outside, 0755, &err), 0);
    put(w, "new/deep/x", "");
    move(w, "new", "photos/new");
    expect(w, PATHS("photos/new"));
    assert_true(w->changes.whole);
    changes_clear(&w->changes);
    put(w, "photos/new/deep/y", ""); /* it is watched from now on */
    expect(w, PATHS("photos/new/deep/y"));
    changes_clear(&w->changes);
    move(w, "photos/new", "wp/uploads/other");
    expect(w, PATHS("photos/new", "wp/uploads/other"));
    changes_clear(&w->changes);
    put(w, "wp/uploads/other/deep/z", ""); /* under its new path */
    expect(w, PATHS("wp/uploads/other/deep/z"));
    changes_clear(&w->changes);
    move(w, "wp/uploads/other", "elsewhere");
    expect(w, PATHS("wp/uploads/other"));
    changes_clear(&w->changes);
    put(w, "elsewhere/deep/z", "");
    expect(w, NOTHING);
}

static void test_links(void **state)
{
    struct world *w = *state;
    _cleanup_free_ char *link_path = str_fmt("%s/photos/link", w->dir);
    _cleanup_free_ char *from = str_fmt("%s/photos/one", w->dir);
    _cleanup_free_ char *to = str_fmt("%s/photos/two", w->dir);

    put(w, "photos/one", "");
    expect(w, PATHS("photos/one"));
    changes_clear(&w->changes);
    assert_int_equal(symlink("/etc", link_path), 0);
    assert_int_equal(link(from, to), 0);
    expect(w, PATHS("photos/link", "photos/two"));
}

/* What Syncthing puts in place is not told to it. */
static void test_received(void **state)
{
    struct world *w = *state;

    put(w, "photos/.syncthing.a.tmp", "");
    move(w, "photos/.syncthing.a.tmp", "photos/a");
    expect(w, NOTHING);
    put(w, "photos/a", "changed by the site");
    expect(w, PATHS("photos/a"));
}

/* A shared directory that is removed and made again. */
static void test_made_again(void **state)
{
    struct world *w = *state;
    struct err err;

    assert_true(tree_whole(w->tree));
    gone(w, "wp/uploads");
    assert_int_equal(tree_read(w->tree, &w->changes, &err), 0);
    assert_false(tree_whole(w->tree));
    make(w, "wp/uploads");
    assert_false(tree_whole(w->tree));
    tree_free(w->tree);
    w->tree = tree_open(&w->share, &err);
    assert_true(tree_whole(w->tree));
}

static void test_too_many(void **state)
{
    struct world *w = *state;
    struct err err;
    char path[64];

    for (unsigned i = 0; i <= CHANGES_MAX; i++) {
        snprintf(path, sizeof(path), "photos/%u", i);
        put(w, path, "");
    }
    assert_int_equal(tree_read(w->tree, &w->changes, &err), 0);
    assert_true(w->changes.all);
    assert_int_equal(w->changes.n, CHANGES_MAX);
}

static void test_count(void **state)
{
    struct world *w = *state;
    uint64_t conflicts;

    put(w, "photos/a", "");
    put(w, "photos/old/b", "");
    put(w, "photos/a.sync-conflict-20261128-070000-YGRFY75", "");
    put(w, "photos/.syncthing.c.tmp", "");
    put(w, "photos/x.tmp", "");
    put(w, "wp/other", "");
    assert_int_equal(share_count(&w->share, &conflicts), 3);
    assert_int_equal(conflicts, 1);
    _cleanup_free_ char *file = str_fmt("%s/photos/a", w->dir);
    w->share.home = file; /* no directory: not known, not nothing */
    assert_int_equal(share_count(&w->share, &conflicts), -1);
}

/* Only what is still the file that was listed, in a shared directory, and over no link. */
static void test_aside(void **state)
{
    struct world *w = *state;
    static const char *const outside[] = {"photos", "etc/x",       "photos/../wp/x", "photos//a",
                                          "../x",   "/etc/passwd", "photos/x.tmp",   "photos/./a"};
    const struct timespec times[] = {{1795864354, 0}, {1795864354, 500}};
    static const char at[] = "2026-11-28T11:12:34.652965368Z";
    _cleanup_free_ char *home = str_fmt("%s/home", w->dir), *state_dir = str_fmt("%s/s", w->dir);
    _cleanup_free_ char *file = str_fmt("%s/photos/deep/a", home);
    _cleanup_free_ char *directory = str_fmt("%s/photos/deep", home);
    _cleanup_free_ char *link_path = str_fmt("%s/photos/link", home);
    _cleanup_free_ char *there = str_fmt("%s/trash/photos/deep/a", state_dir);
    char *kept_home = (char *)w->share.home, *kept_state = w->share.state;
    struct stat st;
    struct err err;

    assert_int_equal(fs_mkdirs(directory, 0755, &err), 0);
    assert_int_equal(fs_mkdirs(state_dir, 0700, &err), 0);
    assert_int_equal(symlink(directory, link_path), 0);
    put(w, "home/photos/deep/a", "four");
    assert_int_equal(utimensat(AT_FDCWD, file, times, 0), 0);
    w->share.home = home;
    w->share.state = state_dir;
    for (size_t i = 0; i < ARRAY_LEN(outside); i++)
        assert_int_equal(lost_aside(&w->share, outside[i], at, 4, &err), -1);
    assert_int_equal(lost_aside(&w->share, "photos/none", at, 4, &err), 0);
    assert_int_equal(lost_aside(&w->share, "photos/deep", at, 4, &err), 0);
    assert_int_equal(lost_aside(&w->share, "photos/link/a", at, 4, &err), 0);
    assert_int_equal(lost_aside(&w->share, "photos/deep/a", at, 5, &err), 0);
    assert_int_equal(lost_aside(&w->share, "photos/deep/a", "2026-11-28T11:12:35Z", 4, &err), 0);
    assert_int_equal(lost_aside(&w->share, "photos/deep/a", "2026-11-28T11:12:34+01:00", 4, &err),
                     0);
    assert_true(fs_exists(file));
    assert_int_equal(lost_aside(&w->share, "photos/deep/a", at, 4, &err), 1);
    assert_false(fs_exists(file));
    assert_int_equal(stat(there, &st), 0);
    assert_true(st.st_mtime > times[1].tv_sec || st.st_mtime < times[1].tv_sec);
    w->share.home = kept_home;
    w->share.state = kept_state;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings),
        TEST(test_configuration),
        TEST(test_has),
        cmocka_unit_test(test_mass_delete),
        cmocka_unit_test(test_answers),
        TEST(test_heard),
        cmocka_unit_test(test_deleted),
        TEST(test_aside),
        cmocka_unit_test(test_device),
        TEST(test_changes),
        TEST(test_left_out),
        TEST(test_directories),
        TEST(test_links),
        TEST(test_received),
        TEST(test_made_again),
        TEST(test_too_many),
        TEST(test_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
