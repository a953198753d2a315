/* SPDX-License-Identifier: Apache-2.0 */
/* The front door's configuration as a text, and what is understood of HAProxy's answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/frontdoor/frontdoor.h"
#include "common/cleanup.h"
#include "common/str.h"
#include "tests/unit/golden.h"

static void test_text(void **state)
{
    (void)state;
    const struct frontdoor f = {
        .node = "fra", .peers = {{"par", "10.10.2.10"}, {"ham", "10.10.3.10"}}, .n_peers = 2};
    _cleanup_free_ char *tls = frontdoor_text(&f, FRONTDOOR_PEM), *plain = frontdoor_text(&f, NULL);

    golden("haproxy.cfg", tls);
    assert_null(strstr(plain, "443"));
    assert_null(strstr(plain, "X-Forwarded-Proto"));
    assert_true(str_starts(plain, FRONTDOOR_MARK));
    assert_null(strstr(plain, "shutdown-sessions")); /* it cuts requests that are under way */
}

static void test_load_parse(void **state)
{
    (void)state;
    static const char head[] =
        "# pxname,svname,qcur,qmax,scur,smax,slim,stot,status,act,bck,check_status,\n";
    struct frontdoor_load l;
    struct err err;
    static const struct {
        const char *rest;
        int r;
        struct frontdoor_load want;
    } rows[] = {
        {"visitors,FRONTEND,,,1,1,9,10,OPEN,,,,\nsites,fra,0,0,3,9,,10,UP,1,0,L7OK,\n"
         "sites,par,0,0,0,0,,0,UP,0,1,L7OK,\n\n",
         0,
         {true, 1, true, 3, false, false}},
        {"sites,fra,1,0,2,9,,10,NOLB,1,0,L7OKC,\nsites,par,0,0,5,0,,0,DOWN,0,1,L7RSP,\n",
         0,
         {false, 0, false, 3, false, false}},
        {"sites,fra,0,0,0,9,,10,UP 1/2,1,0,L7OK,\nsites,ham,0,0,0,0,,0,UP,0,1,L7OK,\n",
         0,
         {true, 1, false, 0, false, false}},
        {"sites,fra,0,0,0,9,,10,UP,1,0,L7OK,\nsites,par,0,0,0,0,,0,UP 1/2,0,1,L4CON,\n",
         0,
         {true, 0, false, 0, false, false}},
        {"visitors,FRONTEND,,,1,1,9,10,PAUSED,,,,\nsites,fra,0,0,0,9,,10,DOWN,1,0,L7RSP,\n"
         "sites,par,0,0,0,0,,0,DOWN,0,1,L4TOUT,\nsites,ham,0,0,0,0,,0,DOWN,0,1,L4CON,\n",
         0,
         {false, 0, false, 0, true, true}},
        {"sites,fra,0,0,0,9,,10,DOWN,1,0,L7RSP,\nsites,par,0,0,0,0,,0,DOWN,0,1,L4TOUT,\n"
         "sites,ham,0,0,0,0,,0,DOWN,0,1,L7STS,\n",
         0,
         {false, 0, false, 0, false, false}},
        {"sites,fra,0,0,0,9,,10,MAINT,1,0,,\n", 0, {false, 0, false, 0, false, false}},
        {"sites,par,0,0,0,9,,10,UP,0,1,,\n", -1, {0}},
        {"sites,fra,0,0\n", -1, {0}},
        {"sites,fra,0,0,x,9,,10,UP,1,0,,\n", -1, {0}},
        {"", -1, {0}},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        _cleanup_free_ char *csv = str_fmt("%s%s", head, rows[i].rest);
        int r = frontdoor_load_parse(csv, "par", &l, &err);

        if (r != rows[i].r ||
            (r == 0 && (l.own_up != rows[i].want.own_up || l.others != rows[i].want.others ||
                        l.peer_up != rows[i].want.peer_up || l.flight != rows[i].want.flight ||
                        l.apart != rows[i].want.apart || l.closed != rows[i].want.closed)))
            fail_msg("row %zu: %d, up %d, others %u, peer %d, flight %u, apart %d, closed %d", i, r,
                     l.own_up, l.others, l.peer_up, l.flight, l.apart, l.closed);
    }
    assert_int_equal(frontdoor_load_parse("", NULL, &l, &err), -1);
    assert_int_equal(frontdoor_load_parse("Unknown command\n", NULL, &l, &err), -1);
    assert_int_equal(frontdoor_load("/nowhere/admin.sock", NULL, &l, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_text),
                                       cmocka_unit_test(test_load_parse)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
