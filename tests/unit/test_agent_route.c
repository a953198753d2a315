/* SPDX-License-Identifier: Apache-2.0 */
/* Facts; what network managers are told (tests/golden/netconf, written again with
 * MUSTER_GOLDEN=write), who is chosen, and which routes are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>

#include "agent/net/facts.h"
#include "agent/route/guard.h"
#include "agent/route/netconf.h"
#include "agent/route/nic.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/str.h"

static void same_as_golden(const char *name, const struct netconf_file *f)
{
    struct err err;
    _cleanup_free_ char *path = str_fmt(TEST_DIR "/golden/netconf/%s", name);
    _cleanup_free_ char *got = str_fmt("%s %o\n%s", f->path, (unsigned)f->mode, f->text);
    _cleanup_free_ char *want = NULL;
    const char *mode = getenv("MUSTER_GOLDEN");

    if (mode && strcmp(mode, "write") == 0)
        assert_int_equal(fs_write_atomic(path, got, strlen(got), 0644, &err), 0);
    assert_int_equal(fs_read(path, 65536, &want, NULL, &err), 0);
    assert_string_equal(got, want);
}

static void test_texts(void **state)
{
    (void)state;
    _cleanup_json_ json_t *to = json_pack("[s, s]", "10.1.0.0/24", "10.2.0.0/24");
    struct netconf c = {"eth1", "02:77:00:00:01:01", "10.0.0.2/24", "10.0.0.1", to, NULL};
    struct netconf_file f;

    for (int m = NETCONF_NETPLAN; m < NETCONF_MANAGERS; m++) {
        netconf_write((enum netconf_manager)m, &c, &f);
        same_as_golden(netconf_manager_name((enum netconf_manager)m), &f);
        netconf_file_free(&f);
    }
    c.beside = "/etc/systemd/network/10-cloud-init-eth1.network";
    netconf_write(NETCONF_NETWORKD, &c, &f);
    same_as_golden("systemd-networkd-beside", &f);
    netconf_file_free(&f);
}

static void test_choice(void **state)
{
    static const struct {
        struct netconf_seen seen;
        enum netconf_manager want;
    } rows[] = {
        {{.netplan = true, .networkd = true}, NETCONF_NETPLAN},
        {{.networkd = true}, NETCONF_NETWORKD},
        {{.networkd = true, .ifupdown = true}, NETCONF_NETWORKD},
        {{.networkd = true, .ifupdown = true, .ifupdown_nic = true}, NETCONF_IFUPDOWN},
        {{.networkmanager = true, .ifupdown = true}, NETCONF_NETWORKMANAGER},
        {{.ifupdown = true}, NETCONF_IFUPDOWN},
        {{.ifupdown_nic = true}, NETCONF_NONE}, /* its files, but not the program */
        {{false}, NETCONF_NONE},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(netconf_choose(&rows[i].seen), rows[i].want);
}

/* Bridge, bond, VLAN and whoever imitates it have the NIC's MAC. */
static void test_one_mac(void **state)
{
    (void)state;
    static const struct {
        struct nic_seen v[3];
        const char *chosen; /* NULL: refused, and these are named */
        const char *named[2];
    } rows[] = {
        {{{.name = "zz0", .kind = "dummy"},
          {.name = "eth1", .kind = "veth"},
          {.name = "aa0", .kind = "dummy"}},
         "eth1",
         {0}},
        {{{.name = "br0", .kind = "bridge"}, {.name = "ens4", .device = true}}, "ens4", {0}},
        {{{.name = "bond0", .kind = "bond", .on_another = true}, {.name = "ens4", .device = true}},
         "ens4",
         {0}},
        {{{.name = "ens4.7", .kind = "vlan", .on_another = true}, {.name = "ens4", .device = true}},
         "ens4",
         {0}},
        {{{.name = "m", .kind = "macvlan", .on_another = true},
          {.name = "eth0", .kind = "macvlan"}},
         "eth0",
         {0}},
        {{{.name = "ens4", .device = true}, {.name = "veth7", .kind = "veth"}}, "ens4", {0}},
        {{{.name = "ens4", .device = true}, {.name = "ens5", .device = true}},
         NULL,
         {"ens4", "ens5"}},
        {{{.name = "eth1", .kind = "veth"}, {.name = "eth2", .kind = "veth"}},
         NULL,
         {"eth1", "eth2"}},
        {{{.name = "br0", .kind = "bridge"}, {.name = "eth1", .kind = "veth", .master = "br0"}},
         NULL,
         {"eth1", "br0"}},
        {{{.name = "br0", .kind = "bridge"}}, NULL, {"br0", ""}},
        {{{.name = ""}}, NULL, {"02:77:00:00:01:01", ""}},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct nic_seen *chosen = NULL;
        struct err err = {0};
        size_t n = 0;

        while (n < 3 && rows[i].v[n].name[0])
            n++;
        int r = nic_choose(rows[i].v, n, "02:77:00:00:01:01", &chosen, &err);
        if (rows[i].chosen) {
            assert_int_equal(r, 0);
            assert_string_equal(chosen->name, rows[i].chosen);
            continue;
        }
        assert_int_equal(r, -1);
        assert_int_equal(err.code, n ? ERR_SAFETY : ERR_FAILED);
        assert_non_null(strstr(err.msg, rows[i].named[0]));
        assert_non_null(strstr(err.msg, rows[i].named[1]));
    }
}

static uint32_t ip(const char *text)
{
    struct in_addr a;

    assert_int_equal(inet_pton(AF_INET, text, &a), 1);
    return a.s_addr;
}

static void test_gateway(void **state)
{
    (void)state;
    uint32_t own = ip("10.0.0.2");

    assert_null(guard_gateway(own, 24, ip("10.0.0.1")));
    assert_null(guard_gateway(own, 31, ip("10.0.0.3")));
    assert_non_null(strstr(guard_gateway(own, 24, ip("10.0.1.1")), "not in the network"));
    assert_non_null(strstr(guard_gateway(own, 24, own), "own address"));
    assert_non_null(strstr(guard_gateway(own, 24, ip("10.0.0.255")), "broadcast"));
    assert_non_null(strstr(guard_gateway(own, 24, ip("10.0.0.0")), "broadcast"));
    assert_non_null(guard_gateway(own, 24, 0));
}

static void test_peers(void **state)
{
    /* A listener, SSH over IPv4 and as a mapped address, the controller, another port, nonsense. */
    static const char text[] =
        "  sl  local_address rem_address   st tx_queue\n"
        "   0: 00000000:0016 00000000:0000 0A 00000000:00000000\n"
        "   1: 0200000A:0016 0500010A:C001 01 00000000:00000000\n"
        "   2: 0000000000000000FFFF00000200000A:0016 0000000000000000FFFF00000600010A:C002 01 0\n"
        "   3: 0200000A:D001 0700010A:15B3 01 00000000:00000000\n"
        "   4: 0200000A:D001 0800010A:0050 01 00000000:00000000\n"
        "   5: 0200000A:0016 0500010A:C009 01 the same once more\n"
        "   6: 20010DB8000000000000000000000001:0016 20010DB8000000000000000000000002:C002 01 0\n"
        "   x: what is this\n";

    (void)state;
    struct guard g = {0};
    guard_add_peers(&g, text, 22, 0x15b3);
    assert_int_equal(g.n, 3);
    assert_int_equal(g.who[0].addr, ip("10.1.0.5"));
    assert_int_equal(g.who[1].addr, ip("10.1.0.6"));
    assert_int_equal(g.who[2].addr, ip("10.1.0.7"));
    assert_string_equal(g.who[2].what, "the controller");
}

static void test_takeover(void **state)
{
    struct rtnl_route want = {.to = ip("10.1.0.0"), .len = 24, .via = ip("10.0.0.1"), .ifindex = 3};
    struct rtnl_route dflt = {.via = ip("172.16.0.1"), .ifindex = 2}, now = want;

    (void)state;
    assert_true(guard_takes_over(&want, &dflt, ip("10.1.0.5")));
    assert_false(guard_takes_over(&want, &dflt, ip("10.2.0.5")));
    assert_false(guard_takes_over(&want, &now, ip("10.1.0.5"))); /* already that way */
    now = (struct rtnl_route){.to = ip("10.1.0.0"), .len = 25, .ifindex = 2};
    assert_false(guard_takes_over(&want, &now, ip("10.1.0.5"))); /* a more specific one decides */
    now.len = 24;
    assert_true(guard_takes_over(&want, &now, ip("10.1.0.5")));
}

static void test_facts(void **state)
{
    (void)state;
    struct strbuf b = {0};

    strbuf_adds(&b, "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
                    "eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
                    "eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\nnonsense\n");
    json_t *list = facts_routes(b.s);
    _cleanup_free_ char *text = js_text(list);
    json_decref(list);
    assert_string_equal(text, "[{\"dev\":\"eth0\",\"to\":\"0.0.0.0/0\",\"via\":\"10.0.0.1\"},"
                              "{\"dev\":\"eth0\",\"to\":\"10.0.0.0/24\"}]");
    for (int i = 0; i < 1000; i++)
        strbuf_adds(&b, "e\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\n");
    list = facts_routes(b.s);
    assert_int_equal(json_array_size(list), FACTS_ROUTES_MAX);
    json_decref(list);
    strbuf_free(&b);

    json_t *facts = facts_collect();
    _cleanup_free_ char *all = js_text(facts);
    assert_true(strlen(all) <= FACTS_MAX);
    assert_non_null(json_object_get(facts, "memory"));
    assert_non_null(json_object_get(facts, "kernel"));
    json_decref(facts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),   cmocka_unit_test(test_choice),
        cmocka_unit_test(test_one_mac), cmocka_unit_test(test_gateway),
        cmocka_unit_test(test_peers),   cmocka_unit_test(test_takeover),
        cmocka_unit_test(test_facts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
