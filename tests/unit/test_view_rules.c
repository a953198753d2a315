/* SPDX-License-Identifier: Apache-2.0 */
/* What the picture is made of: what a node is by its events and its state, which one comes first,
 * how long a step takes still. What is not known is not shown as what is. */
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
#include "controller/cli/judge.h"
#include "controller/cli/paint.h"
#include "tests/unit/view_world.h"

static void line(const struct scene *s, double now, char ret[512])
{
    _cleanup_(strbuf_free) struct strbuf out = {0};
    const struct view_screen screen = {100, 24, false, false};
    char *from, *to;

    view_render(&s->view, &screen, AT(now), &out);
    from = strchr(strchr(out.s, '\n') + 1, '\n') + 1;
    to = strchr(from, '\n');
    snprintf(ret, 512, "%.*s", (int)(to - from), from);
}

/* What was said long ago is not shown as what is, however the node was then. */
static void test_old_state(void **state)
{
    char text[512];
    struct scene s;

    (void)state;
    scene_begin(&s, 1, true);
    world_raised(&s.view);
    line(&s, 110, text);
    assert_non_null(strstr(text, "ready"));
    assert_non_null(strstr(text, "database Synced"));
    assert_null(strstr(text, "ago"));
    line(&s, 120, text);
    assert_non_null(strstr(text, "heard 20 s ago"));
    view_state(&s.view, 0, NULL, 0);
    line(&s, 400, text);
    assert_non_null(strstr(text, "unknown"));
    assert_non_null(strstr(text, "last heard 5 min ago: ready, Synced"));
    view_state(&s.view, 0, json_null(), 0); /* a hub that has no state of it */
    line(&s, 400, text);
    assert_non_null(strstr(text, "last heard 5 min ago: ready, Synced"));
    tell(&s, 0, 401, json_pack("{s:s}", "phase", "ready")); /* that of the database is not known */
    line(&s, 402, text);
    assert_non_null(strstr(text, "degraded"));
    assert_non_null(strstr(text, "database unknown"));
    scene_end(&s);
}

/* A node that has never said anything is not unknown, it is not there yet; nor is one whose VM is
 * made once more. */
static void test_not_there_yet(void **state)
{
    char text[512];
    struct scene s;

    (void)state;
    scene_begin(&s, 1, false);
    view_state(&s.view, 0, NULL, 0);
    line(&s, 10, text);
    assert_non_null(strstr(text, "waiting"));
    scene_end(&s);
    scene_begin(&s, 1, false);
    world_raised(&s.view);
    view_state(&s.view, 0, NULL, 0);
    cloud(&s.view, 300, "", EVENT_START, "up", "raising");
    cloud(&s.view, 301, "fra", EVENT_START, "vm:fra", "recreating");
    line(&s, 302, text);
    assert_non_null(strstr(text, "vm:fra  recreating"));
    cloud(&s.view, 310, "fra", EVENT_CHANGED, "vm:fra", "created");
    line(&s, 312, text);
    assert_non_null(strstr(text, "1/3     boots  "));
    assert_non_null(strstr(text, "━──"));
    assert_non_null(strstr(text, "about 15 s left    0:02"));
    scene_end(&s);
}

/* From how long that step took before: here, else on another node; never without history, and not
 * when it takes longer than it did. */
static void test_estimate(void **state)
{
    struct scene s;
    struct view *v = &s.view;
    static const struct {
        double now;
        const char *text;
    } cases[] = {{101, "about 40 s left"},
                 {115, "about 25 s left"},
                 {132, "about 8 s left"},
                 {139.5, ""},
                 {140, ""},
                 {500, ""}};
    char left[32];

    (void)state;
    scene_begin(&s, 2, false);
    world_plan(v, 0, "fra");
    agent(v, 1, "fra", EVENT_START, "package:all", "differs");
    node_estimate(v, &v->rows[0], NODE_WORKING, AT(2), left);
    assert_string_equal(left, "");
    changed(v, 41, "fra", "package:all", 40);
    agent(v, 42, "fra", EVENT_START, "app:album", "differs");
    node_estimate(v, &v->rows[0], NODE_WORKING, AT(43), left);
    assert_string_equal(left, "");
    for (size_t node = 0; node < 2; node++) {
        world_plan(v, 99, three[node]);
        agent(v, 100, three[node], EVENT_START, "package:all", "differs");
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            node_estimate(v, &v->rows[node], NODE_WORKING, AT(cases[i].now), left);
            assert_string_equal(left, cases[i].text);
        }
        node_estimate(v, &v->rows[node], NODE_WORKING, AT(90), left); /* its clock is ahead */
        assert_string_equal(left, "about 40 s left");
    }
    changed(v, 400, "fra", "package:all", 300); /* the last time counts */
    agent(v, 500, "fra", EVENT_START, "package:all", "differs");
    node_estimate(v, &v->rows[0], NODE_WORKING, AT(500), left);
    assert_string_equal(left, "about 5 min left");
    node_estimate(v, &v->rows[0], NODE_FAILED, AT(500), left);
    assert_string_equal(left, "");
    scene_end(&s);
}

static enum node_class class_of(struct view *v, json_t *state, double now)
{
    view_state(v, 0, state, AT(now));
    json_decref(state);
    return node_class_of(v, &v->rows[0], AT(now));
}

/* Each thing that keeps a node from its work is seen, and what is not known is no trouble. */
static void test_classes(void **state)
{
    static const struct {
        const char *member, *json;
        enum node_class c;
    } cases[] = {
        {"web", "{\"status\": 302, \"why\": \"\"}", NODE_READY},
        {"web", "null", NODE_READY},
        {"web", "\"x\"", NODE_READY},
        {"web", "{\"status\": 403, \"why\": \"PHP is not active in Apache\"}", NODE_DEGRADED},
        {"maintenance", "\"its disk\"", NODE_DEGRADED},
        {"db", "{\"state\": \"Donor/Desynced\"}", NODE_READY},
        {"db", "{\"state\": \"Synced\", \"status\": \"non-Primary\"}", NODE_DEGRADED},
        {"db", "{\"state\": \"Stopped\"}", NODE_DEGRADED},
        {"db", "{\"state\": \"Synced\", \"unknown\": \"timed out\"}", NODE_DEGRADED},
        {"db", "17", NODE_DEGRADED},
        {"drift", "[]", NODE_READY},
        {"drift", "[\"file:motd\"]", NODE_DIFFERS},
        {"phase", "\"failed\"", NODE_FAILED},
        {"phase", "\"converging\"", NODE_WORKING},
        {"phase", "\"enrolled\"", NODE_WORKING},
        {"phase", "17", NODE_READY}, /* its events say so */
    };
    struct scene s;
    struct view *v = &s.view;

    (void)state;
    scene_begin(&s, 1, true);
    world_raised(v);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        json_t *st = world_ready(1);

        json_object_set_new(st, cases[i].member, json_loads(cases[i].json, JSON_DECODE_ANY, NULL));
        assert_int_equal(class_of(v, st, 200), cases[i].c);
    }
    world_plan(v, 300, "fra");
    assert_int_equal(class_of(v, converging("plan"), 301), NODE_WORKING);
    assert_int_equal(node_class_of(v, &v->rows[0], AT(330)), NODE_WORKING);
    assert_int_equal(node_class_of(v, &v->rows[0], AT(332)), NODE_SILENT);
    agent(v, 333, "fra", EVENT_REFUSED, "disk:data", "no");
    assert_int_equal(class_of(v, json_pack("{s:s}", "phase", "failed"), 334), NODE_REFUSED);
    cloud(v, 335, "fra", EVENT_FAILED, "firewall:fra/80", "no");
    assert_int_equal(class_of(v, world_ready(1), 336), NODE_FAILED);
    scene_end(&s);
}

/* The most important first, else in the file's order; the deployment is as its worst node. */
static void test_order(void **state)
{
    struct scene s;
    struct judged j;

    (void)state;
    scene_begin(&s, 3, true);
    world_raised(&s.view);
    judge(&s.view, AT(110), &j);
    assert_string_equal(judge_deployment(&s.view, &j), "ready");
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(j.order[i], i);
    judged_free(&j);
    view_state(&s.view, 2, NULL, 0);
    world_plan(&s.view, 109, "par");
    tell(&s, 1, 110, converging("plan"));
    judge(&s.view, AT(110), &j);
    assert_string_equal(judge_deployment(&s.view, &j), "degraded");
    assert_int_equal(j.order[0], 2);
    assert_int_equal(j.order[1], 1);
    assert_int_equal(j.order[2], 0);
    judged_free(&j);
    tell(&s, 2, 110, world_ready(3));
    judge(&s.view, AT(110), &j);
    assert_string_equal(judge_deployment(&s.view, &j), "recovering");
    judged_free(&j);
    scene_end(&s);
}

/* Nothing that a node says moves the cursor, whatever gets into an event or a state. */
static void test_hostile_texts(void **state)
{
    static const char bad[] = "\033]0;x\007 \xc2\x9b"
                              "2J \x9b \xe2\x80\xae end";
    _cleanup_(strbuf_free) struct strbuf out = {0};
    const struct view_screen screen = {100, 60, false, false};
    struct event e = world_event(1, "fra", "0123456789abcdef", EVENT_NOTE, EVENT_ID_UP, "");
    struct scene s;

    (void)state;
    scene_begin(&s, 1, true);
    strcpy(e.msg, "of an agent");
    view_event(&s.view, &e); /* an agent does not say when a run of `up` ends, nor hides so */
    assert_false(s.view.ended);
    for (int k = 0; k < EVENT_KINDS; k++) {
        e.kind = (enum event_kind)k;
        str_copy(e.id, sizeof(e.id), bad);
        str_copy(e.msg, sizeof(e.msg), bad);
        view_event(&s.view, &e);
        view_render(&s.view, &screen, AT(42), &out);
    }
    tell(&s, 0, 2,
         json_pack("{s:s, s:{s:s}, s:[s], s:{s:s, s:s, s:[s]}}", "phase", "ready", "db", "state",
                   "\033[31mSynced", "drift", "\033[2J", "coordinator", "state", "\033[1m", "why",
                   "\033[2m", "waiting_for", "\033[3m"));
    view_render(&s.view, &screen, AT(42), &out);
    view_state(&s.view, 0, NULL, 0);
    view_render(&s.view, &screen, AT(42), &out);
    assert_non_null(strstr(out.s, "of an agent\n"));
    view_still(&s.view, AT(42), &out);
    view_event_line(&e, false, &out);
    assert_non_null(strstr(out.s, "end"));
    for (const char *c = out.s; *c; c++)
        assert_true((unsigned char)*c >= 0x20 || *c == '\n');
    assert_null(strstr(out.s, "\xc2\x9b"));
    assert_null(strstr(out.s, "\xe2\x80\xae"));
    scene_end(&s);
}

/* An agent tries a plan that failed again and again: why it failed stands until a run succeeds, or
 * another plan is at work. */
static void test_failure_stands(void **state)
{
    struct scene s;
    const struct view_row *r;
    struct event other =
        world_event(6, "fra", "fedcba9876543210", EVENT_PLAN, EVENT_ID_PLAN, "14 steps");

    (void)state;
    scene_begin(&s, 1, true);
    r = &s.view.rows[0];
    agent(&s.view, 1, "fra", EVENT_PLAN, EVENT_ID_PLAN, "14 steps");
    agent(&s.view, 2, "fra", EVENT_REFUSED, "disk:data", "neither zeros nor a format");
    agent(&s.view, 2, "fra", EVENT_ABORTED, "", "refused");
    agent(&s.view, 4, "fra", EVENT_PLAN, EVENT_ID_PLAN, "14 steps");
    agent(&s.view, 5, "fra", EVENT_OK, "route:private", "in sync");
    assert_int_equal(r->state, ROW_CONVERGING);
    assert_string_equal(r->failure, "neither zeros nor a format");
    view_event(&s.view, &other);
    assert_string_equal(r->failure, "");
    agent(&s.view, 7, "fra", EVENT_ABORTED, "", "the worker was killed by signal 9");
    assert_string_equal(r->failure, "the worker was killed by signal 9");
    agent(&s.view, 8, "fra", EVENT_DONE, "", "");
    assert_string_equal(r->failure, "");
    scene_end(&s);
}

/* A run of `up` that ended badly says so, and for how long, until the next one begins. */
static void test_up_stopped(void **state)
{
    _cleanup_(strbuf_free) struct strbuf out = {0};
    const struct view_screen screen = {80, 24, false, false};
    struct scene s;

    (void)state;
    scene_begin(&s, 1, true);
    cloud(&s.view, 0, "", EVENT_START, "up", "raising");
    cloud(&s.view, 5, "fra", EVENT_START, "vm:fra", "creating");
    cloud(&s.view, 9, "fra", EVENT_FAILED, "vm:fra", "insufficient capacity");
    view_render(&s.view, &screen, AT(9), &out);
    assert_null(strstr(out.s, "up stopped"));
    cloud(&s.view, 10, "", EVENT_ABORTED, "up", "vm:fra: insufficient capacity");
    strbuf_reset(&out);
    view_render(&s.view, &screen, AT(200), &out);
    assert_true(str_starts(out.s, " saas  failed, goal ready"));
    assert_non_null(strstr(out.s, "up stopped 3 min ago\n   up stopped: vm:fra: insufficient"));
    assert_non_null(strstr(out.s, "failed          0/3     vm:fra "));
    cloud(&s.view, 210, "", EVENT_START, "up", "raising");
    strbuf_reset(&out);
    view_render(&s.view, &screen, AT(211), &out);
    assert_null(strstr(out.s, "up stopped"));
    assert_true(str_starts(out.s, " saas  raising, goal ready"));
    scene_end(&s);
}

static enum event_kind any_kind(unsigned *seed)
{
    return (enum event_kind)(rand_r(seed) % EVENT_KINDS);
}

/* Whatever comes in whatever order: a picture that fits, and no more done than there is. */
static void test_any_order(void **state)
{
    static const char *const ids[] = {"up", "plan", "", "vm:fra", "package:all", "attach:par"};
    static const char *const phases[] = {"enrolled", "converging", "ready", "failed", "x"};
    struct scene s;

    (void)state;
    for (unsigned run = 1; run <= 12; run++) {
        unsigned seed = run;

        scene_begin(&s, 3, run % 2);
        for (int i = 0; i < 150; i++) {
            _cleanup_(strbuf_free) struct strbuf out = {0};
            size_t node = (size_t)rand_r(&seed) % 4;
            struct event e =
                world_event(rand_r(&seed) % 400, node < 3 ? three[node] : "",
                            rand_r(&seed) % 3 ? "0123456789abcdef" : NULL, any_kind(&seed),
                            ids[rand_r(&seed) % ARRAY_LEN(ids)], "says");
            const struct view_screen screen = {rand_r(&seed) % 130 + 1, rand_r(&seed) % 40 + 1,
                                               false, false};

            e.count = (struct event_count){(enum event_unit)(rand_r(&seed) % EVENT_UNITS),
                                           rand_r(&seed) % 9, rand_r(&seed) % 9};
            e.ms = rand_r(&seed) % 9000;
            view_event(&s.view, &e);
            if (node < 3 && rand_r(&seed) % 2)
                tell(&s, node, rand_r(&seed) % 400,
                     rand_r(&seed) % 3
                         ? json_pack("{s:s}", "phase", phases[rand_r(&seed) % ARRAY_LEN(phases)])
                         : NULL);
            view_render(&s.view, &screen, AT(rand_r(&seed) % 500), &out);
            view_still(&s.view, AT(400), &out);
            for (size_t n = 0; n < 3; n++) {
                assert_true(s.view.rows[n].done <= s.view.rows[n].total);
                assert_true(s.view.rows[n].cloud_done <= s.view.rows[n].cloud_total);
            }
            for (char *at = out.s, *end; (end = strchr(at, '\n')); at = end + 1) {
                *end = '\0';
                assert_true(paint_width(at) <= screen.columns);
            }
        }
        scene_end(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_old_state),      cmocka_unit_test(test_not_there_yet),
        cmocka_unit_test(test_estimate),       cmocka_unit_test(test_classes),
        cmocka_unit_test(test_order),          cmocka_unit_test(test_hostile_texts),
        cmocka_unit_test(test_any_order),      cmocka_unit_test(test_up_stopped),
        cmocka_unit_test(test_failure_stands),
    };

    setenv("TZ", "UTC", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
