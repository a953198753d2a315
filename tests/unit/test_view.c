/* SPDX-License-Identifier: Apache-2.0 */
/* The picture of `watch` and `up` on screens of several sizes: tests/golden/picture, and what holds
 * of each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/js.h"
#include "controller/cli/paint.h"
#include "tests/unit/golden.h"
#include "tests/unit/view_world.h"

static void pictures(const struct scene *s, double now, bool ascii, struct strbuf *out)
{
    static const struct view_screen screens[] = {
        {80, 24, false, false}, {120, 40, false, false}, {200, 60, false, false}};

    for (size_t i = 0; i < ARRAY_LEN(screens); i++) {
        struct view_screen screen = screens[i];

        screen.ascii = ascii;
        strbuf_addf(out, "--- %u x %u\n", screen.columns, screen.lines);
        view_render(&s->view, &screen, AT(now), out);
    }
}

static void compare(const struct scene *s, double now, bool ascii, const char *name)
{
    _cleanup_(strbuf_free) struct strbuf out = {0};
    _cleanup_free_ char *file = str_fmt("picture/%s.txt", name);

    pictures(s, now, ascii, &out);
    golden(file, out.s);
}

/* One installs, one boots, the VM of one is being made. */
static void first_day(struct scene *s)
{
    struct view *v = &s->view;

    scene_begin(s, 3, true);
    cloud(v, 0, "", EVENT_START, "up", "raising");
    world_networks(v, 5, "created");
    v->cloud_done--; /* one is missing still */
    world_resources(v, 10, 0, "created");
    world_resources(v, 31, 1, "created");
    cloud(v, 6, "ham", EVENT_CHANGED, "volume:ham", "created");
    cloud(v, 11, "ham", EVENT_START, "vm:ham", "creating");
    cloud(v, 28, "fra", EVENT_NOTE, "enrol", "enrolled");
    world_plan(v, 29, "fra");
    agent(v, 29.2, "fra", EVENT_START, "route:private", "10.10.1.10/24 is missing");
    changed(v, 29.4, "fra", "route:private", 0.2);
    agent(v, 29.6, "fra", EVENT_START, "package:all", "12 packages are missing");
    tell(s, 0, 29.6, converging("package:all"));
    view_state(v, 1, NULL, 0);
    view_state(v, 2, NULL, 0);
    counted(v, 35, "fra", EVENT_PROGRESS, "package:all",
            (struct event_count){EVENT_PACKAGES, 3, 22},
            "install 41 %, 14 unpacked and 3 configured of 22 packages: Unpacking mariadb-server "
            "(1:10.11.6-0+deb12u1)");
}

static void test_first_day(void **state)
{
    struct scene s;

    (void)state;
    first_day(&s);
    compare(&s, 42, false, "first-day");
    compare(&s, 42, true, "first-day-ascii");
    scene_end(&s);
}

/* The picture in README.md is a real one: as it is on 80 columns, down to the database. */
static void test_readme(void **state)
{
    _cleanup_(strbuf_free) struct strbuf out = {0};
    _cleanup_free_ char *readme = NULL;
    const struct view_screen screen = {80, 24, false, false};
    struct scene s;
    struct err err;
    char *log;

    (void)state;
    first_day(&s);
    view_render(&s.view, &screen, AT(42), &out);
    log = strstr(out.s, "\n\n   14:");
    assert_non_null(log);
    strcpy(log, "\n```\n");
    assert_int_equal(fs_read(TEST_DIR "/../README.md", 1 << 20, &readme, NULL, &err), 0);
    assert_non_null(strstr(readme, out.s));
    scene_end(&s);
}

static void raised(struct scene *s)
{
    scene_begin(s, 3, true);
    world_raised(&s->view);
    for (size_t i = 0; i < 3; i++)
        tell(s, i, 7195, world_ready(3));
}

static void test_ready(void **state)
{
    struct scene s;

    (void)state;
    raised(&s);
    compare(&s, 7200, false, "ready");
    scene_end(&s);
}

static void test_power_off(void **state)
{
    struct scene s;

    (void)state;
    raised(&s);
    tell(&s, 0, 7198, world_ready(2));
    tell(&s, 1, 7199, world_ready(2));
    view_state(&s.view, 2, NULL, AT(7065));
    compare(&s, 7200, false, "power-off");
    scene_end(&s);
}

static json_t *recovering(const char *member)
{
    return json_pack("{s:s, s:s, s:{s:s}, s:{s:s, s:s, s:[s], s:i}}", "phase", "converging", "step",
                     "synced:saas", "db", "state", "Stopped", "coordinator", "state", "stopped",
                     "why", "waits for members that are not heard", "waiting_for", member, "epoch",
                     1);
}

/* All lost their power, one is not back yet. */
static void test_recovery(void **state)
{
    static const char says[] = "stopped: waits for members that are not heard - ham";
    struct scene s;

    (void)state;
    raised(&s);
    for (size_t i = 0; i < 2; i++) {
        const char *node = three[i];

        world_plan(&s.view, 7140 + (double)i, node);
        for (size_t k = 0; k < 7; k++)
            agent(&s.view, 7141 + (double)i, node, EVENT_OK, world_steps[k], "in sync");
        agent(&s.view, 7142 + (double)i, node, EVENT_START, "synced:saas", "not Synced yet");
        agent(&s.view, 7143 + (double)i, node, EVENT_CLUSTER, "cluster", says);
        agent(&s.view, 7196 + (double)i, node, EVENT_PROGRESS, "synced:saas", says);
        tell(&s, i, 7199, recovering("ham"));
    }
    view_state(&s.view, 2, NULL, AT(6900));
    compare(&s, 7200, false, "recovery");
    scene_end(&s);
}

static void test_link_cut(void **state)
{
    struct scene s;

    (void)state;
    raised(&s);
    tell(&s, 0, 7199, world_ready(2));
    tell(&s, 1, 7199, world_ready(2));
    tell(
        &s, 2, 7199,
        json_pack(
            "{s:s, s:{s:s, s:s, s:i, s:i}, s:{s:i, s:s}, s:{s:s, s:s, s:[s, s], s:i}, s:[s, s, s]}",
            "phase", "ready", "db", "state", "Initialized", "status", "non-Primary", "cluster_size",
            1, "epoch", 1, "web", "status", 500, "why", "the site answers HTTP 500 at /",
            "coordinator", "state", "non-primary", "why",
            "no quorum; waits for members that are not heard", "waiting_for", "fra", "par", "epoch",
            1, "drift", "synced:saas", "sql:album", "app:album"));
    agent(&s.view, 7180, "ham", EVENT_CLUSTER, "cluster",
          "non-primary: quorum is lost; writes are refused");
    compare(&s, 7200, false, "link-cut");
    scene_end(&s);
}

static void test_drift(void **state)
{
    struct scene s;
    json_t *differs = world_ready(3);

    (void)state;
    raised(&s);
    json_object_set_new(differs, "drift",
                        json_pack("[s, s, s]", "file:motd", "web:apache", "bad\033[2J"));
    tell(&s, 1, 7199, differs);
    agent(&s.view, 7190, "par", EVENT_NOTE, "file:motd", "drifted: /etc/motd has other content");
    agent(&s.view, 7190, "par", EVENT_NOTE, "web:apache", "drifted: module rewrite is not enabled");
    compare(&s, 7200, false, "drift");
    scene_end(&s);
}

/* One failed, one refuses, one does again what it did before. */
static void test_failed(void **state)
{
    static const char apt[] =
        "package:all: apt-get ended with exit code 100: E: Failed to fetch "
        "http://deb.debian.org/debian/pool/main/m/mariadb/"
        "mariadb-server_10.11.6-0+deb12u1_amd64.deb"
        "  404  Not Found [IP: 192.0.2.7 80]; E: Unable to fetch some archives, maybe run apt-get "
        "update or try with --fix-missing?";
    static const char disk[] = "disk:data: refused: /dev/vdb has an ext4 filesystem that is not "
                               "of this volume; nothing is formatted over it";
    struct scene s;
    struct view *v = &s.view;

    (void)state;
    raised(&s);
    cloud(v, 7100, "", EVENT_START, "up", "raising");
    world_networks(v, 7101, "is there");
    for (size_t i = 0; i < 3; i++) {
        world_resources(v, 7101, i, "is there");
        world_plan(v, 7102, three[i]);
        agent(v, 7103, three[i], EVENT_OK, "route:private", "in sync");
        agent(v, 7104, three[i], EVENT_START, "package:all", "php-gd is missing");
    }
    agent(v, 7110, "par", EVENT_FAILED, "package:all", apt);
    agent(v, 7110, "par", EVENT_ABORTED, "", apt);
    tell(&s, 1, 7110, json_pack("{s:s}", "phase", "failed"));
    changed(v, 7105, "ham", "package:all", 1);
    agent(v, 7106, "ham", EVENT_REFUSED, "disk:data", disk);
    agent(v, 7106, "ham", EVENT_ABORTED, "", disk);
    tell(&s, 2, 7106, json_pack("{s:s}", "phase", "failed"));
    counted(v, 7118, "fra", EVENT_PROGRESS, "package:all",
            (struct event_count){EVENT_BYTES, 3700000, 9300000},
            "40 %, 3.7 of 9.3 MB: download php8.2-gd");
    tell(&s, 0, 7119, converging("package:all"));
    compare(&s, 7120, false, "failed");
    scene_end(&s);
}

static void hundred_state(struct view *v, size_t i)
{
    _cleanup_json_ json_t *state = world_ready(97);

    if (i == 40)
        json_object_set_new(json_object_get(state, "db"), "state", json_string("Joining"));
    if (i == 40)
        json_object_set_new(state, "coordinator",
                            json_pack("{s:s, s:s, s:[], s:i}", "state", "joining", "why",
                                      "joins the cluster that n001 started", "waiting_for", "epoch",
                                      1));
    if (i == 50 || i == 61)
        json_object_set_new(state, "drift", json_pack("[s]", "php:settings"));
    if (i == 77)
        json_object_set_new(state, "phase", json_string("failed"));
    if (i >= 80 && i < 88)
        json_object_set_new(state, "phase", json_string("converging"));
    view_state(v, i, i == 33 ? NULL : state, i == 33 ? 0 : AT(7199));
}

static void hundred(struct scene *s)
{
    char names[100][8];
    const char *of[100];
    struct view *v = &s->view;

    *s = (struct scene){0};
    for (size_t i = 0; i < 100; i++) {
        snprintf(names[i], sizeof(names[i]), "n%03u", (unsigned)(i + 1) % 1000);
        of[i] = names[i];
    }
    world_spec(of, 100, 3, true, &s->spec);
    view_init(v, &s->spec);
    cloud(v, 0, "", EVENT_START, "up", "raising");
    world_networks(v, 5, "created");
    for (size_t i = 0; i < 97; i++) {
        world_resources(v, 12, i, "created");
        world_first_run(v, 30, names[i]);
        if (i >= 80 && i < 88) {
            world_plan(v, 7170, names[i]);
            agent(v, 7171, names[i], EVENT_OK, "route:private", "in sync");
            agent(v, 7172 + (double)i / 10, names[i], EVENT_START, "package:all", "differs");
            counted(v, 7185 + (double)i / 10, names[i], EVENT_PROGRESS, "package:all",
                    (struct event_count){EVENT_PACKAGES, i - 80, 12}, "Unpacking php8.2-gd");
        }
        if (i == 77)
            agent(v, 7190, names[i], EVENT_FAILED, "mount:data",
                  "/dev/vdb1 cannot be mounted on /media/data: Structure needs cleaning");
        hundred_state(v, i);
    }
    view_state(v, 33, NULL, AT(6000));
}

static void test_hundred(void **state)
{
    struct scene s;

    (void)state;
    hundred(&s);
    compare(&s, 7200, false, "hundred");
    compare(&s, 7200, true, "hundred-ascii");
    scene_end(&s);
}

/* Whatever the size: no line is wider than the screen, one line of it stays free. */
static void test_fits(void **state)
{
    static const unsigned columns[] = {1, 2, 5, 19, 20, 33, 59, 60, 79, 80, 100, 140, 1000};
    struct scene s[3];

    (void)state;
    first_day(&s[0]);
    hundred(&s[1]);
    raised(&s[2]);
    for (size_t i = 0; i < 3 * ARRAY_LEN(columns); i++)
        for (unsigned lines = 1; lines < 130; lines += lines < 18 ? 1 : 37) {
            _cleanup_(strbuf_free) struct strbuf out = {0};
            const struct view_screen screen = {columns[i / 3], lines, false, i % 2 == 0};
            unsigned n = 0;

            view_render(&s[i % 3].view, &screen, AT(7200), &out);
            for (char *at = out.s, *end; *at; at = end + 1, n++) {
                end = strchr(at, '\n');
                assert_non_null(end);
                *end = '\0';
                assert_true(paint_width(at) <= screen.columns);
            }
            assert_in_range(n, 1, lines > 1 ? lines - 1 : 1);
        }
    for (size_t i = 0; i < 3; i++)
        scene_end(&s[i]);
}

/* Colour is nothing but colour. */
static void test_color(void **state)
{
    _cleanup_(strbuf_free) struct strbuf plain = {0}, colored = {0}, stripped = {0};
    struct view_screen screen = {120, 40, false, false};
    struct scene s;

    (void)state;
    hundred(&s);
    view_render(&s.view, &screen, AT(7200), &plain);
    assert_null(strchr(plain.s, '\033'));
    screen.color = true;
    view_render(&s.view, &screen, AT(7200), &colored);
    for (const char *at = colored.s; *at; at++) {
        if (*at == '\033')
            at = strchr(at, 'm');
        else
            strbuf_add(&stripped, at, 1);
    }
    assert_true(colored.len > plain.len);
    for (const char *a = plain.s, *b = stripped.s; *a;
         a += *a != '\0') { /* but for blanks at ends */
        size_t n = strcspn(a, "\n");

        assert_memory_equal(a, b, n);
        a += n;
        b += n;
        b += strspn(b, " ");
        assert_int_equal(*b++, '\n');
    }
    scene_end(&s);
}

/* In the C locale, whatever the nodes say. */
static void test_ascii(void **state)
{
    _cleanup_(strbuf_free) struct strbuf out = {0};
    const struct view_screen screen = {120, 40, true, true};
    struct scene s;

    (void)state;
    first_day(&s);
    agent(&s.view, 36, "fra", EVENT_PROGRESS, "package:all", "unpacks Fotos/Köln – 東京.jpg …");
    view_render(&s.view, &screen, AT(37), &out);
    for (const char *c = out.s; *c; c++)
        assert_true((unsigned char)*c < 0x80);
    assert_non_null(strstr(out.s, "unpacks Fotos/K?ln - ????.jpg ~"));
    scene_end(&s);
}

/* The plain mode's line: what is waited for, not a hundred nodes. */
static void test_still(void **state)
{
    _cleanup_(strbuf_free) struct strbuf out = {0};
    struct scene s;

    (void)state;
    first_day(&s);
    view_still(&s.view, AT(42), &out);
    assert_string_equal(
        out.s,
        "still: fra package:all  install 41 %, 14 unpacked and 3 configured of 22 packages: "
        "Unpacking mariadb-server (1:10.11.6-0+deb12u1) (0:12, last line 7 s ago); par boots, "
        "gets its agent (0:11); ham vm:ham  creating (0:31);");
    scene_end(&s);
    strbuf_reset(&out);
    raised(&s);
    view_still(&s.view, AT(110), &out);
    assert_string_equal(out.s, "still: all 3 nodes are ready");
    scene_end(&s);
    strbuf_reset(&out);
    hundred(&s);
    view_still(&s.view, AT(7200), &out);
    assert_true(str_starts(out.s, "still: n078 failed mount:data"));
    assert_non_null(strstr(out.s, "; n034 unknown last heard 20 min ago"));
    assert_true(str_ends(out.s, "; and 8 more"));
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_day), cmocka_unit_test(test_readme),
        cmocka_unit_test(test_ready),     cmocka_unit_test(test_power_off),
        cmocka_unit_test(test_recovery),  cmocka_unit_test(test_link_cut),
        cmocka_unit_test(test_drift),     cmocka_unit_test(test_failed),
        cmocka_unit_test(test_hundred),   cmocka_unit_test(test_fits),
        cmocka_unit_test(test_color),     cmocka_unit_test(test_ascii),
        cmocka_unit_test(test_still),
    };

    setenv("TZ", "UTC", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
