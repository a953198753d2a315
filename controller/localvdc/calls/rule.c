/* SPDX-License-Identifier: Apache-2.0 */
/* Egress rules, port forwards and firewall rules: each is a document, and the router's filter is
 * made from all of them. Job arguments: {"kind", "id", "networkid", "name"}. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/cleanup.h"
#include "common/ipv4.h"
#include "common/keys.h"
#include "common/ports.h"
#include "common/str.h"
#include "controller/localvdc/calls/calls.h"
#include "controller/localvdc/network/router.h"
#include "controller/localvdc/network/rules.h"

static int internal(struct api_rq *rq, const struct err *err)
{
    vdb_rollback(rq->db);
    return rq->code ? -1 : api_fail(rq, API_INTERNAL, "%s", err->msg);
}

/* tcp, udp, icmp or all; goes into the packet filter, so nothing else passes. */
static const char *protocol_of(struct api_rq *rq, bool ports_only)
{
    static const char *const names[] = {"tcp", "udp", "icmp", "all"};
    const char *given = api_arg(rq, "protocol");

    for (size_t i = 0; i < (ports_only ? 2 : ARRAY_LEN(names)); i++) {
        if (strcasecmp(given, names[i]) == 0)
            return names[i];
    }
    api_fail(rq, API_PARAM, "Invalid value for parameter protocol: %s", given);
    return NULL;
}

/* A list of networks in canonical form; everywhere when it is not given. */
static int cidrs_of(struct api_rq *rq, const char *arg, struct strbuf *out)
{
    _cleanup_json_ json_t *items = api_split(api_arg(rq, arg));
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(items, i, one)
    {
        const char *text = json_string_value(one);
        char address[IPV4_SIZE];
        uint32_t a = 0;
        unsigned bits = 0;

        if (ipv4_interface_parse(text, &a, &bits) < 0)
            return api_fail(rq, API_PARAM, "Invalid value for parameter %s: %s", arg, text);
        ipv4_text(a, address);
        strbuf_addf(out, "%s%s/%u", i ? "," : "", address, bits);
    }
    if (out->len == 0)
        strbuf_adds(out, "0.0.0.0/0");
    return 0;
}

static int ports_of(struct api_rq *rq, const char *from, const char *to, json_int_t *ret_from,
                    json_int_t *ret_to)
{
    json_int_t a = api_arg_int(rq, from, 0), b = api_arg_int(rq, to, a);

    if ((api_arg(rq, from) && (a < 1 || a > PORT_MAX)) || b < a || b > PORT_MAX)
        return api_fail(rq, API_PARAM, "Invalid values for parameters %s and %s: %lld, %lld", from,
                        to, (long long)a, (long long)b);
    *ret_from = a;
    *ret_to = b;
    return 0;
}

static int reply_rule_job(struct api_rq *rq, const char *kind, const char *type, const json_t *rule,
                          const char *name)
{
    const char *id = vdc_str(rule, "id");

    return api_reply_job(rq, type, name ? id : NULL,
                         json_pack("{s:s,s:s,s:s,s:s}", "kind", kind, "id", id, "networkid",
                                   vdc_str(rule, "networkid"), "name", name ? name : ""));
}

static void set_ports(json_t *rule, json_int_t from, json_int_t to)
{
    if (from == 0)
        return;
    json_object_set_new(rule, "startport", json_integer(from));
    json_object_set_new(rule, "endport", json_integer(to));
}

static void set_icmp(struct api_rq *rq, json_t *rule)
{
    static const char *const names[] = {"icmptype", "icmpcode"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (str_eq(vdc_str(rule, "protocol"), "icmp") && api_arg(rq, names[i]))
            json_object_set_new(rule, names[i], json_integer(api_arg_int(rq, names[i], -1)));
    }
}

int call_create_egress(struct api_rq *rq)
{
    char id[37];
    struct err err = {0};
    json_int_t from = 0, to = 0;
    _cleanup_(strbuf_free) struct strbuf cidrs = {0}, dest = {0};
    _cleanup_json_ json_t *network = api_need(rq, "networkid", "network");
    const char *protocol = network ? protocol_of(rq, false) : NULL;

    if (!protocol || cidrs_of(rq, "cidrlist", &cidrs) < 0 ||
        cidrs_of(rq, "destcidrlist", &dest) < 0 ||
        ports_of(rq, "startport", "endport", &from, &to) < 0)
        return -1;
    if (router_is_private(network))
        return api_fail(rq, API_PARAM, "Network %s has no Internet gateway, so no egress rules",
                        vdc_str(network, "name"));
    keys_uuid(id);
    _cleanup_json_ json_t *rule = json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:[]}", "id", id, "networkid", vdc_str(network, "id"),
        "protocol", protocol, "cidrlist", strbuf_str(&cidrs), "destcidrlist", strbuf_str(&dest),
        "state", "Staged", "traffictype", "Egress", "tags");
    set_ports(rule, from, to);
    set_icmp(rq, rule);
    json_object_set_new(rule, "_account", json_string(rq->account));
    if (vdb_put(rq->db, "egress", id, rule, &err) < 0)
        return internal(rq, &err);
    return reply_rule_job(rq, "egress", "FirewallRule", rule, "firewallrule");
}

/* Whether two forwards of one address want the same port. */
static bool clash(const json_t *one, const char *protocol, json_int_t from, json_int_t to)
{
    long a = strtol(vdc_str(one, "publicport"), NULL, 10);
    long b = strtol(vdc_str(one, "publicendport"), NULL, 10);

    return str_eq(vdc_str(one, "protocol"), protocol) && from <= b && a <= to;
}

const char *nic_address(const json_t *vm, const char *network_id)
{
    size_t i = 0;
    json_t *nic = NULL;

    json_array_foreach(json_object_get(vm, "nic"), i, nic)
    {
        if (str_eq(vdc_str(nic, "networkid"), network_id))
            return vdc_str(nic, "ipaddress");
    }
    return NULL;
}

/* `forward`: the one that opens it, or NULL. */
static json_t *firewall_new(struct api_rq *rq, const json_t *ip, const char *protocol,
                            const char *cidrs, const json_t *forward)
{
    char id[37];

    keys_uuid(id);
    json_t *rule = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:[]}", "id", id, "networkid",
                             vdc_str(ip, "associatednetworkid"), "ipaddressid", vdc_str(ip, "id"),
                             "ipaddress", vdc_str(ip, "ipaddress"), "protocol", protocol,
                             "cidrlist", cidrs, "state", forward ? "Active" : "Staged", "_account",
                             rq->account, "_forward", vdc_str(forward, "id"), "tags");
    return rule;
}

static int open_firewall(struct api_rq *rq, const json_t *ip, const json_t *forward,
                         json_int_t from, json_int_t to, struct err *err)
{
    _cleanup_json_ json_t *rule =
        firewall_new(rq, ip, vdc_str(forward, "protocol"), vdc_str(forward, "cidrlist"), forward);

    set_ports(rule, from, to);
    return vdb_put(rq->db, "firewall", vdc_str(rule, "id"), rule, err);
}

int call_create_firewall(struct api_rq *rq)
{
    struct err err = {0};
    json_int_t from = 0, to = 0;
    _cleanup_(strbuf_free) struct strbuf cidrs = {0};
    _cleanup_json_ json_t *ip = api_need(rq, "ipaddressid", "ip");
    const char *protocol = ip ? protocol_of(rq, false) : NULL;

    if (!protocol || cidrs_of(rq, "cidrlist", &cidrs) < 0 ||
        ports_of(rq, "startport", "endport", &from, &to) < 0)
        return -1;
    _cleanup_json_ json_t *rule = firewall_new(rq, ip, protocol, strbuf_str(&cidrs), NULL);
    set_ports(rule, from, to);
    set_icmp(rq, rule);
    _cleanup_json_ json_t *others = vdb_find(rq->db, "firewall", "ipaddressid", vdc_str(ip, "id"));
    size_t i = 0;
    json_t *one = NULL;
    json_array_foreach(others, i, one)
    {
        json_int_t a = json_integer_value(json_object_get(one, "startport"));
        json_int_t b = json_integer_value(json_object_get(one, "endport"));

        if (str_eq(vdc_str(one, "protocol"), protocol) && from <= b && a <= to &&
            str_eq(vdc_str(one, "cidrlist"), strbuf_str(&cidrs)))
            return api_fail(rq, API_CONFLICT,
                            "The range specified, %lld-%lld, conflicts with rule %s which has "
                            "%lld-%lld",
                            (long long)from, (long long)to, vdc_str(one, "id"), (long long)a,
                            (long long)b);
    }
    if (vdb_put(rq->db, "firewall", vdc_str(rule, "id"), rule, &err) < 0)
        return internal(rq, &err);
    return reply_rule_job(rq, "firewall", "FirewallRule", rule, "firewallrule");
}

static json_t *forward_new(struct api_rq *rq, const json_t *ip, const json_t *vm, json_int_t from,
                           json_int_t to, const char *cidrs)
{
    char id[37], port[8], end[8], in[8], in_end[8];
    json_int_t inside = 0, inside_end = 0;
    const char *network_id = vdc_str(ip, "associatednetworkid");
    const char *address = nic_address(vm, network_id);

    if (!address) {
        api_fail(rq, API_PARAM, "Virtual machine %s has no NIC in the network of address %s",
                 vdc_str(vm, "name"), vdc_str(ip, "ipaddress"));
        return NULL;
    }
    if (ports_of(rq, "privateport", "privateendport", &inside, &inside_end) < 0)
        return NULL;
    if (!api_arg(rq, "privateendport"))
        inside_end = inside + (to - from);
    if (inside_end - inside != to - from) {
        api_fail(rq, API_PARAM, "The ranges of public and private ports differ in length");
        return NULL;
    }
    snprintf(port, sizeof(port), "%d", (int)from);
    snprintf(end, sizeof(end), "%d", (int)to);
    snprintf(in, sizeof(in), "%d", (int)inside);
    snprintf(in_end, sizeof(in_end), "%d", (int)inside_end);
    keys_uuid(id);
    return json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:[]}", "id", id, "networkid",
        network_id, "ipaddressid", vdc_str(ip, "id"), "ipaddress", vdc_str(ip, "ipaddress"),
        "protocol", protocol_of(rq, true), "publicport", port, "publicendport", end, "privateport",
        in, "privateendport", in_end, "vmguestip", address, "virtualmachineid", vdc_str(vm, "id"),
        "virtualmachinename", vdc_str(vm, "name"), "cidrlist", cidrs, "state", "Active", "tags");
}

int call_create_forward(struct api_rq *rq)
{
    struct err err = {0};
    json_int_t from = 0, to = 0;
    _cleanup_(strbuf_free) struct strbuf cidrs = {0};
    _cleanup_json_ json_t *ip = api_need(rq, "ipaddressid", "ip");
    _cleanup_json_ json_t *vm = ip ? api_need(rq, "virtualmachineid", "vm") : NULL;
    const char *protocol = vm ? protocol_of(rq, true) : NULL;

    if (!protocol || cidrs_of(rq, "cidrlist", &cidrs) < 0 ||
        ports_of(rq, "publicport", "publicendport", &from, &to) < 0)
        return -1;
    if (json_is_true(json_object_get(ip, "isstaticnat")))
        return api_fail(rq, API_PARAM, "The address %s is for static NAT of virtual machine %s",
                        vdc_str(ip, "ipaddress"), vdc_str(ip, "virtualmachinename"));
    _cleanup_json_ json_t *forward = forward_new(rq, ip, vm, from, to, strbuf_str(&cidrs));
    if (!forward)
        return -1;
    json_object_set_new(forward, "_account", json_string(rq->account));
    if (vdb_begin(rq->db, &err) < 0)
        return internal(rq, &err);
    _cleanup_json_ json_t *others = vdb_find(rq->db, "forward", "ipaddressid", vdc_str(ip, "id"));
    size_t i = 0;
    json_t *one = NULL;
    json_array_foreach(others, i, one)
    {
        if (clash(one, protocol, from, to)) {
            vdb_rollback(rq->db);
            return api_fail(rq, API_CONFLICT,
                            "The range specified, %lld-%lld, conflicts with rule %s which has "
                            "%s-%s",
                            (long long)from, (long long)to, vdc_str(one, "id"),
                            vdc_str(one, "publicport"), vdc_str(one, "publicendport"));
        }
    }
    if (vdb_put(rq->db, "forward", vdc_str(forward, "id"), forward, &err) < 0 ||
        (api_arg_bool(rq, "openfirewall", true) &&
         open_firewall(rq, ip, forward, from, to, &err) < 0) ||
        reply_rule_job(rq, "forward", "PortForwardingRule", forward, "portforwardingrule") < 0 ||
        vdb_commit(rq->db, &err) < 0)
        return internal(rq, &err);
    return 0;
}

static int list_rules(struct api_rq *rq, const char *kind, const char *name)
{
    return api_reply_where(rq, name, api_list(rq, kind), API_FILTERS("networkid", "ipaddressid"));
}

int call_list_egress(struct api_rq *rq)
{
    return list_rules(rq, "egress", "firewallrule");
}

int call_list_forwards(struct api_rq *rq)
{
    return list_rules(rq, "forward", "portforwardingrule");
}

int call_list_firewall(struct api_rq *rq)
{
    return list_rules(rq, "firewall", "firewallrule");
}

static int delete_rule(struct api_rq *rq, const char *kind, const char *type)
{
    _cleanup_json_ json_t *rule = api_need(rq, "id", kind);

    return rule ? reply_rule_job(rq, kind, type, rule, NULL) : -1;
}

int call_delete_egress(struct api_rq *rq)
{
    return delete_rule(rq, "egress", "FirewallRule");
}

int call_delete_forward(struct api_rq *rq)
{
    return delete_rule(rq, "forward", "PortForwardingRule");
}

int call_delete_firewall(struct api_rq *rq)
{
    return delete_rule(rq, "firewall", "FirewallRule");
}

int job_create_rule(struct api_job *job, struct err *err)
{
    const char *kind = vdc_str(job->params, "kind"), *id = vdc_str(job->params, "id");

    if (router_update(job->db, vdc_str(job->params, "networkid"), err) < 0 ||
        vdb_patch(job->db, kind, id, json_pack("{s:s}", "state", "Active"), err) < 0)
        return -1;
    _cleanup_json_ json_t *rule = vdb_get(job->db, kind, id);
    job->result = json_pack("{s:o}", vdc_str(job->params, "name"), api_public(rule));
    return 0;
}

/* Firewall rules that a forward opened go with it. */
static int drop_rule(struct vdb *db, const char *kind, const char *id, struct err *err)
{
    _cleanup_json_ json_t *opened = vdb_find(db, "firewall", "_forward", id);
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(opened, i, one)
    {
        if (vdb_del(db, "firewall", vdc_str(one, "id"), err) < 0)
            return -1;
    }
    return vdb_del(db, kind, id, err);
}

void undo_create_rule(struct api_job *job)
{
    struct err err = {0};

    drop_rule(job->db, vdc_str(job->params, "kind"), vdc_str(job->params, "id"), &err);
}

int job_delete_rule(struct api_job *job, struct err *err)
{
    const char *kind = vdc_str(job->params, "kind"), *id = vdc_str(job->params, "id");

    if (drop_rule(job->db, kind, id, err) < 0)
        return -1;
    return router_update(job->db, vdc_str(job->params, "networkid"), err);
}
