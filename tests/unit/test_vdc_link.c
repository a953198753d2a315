/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/str.h"
#include "controller/localvdc/base/vdc.h"
#include "controller/localvdc/network/link.h"

#define MS 1000000ULL

static void defaults_are_symmetric(void **state)
{
    (void)state;
    struct link_set s = link_default("Frankfurt (ESX)", "Paris (ESX)");

    assert_int_equal(s.delay_ns, 4545000);
    assert_int_equal(s.rate, 3000000000);
    assert_false(s.cut || s.loss_ppm);
    assert_int_equal(link_default("Paris (ESX)", "Frankfurt (ESX)").delay_ns, 4545000);
    static const char *const zones[] = {"Berlin", "New York", "Los Angeles", "Hong Kong",
                                        "Singapore"};
    for (size_t i = 0; i < ARRAY_LEN(zones); i++) {
        for (size_t k = 0; k < ARRAY_LEN(zones); k++) {
            uint64_t there = link_default(zones[i], zones[k]).delay_ns;

            assert_int_equal(there, link_default(zones[k], zones[i]).delay_ns);
            assert_in_range(there, 5 * MS, 200 * MS);
        }
    }
}

static void documents_keep_every_setting(void **state)
{
    (void)state;
    struct link_set s = {.delay_ns = 12345678, .rate = 0, .loss_ppm = 25000, .cut = true};
    _cleanup_json_ json_t *doc = link_to_doc("Berlin", "London", &s);
    struct link_set back = link_from_doc("Berlin", "London", doc);

    assert_int_equal(back.delay_ns, s.delay_ns);
    assert_int_equal(back.rate, 0);
    assert_int_equal(back.loss_ppm, 25000);
    assert_true(back.cut);
    assert_false(link_from_doc("Berlin", "London", NULL).cut);
}

static void texts_are_parsed_strictly(void **state)
{
    (void)state;
    uint64_t n = 0;
    uint32_t ppm = 0;
    struct err err = {0};

    assert_int_equal(link_parse_time("9.09ms", &n, &err), 0);
    assert_int_equal(n, 9090000);
    assert_int_equal(link_parse_time("250us", &n, &err), 0);
    assert_int_equal(n, 250000);
    assert_int_equal(link_parse_rate("3gbit", &n, &err), 0);
    assert_int_equal(n, 3000000000);
    assert_int_equal(link_parse_rate("1.5mbit", &n, &err), 0);
    assert_int_equal(n, 1500000);
    assert_int_equal(link_parse_rate("none", &n, &err), 0);
    assert_int_equal(n, 0);
    assert_int_equal(link_parse_loss("0.5%", &ppm, &err), 0);
    assert_int_equal(ppm, 5000);
    assert_int_equal(link_parse_loss("100", &ppm, &err), 0);
    assert_int_equal(ppm, 1000000);
    static const char *const times[] = {"",    "9",    "ms",  "-1ms", "1e3ms",
                                        "11s", "9 ms", "nan", "0x1ms"};
    static const char *const rates[] = {"", "0", "0gbit", "3", "3gb", "-1gbit", "2000gbit", "inf"};
    static const char *const losses[] = {"", "101", "-1", "1p", "%", "nan"};
    for (size_t i = 0; i < ARRAY_LEN(times); i++)
        assert_int_equal(link_parse_time(times[i], &n, &err), -1);
    for (size_t i = 0; i < ARRAY_LEN(rates); i++)
        assert_int_equal(link_parse_rate(rates[i], &n, &err), -1);
    for (size_t i = 0; i < ARRAY_LEN(losses); i++)
        assert_int_equal(link_parse_loss(losses[i], &ppm, &err), -1);
}

static void rates_are_printed_as_they_are_typed(void **state)
{
    (void)state;
    static const char *const texts[] = {"none", "3gbit", "2.5gbit", "100mbit", "512kbit"};

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        uint64_t n = 0;
        char text[24];
        struct err err = {0};

        assert_int_equal(link_parse_rate(texts[i], &n, &err), 0);
        link_rate_text(n, text);
        assert_string_equal(text, texts[i]);
    }
}

static void zones_are_found_by_their_beginning(void **state)
{
    (void)state;
    struct err err = {0};
    _cleanup_json_ json_t *zones =
        json_pack("[{s:s},{s:s},{s:s},{s:s}]", "name", "Frankfurt (ESX)", "name", "London", "name",
                  "Los Angeles", "name", "Lon");

    assert_string_equal(vdc_str(link_zone(zones, "fra", &err), "name"), "Frankfurt (ESX)");
    assert_string_equal(vdc_str(link_zone(zones, "LOS", &err), "name"), "Los Angeles");
    assert_string_equal(vdc_str(link_zone(zones, "lon", &err), "name"), "Lon"); /* exactly */
    assert_null(link_zone(zones, "lo", &err));
    assert_non_null(strstr(err.msg, "London"));
    assert_non_null(strstr(err.msg, "Los Angeles"));
    assert_null(link_zone(zones, "", &err));
    assert_null(link_zone(zones, "Atlantis", &err));
    assert_non_null(strstr(err.msg, "Frankfurt"));
}

static void a_frame_arrives_after_the_delay(void **state)
{
    (void)state;
    uint64_t due = 0;
    struct lane l = {.set = {.delay_ns = 4 * MS}};

    assert_true(lane_admit(&l, 100, 1500, 0, &due));
    assert_int_equal(due, 100 + 4 * MS);
    assert_int_equal(l.queued, 1500);
    lane_done(&l, 1500);
    assert_int_equal(l.queued, 0);
}

static void the_rate_spaces_frames(void **state)
{
    (void)state;
    uint64_t due = 0, sent = 0;
    struct lane l = {.set = {.delay_ns = 4 * MS, .rate = 8000000}}; /* 1000 bytes in 1 ms */

    for (unsigned i = 1; i <= 5; i++) {
        assert_true(lane_admit(&l, 0, 1000, 0, &due));
        assert_int_equal(due, i * MS + 4 * MS);
    }
    /* As fast as anybody may send: what gets through is the rate. */
    struct lane busy = {.set = {.delay_ns = 4 * MS, .rate = 1000000000}};
    for (uint64_t now = 0; now < 1000 * MS; now += 10000) {
        if (lane_admit(&busy, now, 65000, 0, &due) && due < 1000 * MS)
            sent += 65000;
    }
    assert_in_range(sent * 8, 980000000, 1000000000);
}

static void the_buffer_holds_a_round_trip(void **state)
{
    (void)state;
    uint64_t due = 0, taken = 0;
    struct lane l = {.set = {.delay_ns = 50 * MS, .rate = 80000000}}; /* 1 MB in 100 ms */

    while (lane_admit(&l, 0, 1000, 0, &due))
        taken += 1000;
    assert_in_range(taken, 1000000, 1002000);
    assert_true(lane_admit(&l, 1 * MS, 1000, 0, &due)); /* there is room again */
    /* However slow: one frame at a time passes. */
    struct lane slow = {.set = {.delay_ns = 0, .rate = 1000}};
    assert_true(lane_admit(&slow, 0, 65000, 0, &due));
    assert_false(lane_admit(&slow, 0, 65000, 0, &due));
    assert_true(lane_admit(&slow, due, 65000, 0, &due));
}

static void without_a_rate_memory_is_bounded(void **state)
{
    (void)state;
    uint64_t due = 0, n = 0;
    struct lane l = {.set = {.delay_ns = 1000 * MS}};

    while (n < 10000 && lane_admit(&l, 0, 65536, 0, &due))
        n++;
    assert_int_equal(n, 4096);
}

static void cut_and_loss_lose_frames(void **state)
{
    (void)state;
    uint64_t due = 0;
    unsigned lost = 0;
    struct lane cut = {.set = {.cut = true}};

    assert_false(lane_admit(&cut, 0, 100, UINT32_MAX, &due));
    struct lane none = {0}, all = {.set = {.loss_ppm = 1000000}},
                tenth = {.set = {.loss_ppm = 100000}};
    for (uint64_t random = 0; random <= UINT32_MAX; random += UINT32_MAX / 1000) {
        assert_true(lane_admit(&none, 0, 0, (uint32_t)random, &due));
        assert_false(lane_admit(&all, 0, 0, (uint32_t)random, &due));
        lost += !lane_admit(&tenth, 0, 0, (uint32_t)random, &due);
    }
    assert_in_range(lost, 99, 102);
}

static void nothing_overtakes_when_the_delay_shrinks(void **state)
{
    (void)state;
    uint64_t first = 0, second = 0;
    struct lane l = {.set = {.delay_ns = 50 * MS}};
    struct link_set faster = {.delay_ns = 1 * MS};

    assert_true(lane_admit(&l, 0, 100, 0, &first));
    lane_set(&l, &faster);
    assert_true(lane_admit(&l, 1, 100, 0, &second));
    assert_true(second >= first);
}

static void a_faster_link_does_not_wait_for_the_slow_one(void **state)
{
    (void)state;
    uint64_t due = 0;
    struct lane l = {.set = {.rate = 1000}};
    struct link_set faster = {.rate = 0};

    assert_true(lane_admit(&l, 0, 65000, 0, &due));
    lane_set(&l, &faster);
    assert_int_equal(l.free_at, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_symmetric),
        cmocka_unit_test(documents_keep_every_setting),
        cmocka_unit_test(texts_are_parsed_strictly),
        cmocka_unit_test(rates_are_printed_as_they_are_typed),
        cmocka_unit_test(zones_are_found_by_their_beginning),
        cmocka_unit_test(a_frame_arrives_after_the_delay),
        cmocka_unit_test(the_rate_spaces_frames),
        cmocka_unit_test(the_buffer_holds_a_round_trip),
        cmocka_unit_test(without_a_rate_memory_is_bounded),
        cmocka_unit_test(cut_and_loss_lose_frames),
        cmocka_unit_test(nothing_overtakes_when_the_delay_shrinks),
        cmocka_unit_test(a_faster_link_does_not_wait_for_the_slow_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
