/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/localvdc/base/zones.h"

#include <strings.h>

#include "common/cleanup.h"
#include "common/keys.h"
#include "controller/localvdc/base/vdc.h"

static const char *const zones[] = {
    "Frankfurt (ESX)", "Paris (ESX)", "Amsterdam", "Berlin",   "Brussels",  "Geneva", "Hong Kong",
    "London",          "Los Angeles", "Milan",     "New York", "Singapore", "Slough", "Zurich",
};

static json_t *zone_json(const char *name)
{
    char id[37];

    keys_uuid_derived("mvdc-zone", name, id);
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:b,s:b,s:[]}", "id", id, "name", name, "networktype",
                     "Advanced", "allocationstate", "Enabled", "dhcpprovider", "VirtualRouter",
                     "securitygroupsenabled", 0, "localstorageenabled", 1, "tags");
}

json_t *zones_list(void)
{
    json_t *all = json_array();

    for (size_t i = 0; i < ARRAY_LEN(zones); i++)
        json_array_append_new(all, zone_json(zones[i]));
    return all;
}

json_t *zones_find(const char *id, const char *name)
{
    _cleanup_json_ json_t *all = zones_list();
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(all, i, one)
    {
        if ((!id || strcasecmp(vdc_str(one, "id"), id) == 0) &&
            (!name || strcasecmp(vdc_str(one, "name"), name) == 0))
            return json_incref(one);
    }
    return NULL;
}
