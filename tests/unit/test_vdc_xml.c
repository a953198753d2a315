/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "controller/localvdc/api/xml.h"

#define HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?><r cloud-stack-version=\"4.18.0.0\">"

static void check(const char *json, const char *body)
{
    _cleanup_json_ json_t *value = json_loads(json, 0, NULL);
    _cleanup_(strbuf_free) struct strbuf out = {0};
    _cleanup_free_ char *expected = str_fmt(HEAD "%s</r>", body);

    assert_non_null(value);
    xml_write("r", value, &out);
    assert_string_equal(out.s, expected);
}

static void members_become_elements(void **state)
{
    (void)state;
    check("{}", "");
    check("{\"count\":2,\"zone\":[{\"id\":\"a\"},{\"id\":\"b\",\"on\":true,\"tags\":[]}]}",
          "<count>2</count><zone><id>a</id></zone><zone><id>b</id><on>true</on></zone>");
    check("{\"cidrs\":[\"10.0.0.0/8\",\"x\"],\"n\":null,\"r\":1.5,\"no\":false}",
          "<cidrs>10.0.0.0/8</cidrs><cidrs>x</cidrs><n></n><r>1.5</r><no>false</no>");
}

static void texts_are_escaped(void **state)
{
    (void)state;
    check("{\"a\":\"<b> & \\\"c\\\" \\u0001 \\n\\r \\u00e9\"}",
          "<a>&lt;b&gt; &amp; \"c\" ? \n&#13; \xc3\xa9</a>");
    check("{\"a b><\":1,\"1x\":2,\"\":3}", "<a_b__>1</a_b__><_1x>2</_1x><_>3</_>");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_become_elements),
        cmocka_unit_test(texts_are_escaped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
