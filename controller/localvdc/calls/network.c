/* SPDX-License-Identifier: Apache-2.0 */
/* Networks, Direct Connect Groups and public addresses. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/keys.h"
#include "common/str.h"
#include "controller/localvdc/api/job.h"
#include "controller/localvdc/base/zones.h"
#include "controller/localvdc/calls/calls.h"
#include "controller/localvdc/network/router.h"
#include "controller/localvdc/network/rules.h"

#define GROUP_FIRST 1000 /* ids of groups are numbers; small ones look like indices */

static int internal(struct api_rq *rq, const struct err *err)
{
    vdb_rollback(rq->db);
    return rq->code ? -1 : api_fail(rq, API_INTERNAL, "%s", err->msg);
}

json_t *network_new(struct api_rq *rq, const json_t *zone, const char *cidr, const char *at,
                    const char *name)
{
    struct err err = {0};
    struct ipv4_net c;
    uint32_t gateway = 0;
    char id[37], now[32], mask[16];

    if (guest_net_parse(cidr, &c, &err) < 0) {
        api_fail(rq, API_PARAM, "Invalid parameter cidr: %s", err.msg);
        return NULL;
    }
    if (ipv4_parse(at, &gateway) < 0 || !ipv4_net_has(&c, gateway) || gateway == c.base ||
        gateway == (c.base | (~ipv4_mask(c.len)))) {
        api_fail(rq, API_PARAM, "Invalid parameter gateway: %s is no host address of %s", at, cidr);
        return NULL;
    }
    keys_uuid(id);
    vdc_now(now);
    ipv4_text(ipv4_mask(c.len), mask);
    json_t *network = json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:b,s:b,s:b,s:b,s:[]}", "id", id, "name",
        name ? name : id, "displaytext", name ? name : id, "zoneid", vdc_str(zone, "id"),
        "zonename", vdc_str(zone, "name"), "cidr", cidr, "gateway", at, "netmask", mask, "type",
        "Isolated", "state", "Allocated", "traffictype", "Guest", "created", now, "canusefordeploy",
        1, "restartrequired", 0, "issystem", 0, "ispersistent", 1, "tags");
    account_own(network, rq->account);
    return network;
}

/* What the VDC's own kinds of network have in common. */
static json_t *vdc_network(struct api_rq *rq, const char *subtype)
{
    const char *zonename = api_arg(rq, "zonename");
    _cleanup_json_ json_t *zone = zones_find(NULL, zonename);

    if (!zone) {
        api_fail(rq, API_PARAM, "Unable to find zone %s", zonename);
        return NULL;
    }
    json_t *network = network_new(rq, zone, api_arg(rq, "cidr"), api_arg(rq, "gateway"),
                                  api_arg(rq, "displaytext"));
    if (network) {
        json_object_set_new(network, "subtype", json_string(subtype));
        json_object_set_new(network, "isprovisioned", json_false());
        offering_set(network, str_eq(subtype, "internetgateway"));
    }
    return network;
}

static int provision_later(struct api_rq *rq, const char *id, struct err *err)
{
    char job[37] = "";

    return api_job_new(rq->db, JOB_PROVISION, "Network", id, json_pack("{s:s}", "networkid", id),
                       job, err);
}

int call_create_local_network(struct api_rq *rq)
{
    struct err err = {0};
    _cleanup_json_ json_t *network = vdc_network(rq, "internetgateway");

    if (!network)
        return -1;
    const char *id = vdc_str(network, "id");
    if (vdb_begin(rq->db, &err) < 0)
        return internal(rq, &err);
    _cleanup_json_ json_t *ip = ip_new(rq, network, NULL, true);
    if (!ip)
        return internal(rq, &err);
    json_object_set(network, "_ip", json_object_get(ip, "ipaddress"));
    if (vdb_put(rq->db, "network", id, network, &err) < 0 || provision_later(rq, id, &err) < 0 ||
        vdb_commit(rq->db, &err) < 0)
        return internal(rq, &err);
    rq->result = json_pack("{s:i,s:[o]}", "count", 1, "localnetwork", api_public(network));
    return 0;
}

static json_t *find_group(struct api_rq *rq)
{
    const char *id = api_arg(rq, "dcgid"), *name = api_arg(rq, "dcgname");
    _cleanup_json_ json_t *groups = api_list(rq, "dcg");
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(groups, i, one)
    {
        if ((id || name) && (!id || str_eq(id, vdc_str(one, "id"))) &&
            (!name || str_eq(name, vdc_str(one, "name"))))
            return json_incref(one);
    }
    api_fail(rq, API_PARAM,
             "Invalid parameter dcgid or dcgname: there is no such Direct Connect Group");
    return NULL;
}

static int check_overlap(struct api_rq *rq, const char *group, const char *cidr)
{
    struct ipv4_net c;
    struct err bad = {0};

    if (guest_net_parse(cidr, &c, &bad) < 0)
        return api_fail(rq, API_PARAM, "Invalid parameter cidr: %s", bad.msg);
    _cleanup_json_ json_t *others = vdb_find(rq->db, "network", "dcgid", group);
    size_t i = 0;
    json_t *one = NULL;
    json_array_foreach(others, i, one)
    {
        struct ipv4_net other;
        struct err err = {0};

        if (guest_net_parse(vdc_str(one, "cidr"), &other, &err) == 0 &&
            ipv4_net_overlaps(&c, &other))
            return api_fail(rq, API_PARAM, "Invalid parameter cidr: it overlaps %s of network %s",
                            vdc_str(one, "cidr"), vdc_str(one, "name"));
    }
    return 0;
}

int call_create_private_direct_connect(struct api_rq *rq)
{
    struct err err = {0};
    _cleanup_json_ json_t *group = find_group(rq);
    _cleanup_json_ json_t *network = group ? vdc_network(rq, "privatedirectconnect") : NULL;

    if (!network)
        return -1;
    const char *id = vdc_str(network, "id");
    json_object_set(network, "dcgid", json_object_get(group, "id"));
    json_object_set(network, "dcgfriendlyname", json_object_get(group, "name"));
    if (vdb_begin(rq->db, &err) < 0)
        return internal(rq, &err);
    if (check_overlap(rq, vdc_str(group, "id"), api_arg(rq, "cidr")) < 0) {
        vdb_rollback(rq->db);
        return -1;
    }
    if (vdb_put(rq->db, "network", id, network, &err) < 0 || provision_later(rq, id, &err) < 0 ||
        vdb_commit(rq->db, &err) < 0)
        return internal(rq, &err);
    json_t *shown = api_public(network);
    _cleanup_free_ char *sid = str_fmt("LOCAL/IPVPN/%s", vdc_str(group, "id"));
    json_object_set_new(shown, "sid", json_string(sid));
    rq->result = json_pack("{s:i,s:[o]}", "count", 1, "privatedirectconnect", shown);
    return 0;
}

int call_create_dcg(struct api_rq *rq)
{
    struct err err = {0};
    long long number = 0;
    const char *name = api_arg(rq, "name");
    _cleanup_json_ json_t *same = api_find(rq, "dcg", "name", name);

    if (json_array_size(same) > 0)
        return api_fail(rq, API_PARAM, "A Direct Connect Group named %s exists", name);
    if (vdb_next(rq->db, "dcg", &number, &err) < 0)
        return internal(rq, &err);
    number += GROUP_FIRST;
    _cleanup_free_ char *id = str_fmt("%lld", number);
    _cleanup_json_ json_t *doc =
        json_pack("{s:s,s:s,s:s}", "id", id, "name", name, "account", rq->account);
    if (vdb_put(rq->db, "dcg", id, doc, &err) < 0)
        return internal(rq, &err);
    rq->result = json_pack("{s:i,s:[{s:I,s:s}]}", "count", 1, "directconnectgroup", "id",
                           (json_int_t)number, "name", name);
    return 0;
}

int call_list_dcgs(struct api_rq *rq)
{
    _cleanup_json_ json_t *groups = api_list(rq, "dcg");
    json_t *shown = json_array();
    size_t i = 0, k = 0;
    json_t *one = NULL, *network = NULL;

    json_array_foreach(groups, i, one)
    {
        const char *id = vdc_str(one, "id");

        if (!api_match(rq, "id", id) || !api_match(rq, "name", vdc_str(one, "name")))
            continue;
        _cleanup_json_ json_t *members = vdb_find(rq->db, "network", "dcgid", id);
        json_t *networks = json_array();
        json_array_foreach(members, k, network)
        {
            json_array_append_new(networks, api_public(network));
        }
        _cleanup_free_ char *sid = str_fmt("LOCAL/IPVPN/%s", id);
        json_array_append_new(shown,
                              json_pack("{s:s,s:s,s:[s],s:o}", "id", id, "name",
                                        vdc_str(one, "name"), "sids", sid, "networks", networks));
    }
    return api_reply_list(rq, "directconnectgroups", shown);
}

int call_list_networks(struct api_rq *rq)
{
    return api_reply_where(rq, "network", api_list(rq, "network"),
                           API_FILTERS("zoneid", "subtype", "type", "canusefordeploy"));
}

int call_delete_network(struct api_rq *rq)
{
    _cleanup_json_ json_t *network = api_need(rq, "id", "network");

    if (!network)
        return -1;
    const char *id = vdc_str(network, "id");
    return api_reply_job(rq, "Network", NULL, json_pack("{s:s}", "id", id));
}

/* The name of a guest that has a NIC in the network, or NULL; the caller frees. */
static char *user_of(struct vdb *db, const char *network_id)
{
    _cleanup_json_ json_t *vms = vdb_list(db, "vm");
    size_t i = 0, k = 0;
    json_t *vm = NULL, *nic = NULL;

    json_array_foreach(vms, i, vm)
    {
        json_array_foreach(json_object_get(vm, "nic"), k, nic)
        {
            if (str_eq(vdc_str(nic, "networkid"), network_id))
                return xstrdup(vdc_str(vm, "name"));
        }
    }
    return NULL;
}

static int drop_all(struct vdb *db, const char *kind, const char *key, const char *network_id,
                    struct err *err)
{
    _cleanup_json_ json_t *all = vdb_find(db, kind, key, network_id);
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(all, i, one)
    {
        if (vdb_del(db, kind, vdc_str(one, "id"), err) < 0)
            return -1;
    }
    return 0;
}

int job_delete_network(struct api_job *job, struct err *err)
{
    const char *id = vdc_str(job->params, "id");
    _cleanup_close_ int held = router_lock(id, err);
    _cleanup_json_ json_t *network = held >= 0 ? vdb_get(job->db, "network", id) : NULL;

    if (held < 0)
        return -1;
    if (!network)
        return 0; /* done before */
    _cleanup_free_ char *user = user_of(job->db, id);
    if (user)
        return err_set(err, ERR_FAILED,
                       "Failed to delete network %s: virtual machine %s still has a NIC in it",
                       vdc_str(network, "name"), user);
    if (router_remove(network, err) < 0)
        return -1;
    if (vdb_begin(job->db, err) < 0)
        return -1;
    if (drop_all(job->db, "egress", "networkid", id, err) < 0 ||
        drop_all(job->db, "forward", "networkid", id, err) < 0 ||
        drop_all(job->db, "firewall", "networkid", id, err) < 0 ||
        drop_all(job->db, "ip", "associatednetworkid", id, err) < 0 ||
        vdb_del(job->db, "network", id, err) < 0) {
        vdb_rollback(job->db);
        return -1;
    }
    return vdb_commit(job->db, err);
}

int job_update(struct api_job *job, struct err *err)
{
    return router_update(job->db, vdc_str(job->params, "networkid"), err);
}

int job_provision(struct api_job *job, struct err *err)
{
    return router_ensure(job->db, vdc_str(job->params, "networkid"), err);
}
