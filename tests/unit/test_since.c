/* SPDX-License-Identifier: Apache-2.0 */
/* Points in time as an operator types them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "controller/cli/since.h"

#define NOW 1790000000000ull /* 2026-09-21 14:13:20 UTC, summer time in Paris */

static void test_since(void **state)
{
    static const struct {
        const char *text;
        uint64_t at;
    } cases[] = {
        {"0s", NOW},
        {"90s", NOW - 90000},
        {"10m", NOW - 600000},
        {"2h", NOW - 7200000},
        {"3d", NOW - 3 * 86400000ull},
        {"999999999d", 0},
        {"14:05", 1789992300000},    /* 16:13 local, so this is two hours ago */
        {"14:05:30", 1789992330000}, /* the same */
        {"2026-09-21", 1789941600000},
        {"2026-09-21 14:05", 1789992300000},
        {"2026-09-21T14:05:30", 1789992330000},
        {"2026-01-31", 1769814000000}, /* winter */
    };

    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t at = 1;
        struct err err;

        if (since_parse(cases[i].text, NOW, &at, &err) < 0)
            fail_msg("%s", err.msg);
        if (at != cases[i].at)
            fail_msg("%s: %llu", cases[i].text, (unsigned long long)at);
    }
}

static void test_not_a_time(void **state)
{
    static const char *const cases[] = {
        "",          "m",      "10",           "10w",         "-5m",        "10 m",
        "1.5h",      "25:00",  "14:60",        "14:5:",       "2026-13-01", "2026-02-30x",
        "yesterday", "10m10m", "99999999999s", "2026-01-31 ", "31.01.2026", "2026-01-31 14",
    };

    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t at = 1;
        struct err err;

        if (since_parse(cases[i], NOW, &at, &err) == 0)
            fail_msg("'%s' is taken for %llu", cases[i], (unsigned long long)at);
        assert_int_equal(err.code, ERR_USAGE);
        assert_non_null(strstr(err.msg, "examples"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_since),
        cmocka_unit_test(test_not_a_time),
    };

    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
