/* SPDX-License-Identifier: Apache-2.0 */
/* deployVirtualMachine: all checks, and the documents of a new guest. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/cleanup.h"
#include "common/keys.h"
#include "common/str.h"
#include "controller/localvdc/calls.h"
#include "controller/localvdc/compute.h"
#include "controller/localvdc/router.h"
#include "controller/localvdc/rules.h"
#include "controller/localvdc/template.h"
#include "controller/sign.h"

#define NICS_MAX 8
#define NAME_MAX_LEN 63
#define USERDATA_GET_MAX 4096 /* of base64 text */
#define USERDATA_MAX 32768
#define ROOT_GIB 20

static bool is_host_name(const char *s)
{
    size_t n = strlen(s);
    if (n == 0 || n > NAME_MAX_LEN || s[0] == '-' || s[n - 1] == '-' ||
        isdigit((unsigned char)s[0]))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!isalnum((unsigned char)s[i]) && s[i] != '-')
            return false;
    }
    return true;
}

static int check_name(struct api_rq *rq, const char *name)
{
    if (!is_host_name(name))
        return api_fail(rq, API_PARAM,
                        "Invalid name '%s'. It should be a valid host name: at most 63 letters, "
                        "digits and '-', beginning with a letter and not ending with '-'",
                        name);
    _cleanup_json_ json_t *same = api_find(rq, "vm", "name", name);
    if (json_array_size(same) > 0)
        return api_fail(rq, API_PARAM, "There already exists a VM with name %s", name);
    return 0;
}

static int check_userdata(struct api_rq *rq)
{
    struct err err = {0};
    const char *text = api_arg(rq, "userdata");
    _cleanup_free_ char *data = NULL;
    size_t len = 0;
    if (!text)
        return 0;
    if (!rq->post && strlen(text) > USERDATA_GET_MAX)
        return api_fail(rq, API_PARAM, "User data is too long for an http GET request");
    if (strlen(text) > USERDATA_MAX)
        return api_fail(rq, API_PARAM, "User data has exceeded configurable max length: %d",
                        USERDATA_MAX);
    if (base64_decode(text, &data, &len, &err) != 0)
        return api_fail(rq, API_PARAM, "User data is not base64 encoded.");
    return 0;
}

/* The texts of the named keys, one per line. */
static int public_keys(struct api_rq *rq, json_t *names, struct strbuf *out)
{
    size_t i = 0;
    json_t *one = NULL;
    json_array_foreach(names, i, one)
    {
        const char *name = json_string_value(one);
        _cleanup_json_ json_t *found = api_find(rq, "key", "name", name);
        if (json_array_size(found) == 0)
            return api_fail(rq, API_PARAM, "A key pair with name '%s' was not found.", name);
        strbuf_addf(out, "%s%s", i ? "\n" : "", vdc_str(json_array_get(found, 0), "_publickey"));
    }
    return 0;
}

/* The networks in their order, from networkids or iptonetworklist[i].networkid. */
static json_t *wanted_networks(const struct api_rq *rq)
{
    json_t *ids = api_split(api_arg(rq, "networkids"));
    for (int i = 0; i < NICS_MAX && json_array_size(ids) < NICS_MAX; i++) {
        char name[48];
        snprintf(name, sizeof(name), "iptonetworklist[%d].networkid", i);
        if (api_arg(rq, name))
            json_array_append_new(ids, json_string(api_arg(rq, name)));
    }
    return ids;
}

static const char *wanted_address(const struct api_rq *rq, const char *network_id, bool first)
{
    for (int i = 0; i < NICS_MAX; i++) {
        char name[48], ip[48];
        snprintf(name, sizeof(name), "iptonetworklist[%d].networkid", i);
        snprintf(ip, sizeof(ip), "iptonetworklist[%d].ip", i);
        const char *id = api_arg(rq, name);
        if (id && strcasecmp(id, network_id) == 0)
            return api_arg(rq, ip);
    }
    return first ? api_arg(rq, "ipaddress") : NULL;
}

static int pick_address(struct api_rq *rq, const json_t *network, bool first, char ret[16])
{
    struct ipv4_net c;
    struct err err = {0};
    uint32_t address = 0;
    const char *id = vdc_str(network, "id"), *gateway = vdc_str(network, "gateway");
    const char *asked = wanted_address(rq, id, first);
    _cleanup_json_ json_t *used = vdb_members(rq->db, "vm", "nic", "networkid", id, "ipaddress");
    if (ipv4_net_parse(vdc_str(network, "cidr"), &c, &err) != 0)
        return api_fail(rq, API_INTERNAL, "%s", err.msg);
    if (!asked) {
        if (ipv4_net_pick(&c, gateway, used, ret, &err) != 0)
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
    if (ipv4_parse(asked, &address) != 0 || !ipv4_net_has(&c, address) || taken)
        return api_fail(rq, API_PARAM, "The address %s is not free in network %s", asked,
                        vdc_str(network, "name"));
    str_copy(ret, 16, asked);
    return 0;
}

static int add_nic(struct api_rq *rq, json_t *nics, const char *network_id, const char *zone_id)
{
    char id[37], ip[16], mac[18], device[8];
    uint8_t r[4];
    size_t index = json_array_size(nics);
    _cleanup_json_ json_t *network = api_get(rq, "network", network_id);
    if (!network)
        return api_fail(rq, API_PARAM, "Unable to find network by id %s", network_id);
    if (!str_eq(vdc_str(network, "zoneid"), zone_id))
        return api_fail(rq, API_PARAM, "Network %s is in zone %s, not in that of the VM",
                        vdc_str(network, "name"), vdc_str(network, "zonename"));
    if (pick_address(rq, network, index == 0, ip) != 0)
        return -1;
    keys_uuid(id);
    keys_random(r, sizeof(r));
    snprintf(mac, sizeof(mac), "02:00:%02x:%02x:%02x:%02x", r[0], r[1], r[2], r[3]);
    snprintf(device, sizeof(device), "%zu", index);
    json_array_append_new(
        nics, json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:b}", "id", id, "networkid",
                        network_id, "networkname", vdc_str(network, "name"), "netmask",
                        vdc_str(network, "netmask"), "gateway", vdc_str(network, "gateway"),
                        "ipaddress", ip, "macaddress", mac, "type", "Isolated", "traffictype",
                        "Guest", "deviceid", device, "isdefault", index == 0));
    return 0;
}

static int add_nics(struct api_rq *rq, json_t *nics, const char *zone_id)
{
    _cleanup_json_ json_t *ids = wanted_networks(rq);
    size_t i = 0;
    json_t *one = NULL;
    if (json_array_size(ids) == 0 || json_array_size(ids) > NICS_MAX)
        return api_fail(rq, API_PARAM, "networkids must name from 1 to %d networks", NICS_MAX);
    json_array_foreach(ids, i, one)
    {
        if (add_nic(rq, nics, json_string_value(one), zone_id) != 0)
            return -1;
    }
    return 0;
}

struct wanted {
    json_t *zone, *template, *offering, *keypairs, *nics;
    const struct compute_ops *driver;
    struct strbuf keys;
};

static void wanted_free(struct wanted *w)
{
    json_decref(w->zone);
    json_decref(w->template);
    json_decref(w->offering);
    json_decref(w->keypairs);
    json_decref(w->nics);
    strbuf_free(&w->keys);
}

static json_t *vm_new(struct api_rq *rq, const struct wanted *w, const char *id, const char *name)
{
    char now[32], dir[128], os[37];
    const char *display = api_arg(rq, "displayname"), *userdata = api_arg(rq, "userdata");
    long long gib = api_arg_int(rq, "rootdisksize", ROOT_GIB);
    vdc_now(now);
    template_dir(dir, sizeof(dir));
    keys_uuid_derived("mvdc-os", TEMPLATE_NAME, os);
    _cleanup_free_ char *instance = str_fmt("mvdc-%.8s", id);
    return json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:i,s:i,s:s,s:b,s:b,s:s,s:O,"
        "s:O,s:[],s:s,s:s,s:s,s:I}",
        "id", id, "name", name, "displayname", display ? display : name, "instancename", instance,
        "zoneid", vdc_str(w->zone, "id"), "zonename", vdc_str(w->zone, "name"), "templateid",
        vdc_str(w->template, "id"), "templatename", vdc_str(w->template, "name"),
        "serviceofferingid", vdc_str(w->offering, "id"), "serviceofferingname",
        vdc_str(w->offering, "name"), "guestosid", os, "hypervisor", w->driver->name, "cpunumber",
        (int)json_integer_value(json_object_get(w->offering, "cpunumber")), "memory",
        (int)json_integer_value(json_object_get(w->offering, "memory")), "created", now, "haenable",
        0, "passwordenabled", 0, "state", "Starting", "nic", w->nics, "_keypairs", w->keypairs,
        "tags", "_userdata", userdata ? userdata : "", "_publickeys", strbuf_str(&w->keys),
        "_template", dir, "_rootsize", (json_int_t)(gib > 0 && gib < 2000 ? gib : ROOT_GIB) << 30);
}

static int deploy_within(struct api_rq *rq, struct wanted *w, const char *id, const char *name)
{
    struct err err = {0};
    if (check_name(rq, name) != 0 || add_nics(rq, w->nics, vdc_str(w->zone, "id")) != 0)
        return -1;
    _cleanup_json_ json_t *vm = vm_new(rq, w, id, name);
    if (json_array_size(w->keypairs) > 0)
        json_object_set(vm, "keypairs", json_array_get(w->keypairs, 0));
    account_own(vm, rq->account);
    bool start = api_arg_bool(rq, "startvm", true);
    if (!start)
        json_object_set_new(vm, "state", json_string("Stopped"));
    if (vdb_put(rq->db, "vm", id, vm, &err) != 0)
        return api_fail(rq, API_INTERNAL, "%s", err.msg);
    return api_reply_job(rq, "VirtualMachine", id,
                         json_pack("{s:s,s:b,s:b}", "id", id, "deploy", 1, "start", start));
}

int call_deploy_vm(struct api_rq *rq)
{
    char id[37];
    struct err err = {0};
    _cleanup_(wanted_free) struct wanted w = {0};
    keys_uuid(id);
    _cleanup_free_ char *made = str_fmt("VM-%s", id);
    const char *name = api_arg(rq, "name") ? api_arg(rq, "name") : made;
    w.zone = catalog_zone(api_arg(rq, "zoneid"), NULL);
    w.template = catalog_template(api_arg(rq, "templateid"));
    w.offering = catalog_service_offering(api_arg(rq, "serviceofferingid"));
    if (!w.zone || !w.template || !w.offering)
        return api_fail(rq, API_PARAM, "Unable to find %s by id",
                        !w.zone ? "zone" : (!w.template ? "template" : "service offering"));
    const char *hypervisor = api_arg(rq, "hypervisor");
    w.driver = hypervisor ? compute_find(hypervisor) : compute_drivers[0];
    if (!w.driver)
        return api_fail(rq, API_PARAM, "Invalid hypervisor type %s; listHypervisors lists them",
                        hypervisor);
    const char *pairs = api_arg(rq, "keypairs");
    w.keypairs = api_split(pairs ? pairs : api_arg(rq, "keypair"));
    w.nics = json_array();
    if (check_userdata(rq) != 0 || public_keys(rq, w.keypairs, &w.keys) != 0)
        return -1;
    if (vdb_begin(rq->db, &err) != 0)
        return api_fail(rq, API_INTERNAL, "%s", err.msg);
    if (deploy_within(rq, &w, id, name) != 0) {
        vdb_rollback(rq->db);
        return -1;
    }
    return vdb_commit(rq->db, &err) == 0 ? 0 : api_fail(rq, API_INTERNAL, "%s", err.msg);
}
