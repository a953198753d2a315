/* SPDX-License-Identifier: Apache-2.0 */
/* What `status` says of backups. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/js.h"
#include "controller/cli/backup_view.h"

#define HOUR 3600000

static char *rendered(const char *nodes, uint64_t now)
{
    _cleanup_json_ json_t *j = NULL;
    struct strbuf b = {0};
    struct err err;

    assert_int_equal(js_parse(nodes, strlen(nodes), &j, &err), 0);
    backup_view_render(j, now, &b);
    return b.s ? b.s : xstrdup("");
}

static void test_none_wanted(void **state)
{
    _cleanup_free_ char *text =
        rendered("[{\"name\":\"fra\",\"backup\":null},{\"name\":\"par\"}]", 1);

    (void)state;
    assert_string_equal(text, "");
}

static void test_none_made(void **state)
{
    _cleanup_free_ char *text = rendered("[{\"name\":\"fra\",\"backup\":{\"every\":3600}}]", HOUR);

    (void)state;
    assert_non_null(strstr(text, "none has been made yet"));
    assert_null(strstr(text, "late"));
}

#define NODES                                                                                      \
    "[{\"name\":\"fra\",\"backup\":{\"every\":3600,\"made\":{\"at\":3600000,\"bytes\":2000000,"    \
    "\"took_ms\":1500}}},{\"name\":\"par\",\"backup\":{\"every\":3600,\"made\":{\"at\":7200000,"   \
    "\"bytes\":5000000,\"took_ms\":2500},\"failed\":{\"why\":\"no room\",\"at\":7300000}}}]"

/* The newest of all nodes counts. */
static void test_made(void **state)
{
    _cleanup_free_ char *soon = rendered(NODES, 3 * HOUR), *late = rendered(NODES, 5 * HOUR);

    (void)state;
    assert_non_null(strstr(soon, "by par: 5.0 MB in 2.5 s; none was ever verified"));
    assert_non_null(
        strstr(soon, "par      its last backup, verification or restore failed: no room"));
    assert_null(strstr(soon, "late"));
    assert_non_null(strstr(late, "late: one is due every 60 minutes"));
}

static void test_of_state(void **state)
{
    _cleanup_json_ json_t *said = json_pack("{s:{s:i}}", "backup", "every", 0);
    _cleanup_json_ json_t *some = backup_view_of(said), *none = backup_view_of(NULL);

    (void)state;
    assert_true(json_is_object(some));
    assert_true(json_is_null(none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none_wanted),
        cmocka_unit_test(test_none_made),
        cmocka_unit_test(test_made),
        cmocka_unit_test(test_of_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
