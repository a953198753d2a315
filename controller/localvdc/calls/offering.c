/* SPDX-License-Identifier: Apache-2.0 */
/* CloudStack's own way to networks: network offerings, createNetwork, and changes. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/cleanup.h"
#include "common/keys.h"
#include "common/str.h"
#include "controller/localvdc/base/zones.h"
#include "controller/localvdc/calls/calls.h"
#include "controller/localvdc/network/router.h"
#include "controller/localvdc/network/rules.h"

#define DEFAULT_GATEWAY "10.1.1.1"
#define DEFAULT_NETMASK "255.255.255.0"

static const struct {
    const char *name, *text, *type;
    bool source_nat, required;
} offerings[] = {
    {"DefaultIsolatedNetworkOfferingWithSourceNatService",
     "Offering for Isolated networks with Source Nat service enabled", "Isolated", true, true},
    {"DefaultIsolatedNetworkOffering", "Offering for Isolated networks with no Source Nat service",
     "Isolated", false, false},
    {"DefaultSharedNetworkOffering", "Offering for Shared networks", "Shared", false, false},
};

static json_t *services_of(bool source_nat)
{
    static const char *const all[] = {"Dhcp",      "Dns",      "UserData",      "SourceNat",
                                      "StaticNat", "Firewall", "PortForwarding"};
    json_t *services = json_array();

    for (size_t i = 0; i < (source_nat ? ARRAY_LEN(all) : 3); i++)
        json_array_append_new(services, json_pack("{s:s,s:[{s:s}]}", "name", all[i], "provider",
                                                  "name", "VirtualRouter"));
    return services;
}

static json_t *offering_json(size_t i)
{
    char id[37], router[37];

    keys_uuid_derived("mvdc-network-offering", offerings[i].name, id);
    keys_uuid_derived("mvdc-router-offering", offerings[i].name, router);
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:b,s:b,s:b,s:b,s:b,s:b,s:s,s:b,s:o}", "id", id,
                     "name", offerings[i].name, "displaytext", offerings[i].text, "guestiptype",
                     offerings[i].type, "traffictype", "Guest", "state", "Enabled", "availability",
                     offerings[i].required ? "Required" : "Optional", "isdefault", 1, "forvpc", 0,
                     "specifyvlan", 0, "specifyipranges", 0, "ispersistent", 0, "conservemode", 1,
                     "serviceofferingid", router, "egressdefaultpolicy", 0, "service",
                     services_of(offerings[i].source_nat));
}

static void set_offering(json_t *network, const json_t *offering)
{
    json_object_set(network, "networkofferingid", json_object_get(offering, "id"));
    json_object_set(network, "networkofferingname", json_object_get(offering, "name"));
    json_object_set(network, "networkofferingdisplaytext",
                    json_object_get(offering, "displaytext"));
    json_object_set(network, "egressdefaultpolicy",
                    json_object_get(offering, "egressdefaultpolicy"));
}

void offering_set(json_t *network, bool source_nat)
{
    for (size_t i = 0; i < ARRAY_LEN(offerings); i++) {
        if (offerings[i].source_nat == source_nat) {
            _cleanup_json_ json_t *offering = offering_json(i);

            set_offering(network, offering);
            return;
        }
    }
}

static bool has_services(const json_t *offering, const char *wanted)
{
    _cleanup_json_ json_t *names = api_split(wanted);
    size_t i = 0, k = 0, found = 0;
    json_t *name = NULL, *service = NULL;

    json_array_foreach(names, i, name)
    {
        json_array_foreach(json_object_get(offering, "service"), k, service)
        {
            found += strcasecmp(vdc_str(service, "name"), json_string_value(name)) == 0;
        }
    }
    return found == json_array_size(names);
}

int call_list_network_offerings(struct api_rq *rq)
{
    json_t *all = json_array();
    const char *nat = api_arg(rq, "sourcenatsupported");

    for (size_t i = 0; i < ARRAY_LEN(offerings); i++) {
        json_t *one = offering_json(i);

        bool fits =
            !nat || api_arg_bool(rq, "sourcenatsupported", false) == offerings[i].source_nat;
        if (fits && has_services(one, api_arg(rq, "supportedservices")))
            json_array_append(all, one);
        json_decref(one);
    }
    return api_reply_where(rq, "networkoffering", all,
                           API_FILTERS("name", "displaytext", "guestiptype", "traffictype", "state",
                                       "availability", "isdefault", "forvpc", "specifyvlan",
                                       "specifyipranges"));
}

/* "10.1.1.0/24" from a gateway and a netmask. */
static int cidr_of(struct api_rq *rq, char ret[20], const char **ret_gateway)
{
    uint32_t gateway = 0, mask = 0;
    char base[16];
    const char *g = api_arg(rq, "gateway"), *m = api_arg(rq, "netmask");

    if (!g != !m)
        return api_fail(rq, API_PARAM, "Give gateway and netmask together, or neither");
    g = g ? g : DEFAULT_GATEWAY;
    m = m ? m : DEFAULT_NETMASK;
    bool good = ipv4_parse(g, &gateway) == 0 && ipv4_parse(m, &mask) == 0;
    uint32_t rest = ~mask;
    if (!good || (rest & (rest + 1)) != 0 || mask == 0)
        return api_fail(rq, API_PARAM, "Invalid gateway %s or netmask %s", g, m);
    ipv4_text(gateway & mask, base);
    snprintf(ret, 20, "%s/%d", base, __builtin_popcount(mask));
    *ret_gateway = g;
    return 0;
}

static int put_network(struct api_rq *rq, json_t *network, bool source_nat)
{
    struct err err = {0};

    if (vdb_begin(rq->db, &err) < 0)
        return api_fail(rq, API_INTERNAL, "%s", err.msg);
    _cleanup_json_ json_t *ip = source_nat ? ip_new(rq, network, NULL, true) : NULL;
    if (source_nat && !ip) {
        vdb_rollback(rq->db);
        return -1;
    }
    if (ip)
        json_object_set(network, "_ip", json_object_get(ip, "ipaddress"));
    if (vdb_put(rq->db, "network", vdc_str(network, "id"), network, &err) == 0 &&
        vdb_commit(rq->db, &err) == 0)
        return 0;
    vdb_rollback(rq->db);
    return api_fail(rq, API_INTERNAL, "%s", err.msg);
}

int call_create_network(struct api_rq *rq)
{
    char cidr[20];
    const char *gateway = NULL, *text = api_arg(rq, "displaytext");
    _cleanup_json_ json_t *zone = zones_find(api_arg(rq, "zoneid"), NULL);
    _cleanup_json_ json_t *offering = NULL;
    bool nat = false;

    for (size_t i = 0; i < ARRAY_LEN(offerings) && !offering; i++) {
        _cleanup_json_ json_t *one = offering_json(i);

        if (api_match(rq, "networkofferingid", vdc_str(one, "id"))) {
            offering = json_incref(one);
            nat = offerings[i].source_nat;
        }
    }
    if (!zone || !offering)
        return api_fail(rq, API_PARAM, "Unable to find %s by id",
                        !zone ? "zone" : "network offering");
    if (api_arg(rq, "vpcid"))
        return api_fail(rq, API_UNSUPPORTED, "This cloud has no VPCs");
    if (cidr_of(rq, cidr, &gateway) < 0)
        return -1;
    _cleanup_json_ json_t *network = network_new(rq, zone, cidr, gateway, api_arg(rq, "name"));
    if (!network)
        return -1;
    if (text)
        json_object_set_new(network, "displaytext", json_string(text));
    set_offering(network, offering);
    json_object_set(network, "service", json_object_get(offering, "service"));
    json_object_set(network, "type", json_object_get(offering, "guestiptype"));
    json_object_set_new(network, "broadcastdomaintype", json_string("Vlan"));
    json_object_set_new(network, "dns1", json_string(gateway));
    json_object_set_new(network, "_lazy", json_true());
    json_object_set_new(network, "ispersistent", json_false());
    if (put_network(rq, network, nat) < 0)
        return -1;
    rq->result = json_pack("{s:o}", "network", api_public(network));
    return 0;
}

int call_update_network(struct api_rq *rq)
{
    static const char *const fixed[][2] = {{"networkdomain", "networkdomain"},
                                           {"guestvmcidr", "cidr"},
                                           {"networkofferingid", "networkofferingid"}};
    _cleanup_json_ json_t *network = api_need(rq, "id", "network");

    if (!network)
        return -1;
    /* Clients send what they do not mean to change, too. */
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
        const char *wanted = api_arg(rq, fixed[i][0]);

        if (wanted && !str_eq(wanted, vdc_str(network, fixed[i][1])))
            return api_fail(rq, API_PARAM,
                            "Parameter %s: only name and displaytext of a network "
                            "can be changed here",
                            fixed[i][0]);
    }
    json_t *args = json_pack("{s:s}", "id", vdc_str(network, "id"));
    if (api_arg(rq, "name"))
        json_object_set_new(args, "name", json_string(api_arg(rq, "name")));
    if (api_arg(rq, "displaytext"))
        json_object_set_new(args, "displaytext", json_string(api_arg(rq, "displaytext")));
    return api_reply_job(rq, "Network", NULL, args);
}

int job_update_network(struct api_job *job, struct err *err)
{
    static const char *const texts[] = {"name", "displaytext"};
    json_t *change = json_object();

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (json_object_get(job->params, texts[i]))
            json_object_set(change, texts[i], json_object_get(job->params, texts[i]));
    }
    const char *id = vdc_str(job->params, "id");
    if (vdb_patch(job->db, "network", id, change, err) < 0)
        return -1;
    _cleanup_json_ json_t *network = vdb_get(job->db, "network", id);
    job->result = json_pack("{s:o}", "network", api_public(network));
    return 0;
}

int call_restart_network(struct api_rq *rq)
{
    _cleanup_json_ json_t *network = api_need(rq, "id", "network");

    if (!network)
        return -1;
    return api_reply_job(rq, "Network", NULL, json_pack("{s:s}", "id", vdc_str(network, "id")));
}

int job_restart_network(struct api_job *job, struct err *err)
{
    return router_restart(job->db, vdc_str(job->params, "id"), err);
}
