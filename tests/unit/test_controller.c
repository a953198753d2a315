/* SPDX-License-Identifier: Apache-2.0 */
/* The pure parts between file and node: resources, plan, user-data, the cloud's answers.
 * Golden texts are under tests/golden; MUSTER_GOLDEN=write writes them again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/backup/backup.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/keys.h"
#include "common/str.h"
#include "controller/cloud/cloud.h"
#include "controller/cloud/resources.h"
#include "controller/nodes/layout.h"
#include "controller/nodes/planner.h"
#include "controller/nodes/secrets.h"
#include "controller/nodes/userdata.h"
#include "controller/spec/openpgp.h"
#include "tests/unit/golden.h"

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

static char *const certs_of[] = {"CERTIFICATE OF FRA\n", "CERTIFICATE OF PAR\n"};
static char *const certs_share[] = {
    "-----BEGIN CERTIFICATE-----\nRlJB\n-----END CERTIFICATE-----\n",
    "-----BEGIN CERTIFICATE-----\nUEFS\n-----END CERTIFICATE-----\n"};
static const struct certs certs = {2, (char *)"CERTIFICATE OF THE CA\n", (char **)certs_of,
                                   (char **)certs_share};

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
        {"10.10.1.10", "02:00:00:00:00:01", "198.51.100.10", "11111111-2222-4333-8444-555555555555",
         "http://198.51.100.10"},
        {"10.10.2.10", "02:00:00:00:00:02", "198.51.100.11", "11111111-2222-4333-8444-666666666666",
         "http://198.51.100.11"},
    };
    char digest[SHA256_HEX_SIZE];

    keys_sha256("x", 1, digest);
    const struct planner_input in = {
        &s, facts, "http://198.51.100.1:7402/blob/x", digest, false, "KEY", &certs, NULL};
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
    assert_int_equal(json_array_size(names), 3);
    assert_string_equal(json_string_value(json_array_get(names, 0)), "tls_key_fra");
    assert_string_equal(json_string_value(json_array_get(names, 1)), "share_key_fra");
    assert_string_equal(json_string_value(json_array_get(names, 2)), "db_album");
    assert_null(planner_roster(&in, no_key, 1));

    load_until("\ndatabase:", &bare);
    assert_int_equal(planner_compile(&in_bare, 0, &disk, &err), 0);
    disk_text = json_dumps(disk, JSON_INDENT(1) | JSON_SORT_KEYS);
    golden("plan-disk.json", disk_text);
}

/* With the application's own login; without the key there is to be nothing of it. */
static void test_sessions(void **state)
{
    (void)state;
    _cleanup_(spec_free) struct spec s = {0};
    _cleanup_json_ json_t *plan = NULL, *without = NULL;
    const struct node_facts facts[] = {{"10.10.1.10", "02:00:00:00:00:01", "",
                                        "11111111-2222-4333-8444-555555555555", "http://fra"},
                                       {"10.10.2.10", "02:00:00:00:00:02", "",
                                        "11111111-2222-4333-8444-666666666666", "http://par"}};
    char digest[SHA256_HEX_SIZE];
    const struct planner_input in = {&s,    facts, "http://x/blob", digest,
                                     false, "KEY", &certs,          NULL};
    struct err err;

    keys_sha256("x", 1, digest);
    load(&s);
    assert_int_equal(planner_compile(&in, 1, &without, &err), 0);
    s.app.sessions = true;
    assert_int_equal(planner_compile(&in, 1, &plan, &err), 0);
    _cleanup_free_ char *off = js_text(without), *on = js_text(plan);
    assert_non_null(strstr(off, "{\"id\":\"sessions:album\",\"root\":\"/var/www/html\","
                                "\"type\":\"sessions\"}"));
    assert_non_null(strstr(on, "{\"database\":\"album\",\"id\":\"sessions:album\",\"password\":"
                               "\"${secret:db_album}\",\"root\":\"/var/www/html\","
                               "\"type\":\"sessions\",\"user\":\"album\"}"));
}

/* Each node with data gets the step, and the key as a secret; an agent reads it as it was meant. */
static void test_backup(void **state)
{
    (void)state;
    _cleanup_(spec_free) struct spec s = {0};
    _cleanup_json_ json_t *plan = NULL, *plain = NULL, *names = NULL;
    const struct node_facts facts[] = {{"10.10.1.10", "02:00:00:00:00:01", "",
                                        "11111111-2222-4333-8444-555555555555", "http://fra"},
                                       {"10.10.2.10", "02:00:00:00:00:02", "",
                                        "11111111-2222-4333-8444-666666666666", "http://par"}};
    char digest[SHA256_HEX_SIZE];
    const struct planner_input in = {&s,    facts, "http://x/blob", digest,
                                     false, "KEY", &certs,          NULL};
    const json_t *step = NULL, *r;
    struct backup_conf c = {0};
    struct err err;
    size_t i;

    keys_sha256("x", 1, digest);
    load(&s);
    assert_int_equal(planner_compile(&in, 1, &plain, &err), 0);
    _cleanup_free_ char *without = js_text(plain);
    assert_null(strstr(without, "\"type\":\"backup\""));
    s.backup.present = true;
    s.backup.every = 86400;
    s.backup.offset = 9000;
    s.backup.keep = 7;
    s.backup.put = json_pack("[s, s]", "/usr/local/bin/put", "x");
    assert_int_equal(planner_compile(&in, 1, &plan, &err), 0);
    json_array_foreach(json_object_get(plan, "resources"), i, r)
    {
        if (str_eq(js_opt_str(r, "type", ""), "backup"))
            step = r;
    }
    assert_non_null(step);
    assert_int_equal(backup_conf_read(step, &c, &err), 0);
    assert_string_equal(c.node, s.nodes[1].name);
    assert_int_equal(c.offset, 9000);
    assert_int_equal(json_array_size(c.members), 2);
    assert_string_equal(json_string_value(json_array_get(c.put, 0)), "/usr/local/bin/put");
    names = planner_secret_names(plan);
    _cleanup_free_ char *secrets = js_text(names);
    assert_non_null(strstr(secrets, "\"" SECRETS_BACKUP_KEY "\""));
}

/* Of three, with an arbitrator between them: HAProxy before its own web server and the other site.
 */
static void test_frontdoor(void **state)
{
    (void)state;
    _cleanup_(spec_free) struct spec s = {0};
    _cleanup_json_ json_t *plan = NULL, *plain = NULL, *names = NULL;
    const struct node_facts facts[] = {{"10.10.1.10", "02:00:00:00:00:01", "",
                                        "11111111-2222-4333-8444-555555555555", "http://fra"},
                                       {"10.10.2.10", "02:00:00:00:00:02", "",
                                        "11111111-2222-4333-8444-666666666666", "http://par"}};
    char digest[SHA256_HEX_SIZE];
    const struct planner_input in = {&s,    facts, "http://x/blob", digest,
                                     false, "KEY", &certs,          "CERTIFICATE OF SITE\n"};
    struct err err;

    keys_sha256("x", 1, digest);
    load(&s);
    s.frontdoor.present = true;
    assert_int_equal(planner_compile(&in, 1, &plain, &err), 0);
    _cleanup_free_ char *without = js_text(plain);
    assert_non_null(strstr(without, "\"frontdoor:haproxy\""));
    assert_null(strstr(without, "CERTIFICATE OF SITE"));
    s.frontdoor.tls = FRONTDOOR_SELF_SIGNED;
    assert_int_equal(planner_compile(&in, 1, &plan, &err), 0);
    _cleanup_free_ char *text = json_dumps(plan, JSON_INDENT(1) | JSON_SORT_KEYS);
    golden("plan-frontdoor.json", text);
    names = planner_secret_names(plan);
    _cleanup_free_ char *secrets = js_text(names);
    assert_non_null(strstr(secrets, "\"" CERTS_SITE_KEY "\""));
}

/* It has no disk, no site and no data; the member knows of no member but itself. */
static void test_arbitrator(void **state)
{
    (void)state;
    _cleanup_(spec_free) struct spec s = {0};
    _cleanup_json_ json_t *plan = NULL, *of_member = NULL;
    const struct node_facts facts[] = {{"10.10.1.10", "02:00:00:00:00:01", "198.51.100.10",
                                        "11111111-2222-4333-8444-555555555555", "http://fra"},
                                       {"10.10.2.10", "02:00:00:00:00:02", "", "", ""}};
    char digest[SHA256_HEX_SIZE];
    const struct planner_input in = {&s,   facts, "https://x/blob", digest,
                                     true, "KEY", &certs,           NULL};
    struct err err;

    keys_sha256("x", 1, digest);
    load(&s);
    s.nodes[1].arbitrator = true;
    s.nodes[1].disk.present = false;
    assert_int_equal(planner_compile(&in, 1, &plan, &err), 0);
    _cleanup_free_ char *text = json_dumps(plan, JSON_INDENT(1) | JSON_SORT_KEYS);
    golden("plan-arbitrator.json", text);
    assert_int_equal(planner_compile(&in, 0, &of_member, &err), 0);
    _cleanup_free_ char *member = js_text(of_member);
    assert_null(strstr(member, "10.10.2.10"));
    _cleanup_free_ char *roster = planner_roster(&in, (const char *const[]){"aa", "bb"}, 1);
    assert_non_null(strstr(roster, "\"role\":\"arbitrator\""));
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

/* What an agent says is ready only when all of it is. */
static void test_ready(void **state)
{
    static const struct {
        const char *key, *value; /* instead of what is well */
        bool ready;
    } rows[] = {
        {"web", "{\"status\": 200, \"why\": \"\"}", true},
        {"phase", "\"converging\"", false},
        {"rev", "\"older\"", false},
        {"drift", "[\"web:apache\"]", false},
        {"converting", "false", true},
        {"converting", "true", false}, /* the other member has no rows of those tables yet */
        {"db", "{\"state\":\"Joining\",\"cluster_size\":2,\"epoch_row\":true}", false},
        {"db", "{\"state\":\"Synced\",\"cluster_size\":1,\"epoch_row\":true}", false},
        {"db", "{\"state\":\"Synced\",\"cluster_size\":2,\"epoch_row\":false}", false},
        {"db", "null", false},
    };
    const struct spec s = {.n_nodes = 2, .database.present = true};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        _cleanup_json_ json_t *said =
            json_pack("{s:s, s:s, s:{s:s, s:i, s:b}}", "phase", "ready", "rev", "0123", "db",
                      "state", "Synced", "cluster_size", 2, "epoch_row", 1);

        json_object_set_new(said, rows[i].key, json_loads(rows[i].value, JSON_DECODE_ANY, NULL));
        if (layout_state_ready(&s, said, "0123") != rows[i].ready)
            fail_msg("%s: %s", rows[i].key, rows[i].value);
    }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items),      cmocka_unit_test(test_plan),
        cmocka_unit_test(test_arbitrator), cmocka_unit_test(test_backup),
        cmocka_unit_test(test_frontdoor),  cmocka_unit_test(test_sessions),
        cmocka_unit_test(test_user_data),  cmocka_unit_test(test_ready),
        cmocka_unit_test(test_answers),    cmocka_unit_test(test_package_key),
        cmocka_unit_test(test_repository),
    };
    struct err err;

    assert_int_equal(keys_init(&err), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
