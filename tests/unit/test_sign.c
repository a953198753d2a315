/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/sign.h"

static void encodes_as_the_server_does(void **state)
{
    (void)state;
    _cleanup_(strbuf_free) struct strbuf out = {0};

    sign_encode(&out, "aZ09.-*_ ~()!'+%/=\xc3\xa9");
    assert_string_equal(out.s, "aZ09.-*_%20%7E%28%29%21%27%2B%25%2F%3D%C3%A9");
}

/* The values were computed with Python's hmac and hashlib. */
static void signs_sorted_lower_case(void **state)
{
    (void)state;
    struct pair v[] = {{"command", "listZones"}, {"apiKey", "KEY"}, {"response", "json"}};
    char a[SIGN_TEXT_SIZE], b[SIGN_TEXT_SIZE];

    sign_compute(v, 3, "secret", a);
    assert_string_equal(a, "CB2VceYQ2lFqNkAe+39yeUIsH5w=");
    struct pair w[] = {{"response", "json"},
                       {"signature", "ignored"},
                       {"apiKey", "KEY"},
                       {"command", "listZones"}};
    sign_compute(w, 4, "secret", b);
    assert_string_equal(a, b);
    assert_true(sign_check(w, 4, "secret", a));
    assert_false(sign_check(w, 4, "secreT", a));
    assert_false(sign_check(w, 4, "secret", "short"));
}

static void upper_case_names_sort_first(void **state)
{
    (void)state;
    struct pair v[] = {{"hostid", "b"}, {"hostName", "A b~*"}, {"tags[0].key", "x"}};
    char a[SIGN_TEXT_SIZE];

    sign_compute(v, 3, "s", a);
    assert_string_equal(a, "egYinOaP+d+qDijmyAapW9wy/BU=");
}

static void params_carry_the_signature(void **state)
{
    (void)state;
    struct pair v[] = {{"command", "listZones"}, {"apiKey", "a b"}};
    _cleanup_free_ char *q = sign_params(v, 2, "secret");
    _cleanup_(pairs_free) struct pairs p = {0};
    struct err err = {0};

    assert_int_equal(pairs_parse(&p, q, strlen(q), 8, &err), 0);
    assert_int_equal(p.n, 3);
    assert_string_equal(pairs_get(&p, "apiKey"), "a b");
    assert_string_equal(pairs_get_nocase(&p, "APIKEY"), "a b");
    assert_true(sign_check(p.v, p.n, "secret", pairs_get(&p, "signature")));
}

static void bad_forms_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"a=%", "a=%4", "a=%zz", "%00=1", "a=1&b=%0", "a&b&c&d"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        _cleanup_(pairs_free) struct pairs p = {0};
        struct err err = {0};

        assert_int_equal(pairs_parse(&p, bad[i], strlen(bad[i]), 3, &err), -1);
    }
    _cleanup_(pairs_free) struct pairs p = {0};
    struct err err = {0};
    assert_int_equal(pairs_parse(&p, "&a=%41+%42&&b", 13, 3, &err), 0);
    assert_string_equal(pairs_get(&p, "a"), "A B");
    assert_string_equal(pairs_get(&p, "b"), "");
}

static void base64_there_and_back(void **state)
{
    (void)state;
    static const struct {
        const char *raw, *text;
    } rows[] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"fooba", "Zm9vYmE="}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        _cleanup_free_ char *text = base64_text(rows[i].raw, strlen(rows[i].raw));

        assert_string_equal(text, rows[i].text);
        struct err err = {0};
        size_t len = 0;
        _cleanup_free_ char *raw = NULL;
        assert_int_equal(base64_decode(text, &raw, &len, &err), 0);
        assert_string_equal(raw, rows[i].raw);
        *strchrnul(text, '=') = '\0'; /* padding may be missing */
        _cleanup_free_ char *again = NULL;
        assert_int_equal(base64_decode(text, &again, &len, &err), 0);
        assert_string_equal(again, rows[i].raw);
        assert_int_equal(len, strlen(rows[i].raw));
    }
    struct err err = {0};
    char *raw = NULL;
    size_t len = 0;
    assert_int_equal(base64_decode("Zg=", &raw, &len, &err), -1);
    assert_int_equal(base64_decode("a$b", &raw, &len, &err), -1);
    assert_int_equal(base64_decode("Z", &raw, &len, &err), -1);
}

/* As ssh-keygen -l -E md5 prints it. */
static void fingerprints_are_md5(void **state)
{
    (void)state;
    char print[FINGERPRINT_SIZE];

    ssh_fingerprint(
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKXX1MH0pFz+7UoK1LDSZhA4xT69IOQ4Wk5GKRGDJWRY someone",
        print);
    assert_string_equal(print, "41:4c:79:0e:ba:97:95:4d:16:fa:97:e9:b1:b7:46:b9");
    ssh_fingerprint("ssh-ed25519", print);
    assert_string_equal(print, "");
    ssh_fingerprint("ssh-ed25519 $$$ x", print);
    assert_string_equal(print, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes_as_the_server_does),  cmocka_unit_test(signs_sorted_lower_case),
        cmocka_unit_test(upper_case_names_sort_first), cmocka_unit_test(params_carry_the_signature),
        cmocka_unit_test(bad_forms_are_refused),       cmocka_unit_test(base64_there_and_back),
        cmocka_unit_test(fingerprints_are_md5),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
