/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/event.h"
#include "common/fs.h"
#include "common/ipv4.h"
#include "common/js.h"
#include "common/keys.h"
#include "common/proto.h"
#include "common/str.h"
#include "common/text.h"
#include "common/uuid.h"

static void test_err_wrap(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(err_set(&err, ERR_CLOUD, "wrong\nfs"), -1);
    assert_int_equal(err_wrap(&err, "mount %s", "/x"), -1);
    assert_string_equal(err.msg, "mount /x: wrong fs");
    assert_int_equal(err.code, ERR_CLOUD);
}

static void test_utf8(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"plain", "plain"},
        {"Z\xc3\xbcrich \xe2\x82\xac \xf0\x9f\x90\xa7",
         "Z\xc3\xbcrich \xe2\x82\xac \xf0\x9f\x90\xa7"},
        {"Z\xfcrich", "Z?rich"}, /* Latin-1 */
        {"caf\xc3", "caf"},      /* cut */
        {"10 \xe2\x82", "10 "},
        {"\xf0\x9f\x90", ""},
        {"a\xe2\x82 b", "a?? b"}, /* cut, and more after it */
        {"\xc0\xaf \xed\xa0\x80 \xf4\x90\x80\x80",
         "?? ??? ????"}, /* a detour, a surrogate, too high */
        {"\x80", "?"},
    };
    char small[6];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_free_ char *s = str_utf8(xstrdup(cases[i].text));
        _cleanup_json_ json_t *j = js_string(cases[i].text);

        assert_string_equal(s, cases[i].want);
        assert_string_equal(json_string_value(j), cases[i].want);
    }
    assert_false(str_copy(small, sizeof(small), "abcd\xc3\xbc"));
    assert_string_equal(small, "abcd");
    assert_false(str_copy(small, sizeof(small), "abc\xc3\xbcx"));
    assert_string_equal(small, "abc\xc3\xbc");
    assert_true(str_copy(small, sizeof(small), "abc\xc3\xbc"));
    assert_false(str_copy(small, sizeof(small), "\x80\x80\x80\x80\x80\x80\x80"));
}

/* Whatever a server said and wherever a message was cut, it goes into JSON. */
static void test_err_is_utf8(void **state)
{
    struct err err;
    char text[700];

    (void)state;
    for (size_t at = 0; at < 8; at++) {
        memset(text, 'x', sizeof(text));
        for (size_t i = at; i + 2 < sizeof(text); i += 3)
            memcpy(text + i, "\xe2\x82\xac", 3);
        text[sizeof(text) - 1] = '\0';
        err_set(&err, ERR_FAILED, "%s", text);
        assert_true(strlen(err.msg) > 500);
        _cleanup_json_ json_t *j = json_string(err.msg);
        assert_non_null(j);
        err_wrap(&err, "%.*s", 300 + (int)at, text);
        _cleanup_json_ json_t *wrapped = json_string(err.msg);
        assert_non_null(wrapped);
    }
}

static void test_numbers(void **state)
{
    uint64_t v = 7;

    (void)state;
    assert_int_equal(str_to_u64("0", 10, &v), 0);
    assert_int_equal(v, 0);
    assert_int_equal(str_to_u64("18446744073709551615", UINT64_MAX, &v), 0);
    assert_int_equal(str_to_u64("18446744073709551616", UINT64_MAX, &v), -1);
    assert_int_equal(str_to_u64("", 10, &v), -1);
    assert_int_equal(str_to_u64("-1", 10, &v), -1);
    assert_int_equal(str_to_u64("11", 10, &v), -1);
    assert_int_equal(str_distance("deploiment", "deployment"), 1);
}

static void test_sooner(void **state)
{
    (void)state;
    assert_int_equal(clock_sooner(200, 30), 30);
    assert_int_equal(clock_sooner(30, 200), 30);
    assert_int_equal(clock_sooner(200, 0), 0);
    assert_int_equal(clock_sooner(200, -1), 200);
    assert_int_equal(clock_sooner(-1, 200), 200);
    assert_int_equal(clock_sooner(-1, -1), -1);
}

static void test_json_bounds(void **state)
{
    struct err err;
    json_t *j = NULL;
    char deep[200];

    (void)state;
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    assert_int_equal(js_parse(deep, 200, &j, &err), -1);
    assert_int_equal(js_parse("{\"a\":1,\"a\":2}", 13, &j, &err), -1);
    assert_int_equal(js_parse("{} x", 4, &j, &err), -1);
    assert_int_equal(js_parse("\"[[[[\"", 6, &j, &err), 0);
    json_decref(j);
}

static void test_event_round_trip(void **state)
{
    struct event ev = {.ts = 12, .seq = 3, .ms = 40}, back;
    _cleanup_free_ char *text = NULL;
    struct err err;

    (void)state;
    strcpy(ev.node, "fra");
    ev.count = (struct event_count){EVENT_PACKAGES, 7, 12};
    event_fill(&ev, EVENT_PROGRESS, "package:all", "two\nlines %s", "\xff");
    text = event_text(&ev);
    assert_int_equal(event_parse(text, strlen(text), &back, &err), 0);
    assert_string_equal(back.msg, "two lines ?");
    assert_int_equal(back.kind, EVENT_PROGRESS);
    assert_int_equal(back.origin, EVENT_OF_AGENT);
    assert_int_equal(back.count.unit, EVENT_PACKAGES);
    assert_int_equal(back.count.done, 7);
    assert_int_equal(back.count.total, 12);
    assert_int_equal(event_parse("{}", 2, &back, &err), -1);
}

static bool event_taken(const char *text)
{
    struct event ev;
    struct err err = {0};
    int rc = event_parse(text, strlen(text), &ev, &err);

    assert_int_equal(rc < 0, err.msg[0] != '\0');
    return rc == 0;
}

#define EVENT_HEAD(origin, kind)                                                                   \
    "{\"ts\":1,\"node\":\"n\",\"origin\":\"" origin "\",\"rev\":\"\",\"seq\":1,\"id\":\"x\","      \
    "\"kind\":\"" kind "\",\"ms\":0,\"msg\":\"\""
#define COUNT(unit, done, total) ",\"unit\":" unit ",\"done\":" done ",\"total\":" total

/* Counts are bounded, and there where they are needed; none are where none belong. */
static void test_event_counts(void **state)
{
    static const struct {
        const char *text;
        bool taken;
    } cases[] = {
        {EVENT_HEAD("agent", "plan") COUNT("\"steps\"", "0", "12") "}", true},
        {EVENT_HEAD("agent", "plan") COUNT("\"steps\"", "0", "0") "}", true},
        {EVENT_HEAD("agent", "plan") "}", false},
        {EVENT_HEAD("agent", "plan") COUNT("\"bytes\"", "0", "12") "}", false},
        {EVENT_HEAD("agent", "plan") COUNT("\"steps\"", "0", "257") "}", false},
        {EVENT_HEAD("agent", "plan") COUNT("\"steps\"", "257", "0") "}", false},
        {EVENT_HEAD("agent", "plan") COUNT("\"steps\"", "0", "-1") "}", false},
        {EVENT_HEAD("agent", "progress") "}", true},
        {EVENT_HEAD("agent", "progress") COUNT("\"bytes\"", "5", "9") "}", true},
        {EVENT_HEAD("agent", "progress") COUNT("\"bytes\"", "5", "0") "}", true},
        {EVENT_HEAD("agent", "progress") COUNT("\"packages\"", "9", "9") "}", true},
        {EVENT_HEAD("agent", "progress") COUNT("\"bytes\"", "9223372036854775807", "0") "}", true},
        {EVENT_HEAD("agent", "progress") COUNT("\"bytes\"", "10", "9") "}", false},
        {EVENT_HEAD("agent", "progress") COUNT("\"\"", "1", "9") "}", false},
        {EVENT_HEAD("agent", "progress") COUNT("\"miles\"", "1", "9") "}", false},
        {EVENT_HEAD("agent", "progress") ",\"unit\":\"bytes\"}", false},
        {EVENT_HEAD("agent", "done") ",\"changed\":3,\"ok\":9}", true},
        {EVENT_HEAD("agent", "done") ",\"changed\":3}", false},
        {EVENT_HEAD("agent", "done") ",\"changed\":3,\"ok\":257}", false},
        {EVENT_HEAD("agent", "done") "}", false},
        {EVENT_HEAD("controller", "done") "}", true},
        {EVENT_HEAD("somebody", "note") "}", false},
        {EVENT_HEAD("agent", "cloud") "}", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        if (event_taken(cases[i].text) != cases[i].taken)
            fail_msg("%s", cases[i].text);
}

/* Whole it is taken; cut anywhere, or with any member missing or of another type, it is not. */
static void test_event_members(void **state)
{
    static const char *const texts[] = {
        EVENT_HEAD("agent", "progress") COUNT("\"bytes\"", "5", "9") "}",
        EVENT_HEAD("agent", "done") ",\"changed\":3,\"ok\":9}",
    };
    static const char *const values[] = {"null", "true", "-1", "1.5", "[]", "{}", "[1]"};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        _cleanup_json_ json_t *whole = json_loads(texts[i], 0, NULL);
        const char *key;
        json_t *value;

        assert_true(event_taken(texts[i]));
        for (size_t len = 0; len < strlen(texts[i]); len++) {
            _cleanup_free_ char *part = str_fmt("%.*s", (int)len, texts[i]);

            assert_false(event_taken(part));
        }
        json_object_foreach(whole, key, value)
        {
            for (size_t k = 0; k <= sizeof(values) / sizeof(*values); k++) {
                _cleanup_json_ json_t *other = json_copy(whole);
                _cleanup_free_ char *text = NULL;
                bool less = k == sizeof(values) / sizeof(*values);

                if (less)
                    json_object_del(other, key);
                else
                    json_object_set_new(other, key, json_loads(values[k], JSON_DECODE_ANY, NULL));
                text = js_text(other);
                /* Without a unit nothing is counted. */
                if (event_taken(text) != (less && str_eq(key, "unit")))
                    fail_msg("%s", text);
            }
        }
    }
}

/* A phase is one of the known words; whatever else a state says is not known. */
static void test_phases(void **state)
{
    static const char *const bad[] = {"{}",
                                      "[]",
                                      "{\"phase\":1}",
                                      "{\"phase\":null}",
                                      "{\"phase\":\"\"}",
                                      "{\"phase\":\"Ready\"}",
                                      "{\"phase\":\"ready \"}"};

    (void)state;
    for (enum proto_phase p = PHASE_UNKNOWN; p < PHASES; p++) {
        _cleanup_json_ json_t *j = json_pack("{s:s}", "phase", proto_phase_name(p));

        assert_int_equal(proto_phase_of(j), p);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        _cleanup_json_ json_t *j = json_loads(bad[i], 0, NULL);

        assert_int_equal(proto_phase_of(j), PHASE_UNKNOWN);
    }
    assert_int_equal(proto_phase_of(NULL), PHASE_UNKNOWN);
}

static void test_urls(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
    } rows[] = {
        {"https://h/a.tar", "https://h/a.tar"},
        {"https://ci:tok3n@h/a.tar?sig=S3CR3T", "https://h/a.tar?..."},
        {"E: Failed to fetch http://ci:t@k@127.0.0.1:9/a?x=1&y=@ Could not connect",
         "E: Failed to fetch http://127.0.0.1:9/a?... Could not connect"},
        {"http://u@a/?k http://v:w@b/c?d=e. 403", "http://a/?. http://b/c?... 403"},
        {"'http://a/b?c' to 'http://d:e@f'", "'http://a/b?.' to 'http://f'"},
        {"http://h/path@2?", "http://h/path@2?"},
        {"mail a@b, no: //c@d?e", "mail a@b, no: //c@d?e"},
        {"://", "://"},
        {"http://u:p@", "http://"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        _cleanup_free_ char *s = xstrdup(rows[i].from);

        text_hide_urls(s);
        assert_string_equal(s, rows[i].to);
    }
    assert_true(text_url_has_login("https://ci:tok3n@h/a"));
    assert_true(text_url_has_login("http://ci@h"));
    assert_false(text_url_has_login("http://h/a@b"));
    assert_false(text_url_has_login("http://h?a@b"));
    assert_false(text_url_has_login("a@b"));
}

static void test_text(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"plain, äöü, 日本, 🙂", "plain, äöü, 日本, 🙂"},
        {"\033[2J\033]0;title\007", "?[2J?]0;title?"},
        {"tab\tline\nreturn\r", "tab line return "},
        {"del\177", "del?"},
        {"c1\xc2\x9b"
         "2J",
         "c1?2J"},
        {"raw\x9b"
         "2J",
         "raw?2J"},
        {"bidi\xe2\x80\xae|\xe2\x81\xa6|\xd8\x9c", "bidi?|?|?"},
        {"cut\xe2\x80", "cut??"},
        {"overlong\xc0\xaf", "overlong??"},
        {"surrogate\xed\xa0\x80", "surrogate???"},
        {"beyond\xf4\x90\x80\x80", "beyond????"},
        {"\xff\xfe", "??"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_free_ char *s = xstrdup(cases[i].in);

        text_plain(s, false);
        assert_string_equal(s, cases[i].out);
    }
    char lines[] = "a\n\033b\n";

    text_plain(lines, true);
    assert_string_equal(lines, "a\n?b\n");
    assert_true(text_is_name("mount:datadisk"));
    assert_true(text_is_name("route:10.10.1.0/24"));
    assert_true(text_is_name(""));
    assert_false(text_is_name("a b"));
    assert_false(text_is_name("\xc2\x9b"));
    assert_false(text_is_name("a\n"));
}

static void test_proto(void **state)
{
    _cleanup_free_ char *text = proto_text(PROTO_ACK, json_pack("{s:i}", "seq", 5));
    _cleanup_json_ json_t *j = NULL;
    enum proto_type t;
    struct err err;

    (void)state;
    assert_int_equal(proto_parse(text, strlen(text), &t, &j, &err), 0);
    assert_int_equal(t, PROTO_ACK);
    assert_int_equal(proto_parse("{\"t\":\"exec\"}", 12, &t, &j, &err), -1);
    assert_int_equal(proto_parse("[]", 2, &t, &j, &err), -1);
}

static void test_keys(void **state)
{
    char dir[] = "/tmp/muster-keys-XXXXXX", path[64], sealed[KEYS_SEALED_HEX_SIZE(64)], text[65];
    struct curve_pair a, b;
    struct sign_pair s;
    uint8_t sig[SIGN_SIZE];
    struct err err;
    struct stat st;
    char uuid[37], again[37];

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/key", dir);
    assert_int_equal(keys_curve_load_or_new(path, &a, &err), 0);
    assert_int_equal(keys_curve_load_or_new(path, &b, &err), 0);
    assert_memory_equal(&a, &b, sizeof(a));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(fs_write_atomic(path, "rubbish\n", 8, 0600, &err), 0);
    assert_int_equal(keys_curve_load_or_new(path, &b, &err), -1);

    keys_sign_new(&s);
    keys_sign(&s, "roster", 6, sig);
    assert_int_equal(keys_verify(s.pub, "roster", 6, sig), 0);
    assert_int_not_equal(keys_verify(s.pub, "rosteR", 6, sig), 0);

    keys_seal(a.sec, "secret", sealed, sizeof(sealed));
    assert_int_equal(keys_unseal(a.sec, sealed, text, sizeof(text)), 0);
    assert_string_equal(text, "secret");
    sealed[10] ^= 1;
    assert_int_equal(keys_unseal(a.sec, sealed, text, sizeof(text)), -1);

    keys_uuid_derived("muster-partition", "x", uuid);
    keys_uuid_derived("muster-partition", "x", again);
    assert_string_equal(uuid, again);
    keys_uuid_derived("muster-filesystem", "x", again);
    assert_string_not_equal(uuid, again);
    assert_int_equal(fs_remove_tree(dir, &err), 0);
}

static void test_ipv4(void **state)
{
    static const char *const bad[] = {
        NULL,           "",         "/24",         "10.1.0.0",
        "10.1.0.0/33",  "10.1/16",  "10.1.0.0/-1", "10.1.0.0/24 ",
        "10.1.0.256/8", "::1/128",  "10.1.0.0/",   "010.001.000.0000/8",
        "10.1.0.0//8",  "a.b.c.d/8"};
    struct ipv4_net a, b;
    char text[IPV4_SIZE];
    uint32_t address;
    unsigned len;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_int_equal(ipv4_net_parse(bad[i], &a), -1);
        assert_int_equal(ipv4_interface_parse(bad[i], &address, &len), -1);
    }
    assert_int_equal(ipv4_net_parse("10.1.2.3/24", &a), -1);
    assert_int_equal(ipv4_interface_parse("10.1.2.3/24", &address, &len), 0);
    assert_int_equal(len, 24);
    ipv4_text(address, text);
    assert_string_equal(text, "10.1.2.3");
    assert_int_equal(ipv4_net_parse("0.0.0.0/0", &a), 0);
    assert_int_equal(ipv4_net_parse("255.255.255.255/32", &b), 0);
    assert_true(ipv4_net_has(&a, 0) && ipv4_net_has(&a, UINT32_MAX));
    assert_true(ipv4_net_has(&b, UINT32_MAX) && !ipv4_net_has(&b, UINT32_MAX - 1));
    assert_true(ipv4_net_overlaps(&a, &b) && ipv4_net_overlaps(&b, &a));
    assert_int_equal(ipv4_net_parse("10.1.2.0/24", &a), 0);
    assert_false(ipv4_net_overlaps(&a, &b) || ipv4_net_overlaps(&b, &a));
}

static void test_uuid(void **state)
{
    static const char good[] = "be36817f-4c31-8a16-be38-e4339be07d22";
    char text[UUID_SIZE] = "unchanged", longer[64];

    (void)state;
    assert_true(uuid_valid(good));
    assert_true(uuid_valid("BE36817F-4c31-8a16-be38-e4339be07d22"));
    assert_false(uuid_valid("be36817f04c31-8a16-be38-e4339be07d22"));
    assert_false(uuid_valid("------------------------------------"));
    assert_false(uuid_valid("be36817f-4c31-8a16-be38-e4339be07d2"));
    assert_false(uuid_read("be36817f-4c31-8a16-be38-e4339be07d2", text));
    assert_string_equal(text, "unchanged");
    snprintf(longer, sizeof(longer), "%s:17", good);
    assert_false(uuid_valid(longer));
    assert_true(uuid_read(longer, text));
    assert_string_equal(text, good);
}

static void test_fs(void **state)
{
    char dir[] = "/tmp/muster-fs-XXXXXX", path[64];
    _cleanup_free_ char *text = NULL;
    struct err err;
    int a, b;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/a/b/c", dir);
    assert_int_equal(fs_mkdirs(path, 0700, &err), 0);
    assert_int_equal(fs_mkdirs(path, 0700, &err), 0);
    snprintf(path, sizeof(path), "%s/a/file", dir);
    assert_int_equal(fs_write_atomic(path, "12345", 5, 0640, &err), 0);
    assert_int_equal(fs_read(path, 4, &text, NULL, &err), -1);
    assert_int_equal(fs_read(path, 5, &text, NULL, &err), 0);
    assert_string_equal(text, "12345");
    snprintf(path, sizeof(path), "%s/lock", dir);
    a = fs_lock(path, false, &err);
    assert_true(a >= 0);
    b = fs_lock(path, false, &err);
    assert_int_equal(b, -1);
    assert_int_equal(err.code, ERR_LOCKED);
    close(a);
    assert_int_equal(fs_remove_tree(dir, &err), 0);
    assert_false(fs_exists(dir));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err_wrap),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_err_is_utf8),
        cmocka_unit_test(test_sooner),
        cmocka_unit_test(test_json_bounds),
        cmocka_unit_test(test_event_round_trip),
        cmocka_unit_test(test_phases),
        cmocka_unit_test(test_event_counts),
        cmocka_unit_test(test_event_members),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_proto),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_fs),
        cmocka_unit_test(test_ipv4),
        cmocka_unit_test(test_uuid),
    };
    struct err err;

    assert_int_equal(keys_init(&err), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
