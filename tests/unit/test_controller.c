/* SPDX-License-Identifier: Apache-2.0 */
/* The pure parts between file and node: resources, plan, user-data, the cloud's answers, the
 * picture. Golden texts are under tests/golden; MUSTER_GOLDEN=write writes them again. */
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
#include "controller/cli/view.h"
#include "controller/cloud/cloud.h"
#include "controller/cloud/resources.h"
#include "controller/nodes/layout.h"
#include "controller/nodes/planner.h"
#include "controller/nodes/userdata.h"
#include "controller/spec/openpgp.h"

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
    _cleanup_(resources_free) struct resources resources = {0};
    _cleanup_(strbuf_free) struct strbuf out = {0};

    (void)state;
    load(&s);
    resources_build(&s, &resources);
    for (size_t i = 0; i < resources.n; i++) {
        strbuf_addf(&out, "%s (%s) after", resources.v[i].name, resources.v[i].label);
        for (size_t d = 0; d < resources.v[i].n_deps; d++) {
            assert_true(resources.v[i].deps[d] < i);
            strbuf_addf(&out, " %s", resources.v[resources.v[i].deps[d]].name);
        }
        strbuf_adds(&out, "\n");
    }
    golden("resources.txt", strbuf_str(&out));
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
    const struct planner_input in = {&s,     facts, "http://198.51.100.1:7402/blob/x",
                                     digest, false, "KEY"};
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

/* A public key of Ed25519, made for this test; its secret half is gone. */
static const uint8_t key_packets[] = {
    0x98, 0x33, 0x04, 0x6b, 0x03, 0x68, 0xfd, 0x16, 0x09, 0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47,
    0x0f, 0x01, 0x01, 0x07, 0x40, 0xa8, 0xcb, 0x01, 0x2d, 0x33, 0x28, 0x6a, 0x46, 0x53, 0x24, 0xe2,
    0x00, 0x00, 0x59, 0x00, 0x99, 0xfd, 0xcf, 0x9b, 0xff, 0x1d, 0x52, 0xa2, 0x9d, 0x79, 0x3b, 0xbc,
    0xb2, 0x20, 0xbc, 0x2b, 0xa1, 0xb4, 0x04, 0x74, 0x65, 0x73, 0x74, 0x88, 0x90, 0x04, 0x13, 0x16,
    0x08, 0x00, 0x38, 0x16, 0x21, 0x04, 0x87, 0xdd, 0xed, 0x49, 0xd7, 0x5f, 0x7c, 0xf5, 0x87, 0xfb,
    0xcd, 0x89, 0x08, 0xad, 0x09, 0x9e, 0x19, 0x7a, 0xeb, 0xc5, 0x05, 0x02, 0x6b, 0x03, 0x68, 0xfd,
    0x02, 0x1b, 0x03, 0x05, 0x0b, 0x09, 0x08, 0x07, 0x02, 0x06, 0x15, 0x0a, 0x09, 0x08, 0x0b, 0x02,
    0x04, 0x16, 0x02, 0x03, 0x01, 0x02, 0x1e, 0x01, 0x02, 0x17, 0x80, 0x00, 0x0a, 0x09, 0x10, 0x08,
    0xad, 0x09, 0x9e, 0x19, 0x7a, 0xeb, 0xc5, 0xd7, 0x79, 0x01, 0x00, 0x93, 0x0e, 0xf0, 0x7a, 0xdd,
    0x90, 0xed, 0xb0, 0xc1, 0x96, 0x1b, 0x15, 0x9d, 0x26, 0x5c, 0x4d, 0x72, 0x1c, 0xc9, 0x78, 0x7e,
    0x13, 0x58, 0xd2, 0xc3, 0x8c, 0xb0, 0x4a, 0x14, 0x6c, 0x65, 0x60, 0x00, 0xfc, 0x0b, 0xa0, 0xbf,
    0x3c, 0x86, 0x74, 0xdd, 0x60, 0xe4, 0xa4, 0xd1, 0x40, 0x22, 0xf1, 0xb0, 0x33, 0xe2, 0xc7, 0x84,
    0x38, 0xe3, 0x75, 0x1c, 0xf8, 0xf4, 0x9e, 0xe1, 0x80, 0xb5, 0x25, 0xb0, 0x0c};

static void test_package_key(void **state)
{
    static const struct {
        size_t len;
        int at; /* a byte that differs; -1: none */
        uint8_t byte;
        const char *why;
    } bad[] = {
        {0, -1, 0, "is not an OpenPGP public key"},
        {sizeof(key_packets) - 1, -1, 0, "is cut off"},
        {1, -1, 0, "is cut off"},
        {sizeof(key_packets), 0, 0x18, "is not an OpenPGP public key"},
        {sizeof(key_packets), 0, 0x94, "holds a private key; export the public one"},
        {sizeof(key_packets), 0, 0xc5, "holds a private key; export the public one"},
        {sizeof(key_packets), 0, 0xb4, "is not an OpenPGP public key"},
        {sizeof(key_packets), 2 + 0x33, 0x34, "is damaged"}, /* the second packet */
    };
    _cleanup_free_ char *text = NULL;
    _cleanup_free_ char *again = NULL;
    _cleanup_free_ char *cut = NULL;
    _cleanup_free_ char *dos = NULL;
    char *end, *none = NULL;
    struct strbuf crlf = {0};
    struct err err;

    (void)state;
    assert_int_equal(openpgp_public(key_packets, sizeof(key_packets), &text, &err), 0);
    assert_int_equal(openpgp_public(text, strlen(text), &again, &err), 0);
    assert_string_equal(text, again);
    /* As gpg writes it elsewhere: text before it, headers, a checksum, other line ends. */
    strbuf_adds(&crlf, "pub ed25519\r\n");
    for (const char *c = text; *c; c++) {
        if (str_starts(c, "-----END"))
            strbuf_adds(&crlf, "=abcd\r\n");
        strbuf_adds(&crlf, *c == '\n' ? "\r\n" : (const char[]){*c, '\0'});
        if (*c == '\n' && c[1] == '\n')
            strbuf_adds(&crlf, "Comment: x\r\n");
    }
    assert_int_equal(openpgp_public(crlf.s, crlf.len, &dos, &err), 0);
    assert_string_equal(text, dos);
    strbuf_free(&crlf);
    cut = xstrdup(text);
    end = strstr(cut, "-----END");
    *end = '\0';
    assert_int_equal(openpgp_public(cut, strlen(cut), &none, &err), -1);
    assert_non_null(strstr(err.msg, "is cut off"));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        uint8_t copy[sizeof(key_packets)];

        memcpy(copy, key_packets, sizeof(copy));
        if (bad[i].at >= 0)
            copy[bad[i].at] = bad[i].byte;
        assert_int_equal(openpgp_public(copy, bad[i].len, &none, &err), -1);
        assert_string_equal(err.msg, bad[i].why);
    }
}

static void test_repository(void **state)
{
    static const char file[] = "deployment: r\ncloud: local\n"
                               "zones: [{name: z, gateway: {cidr: 10.1.1.0/24}}]\n"
                               "nodes: [{name: n, zone: z, template: t, offering: o}]\nweb: {}\n"
                               "packages:\n  repository: {url: 'https://deb.example.org/11.4', "
                               "suite: bookworm, key: k.asc}\n"
                               "  lock_timeout: 15m\n";
    _cleanup_(spec_problems_free) struct spec_problems problems = {0};
    _cleanup_(spec_free) struct spec s = {0};
    _cleanup_json_ json_t *plan = NULL;
    _cleanup_free_ char *text = NULL;
    const struct node_facts facts = {0};
    const struct planner_input in = {.spec = &s, .facts = &facts, .package_key = "KEY"};
    struct yaml_doc doc;
    struct err err;

    (void)state;
    assert_int_equal(yaml_doc_parse("r", file, strlen(file), &doc, &err), 0);
    if (spec_parse("r", &doc, &s, &problems) < 0)
        fail_msg("%s", strbuf_str(&problems.text));
    yaml_doc_free(&doc);
    assert_string_equal(s.packages.key_path, "k.asc");
    assert_int_equal(planner_compile(&in, 0, &plan, &err), 0);
    text = json_dumps(json_array_get(json_object_get(plan, "resources"), 0),
                      JSON_INDENT(1) | JSON_SORT_KEYS);
    golden("package.json", text);
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

/* A plan has 10 steps here, and what is under way 30 of its 39 bytes. */
static struct event_count count_of(enum event_kind kind)
{
    return kind == EVENT_PLAN       ? (struct event_count){EVENT_STEPS, 0, 10}
           : kind == EVENT_PROGRESS ? (struct event_count){EVENT_BYTES, 30, 39}
                                    : (struct event_count){0};
}

/* The event of the controller when there is no revision. */
static void ev(struct view *v, uint64_t ts, const char *node, const char *rev, enum event_kind kind,
               const char *id, const char *msg)
{
    static uint64_t seq;
    struct event e = {.ts = ts, .seq = ++seq, .origin = EVENT_OF_CONTROLLER};

    str_copy(e.node, sizeof(e.node), node);
    if (rev)
        e.origin = EVENT_OF_AGENT;
    str_copy(e.rev, sizeof(e.rev), rev ? rev : "");
    e.count = count_of(kind);
    event_fill(&e, kind, id, "%s", msg);
    view_event(v, &e);
}

static void test_picture(void **state)
{
    _cleanup_(spec_free) struct spec s = {0};
    _cleanup_(strbuf_free) struct strbuf out = {0};
    _cleanup_json_ json_t *synced =
        json_pack("{s:{s:s, s:i}}", "db", "state", "Synced", "cluster_size", 2);
    _cleanup_json_ json_t *drifted =
        json_pack("{s:{s:s, s:i}, s:[s, s, s]}", "db", "state", "Synced", "cluster_size", 2,
                  "drift", "file:motd", "web:apache", "bad\033[2J");
    struct view v;
    static const unsigned widths[] = {80, 120};

    (void)state;
    load(&s);
    view_init(&v, &s);
    ev(&v, 1000, "", NULL, EVENT_START, "up", "raising");
    ev(&v, 2000, "", NULL, EVENT_CHANGED, "gateway:frankfurt-esx", "created");
    ev(&v, 3000, "fra", NULL, EVENT_CHANGED, "volume:fra", "created");
    ev(&v, 3000, "fra", NULL, EVENT_CHANGED, "vm:fra", "created");
    ev(&v, 4000, "par", NULL, EVENT_START, "vm:par", "creating");
    ev(&v, 12000, "fra", "abc", EVENT_PLAN, "plan", "begins");
    ev(&v, 12100, "fra", "abc", EVENT_CHANGED, "route:private", "10.10.1.10/24");
    ev(&v, 12200, "fra", "abc", EVENT_START, "package:all", "installing 12 packages");
    ev(&v, 30000, "fra", "abc", EVENT_PROGRESS, "package:all",
       "Unpacking mariadb-server (1:10.11.19-0+deb12u1), 64 % of the whole transaction is done");
    for (size_t i = 0; i < ARRAY_LEN(widths); i++) {
        strbuf_addf(&out, "--- %u columns\n", widths[i]);
        view_render(&v, widths[i], false, 42000, &out);
    }
    ev(&v, 41000, "fra", "abc", EVENT_PROGRESS, "datadir:mariadb",
       "31 %, 1.2 of 3.9 GB: copy /var/lib/mysql to /media/x/mysql.new; the old one stays");
    strbuf_adds(&out, "--- heard a second ago\n");
    view_render(&v, 120, false, 42000, &out);
    strbuf_adds(&out, "--- silent\n");
    view_render(&v, 80, false, 191000, &out);
    view_still(&v, 191000, &out);
    strbuf_adds(&out, "\n");
    for (int i = 0; i < 2; i++) {
        const char *node = i ? "par" : "fra";

        ev(&v, 60000, node, "abc", EVENT_PLAN, "plan", "begins");
        ev(&v, 61000, node, "abc", EVENT_DONE, "plan", "10 changed, 0 ok");
        view_state(&v, (size_t)i, synced);
    }
    ev(&v, 62000, "", NULL, EVENT_DONE, "up", "ready");
    strbuf_adds(&out, "--- ready\n");
    view_render(&v, 80, false, 99000, &out);
    view_state(&v, 1, drifted);
    strbuf_adds(&out, "--- drifted\n");
    view_render(&v, 100, false, 99000, &out);
    golden("picture.txt", strbuf_str(&out));
    view_free(&v);
}

/* What was said long ago is not shown as what is. */
static void test_old_state(void **state)
{
    _cleanup_(spec_free) struct spec s = {0};
    _cleanup_(strbuf_free) struct strbuf out = {0};
    _cleanup_json_ json_t *synced =
        json_pack("{s:{s:s, s:i}}", "db", "state", "Synced", "cluster_size", 2);
    struct view v;

    (void)state;
    load(&s);
    view_init(&v, &s);
    ev(&v, 1000, "fra", "abc", EVENT_PLAN, "plan", "begins");
    ev(&v, 2000, "fra", "abc", EVENT_DONE, "plan", "10 changed, 0 ok");
    view_state(&v, 0, synced);
    view_render(&v, 100, false, 42000, &out);
    assert_non_null(strstr(strbuf_str(&out), "ready, database Synced"));
    strbuf_reset(&out);
    view_state(&v, 0, NULL);
    view_render(&v, 100, false, 42000, &out);
    assert_null(strstr(strbuf_str(&out), "Synced"));
    assert_non_null(strstr(strbuf_str(&out), "ready, database unknown"));
    view_free(&v);
}

/* Nothing that a node says moves the cursor, whatever gets into an event. */
static void test_hostile_words(void **state)
{
    static const char bad[] = "\033]0;x\007 \xc2\x9b"
                              "2J \x9b \xe2\x80\xae end";
    _cleanup_(spec_free) struct spec s = {0};
    _cleanup_(strbuf_free) struct strbuf out = {0};
    _cleanup_json_ json_t *st = json_pack("{s:{s:s}}", "db", "state", "\033[31mSynced");
    struct event e = {.ts = 1000, .seq = 1, .kind = EVENT_FAILED};
    struct view v;

    (void)state;
    load(&s);
    view_init(&v, &s);
    str_copy(e.node, sizeof(e.node), "fra");
    str_copy(e.id, sizeof(e.id), bad);
    str_copy(e.msg, sizeof(e.msg), bad);
    view_event(&v, &e);
    e.kind = EVENT_CLUSTER;
    view_event(&v, &e);
    e.kind = EVENT_NOTE;
    strcpy(e.id, EVENT_ID_UP); /* an agent does not say when a run of `up` ends, nor hides so */
    strcpy(e.msg, "of an agent");
    view_event(&v, &e);
    assert_false(v.ended);
    view_state(&v, 0, st);
    view_render(&v, 100, false, 42000, &out);
    assert_non_null(strstr(strbuf_str(&out), "   fra  up                   of an agent\n"));
    view_still(&v, 42000, &out);
    view_event_line(&e, false, &out);
    assert_non_null(strstr(strbuf_str(&out), "end"));
    for (const char *c = strbuf_str(&out); *c; c++)
        assert_true((unsigned char)*c >= 0x20 || *c == '\n');
    assert_null(strstr(strbuf_str(&out), "\xc2\x9b"));
    assert_null(strstr(strbuf_str(&out), "\x9b"));
    assert_null(strstr(strbuf_str(&out), "\xe2\x80\xae"));
    view_free(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items),      cmocka_unit_test(test_plan),
        cmocka_unit_test(test_user_data),  cmocka_unit_test(test_answers),
        cmocka_unit_test(test_picture),    cmocka_unit_test(test_hostile_words),
        cmocka_unit_test(test_old_state),  cmocka_unit_test(test_package_key),
        cmocka_unit_test(test_repository),
    };
    struct err err;

    assert_int_equal(keys_init(&err), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
