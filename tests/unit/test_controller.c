/* SPDX-License-Identifier: Apache-2.0 */
/* The pure parts between file and node: items, plan, user-data, the cloud's answers, the picture.
 * Golden texts are under tests/golden; MUSTER_GOLDEN=write writes them anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/keys.h"
#include "common/str.h"
#include "controller/cloud.h"
#include "controller/items.h"
#include "controller/layout.h"
#include "controller/planner.h"
#include "controller/userdata.h"
#include "controller/view.h"

static void golden(const char *name, const char *got)
{
    _cleanup_free_ char *path = str_fmt("%s/golden/%s", TEST_DIR, name);
    _cleanup_free_ char *expected = NULL;
    struct err err;

    if (getenv("MUSTER_GOLDEN"))
        assert_int_equal(fs_write_atomic(path, got, strlen(got), 0644, &err), 0);
    assert_int_equal(fs_read(path, 1 << 20, &expected, NULL, &err), 0);
    assert_string_equal(got, expected);
}

/* The example, up to the line that begins with `until`. */
static void load_until(const char *until, struct spec *s)
{
    _cleanup_(spec_problems_free) struct spec_problems problems = {0};
    _cleanup_free_ char *text = NULL;
    struct yaml_doc doc;
    struct err err;
    size_t len;

    assert_int_equal(fs_read(TEST_DIR "/../docs/examples/saas.yaml", 65536, &text, &len, &err), 0);
    if (until) {
        const char *end = strstr(text, until);

        assert_non_null(end);
        len = (size_t)(end - text) + 1;
    }
    assert_int_equal(yaml_doc_parse("saas", text, len, &doc, &err), 0);
    assert_int_equal(spec_parse("saas", &doc, s, &problems), 0);
    yaml_doc_free(&doc);
}

static void load(struct spec *s)
{
    load_until(NULL, s);
}

static void test_items(void **state)
{
    _cleanup_(spec_free) struct spec s = {0};
    _cleanup_(items_free) struct items items = {0};
    _cleanup_(strbuf_free) struct strbuf out = {0};

    (void)state;
    load(&s);
    items_build(&s, &items);
    for (size_t i = 0; i < items.n; i++) {
        strbuf_addf(&out, "%s (%s) after", items.v[i].name, items.v[i].label);
        for (size_t d = 0; d < items.v[i].n_deps; d++) {
            assert_true(items.v[i].deps[d] < i);
            strbuf_addf(&out, " %s", items.v[items.v[i].deps[d]].name);
        }
        strbuf_adds(&out, "\n");
    }
    golden("items.txt", strbuf_str(&out));
}

/* test_agent_plan.c sees that the agent takes these plans. */
static void test_plan(void **state)
{
    _cleanup_(spec_free) struct spec s = {0};
    _cleanup_(spec_free) struct spec bare = {0};
    _cleanup_json_ json_t *disk = NULL;
    _cleanup_free_ char *disk_text = NULL;
    _cleanup_json_ json_t *plan = NULL;
    _cleanup_json_ json_t *again = NULL;
    _cleanup_json_ json_t *names = NULL;
    _cleanup_free_ char *text = NULL;
    const struct node_facts facts[] = {
        {"10.10.1.10", "02:00:00:00:00:01", "11111111-2222-4333-8444-555555555555",
         "http://198.51.100.10"},
        {"10.10.2.10", "02:00:00:00:00:02", "11111111-2222-4333-8444-666666666666",
         "http://198.51.100.11"},
    };
    char digest[SHA256_HEX_SIZE];
    keys_sha256("x", 1, digest);
    const struct planner_input in = {&s, facts, "http://198.51.100.1:7402/blob/x", digest, false};
    const struct planner_input in_bare = {.spec = &bare, .facts = facts};
    const char *const no_key[] = {"aa", ""};
    struct err err;

    (void)state;
    load(&s);
    assert_int_equal(planner_compile(&in, 0, &plan, &err), 0);
    assert_int_equal(planner_compile(&in, 0, &again, &err), 0);
    assert_true(json_equal(plan, again));
    text = json_dumps(plan, JSON_INDENT(1) | JSON_SORT_KEYS);
    golden("plan.json", text);
    names = planner_secret_names(plan);
    assert_int_equal(json_array_size(names), 1);
    assert_string_equal(json_string_value(json_array_get(names, 0)), "db_album");
    assert_null(planner_roster(&in, no_key, 1));

    load_until("\ndatabase:", &bare);
    assert_int_equal(planner_compile(&in_bare, 0, &disk, &err), 0);
    disk_text = json_dumps(disk, JSON_INDENT(1) | JSON_SORT_KEYS);
    golden("plan-disk.json", disk_text);
}

static void test_user_data(void **state)
{
    char key[65];
    char *text = NULL;
    struct err err;
    struct userdata u = {.deployment = "saas",
                         .node = "fra",
                         .address = "198.51.100.1",
                         .port = 7400,
                         .controller_key = key,
                         .sign_key = key,
                         .bootstrap_secret = key,
                         .expires = 1,
                         .package_sha256 = key};

    (void)state;
    memset(key, 'a', 64);
    key[64] = '\0';
    assert_int_equal(userdata_text(&u, &text, &err), 0);
    assert_true(strlen(text) < 3072); /* fits a GET in base64 on every server generation */
    golden("user-data.yaml", text);
    free(text);
}

static void test_answers(void **state)
{
    static const struct {
        long status;
        const char *body;
        int code; /* 0: payload */
    } cases[] = {
        {200, "{\"listzonesresponse\":{}}", 0},
        {200, "{\"response\":{\"count\":0,\"network\":[]}}", 0},
        {431, "{\"deployvirtualmachineresponse\":{\"errorcode\":431,\"errortext\":\"no\"}}",
         ERR_CLOUD},
        {200, "{\"errorresponse\":{\"errorcode\":\"530\",\"errortext\":\"x\"}}", ERR_CLOUD},
        {401, "{\"listzonesresponse\":{\"errorcode\":401,\"errortext\":\"unable\"}}",
         ERR_CREDENTIALS},
        {401, "<html>", ERR_CREDENTIALS},
        {200, "<html>hello</html>", ERR_CLOUD},
        {200, "{\"x\":[]}", ERR_CLOUD},
        {302, "", ERR_CLOUD},
        {500, "", ERR_CLOUD},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_json_ json_t *j = NULL;
        const struct http_answer a = {
            .status = cases[i].status, .body = cases[i].body, .len = strlen(cases[i].body)};
        struct cloud_failure why;
        int rc = cloud_parse_answer("call", &a, &j, &why);

        assert_int_equal(rc, cases[i].code ? -1 : 0);
        assert_int_equal(why.err.code, cases[i].code);
    }
}

static void ev(struct view *v, uint64_t ts, const char *node, const char *rev, enum event_kind kind,
               const char *id, const char *msg)
{
    static uint64_t seq;
    struct event e = {.ts = ts, .seq = ++seq};

    str_copy(e.node, sizeof(e.node), node);
    str_copy(e.rev, sizeof(e.rev), rev);
    event_fill(&e, kind, id, "%s", msg);
    view_event(v, &e);
}

static void test_picture(void **state)
{
    _cleanup_(spec_free) struct spec s = {0};
    _cleanup_(strbuf_free) struct strbuf out = {0};
    _cleanup_json_ json_t *synced =
        json_pack("{s:{s:s, s:i}}", "db", "state", "Synced", "cluster_size", 2);
    struct view v;
    static const unsigned widths[] = {80, 120};

    (void)state;
    load(&s);
    view_init(&v, &s);
    ev(&v, 1000, "", "controller", EVENT_START, "up", "raising");
    ev(&v, 2000, "", "controller", EVENT_CHANGED, "gateway:frankfurt-esx", "created");
    ev(&v, 3000, "fra", "controller", EVENT_CHANGED, "volume:fra", "created");
    ev(&v, 3000, "fra", "controller", EVENT_CHANGED, "vm:fra", "created");
    ev(&v, 4000, "par", "controller", EVENT_START, "vm:par", "creating");
    ev(&v, 12000, "fra", "abc", EVENT_PLAN, "plan", "10 steps");
    ev(&v, 12100, "fra", "abc", EVENT_CHANGED, "route:private", "10.10.1.10/24");
    ev(&v, 12200, "fra", "abc", EVENT_START, "package:all", "installing 12 packages");
    ev(&v, 30000, "fra", "abc", EVENT_PROGRESS, "package:all",
       "Unpacking mariadb-server (1:10.11.19-0+deb12u1), 64 % of the whole transaction is done");
    for (size_t i = 0; i < ARRAY_LEN(widths); i++) {
        strbuf_addf(&out, "--- %u columns\n", widths[i]);
        view_render(&v, widths[i], false, 42000, &out);
    }
    for (int i = 0; i < 2; i++) {
        const char *node = i ? "par" : "fra";

        ev(&v, 60000, node, "abc", EVENT_PLAN, "plan", "10 steps");
        ev(&v, 61000, node, "abc", EVENT_DONE, "plan", "10 changed, 0 ok");
        view_state(&v, (size_t)i, synced);
    }
    ev(&v, 62000, "", "controller", EVENT_DONE, "up", "ready");
    strbuf_adds(&out, "--- ready\n");
    view_render(&v, 80, false, 99000, &out);
    golden("picture.txt", strbuf_str(&out));
    view_free(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items),     cmocka_unit_test(test_plan),
        cmocka_unit_test(test_user_data), cmocka_unit_test(test_answers),
        cmocka_unit_test(test_picture),
    };
    struct err err;

    assert_int_equal(keys_init(&err), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
