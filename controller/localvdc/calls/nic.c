/* SPDX-License-Identifier: Apache-2.0 */
/* NICs of guests: their addresses, and adding and removing them later. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/cleanup.h"
#include "common/keys.h"
#include "common/str.h"
#include "controller/localvdc/calls/calls.h"
#include "controller/localvdc/machine/compute.h"
#include "controller/localvdc/network/router.h"
#include "controller/localvdc/network/rules.h"

static int pick_address(struct api_rq *rq, const json_t *network, const char *asked, char ret[16])
{
    struct ipv4_net c;
    struct err err = {0};
    uint32_t address = 0;
    const char *id = vdc_str(network, "id"), *gateway = vdc_str(network, "gateway");
    _cleanup_json_ json_t *used = vdb_members(rq->db, "vm", "nic", "networkid", id, "ipaddress");

    if (guest_net_parse(vdc_str(network, "cidr"), &c, &err) < 0)
        return api_fail(rq, API_INTERNAL, "%s", err.msg);
    if (!asked) {
        if (guest_net_pick(&c, gateway, used, ret, &err) < 0)
            return api_fail(rq, API_CAPACITY, "network %s: %s", vdc_str(network, "name"), err.msg);
        return 0;
    }
    bool taken = str_eq(asked, gateway);
    size_t i = 0;
    json_t *one = NULL;
    json_array_foreach(used, i, one)
    {
        taken = taken || str_eq(json_string_value(one), asked);
    }
    if (ipv4_parse(asked, &address) < 0 || !ipv4_net_has(&c, address) || taken)
        return api_fail(rq, API_PARAM, "The address %s is not free in network %s", asked,
                        vdc_str(network, "name"));
    str_copy(ret, 16, asked);
    return 0;
}

/* The asked one in lower case, or a random one. */
static int pick_mac(struct api_rq *rq, const char *asked, char ret[18])
{
    unsigned b[6] = {2};
    uint8_t r[4];
    char end = 0;

    keys_random(r, sizeof(r));
    for (size_t i = 0; i < sizeof(r); i++)
        b[i + 2] = r[i];
    if (asked && (sscanf(asked, "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2], &b[3], &b[4],
                         &b[5], &end) != 6 ||
                  (b[0] & 1)))
        return api_fail(rq, API_PARAM, "Mac address is not valid: %s", asked);
    snprintf(ret, 18, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
    _cleanup_json_ json_t *same = vdb_members(rq->db, "vm", "nic", "macaddress", ret, "id");
    if (json_array_size(same) > 0)
        return api_fail(rq, API_PARAM, "The MAC address %s is in use", ret);
    return 0;
}

static json_int_t next_device(const json_t *nics)
{
    json_int_t next = 0;
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(nics, i, one)
    {
        json_int_t n = strtol(vdc_str(one, "deviceid"), NULL, 10);

        next = n >= next ? n + 1 : next;
    }
    return next;
}

int nic_add(struct api_rq *rq, json_t *nics, const char *network_id, const char *zone_id,
            const char *ip, const char *mac)
{
    char id[37], address[16], hardware[18], device[24];
    bool first = json_array_size(nics) == 0;

    if (json_array_size(nics) >= NICS_MAX)
        return api_fail(rq, API_PARAM, "A virtual machine has at most %d NICs", NICS_MAX);
    _cleanup_json_ json_t *network = api_get(rq, "network", network_id);
    if (!network)
        return api_fail(rq, API_PARAM, "Unable to find network by id %s", network_id);
    if (!str_eq(vdc_str(network, "zoneid"), zone_id))
        return api_fail(rq, API_PARAM, "Network %s is in zone %s, not in that of the VM",
                        vdc_str(network, "name"), vdc_str(network, "zonename"));
    if (pick_address(rq, network, ip, address) < 0 || pick_mac(rq, mac, hardware) < 0)
        return -1;
    keys_uuid(id);
    snprintf(device, sizeof(device), "%" JSON_INTEGER_FORMAT, next_device(nics));
    json_array_append_new(
        nics,
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:b,s:[]}", "id", id, "networkid",
                  network_id, "networkname", vdc_str(network, "name"), "netmask",
                  vdc_str(network, "netmask"), "gateway", vdc_str(network, "gateway"), "ipaddress",
                  address, "macaddress", hardware, "type", vdc_str(network, "type"), "traffictype",
                  "Guest", "deviceid", device, "isdefault", first, "secondaryip"));
    return 0;
}

int call_list_nics(struct api_rq *rq)
{
    _cleanup_json_ json_t *vm = api_need(rq, "virtualmachineid", "vm");

    if (!vm)
        return -1;
    json_t *shown = json_array();
    size_t i = 0;
    json_t *nic = NULL;
    json_array_foreach(json_object_get(vm, "nic"), i, nic)
    {
        if (!api_match(rq, "nicid", vdc_str(nic, "id")) ||
            !api_match(rq, "networkid", vdc_str(nic, "networkid")))
            continue;
        json_object_set(nic, "virtualmachineid", json_object_get(vm, "id"));
        json_array_append(shown, nic);
    }
    return api_reply_list(rq, "nic", shown);
}

/* NICs are given to a guest when it starts. */
static int check_stopped(struct api_rq *rq, json_t *vm)
{
    vm_refresh(rq->db, vm);
    const char *state = vdc_str(vm, "state");
    if (str_eq(state, "Stopped") || (str_eq(state, "Running") && compute_of(vm)->record_only))
        return 0;
    return api_fail(rq, API_PARAM,
                    "Virtual machine %s is %s; NICs are added and removed here while it is "
                    "Stopped: call stopVirtualMachine first",
                    vdc_str(vm, "name"), state);
}

static int put_nics(struct api_rq *rq, json_t *vm, const char *network_id)
{
    struct err err = {0};

    if (vdb_patch(rq->db, "vm", vdc_str(vm, "id"),
                  json_pack("{s:O}", "nic", json_object_get(vm, "nic")), &err) < 0)
        return api_fail(rq, API_INTERNAL, "%s", err.msg);
    return api_reply_job(rq, "VirtualMachine", NULL,
                         json_pack("{s:s,s:s}", "id", vdc_str(vm, "id"), "networkid", network_id));
}

static int change_nics(struct api_rq *rq, int (*change)(struct api_rq *rq, json_t *vm))
{
    struct err err = {0};

    if (vdb_begin(rq->db, &err) < 0)
        return api_fail(rq, API_INTERNAL, "%s", err.msg);
    _cleanup_json_ json_t *vm = api_need(rq, "virtualmachineid", "vm");
    if (!vm || check_stopped(rq, vm) < 0 || change(rq, vm) < 0) {
        vdb_rollback(rq->db);
        return -1;
    }
    return vdb_commit(rq->db, &err) == 0 ? 0 : api_fail(rq, API_INTERNAL, "%s", err.msg);
}

static int add(struct api_rq *rq, json_t *vm)
{
    const char *network_id = api_arg(rq, "networkid");
    json_t *nics = json_object_get(vm, "nic");
    size_t i = 0;
    json_t *nic = NULL;

    json_array_foreach(nics, i, nic)
    {
        if (str_eq(vdc_str(nic, "networkid"), network_id))
            return api_fail(rq, API_PARAM, "Virtual machine %s is in network %s already",
                            vdc_str(vm, "name"), vdc_str(nic, "networkname"));
    }
    if (nic_add(rq, nics, network_id, vdc_str(vm, "zoneid"), api_arg(rq, "ipaddress"),
                api_arg(rq, "macaddress")) < 0)
        return -1;
    return put_nics(rq, vm, network_id);
}

static int drop(struct api_rq *rq, json_t *vm)
{
    json_t *nics = json_object_get(vm, "nic");
    size_t i = 0;
    json_t *nic = NULL;

    json_array_foreach(nics, i, nic)
    {
        if (!str_eq(vdc_str(nic, "id"), api_arg(rq, "nicid")))
            continue;
        if (json_is_true(json_object_get(nic, "isdefault")))
            return api_fail(rq, API_PARAM, "Unable to remove the default NIC of virtual machine %s",
                            vdc_str(vm, "name"));
        _cleanup_free_ char *network_id = xstrdup(vdc_str(nic, "networkid"));
        _cleanup_json_ json_t *forwards =
            vdb_find(rq->db, "forward", "vmguestip", vdc_str(nic, "ipaddress"));
        if (json_array_size(forwards) > 0)
            return api_fail(rq, API_PARAM,
                            "Port forwarding rule %s leads to the NIC; delete it first",
                            vdc_str(json_array_get(forwards, 0), "id"));
        json_array_remove(nics, i);
        return put_nics(rq, vm, network_id);
    }
    return api_fail(rq, API_PARAM, "Virtual machine %s has no NIC %s", vdc_str(vm, "name"),
                    api_arg(rq, "nicid"));
}

int call_add_nic(struct api_rq *rq)
{
    return change_nics(rq, add);
}

int call_remove_nic(struct api_rq *rq)
{
    return change_nics(rq, drop);
}

/* The document has changed with the call; the router's reservations follow. */
int job_nics(struct api_job *job, struct err *err)
{
    if (router_update(job->db, vdc_str(job->params, "networkid"), err) < 0)
        return -1;
    job->result = vm_result(job->db, vdc_str(job->params, "id"));
    return 0;
}
