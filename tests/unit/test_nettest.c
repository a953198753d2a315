/* SPDX-License-Identifier: Apache-2.0 */
/* What `nettest` shows: matrices within 80 columns, JSON, and answers that are malformed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/js.h"
#include "controller/cli/nettest.h"
#include "golden.h"

#define NODES 6

static const char *names[NODES] = {"fra", "par", "ham", "ams", "nyc", "london"};
static struct nettest_pair pairs[NODES * NODES];

static void fill(struct nettest_report *r, size_t n)
{
    memset(pairs, 0, sizeof(pairs));
    *r = (struct nettest_report){.deployment = "saas",
                                 .names = names,
                                 .n = n,
                                 .seconds = 10,
                                 .streams = 10,
                                 .public_side = true,
                                 .pairs = pairs};
    for (size_t i = 0; i < n * n; i++)
        for (int side = 0; side < NETTEST_SIDES && i / n != i % n; side++) {
            double ms = 0.31 + 9.0 * (double)((i % n + i / n) % n * (unsigned)(side + 1));

            pairs[i].latency[side] = (struct nettest_latency_cell){
                NETTEST_MEASURED, "", {100, 100, ms, ms * 1.01, ms * 1.3, ms * 2}};
            pairs[i].throughput[side] = (struct nettest_throughput_cell){
                NETTEST_MEASURED,
                "",
                {true, 2.51e9 / (double)(i + 1), 3156840448, 10.06, 7, false}};
        }
}

static void check_width(const char *text, size_t max)
{
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1) {
        if (strcspn(line, "\n") > max)
            fail_msg("wider than %zu: %.*s", max, (int)strcspn(line, "\n"), line);
        for (const char *c = line; *c && *c != '\n'; c++)
            assert_in_range(*c, ' ', '~');
    }
}

static void render(const struct nettest_report *r, const char *name)
{
    _cleanup_(strbuf_free) struct strbuf text = {0};

    nettest_render(r, &text);
    check_width(strbuf_str(&text), 80);
    golden(name, strbuf_str(&text));
}

static void test_two(void **state)
{
    struct nettest_report r;

    (void)state;
    fill(&r, 2);
    pairs[1].latency[NETTEST_PRIVATE].l.received = 93;
    pairs[2].throughput[NETTEST_PRIVATE].t.limited = true;
    pairs[1].throughput[NETTEST_PUBLIC].state = NETTEST_NOT_REACHABLE;
    pairs[2].throughput[NETTEST_PUBLIC].state = NETTEST_NOT_REACHABLE;
    assert_true(nettest_is_complete(&r)); /* that it is not reachable is known */
    render(&r, "nettest/two.txt");
}

static void test_three(void **state)
{
    struct nettest_report r;

    (void)state;
    fill(&r, 3);
    r.public_side = false;
    r.streams = 1;
    pairs[1].latency[NETTEST_PRIVATE] =
        (struct nettest_latency_cell){.state = NETTEST_FAILED, .why = "no answer from par"};
    pairs[1].throughput[NETTEST_PRIVATE] =
        (struct nettest_throughput_cell){.state = NETTEST_FAILED, .why = "no answer from par"};
    assert_false(nettest_is_complete(&r));
    render(&r, "nettest/three.txt");
}

/* For a round trip that Galera's periods are too short for, those that are not: as its own checks
 * want them to each other (docs/file.md). */
static void test_settings(void **state)
{
    struct nettest_report r;
    _cleanup_json_ json_t *none = NULL;
    _cleanup_json_ json_t *some = NULL;
    _cleanup_(strbuf_free) struct strbuf text = {0};

    (void)state;
    fill(&r, 2);
    none = nettest_settings(&r);
    assert_int_equal(json_object_size(none), 0);
    pairs[1].latency[NETTEST_PRIVATE].l.p99 = 620;
    some = nettest_settings(&r);
    assert_string_equal(js_opt_str(some, "evs.keepalive_period", ""), "PT2.1S");
    assert_string_equal(js_opt_str(some, "evs.suspect_timeout", ""), "PT10.4S");
    assert_string_equal(js_opt_str(some, "evs.inactive_timeout", ""), "PT31.0S");
    nettest_render(&r, &text);
    assert_non_null(strstr(strbuf_str(&text), "    evs.install_timeout: PT15.5S\n"));
}

/* More columns than fit follow below. */
static void test_many(void **state)
{
    struct nettest_report r;

    (void)state;
    fill(&r, NODES);
    r.public_side = false;
    render(&r, "nettest/many.txt");
}

static void test_json(void **state)
{
    struct nettest_report r;

    (void)state;
    fill(&r, 2);
    pairs[2] = (struct nettest_pair){0}; /* was not asked for */
    pairs[1].throughput[NETTEST_PUBLIC].state = NETTEST_NOT_REACHABLE;
    pairs[1].latency[NETTEST_PUBLIC] =
        (struct nettest_latency_cell){.state = NETTEST_FAILED, .why = "no reply to 100 pings"};
    _cleanup_json_ json_t *j = nettest_json(&r);
    _cleanup_free_ char *text =
        json_dumps(j, JSON_INDENT(1) | JSON_SORT_KEYS | JSON_REAL_PRECISION(6));
    golden("nettest/two.json", text);
}

/* From a node, by way of the hub. */
static void test_answers(void **state)
{
    static const struct {
        const char *answer, *latency, *throughput; /* why each failed */
    } cases[] = {
        {"null", "no answer", "no answer"},
        {"[]", "no answer", "no answer"},
        {"{\"ok\":false,\"why\":\"fra: iperf3 is not installed\"}", "not installed",
         "not installed"},
        {"{\"ok\":1}", "no answer", "no answer"},
        {"{\"ok\":true}", "malformed", "malformed"},
        {"{\"ok\":true,\"figures\":{\"sent\":10,\"received\":0}}", "no reply to 10", "malformed"},
        {"{\"ok\":true,\"figures\":{\"sent\":10,\"received\":3,\"min_ms\":\"1\"}}", "malformed",
         "malformed"},
        {"{\"ok\":true,\"figures\":{\"reachable\":true,\"bits_per_second\":-1}}", "malformed",
         "malformed"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_json_ json_t *j = json_loads(cases[i].answer, JSON_DECODE_ANY, NULL);
        struct nettest_latency_cell l;
        struct nettest_throughput_cell t;

        nettest_take_latency(j, &l);
        nettest_take_throughput(j, &t);
        assert_int_equal(l.state, NETTEST_FAILED);
        assert_int_equal(t.state, NETTEST_FAILED);
        if (!strstr(l.why, cases[i].latency) || !strstr(t.why, cases[i].throughput))
            fail_msg("%s: %s; %s", cases[i].answer, l.why, t.why);
    }
    _cleanup_json_ json_t *closed =
        json_loads("{\"ok\":true,\"figures\":{\"reachable\":false}}", 0, NULL);
    struct nettest_throughput_cell t;

    nettest_take_throughput(closed, &t);
    assert_int_equal(t.state, NETTEST_NOT_REACHABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings), cmocka_unit_test(test_two),
        cmocka_unit_test(test_three),    cmocka_unit_test(test_many),
        cmocka_unit_test(test_json),     cmocka_unit_test(test_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
