/* SPDX-License-Identifier: Apache-2.0 */
/* A node's side of the network test: what ping and iperf3 say, orders and figures on the wire, and
 * whom the signed roster lets it measure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/measure/measure.h"
#include "common/cleanup.h"
#include "common/js.h"
#include "common/keys.h"
#include "common/str.h"

#define WITHIN(got, low, high) assert_true((got) >= (low) && (got) <= (high))

/* ---- ping ---- */

#define HEAD "PING 10.10.2.11 (10.10.2.11) 56(84) bytes of data.\n"
#define REPLY(seq, ms) "64 bytes from 10.10.2.11: icmp_seq=" seq " ttl=62 time=" ms " ms\n"
#define SUMMARY(n) "\n--- 10.10.2.11 ping statistics ---\n" n " packets transmitted, x\n"

static void test_ping(void **state)
{
    struct nettest_latency l;
    struct err err;

    (void)state;
    assert_int_equal(
        measure_ping_parse(HEAD REPLY("1", "9.09") REPLY("2", "9.16") REPLY("4", "10")
                               REPLY("4", "900") /* a duplicate */
                           "From 10.10.1.1 icmp_seq=3 Destination Host Unreachable\n" SUMMARY("4"),
                           &l, &err),
        0);
    assert_int_equal(l.sent, 4);
    assert_int_equal(l.received, 3);
    WITHIN(nettest_loss_percent(&l), 24.99, 25.01);
    WITHIN(l.min, 9.0899, 9.0901);
    WITHIN(l.avg, 9.4166, 9.4168);
    WITHIN(l.max, 9.999, 10.001);
    WITHIN(l.p99, 9.999, 10.001);

    /* nobody answers: that is known */
    assert_int_equal(measure_ping_parse(HEAD SUMMARY("50"), &l, &err), 0);
    assert_int_equal(l.sent, 50);
    assert_int_equal(l.received, 0);
}

/* Of 200 replies the nearest rank is the 198th. */
static void test_percentile(void **state)
{
    _cleanup_(strbuf_free) struct strbuf text = {0};
    struct nettest_latency l;
    struct err err;

    (void)state;
    for (int i = 200; i >= 1; i--)
        strbuf_addf(&text, "64 bytes from 10.0.0.1: icmp_seq=%d ttl=1 time=%d.0 ms\n", i, i);
    strbuf_adds(&text, "200 packets transmitted, 200 received, 0% packet loss, time 1ms\n");
    assert_int_equal(measure_ping_parse(strbuf_str(&text), &l, &err), 0);
    WITHIN(l.p99, 197.9, 198.1);
    WITHIN(l.avg, 100.4, 100.6);
    assert_int_equal(l.received, 200);
}

static void test_ping_hostile(void **state)
{
    static const char *const bad[] = {
        "",
        "ping: unknown host\n",
        HEAD REPLY("1", "9.09"), /* cut off */
        HEAD REPLY("1", "nan") SUMMARY("1"),
        HEAD REPLY("1", "inf") SUMMARY("1"),
        HEAD REPLY("1", "-1") SUMMARY("1"),
        HEAD REPLY("1", "1e5") SUMMARY("1"),
        HEAD REPLY("1", "0x10") SUMMARY("1"),
        HEAD REPLY("1", "1.") SUMMARY("1"),
        HEAD REPLY("1", "1234567890123") SUMMARY("1"),
        HEAD REPLY("0", "1") SUMMARY("1"),
        HEAD REPLY("601", "1") SUMMARY("600"),
        HEAD REPLY("99999999999999999999", "1") SUMMARY("1"),
        HEAD REPLY("-1", "1") SUMMARY("1"),
        HEAD REPLY("1", "1") SUMMARY("0"),
        HEAD REPLY("1", "1") SUMMARY("-1"),
        HEAD REPLY("1", "1") SUMMARY("601"),
        HEAD REPLY("1", "1") SUMMARY("99999999999999999999"),
        HEAD REPLY("1", "1") REPLY("2", "1") SUMMARY("1"),
        HEAD "64 bytes from 10.10.2.11: icmp_seq=1 ttl=62 time=9.09",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct nettest_latency l = {.sent = 77};
        struct err err = {0};

        if (measure_ping_parse(bad[i], &l, &err) == 0)
            fail_msg("taken: %s", bad[i]);
        assert_int_equal(l.sent, 77);
        assert_true(err.msg[0] != '\0');
    }
}

/* ---- iperf3 ---- */

static const struct nettest_order order = {
    .what = NETTEST_THROUGHPUT, .node = "par", .seconds = 10, .streams = 10};

static int iperf(const char *received, const char *sent, struct nettest_throughput *ret)
{
    _cleanup_free_ char *text =
        str_fmt("{\"start\":{\"sock_bufsize\":0,\"sock_bufsize\":0},\"end\":{\"sum_sent\":%s,"
                "\"sum_received\":%s}}\n",
                sent, received);
    struct err err = {0};
    int rc = measure_iperf_parse(text, strlen(text), &order, ret, &err);

    assert_true(rc == 0 || err.msg[0]);
    for (size_t len = 0; len + 2 < strlen(text); len++) { /* and every part of it */
        struct nettest_throughput none;

        assert_int_equal(measure_iperf_parse(text, len, &order, &none, &err), -1);
    }
    return rc;
}

#define RECEIVED(bits, bytes, seconds)                                                             \
    "{\"bits_per_second\":" bits ",\"bytes\":" bytes ",\"seconds\":" seconds "}"

static void test_iperf(void **state)
{
    struct nettest_throughput t;
    struct err err = {0};
    static const char refused[] = "{\"start\":{},\"end\":{},\"error\":\"Connection refused\"}";

    (void)state;
    assert_int_equal(iperf(RECEIVED("2.51e9", "3156840448", "10.06"), "{\"retransmits\":7}", &t),
                     0);
    assert_true(t.reachable && !t.limited);
    WITHIN(t.bits_per_second, 2.509e9, 2.511e9);
    assert_int_equal(t.bytes, 3156840448);
    assert_int_equal(t.retransmits, 7);
    /* as fast as it was told to be: the network may be faster */
    assert_int_equal(iperf(RECEIVED("5.5e10", "68719476736", "10"), "{}", &t), 0);
    assert_true(t.limited);
    assert_int_equal(measure_iperf_parse(refused, strlen(refused), &order, &t, &err), -1);
    assert_non_null(strstr(err.msg, "Connection refused"));
}

static void test_iperf_hostile(void **state)
{
    static const char *const bad[] = {
        "null",
        "[]",
        "{}",
        RECEIVED("\"1\"", "1", "1"),
        RECEIVED("null", "1", "1"),
        RECEIVED("-1", "1", "1"),
        RECEIVED("1e300", "1", "1"),
        RECEIVED("nan", "1", "1"),
        RECEIVED("1e999", "1", "1"),
        RECEIVED("1", "-1", "1"),
        RECEIVED("1", "1e18", "1"),
        RECEIVED("1", "true", "1"),
        RECEIVED("1", "0", "1"),
        RECEIVED("1", "1", "0"),
        RECEIVED("1", "1", "-0.5"),
        RECEIVED("1", "1", "1000"),
    };
    struct nettest_throughput t = {.bytes = 77};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (iperf(bad[i], "{\"retransmits\":0}", &t) == 0)
            fail_msg("taken: %s", bad[i]);
    assert_int_equal(iperf(RECEIVED("1", "1", "1"), "{\"retransmits\":-1}", &t), -1);
    assert_int_equal(iperf(RECEIVED("1", "1", "1"), "{\"retransmits\":\"x\"}", &t), -1);
    assert_int_equal(t.bytes, 77);
}

/* ---- orders and figures on the wire ---- */

static void test_orders(void **state)
{
    static const struct {
        const char *key, *value;
    } bad[] = {
        {"what", "\"fly\""}, {"what", "1"},         {"node", "\"\""},
        {"node", "\"a b\""}, {"node", "null"},      {"node", "\"10.0.0.1;x\""},
        {"seconds", "0"},    {"seconds", "61"},     {"seconds", "-1"},
        {"seconds", "1.5"},  {"streams", "0"},      {"streams", "65"},
        {"public", "1"},     {"force", "\"true\""},
    };
    struct nettest_order o;
    struct err err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        _cleanup_json_ json_t *j = nettest_order_json(&order);

        assert_int_equal(nettest_order_parse(j, &o, &err), 0);
        assert_memory_equal(&o, &order, sizeof(o));
        json_object_set_new(j, bad[i].key, json_loads(bad[i].value, JSON_DECODE_ANY, NULL));
        if (nettest_order_parse(j, &o, &err) == 0)
            fail_msg("taken: %s %s", bad[i].key, bad[i].value);
        json_object_del(j, bad[i].key);
        assert_int_equal(nettest_order_parse(j, &o, &err), -1);
    }
    assert_int_equal(nettest_order_parse(NULL, &o, &err), -1);
    /* the bound in bytes holds for all streams and seconds together */
    assert_true(nettest_stream_rate(&order) * order.streams * order.seconds / 8 <=
                NETTEST_BYTES_MAX);
}

static void test_figures(void **state)
{
    static const char *const bad[] = {
        "null",
        "{}",
        "{\"sent\":0,\"received\":0}",
        "{\"sent\":601,\"received\":1}",
        "{\"sent\":10,\"received\":11}",
        "{\"sent\":-1,\"received\":0}",
        "{\"sent\":10,\"received\":1}",
        "{\"sent\":10,\"received\":1,\"min_ms\":-1,\"avg_ms\":1,\"p99_ms\":1,\"max_ms\":1}",
        "{\"sent\":10,\"received\":1,\"min_ms\":1,\"avg_ms\":1e9,\"p99_ms\":1,\"max_ms\":1}",
        "{\"sent\":10,\"received\":1,\"min_ms\":1,\"avg_ms\":\"1\",\"p99_ms\":1,\"max_ms\":1}",
    };
    const struct nettest_latency l = {10, 9, 1, 2, 3, 4};
    const struct nettest_throughput t = {true, 1e9, 5, 2, 3, false};
    _cleanup_json_ json_t *latency = nettest_latency_json(&l);
    _cleanup_json_ json_t *throughput = nettest_throughput_json(&t);
    struct nettest_latency got = {0};
    struct nettest_throughput rate = {0};
    struct err err;

    (void)state;
    assert_int_equal(nettest_latency_parse(latency, &got, &err), 0);
    assert_true(got.sent == 10 && got.received == 9);
    WITHIN(got.p99, 2.99, 3.01);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        _cleanup_json_ json_t *j = json_loads(bad[i], JSON_DECODE_ANY, NULL);

        if (nettest_latency_parse(j, &got, &err) == 0)
            fail_msg("taken: %s", bad[i]);
    }
    assert_int_equal(nettest_throughput_parse(throughput, &rate, &err), 0);
    assert_true(rate.reachable && rate.bytes == 5 && rate.retransmits == 3);
    json_object_set_new(throughput, "bits_per_second", json_real(1e14));
    assert_int_equal(nettest_throughput_parse(throughput, &rate, &err), -1);
    json_object_set_new(throughput, "reachable", json_integer(1));
    assert_int_equal(nettest_throughput_parse(throughput, &rate, &err), -1);
}

static void test_transfer(void **state)
{
    static const struct {
        const char *state, *why; /* "": it may be measured */
    } cases[] = {
        {"null", "not known"},
        {"{}", "not known"},
        {"{\"db\":null}", "not known"},
        {"{\"db\":{\"state\":\"Unknown\"}}", "not known"},
        {"{\"db\":{\"state\":\"Starting\"}}", "not known"},
        {"{\"db\":{\"state\":7}}", "not known"},
        {"{\"db\":{\"state\":\"Joining: receiving State Transfer\"}}", "joins"},
        {"{\"db\":{\"state\":\"Joined\"}}", "joins"},
        {"{\"db\":{\"state\":\"Donor/Desynced\"}}", "gives its data"},
        {"{\"db\":{\"state\":\"Stopped\"},\"coordinator\":{\"state\":\"joining\"}}", "joins"},
        {"{\"db\":{\"state\":\"Stopped\"},\"coordinator\":{\"state\":\"frozen\"}}", ""},
        {"{\"db\":{\"state\":\"Synced\"},\"coordinator\":{\"state\":\"primary\"}}", ""},
        {"{\"db\":{\"state\":\"Arbitrator\"}}", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_json_ json_t *j = json_loads(cases[i].state, JSON_DECODE_ANY, NULL);
        char why[128] = "";

        assert_int_equal(nettest_transfer(j, why, sizeof(why)), *cases[i].why != '\0');
        if (!strstr(why, cases[i].why))
            fail_msg("%s: %s", cases[i].state, why);
    }
}

/* ---- the roster ---- */

#define ROSTER                                                                                     \
    "{\"v\":1,\"deployment\":\"saas\",\"epoch\":3,\"members\":[{\"name\":\"fra\",\"address\":"     \
    "\"10.10.1.11\",\"public\":\"198.51.100.10\",\"nettest\":7411},{\"name\":\"par\","             \
    "\"address\":\"10.10.2.11\"},{\"name\":\"bad\",\"address\":\"-oX; 1\",\"public\":7,"           \
    "\"nettest\":70000}]}"

static char *signed_file(const struct sign_pair *pair, const char *text)
{
    uint8_t sig[SIGN_SIZE];
    char hex[SIGN_HEX_SIZE];

    keys_sign(pair, text, strlen(text), sig);
    keys_hex(sig, SIGN_SIZE, hex);
    _cleanup_json_ json_t *j = json_pack("{s:s, s:s}", "roster", text, "sig", hex);
    return js_text(j);
}

static int find(const char *file, const struct bootstrap *boot, const char *name,
                struct measure_node *ret, struct err *err)
{
    return measure_roster_find(file, strlen(file), boot, name, ret, err);
}

static void test_roster(void **state)
{
    struct bootstrap boot = {.deployment = "saas", .node = "fra"}, elsewhere;
    struct sign_pair pair, other;
    struct measure_node n = {0};
    struct err err = {0};

    (void)state;
    keys_sign_new(&pair);
    keys_sign_new(&other);
    memcpy(boot.sign_key, pair.pub, KEY_SIZE);
    elsewhere = boot;
    strcpy(elsewhere.deployment, "shop");
    _cleanup_free_ char *file = signed_file(&pair, ROSTER);
    _cleanup_free_ char *forged = signed_file(&other, ROSTER);

    assert_int_equal(find(file, &boot, "fra", &n, &err), 0);
    assert_string_equal(n.private_address, "10.10.1.11");
    assert_string_equal(n.public_address, "198.51.100.10");
    assert_int_equal(n.public_port, 7411);
    assert_int_equal(find(file, &boot, "par", &n, &err), 0);
    assert_string_equal(n.private_address, "10.10.2.11");
    assert_string_equal(n.public_address, "");
    assert_int_equal(n.public_port, 0);
    assert_int_equal(find(file, &boot, "bad", &n, &err), 0); /* no argument of a program */
    assert_string_equal(n.private_address, "");
    assert_string_equal(n.public_address, "");
    assert_int_equal(n.public_port, 0);

    assert_int_equal(find(file, &boot, "10.10.2.11", &n, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_int_equal(find(forged, &boot, "par", &n, &err), -1);
    assert_int_equal(err.code, ERR_SAFETY);
    assert_int_equal(find(file, &elsewhere, "par", &n, &err), -1);
    for (size_t len = 0; len < strlen(file); len++)
        assert_int_equal(measure_roster_find(file, len, &boot, "par", &n, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ping),          cmocka_unit_test(test_percentile),
        cmocka_unit_test(test_ping_hostile),  cmocka_unit_test(test_iperf),
        cmocka_unit_test(test_iperf_hostile), cmocka_unit_test(test_orders),
        cmocka_unit_test(test_figures),       cmocka_unit_test(test_transfer),
        cmocka_unit_test(test_roster),
    };
    struct err err;

    assert_int_equal(keys_init(&err), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
