/* SPDX-License-Identifier: Apache-2.0 */
/* The deployment file: good examples are read, each broken file under tests/bad gives exactly the
 * text beside it. */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"
#include "controller/spec/spec.h"

/* What the operator reads for that file; "" when it is good. The caller frees. */
static char *problems_of(const char *path, const char *name)
{
    _cleanup_(spec_problems_free) struct spec_problems problems = {0};
    _cleanup_free_ char *text = NULL;
    struct yaml_doc doc = {0};
    struct spec spec = {0};
    struct err err = {0};
    size_t len;

    assert_int_equal(fs_read(path, YAML_SIZE_MAX, &text, &len, &err), 0);
    if (yaml_doc_parse(name, text, len, &doc, &err) < 0)
        return str_fmt("%s\n", err.msg);
    if (spec_parse(name, &doc, &spec, &problems) == 0)
        spec_free(&spec);
    yaml_doc_free(&doc);
    return xstrdup(strbuf_str(&problems.text));
}

static void test_examples(void **state)
{
    glob_t g = {0};

    (void)state;
    assert_int_equal(glob(TEST_DIR "/../docs/examples/*.yaml", 0, NULL, &g), 0);
    for (size_t i = 0; i < g.gl_pathc; i++) {
        _cleanup_free_ char *text = problems_of(g.gl_pathv[i], "file");

        assert_string_equal(text, "");
    }
    globfree(&g);
}

static void test_bad_files(void **state)
{
    glob_t g = {0};

    (void)state;
    assert_int_equal(glob(TEST_DIR "/bad/*.yaml", 0, NULL, &g), 0);
    assert_true(g.gl_pathc >= 10);
    for (size_t i = 0; i < g.gl_pathc; i++) {
        const char *path = g.gl_pathv[i];
        _cleanup_free_ char *expected_path =
            str_fmt("%.*s.expected", (int)(strlen(path) - strlen(".yaml")), path);
        _cleanup_free_ char *expected = NULL;
        _cleanup_free_ char *got = problems_of(path, strrchr(path, '/') + 1);
        struct err err;

        assert_int_equal(fs_read(expected_path, 65536, &expected, NULL, &err), 0);
        assert_string_equal(got, expected);
    }
    globfree(&g);
}

static void test_cidr(void **state)
{
    struct cidr a, b;
    char host[16];

    (void)state;
    assert_int_equal(cidr_parse("10.1.1.0/24", &a), 0);
    cidr_host(&a, 1, host);
    assert_string_equal(host, "10.1.1.1");
    assert_int_equal(cidr_parse("10.1.0.0/16", &b), 0);
    assert_true(ipv4_net_overlaps(&a.net, &b.net));
    assert_int_equal(cidr_parse("10.2.0.0/16", &b), 0);
    assert_false(ipv4_net_overlaps(&a.net, &b.net));
    assert_int_equal(cidr_parse("10.1.1.1/24", &a), -1);
    assert_int_equal(cidr_parse("10.1.1.0/33", &a), -1);
    assert_int_equal(cidr_parse("10.1.1/24", &a), -1);
    assert_int_equal(cidr_parse("10.1.1.0", &a), -1);
    assert_int_equal(cidr_parse("10.1.1.0/", &a), -1);
}

/* Unquoted values of a form come as they are written, not as YAML understands them. */
static void test_as_written(void **state)
{
    (void)state;
    static const char text[] =
        "deployment: saas\ncloud: local\ndefaults: {template: 012, offering: 1.10, keypair: "
        "{name: 007}}\nzones: [{name: 0x1, gateway: {cidr: 10.1.1.0/24}}]\n"
        "nodes: [{name: a, zone: 0x1, datadisk: {size: 1G, offering: o}}]\n"
        "database: {}\nweb: {settings: {precision: 010, display_errors: true}}\n"
        "app:\n  name: album\n  url: https://www.example.org\n  archive: {path: x}\n  install:\n"
        "    - form: /f\n      fields: {port: 3306, agree: true, no: False, pin: 0042, ratio: 1.10,"
        " text: \"7\", big: 123456789012345678901234567890, plus: +1, e: 1e3}\n";
    static const char *const fields[][2] = {
        {"port", "3306"}, {"agree", "true"}, {"no", "False"},
        {"pin", "0042"},  {"ratio", "1.10"}, {"text", "7"},
        {"plus", "+1"},   {"e", "1e3"},      {"big", "123456789012345678901234567890"},
    };
    _cleanup_(spec_problems_free) struct spec_problems problems = {0};
    struct yaml_doc doc = {0};
    struct spec s = {0};
    struct err err = {0};

    if (yaml_doc_parse("f", text, strlen(text), &doc, &err) < 0)
        fail_msg("%s", err.msg);
    if (spec_parse("f", &doc, &s, &problems) < 0)
        fail_msg("%s", strbuf_str(&problems.text));
    yaml_doc_free(&doc);
    assert_string_equal(s.keypair, "007");
    assert_string_equal(s.nodes[0].template, "012");
    assert_string_equal(s.nodes[0].offering, "1.10");
    assert_string_equal(json_string_value(json_object_get(s.web.settings, "precision")), "010");
    assert_true(json_is_true(json_object_get(s.web.settings, "display_errors")));
    const json_t *sent = json_object_get(json_array_get(s.app.install, 0), "fields");
    assert_int_equal(json_object_size(sent), ARRAY_LEN(fields));
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        assert_string_equal(json_string_value(json_object_get(sent, fields[i][0])), fields[i][1]);
    spec_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_cidr),
        cmocka_unit_test(test_as_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
