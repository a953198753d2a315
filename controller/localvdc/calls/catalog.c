/* SPDX-License-Identifier: Apache-2.0 */
/* Zones, templates and offerings. */
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

static const struct {
    int memory; /* MiB */
    int cpus;
} services[] = {{512, 1},  {1024, 1}, {1024, 2}, {2048, 1}, {2048, 2}, {4096, 1},
                {4096, 2}, {4096, 4}, {8192, 2}, {8192, 4}, {16384, 4}};

static const char *const disks[] = {"EBS", "EBS Protected", "EBS Mirrored"};

static json_t *service_json(size_t i)
{
    char id[37], name[32];

    snprintf(name, sizeof(name), "%d-%d", services[i].memory, services[i].cpus);
    keys_uuid_derived("mvdc-service-offering", name, id);
    return json_pack("{s:s,s:s,s:s,s:i,s:i,s:i,s:s,s:b,s:b,s:b}", "id", id, "name", name,
                     "displaytext", name, "cpunumber", services[i].cpus, "cpuspeed", 2000, "memory",
                     services[i].memory, "storagetype", "shared", "iscustomized", 0, "issystem", 0,
                     "offerha", 0);
}

static json_t *disk_json(const char *name)
{
    char id[37];

    keys_uuid_derived("mvdc-disk-offering", name, id);
    return json_pack("{s:s,s:s,s:s,s:i,s:b,s:b,s:s}", "id", id, "name", name, "displaytext", name,
                     "disksize", 0, "iscustomized", 1, "displayoffering", 1, "storagetype",
                     "shared");
}

/* The first is what a client finds that takes any. */
static const struct {
    const char *name, *text;
    enum template_kind kind;
    bool password;
} templates[] = {
    {TEMPLATE_NAME, "Debian GNU/Linux 12 (bookworm)", TEMPLATE_BARE, false},
    {TEMPLATE_NAME " with password", "Debian GNU/Linux 12 (bookworm), sets a password",
     TEMPLATE_BARE, true},
    {TEMPLATE_NAME " with servers", "Debian GNU/Linux 12 (bookworm), MariaDB, Apache, PHP",
     TEMPLATE_SERVERS, false},
};

static json_t *template_json(size_t i, const json_t *zone)
{
    char id[37], os[37];

    keys_uuid_derived("mvdc-template", templates[i].name, id);
    keys_uuid_derived("mvdc-os", TEMPLATE_NAME, os);
    bool ready = template_ready(templates[i].kind);
    return json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:b,s:b,s:b,s:b,s:b,s:b,s:s,s:s,s:s,s:s,s:s,s:I,s:s,s:s,s:s,s:[]}",
        "id", id, "name", templates[i].name, "displaytext", templates[i].text, "zoneid",
        vdc_str(zone, "id"), "zonename", vdc_str(zone, "name"), "ispublic", 1, "isfeatured", 1,
        "crossZones", 1, "isready", 1, "passwordenabled", templates[i].password, "sshkeyenabled", 1,
        "status", ready ? "Download Complete" : "is built at its first use", "ostypeid", os,
        "ostypename", TEMPLATE_NAME, "format", "TAR", "hypervisor", compute_drivers[0]->name,
        "size", (json_int_t)20 * 1024 * 1024 * 1024, "templatetype", "USER", "account", VDC_ACCOUNT,
        "domain", VDC_DOMAIN, "tags");
}

static json_t *all_services(void)
{
    json_t *all = json_array();

    for (size_t i = 0; i < ARRAY_LEN(services); i++)
        json_array_append_new(all, service_json(i));
    return all;
}

static json_t *all_disks(void)
{
    json_t *all = json_array();

    for (size_t i = 0; i < ARRAY_LEN(disks); i++)
        json_array_append_new(all, disk_json(disks[i]));
    return all;
}

/* Takes the array over. */
static json_t *pick(json_t *array, const char *id)
{
    _cleanup_json_ json_t *all = array;
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(all, i, one)
    {
        if (strcasecmp(vdc_str(one, "id"), id) == 0)
            return json_incref(one);
    }
    return NULL;
}

json_t *catalog_service_offering(const char *id)
{
    return pick(all_services(), id);
}

json_t *catalog_disk_offering(const char *id)
{
    return pick(all_disks(), id);
}

json_t *catalog_template(const char *id)
{
    json_t *all = json_array();

    for (size_t i = 0; i < ARRAY_LEN(templates); i++)
        json_array_append_new(all, template_json(i, NULL));
    return pick(all, id);
}

void catalog_template_dir(const char *name, char *ret, size_t cap)
{
    enum template_kind kind = TEMPLATE_BARE;

    for (size_t i = 0; i < ARRAY_LEN(templates); i++)
        if (str_eq(templates[i].name, name))
            kind = templates[i].kind;
    template_dir(kind, ret, cap);
}

int call_list_zones(struct api_rq *rq)
{
    return api_reply_where(rq, "zone", zones_list(), API_FILTERS("name", "networktype"));
}

int call_list_service_offerings(struct api_rq *rq)
{
    return api_reply_where(rq, "serviceoffering", all_services(),
                           API_FILTERS("name", "cpunumber", "memory", "issystem"));
}

int call_list_disk_offerings(struct api_rq *rq)
{
    return api_reply_where(rq, "diskoffering", all_disks(), API_FILTERS("name"));
}

int call_list_templates(struct api_rq *rq)
{
    static const char *const filters[] = {
        "featured", "self", "selfexecutable", "sharedexecutable", "executable", "community", "all"};
    const char *filter = api_arg(rq, "templatefilter");
    bool known = false;

    for (size_t i = 0; i < ARRAY_LEN(filters); i++)
        known = known || strcasecmp(filters[i], filter) == 0;
    if (!known)
        return api_fail(rq, API_PARAM, "Invalid value for parameter templatefilter: %s", filter);
    json_t *all = json_array();
    _cleanup_json_ json_t *every = zones_list();
    bool unique = api_arg_bool(rq, "showunique", false);
    size_t i = 0;
    json_t *zone = NULL;
    json_array_foreach(every, i, zone)
    {
        for (size_t k = 0; k < ARRAY_LEN(templates) && !(unique && i > 0); k++)
            json_array_append_new(all, template_json(k, zone));
    }
    return api_reply_where(rq, "template", all, API_FILTERS("name", "zoneid", "hypervisor"));
}

int job_template(struct api_job *job, struct err *err)
{
    (void)job;
    return template_ensure(TEMPLATE_BARE, err);
}
