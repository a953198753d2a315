/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "controller/localvdc/network/rules.h"

static json_t *network(void)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s}", "id", "net-1", "cidr", "10.1.0.0/24", "gateway",
                     "10.1.0.1", "netmask", "255.255.255.0", "_ip", "198.51.100.10");
}

static void networks_are_parsed_strictly(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",           "10.0.0.0",    "10.0.0.0/7",  "10.0.0.0/30", "10.0.0.1/24",
        "10.0.0.0/x", "300.0.0.0/8", "10.0.0.0/24 "};
    struct ipv4_net net = {0};
    struct err err = {0};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(guest_net_parse(bad[i], &net, &err), -1);
    assert_int_equal(guest_net_parse(NULL, &net, &err), -1);
    assert_int_equal(guest_net_parse("10.1.2.0/24", &net, &err), 0);
    assert_true(ipv4_net_has(&net, 0x0a0102ff));
    assert_false(ipv4_net_has(&net, 0x0a010300));
}

static void host_bits_are_explained(void **state)
{
    (void)state;
    struct ipv4_net net = {0};
    struct err err = {0};

    assert_int_equal(guest_net_parse("10.1.2.3/24", &net, &err), -1);
    assert_non_null(strstr(err.msg, "10.1.2.0/24"));
}

static void overlap_is_symmetric(void **state)
{
    (void)state;
    struct ipv4_net a = {0}, b = {0}, c = {0};
    struct err err = {0};

    assert_int_equal(guest_net_parse("10.1.0.0/16", &a, &err), 0);
    assert_int_equal(guest_net_parse("10.1.2.0/24", &b, &err), 0);
    assert_int_equal(guest_net_parse("10.2.0.0/24", &c, &err), 0);
    assert_true(ipv4_net_overlaps(&a, &b) && ipv4_net_overlaps(&b, &a));
    assert_false(ipv4_net_overlaps(&a, &c) || ipv4_net_overlaps(&c, &a));
}

static void the_lowest_free_address_is_picked(void **state)
{
    (void)state;
    struct ipv4_net net = {0};
    struct err err = {0};
    char ip[16];

    assert_int_equal(guest_net_parse("10.1.0.0/24", &net, &err), 0);
    _cleanup_json_ json_t *used = json_pack("[s,s]", "10.1.0.10", "10.1.0.12");
    assert_int_equal(guest_net_pick(&net, "10.1.0.11", used, ip, &err), 0);
    assert_string_equal(ip, "10.1.0.13");
    assert_int_equal(guest_net_parse("10.1.0.0/29", &net, &err), 0);
    _cleanup_json_ json_t *all =
        json_pack("[s,s,s,s,s]", "10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5", "10.1.0.6");
    assert_int_equal(guest_net_pick(&net, "10.1.0.1", all, ip, &err), -1);
}

static void without_rules_nothing_is_forwarded(void **state)
{
    (void)state;
    _cleanup_json_ json_t *net = network();
    _cleanup_(strbuf_free) struct strbuf out = {0};

    rules_nft(net, NULL, NULL, NULL, NULL, &out);
    assert_null(strstr(out.s, "jump outside"));
    assert_null(strstr(out.s, "dnat to"));
    assert_non_null(strstr(out.s, "hook forward priority 0; policy drop;"));
}

static void rules_become_filter_lines(void **state)
{
    (void)state;
    _cleanup_json_ json_t *net = network();
    _cleanup_json_ json_t *egress =
        json_pack("[{s:s,s:s,s:s,s:i,s:i},{s:s,s:s,s:s}]", "protocol", "tcp", "cidrlist",
                  "10.1.0.0/24", "destcidrlist", "0.0.0.0/0", "startport", 80, "endport", 443,
                  "protocol", "all", "cidrlist", "0.0.0.0/0", "destcidrlist", "0.0.0.0/0");
    _cleanup_json_ json_t *forwards = json_pack(
        "[{s:s,s:s,s:s,s:s,s:s,s:s}]", "protocol", "tcp", "publicport", "8080", "publicendport",
        "8081", "privateport", "80", "privateendport", "81", "vmguestip", "10.1.0.10");
    _cleanup_json_ json_t *firewall =
        json_pack("[{s:s,s:s,s:i,s:i}]", "protocol", "tcp", "cidrlist", "192.0.2.0/24", "startport",
                  8080, "endport", 8081);
    _cleanup_(strbuf_free) struct strbuf out = {0};

    rules_nft(net, egress, forwards, firewall, NULL, &out);
    assert_non_null(strstr(out.s, "iifname \"lan\" oifname \"pub\" ip saddr { 10.1.0.0/24 } meta "
                                  "l4proto tcp th dport 80-443 jump outside\n"));
    assert_non_null(strstr(out.s, "iifname \"lan\" oifname \"pub\" jump outside\n"));
    assert_non_null(strstr(out.s, "ip daddr 198.51.100.10 tcp dport 8080-8081 dnat to "
                                  "10.1.0.10:80-81\n"));
    assert_non_null(strstr(out.s, "ct status dnat ip saddr { 192.0.2.0/24 } meta l4proto tcp ct "
                                  "original proto-dst 8080-8081 accept\n"));
}

static void further_addresses_have_rules_of_their_own(void **state)
{
    (void)state;
    _cleanup_json_ json_t *net = network();
    _cleanup_json_ json_t *forwards =
        json_pack("[{s:s,s:s,s:s,s:s,s:s,s:s,s:s}]", "ipaddress", "198.51.100.11", "protocol",
                  "udp", "publicport", "53", "publicendport", "53", "privateport", "5353",
                  "privateendport", "5353", "vmguestip", "10.1.0.10");
    _cleanup_json_ json_t *firewall = json_pack("[{s:s,s:s,s:s}]", "ipaddress", "198.51.100.12",
                                                "protocol", "all", "cidrlist", "0.0.0.0/0");
    _cleanup_json_ json_t *ips =
        json_pack("[{s:s,s:b},{s:s,s:b,s:s}]", "ipaddress", "198.51.100.11", "isstaticnat", 0,
                  "ipaddress", "198.51.100.12", "isstaticnat", 1, "vmipaddress", "10.1.0.11");
    _cleanup_(strbuf_free) struct strbuf out = {0};

    rules_nft(net, NULL, forwards, firewall, ips, &out);
    assert_non_null(
        strstr(out.s, "  ip daddr 198.51.100.11 udp dport 53 dnat to 10.1.0.10:5353\n"));
    assert_non_null(strstr(out.s, "  ct status dnat ct original ip daddr 198.51.100.12 accept\n"));
    assert_non_null(strstr(out.s, "  ip daddr 198.51.100.12 dnat to 10.1.0.11\n"));
    const char *own = strstr(out.s, "  oifname \"pub\" ip saddr 10.1.0.11 snat to 198.51.100.12\n");
    const char *all = strstr(out.s, "  oifname \"pub\" ip saddr 10.1.0.0/24 snat to");
    assert_true(own && all && own < all);
    assert_null(strstr(out.s, "dnat to 10.1.0.11:"));
    json_object_del(net, "_ip");
    strbuf_reset(&out);
    rules_nft(net, NULL, NULL, NULL, NULL, &out);
    assert_null(strstr(out.s, "snat to"));
}

static void private_networks_get_addresses_only(void **state)
{
    (void)state;
    _cleanup_json_ json_t *net = network();
    _cleanup_(strbuf_free) struct strbuf out = {0};

    rules_dnsmasq(net, NULL, "p1", "/dir", &out);
    assert_non_null(strstr(out.s, "port=0\ndhcp-option=3\ndhcp-option=6\n"));
    assert_non_null(strstr(out.s, "dhcp-range=10.1.0.0,static,255.255.255.0,12h\n"));
    assert_null(strstr(out.s, "server="));
}

static void only_listed_names_are_asked_outside(void **state)
{
    (void)state;
    _cleanup_json_ json_t *net = network();
    _cleanup_(outside_free) struct outside o = {.hosts =
                                                    json_pack("[s,s]", "deb.example", "192.0.2.7"),
                                                .servers = json_pack("[s]", "192.0.2.53")};
    _cleanup_(strbuf_free) struct strbuf out = {0};

    rules_dnsmasq(net, &o, "lan", "/dir", &out);
    assert_non_null(strstr(out.s, "address=/#/\n"));
    assert_non_null(strstr(out.s, "server=/deb.example/192.0.2.53\n"));
    assert_non_null(strstr(out.s, "nftset=/deb.example/4#ip#mvdc#allowed\n"));
    assert_non_null(strstr(out.s, "address=/data-server/10.1.0.1\n"));
    assert_null(strstr(out.s, "192.0.2.7"));
}

static void each_nic_gets_its_reservation(void **state)
{
    (void)state;
    _cleanup_json_ json_t *vms =
        json_pack("[{s:s,s:[{s:s,s:s,s:s},{s:s,s:s,s:s}]}]", "name", "web1", "nic", "networkid",
                  "net-1", "macaddress", "02:00:00:00:00:01", "ipaddress", "10.1.0.10", "networkid",
                  "net-2", "macaddress", "02:00:00:00:00:02", "ipaddress", "10.2.0.10");
    _cleanup_(strbuf_free) struct strbuf hosts = {0}, names = {0};

    rules_dhcp_hosts("net-1", vms, &hosts, &names);
    assert_string_equal(hosts.s, "02:00:00:00:00:01,10.1.0.10,web1\n");
    assert_string_equal(names.s, "10.1.0.10 web1\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_are_parsed_strictly),
        cmocka_unit_test(host_bits_are_explained),
        cmocka_unit_test(overlap_is_symmetric),
        cmocka_unit_test(the_lowest_free_address_is_picked),
        cmocka_unit_test(without_rules_nothing_is_forwarded),
        cmocka_unit_test(rules_become_filter_lines),
        cmocka_unit_test(further_addresses_have_rules_of_their_own),
        cmocka_unit_test(private_networks_get_addresses_only),
        cmocka_unit_test(only_listed_names_are_asked_outside),
        cmocka_unit_test(each_nic_gets_its_reservation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
