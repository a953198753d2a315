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
#include "controller/localvdc/base/zones.h"
#include "controller/localvdc/calls/calls.h"
#include "controller/localvdc/machine/compute.h"
#include "controller/localvdc/machine/template.h"

#define NAME_MAX_LEN 63
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

int vm_check_name(struct api_rq *rq, const char *name)
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

/* CloudStack takes the only network of the zone when none is named. */
static int default_network(struct api_rq *rq, const char *zone_id, json_t *ids)
{
    _cleanup_json_ json_t *all = api_find(rq, "network", "zoneid", zone_id);

    if (json_array_size(all) != 1)
        return api_fail(rq, API_PARAM,
                        "networkids must name from 1 to %d networks: there are %zu in the zone",
                        NICS_MAX, json_array_size(all));
    json_array_append(ids, json_object_get(json_array_get(all, 0), "id"));
    return 0;
}

static int add_nics(struct api_rq *rq, json_t *nics, const char *zone_id)
{
    _cleanup_json_ json_t *ids = wanted_networks(rq);
    size_t i = 0;
    json_t *one = NULL;

    if (json_array_size(ids) == 0 && default_network(rq, zone_id, ids) < 0)
        return -1;
    json_array_foreach(ids, i, one)
    {
        const char *id = json_string_value(one);

        if (nic_add(rq, nics, id, zone_id, wanted_address(rq, id, i == 0),
                    i == 0 ? api_arg(rq, "macaddress") : NULL) < 0)
            return -1;
    }
    return 0;
}

struct wanted {
    json_t *zone, *template, *offering, *disk, *keypairs, *nics, *userdata, *groups;
    const struct compute_ops *driver;
    struct strbuf keys;
    char password[PASSWORD_CHARS + 1]; /* "" unless the template asks for one */
};

static void wanted_free(struct wanted *w)
{
    json_decref(w->zone);
    json_decref(w->template);
    json_decref(w->offering);
    json_decref(w->disk);
    json_decref(w->keypairs);
    json_decref(w->nics);
    json_decref(w->userdata);
    json_decref(w->groups);
    strbuf_free(&w->keys);
    keys_wipe(w->password, sizeof(w->password));
}

static int number(const json_t *doc, const char *key)
{
    return (int)json_integer_value(json_object_get(doc, key));
}

static void set_text(json_t *doc, const char *key, const char *value)
{
    if (value)
        json_object_set_new(doc, key, json_string(value));
}

/* What the guest's start uses and nobody is shown. */
static void set_hidden(struct api_rq *rq, const struct wanted *w, json_t *vm)
{
    char dir[128];
    long long gib = api_arg_int(rq, "rootdisksize", ROOT_GIB);
    const char *key = NULL;
    json_t *value = NULL;

    catalog_template_dir(vdc_str(w->template, "name"), dir, sizeof(dir));
    set_text(vm, "_template", dir);
    set_text(vm, "_publickeys", strbuf_str(&w->keys));
    set_text(vm, "_password", *w->password ? w->password : NULL);
    json_object_set_new(vm, "_rootsize",
                        json_integer((json_int_t)(gib > 0 && gib < 2000 ? gib : ROOT_GIB) << 30));
    json_object_foreach(w->userdata, key, value)
    {
        if (!json_is_null(value))
            json_object_set(vm, key, value);
    }
}

static json_t *vm_new(struct api_rq *rq, const struct wanted *w, const char *id, const char *name)
{
    char now[32], os[37], user[37];
    const char *display = api_arg(rq, "displayname");

    vdc_now(now);
    keys_uuid_derived("mvdc-os", TEMPLATE_NAME, os);
    keys_uuid_derived("mvdc-user", rq->account, user);
    _cleanup_free_ char *instance = str_fmt("mvdc-%.8s", id);
    json_t *vm = json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:i,s:i,s:i,s:s,s:b,s:b,"
        "s:b,s:s,s:i,s:s,s:O,s:O,s:[],s:[]}",
        "id", id, "name", name, "displayname", display ? display : name, "instancename", instance,
        "userid", user, "username", rq->account, "zoneid", vdc_str(w->zone, "id"), "zonename",
        vdc_str(w->zone, "name"), "templateid", vdc_str(w->template, "id"), "templatename",
        vdc_str(w->template, "name"), "templatedisplaytext", vdc_str(w->template, "displaytext"),
        "serviceofferingid", vdc_str(w->offering, "id"), "serviceofferingname",
        vdc_str(w->offering, "name"), "guestosid", os, "ostypeid", os, "hypervisor",
        w->driver->name, "cpunumber", number(w->offering, "cpunumber"), "cpuspeed",
        number(w->offering, "cpuspeed"), "memory", number(w->offering, "memory"), "created", now,
        "haenable", 0, "displayvm", 1, "passwordenabled", *w->password != '\0', "state", "Starting",
        "rootdeviceid", 0, "rootdevicetype", "ROOT", "nic", w->nics, "affinitygroup", w->groups,
        "securitygroup", "tags");
    account_own(vm, rq->account);
    vm_set_keypairs(vm, w->keypairs);
    set_text(vm, "group", api_arg(rq, "group"));
    set_hidden(rq, w, vm);
    return vm;
}

/* A data disk that is deployed with the guest. */
static int put_disk(struct api_rq *rq, const struct wanted *w, const json_t *vm, struct err *err)
{
    if (!w->disk)
        return 0;
    _cleanup_free_ char *name = str_fmt("DATA-%.8s", vdc_str(vm, "id"));
    _cleanup_json_ json_t *volume = volume_new(rq, name, w->zone, w->disk);
    if (!volume)
        return -1;
    volume_claim(volume, vm, 1);
    return vdb_put(rq->db, "volume", vdc_str(volume, "id"), volume, err);
}

static int deploy_within(struct api_rq *rq, struct wanted *w, const char *id, const char *name)
{
    struct err err = {0};

    if (vm_check_name(rq, name) < 0 || add_nics(rq, w->nics, vdc_str(w->zone, "id")) < 0)
        return -1;
    _cleanup_json_ json_t *vm = vm_new(rq, w, id, name);
    bool start = api_arg_bool(rq, "startvm", true);
    if (!start)
        json_object_set_new(vm, "state", json_string("Stopped"));
    if (vdb_put(rq->db, "vm", id, vm, &err) < 0 || put_disk(rq, w, vm, &err) < 0)
        return rq->code ? -1 : api_fail(rq, API_INTERNAL, "%s", err.msg);
    json_t *args = json_pack("{s:s,s:b,s:b}", "id", id, "deploy", 1, "start", start);
    set_text(args, "password", *w->password ? w->password : NULL);
    return api_reply_job(rq, "VirtualMachine", id, args);
}

/* Everything that the call names, found. */
static int find_wanted(struct api_rq *rq, struct wanted *w)
{
    const char *hypervisor = api_arg(rq, "hypervisor"), *disk = api_arg(rq, "diskofferingid");

    w->zone = zones_find(api_arg(rq, "zoneid"), NULL);
    w->template = catalog_template(api_arg(rq, "templateid"));
    w->offering = catalog_service_offering(api_arg(rq, "serviceofferingid"));
    w->disk = disk ? catalog_disk_offering(disk) : NULL;
    w->driver = hypervisor ? compute_find(hypervisor) : compute_drivers[0];
    w->nics = json_array();
    const char *missing = !w->zone           ? "zone"
                          : !w->template     ? "template"
                          : !w->offering     ? "service offering"
                          : disk && !w->disk ? "disk offering"
                                             : NULL;
    if (missing)
        return api_fail(rq, API_PARAM, "Unable to find %s by id", missing);
    if (!w->driver)
        return api_fail(rq, API_PARAM, "Invalid hypervisor type %s; listHypervisors lists them",
                        hypervisor);
    if (json_is_true(json_object_get(w->template, "passwordenabled")))
        keys_token(w->password, PASSWORD_CHARS);
    w->keypairs = vm_keypairs(rq, &w->keys);
    return w->keypairs ? affinity_of(rq, &w->groups) : -1;
}

int call_deploy_vm(struct api_rq *rq)
{
    char id[37];
    struct err err = {0};
    _cleanup_(wanted_free) struct wanted w = {0};

    keys_uuid(id);
    _cleanup_free_ char *made = str_fmt("VM-%s", id);
    const char *name = api_arg(rq, "name") ? api_arg(rq, "name") : made;
    if (find_wanted(rq, &w) < 0 || userdata_of(rq, &w.userdata) < 0)
        return -1;
    if (vdb_begin(rq->db, &err) < 0)
        return api_fail(rq, API_INTERNAL, "%s", err.msg);
    if (deploy_within(rq, &w, id, name) < 0) {
        vdb_rollback(rq->db);
        return -1;
    }
    return vdb_commit(rq->db, &err) == 0 ? 0 : api_fail(rq, API_INTERNAL, "%s", err.msg);
}
