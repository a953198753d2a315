/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/js.h"
#include "controller/localvdc/network/sources.h"

static void check(const char *text, bool deb822, const char *expected)
{
    _cleanup_json_ json_t *out = json_array();

    sources_parse(text, deb822, out);
    _cleanup_free_ char *got = js_text(out);
    assert_string_equal(got, expected);
}

static void one_line_style(void **state)
{
    (void)state;
    check("# a comment\n"
          "deb http://mirror.example/debian bookworm main contrib # more\n"
          "deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian-security/ "
          "bookworm-security main\n"
          "deb-src http://mirror.example/debian bookworm main\n"
          "deb http://other.example/apt stable main\n"
          "deb http://mirror.example/debian trixie main\n"
          "deb\n",
          false,
          "[{\"components\":\"main contrib \",\"suite\":\"bookworm\","
          "\"uri\":\"http://mirror.example/debian\"},"
          "{\"components\":\"main\",\"suite\":\"bookworm-security\","
          "\"uri\":\"http://mirror.example/debian-security/\"}]");
}

static void deb822_style(void **state)
{
    (void)state;
    check("Types: deb deb-src\nURIs: http://a.example/debian\nSuites: bookworm bookworm-updates\n"
          "Components: main\nSigned-By: /k.gpg\n\n"
          "Types: deb\nURIs: http://a.example/debian\nSuites: bookworm\nComponents: main\n"
          "Enabled: no\n\n"
          "Types: deb\nURIs: https://b.example/node\nSuites: bookworm\nComponents: main\n",
          true,
          "[{\"components\":\"main\",\"suite\":\"bookworm\",\"uri\":\"http://a.example/debian\"},"
          "{\"components\":\"main\",\"suite\":\"bookworm-updates\","
          "\"uri\":\"http://a.example/debian\"}]");
    check("", true, "[]");
    check("Types: deb", true, "[]");
    check("\n\n\nURIs:\n", true, "[]");
}

static void hosts_of_uris(void **state)
{
    (void)state;
    static const struct {
        const char *uri, *host;
    } rows[] = {{"http://deb.example/debian", "deb.example"},
                {"http://proxy.example:3142", "proxy.example"},
                {"http://user:pass@proxy.example:3142/", "proxy.example"},
                {"https://h/a@b", "h"},
                {"file:/srv/debian", NULL},
                {"http:///x", NULL}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char host[32] = "";

        assert_int_equal(sources_uri_host(rows[i].uri, host, sizeof(host)), rows[i].host != NULL);
        if (rows[i].host)
            assert_string_equal(host, rows[i].host);
    }
    char small[4];
    assert_false(sources_uri_host("http://long.example/", small, sizeof(small)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_line_style),
        cmocka_unit_test(deb822_style),
        cmocka_unit_test(hosts_of_uris),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
