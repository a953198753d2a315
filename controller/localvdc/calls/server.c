/* SPDX-License-Identifier: Apache-2.0 */
/* What the server says about itself: capabilities, calls, jobs, accounts, and kinds of guests. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/keys.h"
#include "common/str.h"
#include "controller/localvdc/calls/calls.h"
#include "controller/localvdc/machine/compute.h"
#include "controller/localvdc/machine/template.h"

int call_list_capabilities(struct api_rq *rq)
{
    rq->result = json_pack("{s:{s:s,s:b,s:b,s:b,s:i,s:i,s:i,s:b,s:b,s:b}}", "capability",
                           "cloudstackversion", "4.18.0.0", "allowuserexpungerecovervm", 1,
                           "allowuserviewdestroyedvm", 1, "securitygroupsenabled", 0,
                           "customdiskofferingminsize", 1, "customdiskofferingmaxsize", 10240,
                           "defaultuipagesize", 20, "userpublictemplateenabled", 0,
                           "dynamicrolesenabled", 0, "allowuserexpungerecovervolume", 0);
    return 0;
}

static void add_api_params(json_t *out, const struct api_param *p)
{
    for (; p && p->name; p++)
        json_array_append_new(out, json_pack("{s:s,s:s,s:b,s:i,s:s}", "name", p->name, "type",
                                             api_type_name(p->type), "required", p->required,
                                             "length", 255, "description", ""));
}

int call_list_apis(struct api_rq *rq)
{
    json_t *all = json_array();

    for (const struct api_call *c = rq->table->calls; c->name; c++) {
        if (!c->handler || !api_match(rq, "name", c->name))
            continue;
        json_t *params = json_array();
        add_api_params(params, c->params);
        if (c->list)
            add_api_params(params, api_list_params);
        json_array_append_new(all, json_pack("{s:s,s:s,s:b,s:s,s:o,s:[]}", "name", c->name,
                                             "description", c->description, "isasync", c->async,
                                             "related", "", "params", params, "response"));
    }
    size_t n = json_array_size(all);
    rq->result = json_pack("{s:I,s:o}", "count", (json_int_t)n, "api", all);
    return 0;
}

int call_query_job(struct api_rq *rq)
{
    _cleanup_json_ json_t *job = api_need(rq, "jobid", "job");

    if (!job)
        return -1;
    rq->result = api_public(job);
    return 0;
}

/* "2024-01-31T10:20:30+0000" sorts by time, and so does its date alone. */
int call_list_jobs(struct api_rq *rq)
{
    const char *start = api_arg(rq, "startdate");
    _cleanup_json_ json_t *all = api_list(rq, "job");
    json_t *shown = json_array();
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(all, i, one)
    {
        if (!start || strcmp(vdc_str(one, "created"), start) >= 0)
            json_array_append(shown, one);
    }
    return api_reply_list(rq, "asyncjobs", shown);
}

int call_list_hypervisors(struct api_rq *rq)
{
    json_t *all = json_array();

    for (size_t i = 0; compute_drivers[i]; i++)
        json_array_append_new(all, json_pack("{s:s}", "name", compute_drivers[i]->name));
    rq->result =
        json_pack("{s:I,s:o}", "count", (json_int_t)json_array_size(all), "hypervisor", all);
    return 0;
}

int call_list_os_types(struct api_rq *rq)
{
    char id[37], category[37];

    keys_uuid_derived("mvdc-os", TEMPLATE_NAME, id);
    keys_uuid_derived("mvdc-os-category", "Debian", category);
    return api_reply_where(rq, "ostype",
                           json_pack("[{s:s,s:s,s:s,s:s,s:b}]", "id", id, "name", TEMPLATE_NAME,
                                     "description", TEMPLATE_NAME, "oscategoryid", category,
                                     "isuserdefined", 0),
                           API_FILTERS("description", "oscategoryid"));
}

/* Of kinds that this cloud has none of, and that clients list all the same. */
int call_list_none(struct api_rq *rq)
{
    return api_reply_list(rq, "", json_array());
}

/* An account has one user, of its own name. */
static json_t *user_json(const char *name)
{
    char id[37], account[37], domain[37];

    keys_uuid_derived("mvdc-user", name, id);
    account_id(name, account);
    account_domain_id(domain);
    return json_pack("{s:s,s:s,s:s,s:s,s:i,s:s,s:s,s:s,s:s,s:s,s:s,s:b}", "id", id, "username",
                     name, "account", name, "accountid", account, "accounttype", 0, "domain",
                     VDC_DOMAIN, "domainid", domain, "state", "enabled", "firstname", name,
                     "lastname", name, "email", "", "isdefault", 0);
}

int call_list_users(struct api_rq *rq)
{
    return api_reply_where(rq, "user", json_pack("[o]", user_json(rq->account)),
                           API_FILTERS("username", "state", "accounttype"));
}

int call_list_accounts(struct api_rq *rq)
{
    static const struct {
        const char *kind, *member;
    } counts[] = {{"vm", "vmtotal"},
                  {"volume", "volumetotal"},
                  {"network", "networktotal"},
                  {"ip", "iptotal"}};
    char id[37], domain[37];

    account_id(rq->account, id);
    account_domain_id(domain);
    json_t *account =
        json_pack("{s:s,s:s,s:i,s:s,s:s,s:s,s:s,s:b,s:[o]}", "id", id, "name", rq->account,
                  "accounttype", 0, "domain", VDC_DOMAIN, "domainid", domain, "domainpath",
                  VDC_DOMAIN, "state", "enabled", "isdefault", 0, "user", user_json(rq->account));
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        _cleanup_json_ json_t *all = api_list(rq, counts[i].kind);

        json_object_set_new(account, counts[i].member,
                            json_integer((json_int_t)json_array_size(all)));
    }
    return api_reply_where(rq, "account", json_pack("[o]", account),
                           API_FILTERS("name", "state", "accounttype"));
}
