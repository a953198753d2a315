/* SPDX-License-Identifier: Apache-2.0 */
/* Public addresses: a network's own for source NAT, further ones, and static NAT to one guest. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/keys.h"
#include "common/str.h"
#include "controller/localvdc/api/job.h"
#include "controller/localvdc/calls/calls.h"
#include "controller/localvdc/network/router.h"

static bool is_free(const json_t *ips, const char *address)
{
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(ips, i, one)
    {
        if (str_eq(vdc_str(one, "ipaddress"), address))
            return false;
    }
    return true;
}

/* The asked address of the pool, or the first that nobody has. Within a transaction. */
static int pick(struct api_rq *rq, const char *asked, char ret[16])
{
    _cleanup_json_ json_t *ips = vdb_list(rq->db, "ip");

    for (int last = VDC_POOL_FIRST; last <= VDC_POOL_LAST; last++) {
        snprintf(ret, 16, VDC_POOL_PREFIX "%d", last);
        if ((!asked || str_eq(asked, ret)) && is_free(ips, ret))
            return 0;
    }
    if (asked)
        return api_fail(rq, API_PARAM, "The address %s is not free in the pool " VDC_POOL, asked);
    return api_fail(rq, API_CAPACITY, "No public address is left in the pool " VDC_POOL);
}

json_t *ip_new(struct api_rq *rq, const json_t *network, const char *asked, bool source_nat)
{
    char id[37], now[32], address[16];
    struct err err = {0};

    if (pick(rq, asked, address) < 0)
        return NULL;
    keys_uuid(id);
    vdc_now(now);
    json_t *doc = json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:b,s:b,s:b,s:b,s:[]}", "id", id, "ipaddress", address,
        "allocated", now, "zoneid", vdc_str(network, "zoneid"), "zonename",
        vdc_str(network, "zonename"), "associatednetworkid", vdc_str(network, "id"),
        "associatednetworkname", vdc_str(network, "name"), "state", "Allocated", "issourcenat",
        source_nat, "isstaticnat", 0, "issystem", 0, "forvirtualnetwork", 1, "tags");
    account_own(doc, rq->account);
    if (vdb_put(rq->db, "ip", id, doc, &err) == 0)
        return doc;
    json_decref(doc);
    api_fail(rq, API_INTERNAL, "%s", err.msg);
    return NULL;
}

int call_list_public_ips(struct api_rq *rq)
{
    return api_reply_where(rq, "publicipaddress", api_list(rq, "ip"),
                           API_FILTERS("zoneid", "ipaddress", "associatednetworkid", "issourcenat",
                                       "isstaticnat", "state"));
}

/* The network that gets a further address: the one that is named, or the zone's only one. */
static json_t *network_of(struct api_rq *rq)
{
    if (api_arg(rq, "vpcid")) {
        api_fail(rq, API_UNSUPPORTED, "This cloud has no VPCs");
        return NULL;
    }
    if (api_arg(rq, "networkid"))
        return api_need(rq, "networkid", "network");
    const char *zone = api_arg(rq, "zoneid");
    _cleanup_json_ json_t *all = zone ? api_find(rq, "network", "zoneid", zone) : json_array();
    json_t *found = NULL;
    size_t i = 0, n = 0;
    json_t *one = NULL;
    json_array_foreach(all, i, one)
    {
        if (*vdc_str(one, "_ip") && n++ == 0)
            found = one;
    }
    if (n == 1)
        return json_incref(found);
    api_fail(rq, API_PARAM,
             "Give networkid: there are %zu networks with an Internet gateway in "
             "the zone",
             n);
    return NULL;
}

int call_associate_ip(struct api_rq *rq)
{
    struct err err = {0};
    _cleanup_json_ json_t *network = network_of(rq);

    if (!network)
        return -1;
    if (!*vdc_str(network, "_ip"))
        return api_fail(rq, API_PARAM, "Network %s has no Internet gateway, so no public addresses",
                        vdc_str(network, "name"));
    if (vdb_begin(rq->db, &err) < 0)
        return api_fail(rq, API_INTERNAL, "%s", err.msg);
    _cleanup_json_ json_t *ip = ip_new(rq, network, api_arg(rq, "ipaddress"), false);
    if (!ip || api_reply_job(rq, "IpAddress", vdc_str(ip, "id"),
                             json_pack("{s:s,s:s}", "id", vdc_str(ip, "id"), "networkid",
                                       vdc_str(network, "id"))) < 0) {
        vdb_rollback(rq->db);
        return -1;
    }
    return vdb_commit(rq->db, &err) == 0 ? 0 : api_fail(rq, API_INTERNAL, "%s", err.msg);
}

int job_associate_ip(struct api_job *job, struct err *err)
{
    if (router_update(job->db, vdc_str(job->params, "networkid"), err) < 0)
        return -1;
    _cleanup_json_ json_t *ip = vdb_get(job->db, "ip", vdc_str(job->params, "id"));
    if (!ip)
        return err_set(err, ERR_FAILED, "the address was released meanwhile");
    job->result = json_pack("{s:o}", "ipaddress", api_public(ip));
    return 0;
}

void undo_associate_ip(struct api_job *job)
{
    struct err err = {0};

    vdb_del(job->db, "ip", vdc_str(job->params, "id"), &err);
}

int call_disassociate_ip(struct api_rq *rq)
{
    _cleanup_json_ json_t *ip = api_need(rq, "id", "ip");

    if (!ip)
        return -1;
    if (json_is_true(json_object_get(ip, "issourcenat")))
        return api_fail(rq, API_PARAM,
                        "The address %s is for source NAT of network %s; it goes with the network",
                        vdc_str(ip, "ipaddress"), vdc_str(ip, "associatednetworkname"));
    return api_reply_job(rq, "IpAddress", NULL, json_pack("{s:s}", "id", vdc_str(ip, "id")));
}

static int drop_rules(struct vdb *db, const char *kind, const char *ip_id, struct err *err)
{
    _cleanup_json_ json_t *all = vdb_find(db, kind, "ipaddressid", ip_id);
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(all, i, one)
    {
        if (vdb_del(db, kind, vdc_str(one, "id"), err) < 0)
            return -1;
    }
    return 0;
}

/* The members of a guest's document that name its address for static NAT; NULL: none any more. */
static int show_public(struct vdb *db, const char *vm_id, const json_t *ip, struct err *err)
{
    _cleanup_json_ json_t *vm = vdb_get(db, "vm", vm_id);

    if (!vm)
        return 0;
    json_t *members = ip ? json_pack("{s:s,s:s}", "publicip", vdc_str(ip, "ipaddress"),
                                     "publicipid", vdc_str(ip, "id"))
                         : json_pack("{s:n,s:n}", "publicip", "publicipid");
    return vdb_patch(db, "vm", vm_id, members, err);
}

int job_disassociate_ip(struct api_job *job, struct err *err)
{
    const char *id = vdc_str(job->params, "id");
    _cleanup_json_ json_t *ip = vdb_get(job->db, "ip", id);

    if (!ip)
        return 0; /* done before */
    const char *network_id = vdc_str(ip, "associatednetworkid");
    _cleanup_json_ json_t *network = vdb_get(job->db, "network", network_id);
    if (drop_rules(job->db, "forward", id, err) < 0 ||
        drop_rules(job->db, "firewall", id, err) < 0 ||
        show_public(job->db, vdc_str(ip, "virtualmachineid"), NULL, err) < 0)
        return -1;
    if (network && router_wanted(network))
        router_drop_address(network, vdc_str(ip, "ipaddress"));
    if (vdb_del(job->db, "ip", id, err) < 0)
        return -1;
    return router_update(job->db, network_id, err);
}

static json_t *not_nat(void)
{
    return json_pack("{s:b,s:n,s:n,s:n,s:n}", "isstaticnat", 0, "virtualmachineid",
                     "virtualmachinename", "virtualmachinedisplayname", "vmipaddress");
}

int call_enable_static_nat(struct api_rq *rq)
{
    struct err err = {0};
    _cleanup_json_ json_t *ip = api_need(rq, "ipaddressid", "ip");
    _cleanup_json_ json_t *vm = ip ? api_need(rq, "virtualmachineid", "vm") : NULL;

    if (!vm)
        return -1;
    const char *id = vdc_str(ip, "id"), *network_id = vdc_str(ip, "associatednetworkid");
    const char *address = nic_address(vm, network_id), *holder = vdc_str(ip, "virtualmachineid");
    _cleanup_json_ json_t *forwards = vdb_find(rq->db, "forward", "ipaddressid", id);
    if (json_is_true(json_object_get(ip, "issourcenat")) || json_array_size(forwards) > 0)
        return api_fail(rq, API_PARAM, "The address %s is for source NAT or has port forwards",
                        vdc_str(ip, "ipaddress"));
    if (!address)
        return api_fail(rq, API_PARAM, "Virtual machine %s has no NIC in the network of address %s",
                        vdc_str(vm, "name"), vdc_str(ip, "ipaddress"));
    if (*holder && !str_eq(holder, vdc_str(vm, "id")))
        return api_fail(rq, API_PARAM, "The address %s is for static NAT of virtual machine %s",
                        vdc_str(ip, "ipaddress"), vdc_str(ip, "virtualmachinename"));
    if (vdb_begin(rq->db, &err) < 0)
        return api_fail(rq, API_INTERNAL, "%s", err.msg);
    if (vdb_patch(rq->db, "ip", id,
                  json_pack("{s:b,s:s,s:s,s:s,s:s}", "isstaticnat", 1, "virtualmachineid",
                            vdc_str(vm, "id"), "virtualmachinename", vdc_str(vm, "name"),
                            "virtualmachinedisplayname", vdc_str(vm, "displayname"), "vmipaddress",
                            address),
                  &err) < 0 ||
        show_public(rq->db, vdc_str(vm, "id"), ip, &err) < 0 ||
        job_want(rq->db, JOB_UPDATE, "networkid", network_id, &err) < 0) {
        vdb_rollback(rq->db);
        return api_fail(rq, API_INTERNAL, "%s", err.msg);
    }
    rq->result = json_pack("{s:b}", "success", 1);
    return vdb_commit(rq->db, &err) == 0 ? 0 : api_fail(rq, API_INTERNAL, "%s", err.msg);
}

int call_disable_static_nat(struct api_rq *rq)
{
    _cleanup_json_ json_t *ip = api_need(rq, "ipaddressid", "ip");

    if (!ip)
        return -1;
    if (!json_is_true(json_object_get(ip, "isstaticnat")))
        return api_fail(rq, API_PARAM, "The address %s is not for static NAT",
                        vdc_str(ip, "ipaddress"));
    return api_reply_job(rq, "IpAddress", NULL, json_pack("{s:s}", "id", vdc_str(ip, "id")));
}

int job_disable_static_nat(struct api_job *job, struct err *err)
{
    const char *id = vdc_str(job->params, "id");
    _cleanup_json_ json_t *ip = vdb_get(job->db, "ip", id);

    if (!ip)
        return 0;
    if (show_public(job->db, vdc_str(ip, "virtualmachineid"), NULL, err) < 0 ||
        vdb_patch(job->db, "ip", id, not_nat(), err) < 0)
        return -1;
    return router_update(job->db, vdc_str(ip, "associatednetworkid"), err);
}

int ip_forget_vm(struct vdb *db, const char *vm_id, struct err *err)
{
    _cleanup_json_ json_t *ips = vdb_find(db, "ip", "virtualmachineid", vm_id);
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(ips, i, one)
    {
        if (vdb_patch(db, "ip", vdc_str(one, "id"), not_nat(), err) < 0)
            return -1;
    }
    return 0;
}
