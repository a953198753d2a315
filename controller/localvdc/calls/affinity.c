/* SPDX-License-Identifier: Apache-2.0 */
/* Affinity groups: on one machine they are records, kept for clients that name them. */
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/keys.h"
#include "common/str.h"
#include "controller/localvdc/calls/calls.h"

static const char *const types[] = {"host affinity", "host anti-affinity"};

int call_list_affinity_types(struct api_rq *rq)
{
    json_t *shown = json_array();

    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        json_array_append_new(shown, json_pack("{s:s}", "type", types[i]));
    return api_reply_list(rq, "affinityGroupType", shown);
}

int call_create_affinity(struct api_rq *rq)
{
    char id[37];
    struct err err = {0};
    const char *name = api_arg(rq, "name"), *type = api_arg(rq, "type");
    const char *text = api_arg(rq, "description");

    if (!str_eq(type, types[0]) && !str_eq(type, types[1]))
        return api_fail(rq, API_PARAM,
                        "Unable to create affinity group, invalid affinity group type %s: there "
                        "are 'host affinity' and 'host anti-affinity'",
                        type);
    _cleanup_json_ json_t *same = api_find(rq, "affinity", "name", name);
    if (json_array_size(same) > 0)
        return api_fail(rq, API_PARAM, "Affinity group %s exists already", name);
    keys_uuid(id);
    _cleanup_json_ json_t *doc = json_pack("{s:s,s:s,s:s,s:s}", "id", id, "name", name, "type",
                                           type, "description", text ? text : "");
    account_own(doc, rq->account);
    if (vdb_put(rq->db, "affinity", id, doc, &err) < 0)
        return api_fail(rq, API_INTERNAL, "%s", err.msg);
    return api_reply_job(rq, "AffinityGroup", id, json_pack("{s:s}", "id", id));
}

int job_create_affinity(struct api_job *job, struct err *err)
{
    _cleanup_json_ json_t *doc = vdb_get(job->db, "affinity", vdc_str(job->params, "id"));

    if (!doc)
        return err_set(err, ERR_FAILED, "the affinity group does not exist any more");
    job->result = json_pack("{s:o}", "affinitygroup", api_public(doc));
    return 0;
}

static json_t *members(struct vdb *db, const char *id)
{
    json_t *ids = json_array();
    _cleanup_json_ json_t *vms = vdb_list(db, "vm");
    size_t i = 0, k = 0;
    json_t *vm = NULL, *group = NULL;

    json_array_foreach(vms, i, vm)
    {
        json_array_foreach(json_object_get(vm, "affinitygroup"), k, group)
        {
            if (str_eq(vdc_str(group, "id"), id))
                json_array_append(ids, json_object_get(vm, "id"));
        }
    }
    return ids;
}

static bool in_list(const json_t *texts, const char *text)
{
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(texts, i, one)
    {
        if (str_eq(json_string_value(one), text))
            return true;
    }
    return false;
}

int call_list_affinity(struct api_rq *rq)
{
    _cleanup_json_ json_t *all = api_list(rq, "affinity");
    const char *vm = api_arg(rq, "virtualmachineid");
    json_t *shown = json_array();
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(all, i, one)
    {
        json_t *ids = members(rq->db, vdc_str(one, "id"));

        json_object_set_new(one, "virtualmachineIds", ids);
        if (!vm || in_list(ids, vm))
            json_array_append(shown, one);
    }
    return api_reply_where(rq, "affinitygroup", shown, API_FILTERS("name", "type"));
}

int call_delete_affinity(struct api_rq *rq)
{
    struct err err = {0};
    const char *id = api_arg(rq, "id"), *name = api_arg(rq, "name");

    if (!id == !name)
        return api_fail(rq, API_PARAM, "Give either id or name of the affinity group");
    _cleanup_json_ json_t *found = api_find(rq, "affinity", id ? "id" : "name", id ? id : name);
    const json_t *doc = json_array_get(found, 0);
    if (!doc)
        return api_fail(rq, API_PARAM, "Unable to find affinity group %s", id ? id : name);
    _cleanup_json_ json_t *users = members(rq->db, vdc_str(doc, "id"));
    if (json_array_size(users) > 0)
        return api_fail(rq, API_PARAM, "Affinity group %s holds virtual machine %s",
                        vdc_str(doc, "name"), json_string_value(json_array_get(users, 0)));
    if (vdb_del(rq->db, "affinity", vdc_str(doc, "id"), &err) < 0)
        return api_fail(rq, API_INTERNAL, "%s", err.msg);
    return api_reply_job(rq, "AffinityGroup", NULL, NULL);
}

int affinity_of(struct api_rq *rq, json_t **ret)
{
    const char *by_id = api_arg(rq, "affinitygroupids"),
               *by_name = api_arg(rq, "affinitygroupnames");
    _cleanup_json_ json_t *wanted = api_split(by_id ? by_id : by_name);
    _cleanup_json_ json_t *groups = json_array();
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(wanted, i, one)
    {
        const char *text = json_string_value(one);
        _cleanup_json_ json_t *found = api_find(rq, "affinity", by_id ? "id" : "name", text);
        const json_t *doc = json_array_get(found, 0);

        if (!doc)
            return api_fail(rq, API_PARAM, "Unable to find affinity group %s", text);
        json_array_append_new(groups,
                              json_pack("{s:s,s:s,s:s}", "id", vdc_str(doc, "id"), "name",
                                        vdc_str(doc, "name"), "type", vdc_str(doc, "type")));
    }
    *ret = TAKE(groups);
    return 0;
}
