/* SPDX-License-Identifier: Apache-2.0 */
/* What the handlers share: arguments, filters, lists with pages, jobs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/keys.h"
#include "common/str.h"
#include "controller/localvdc/api/api.h"

#define PAGE_SIZE_MAX 500

const struct api_param api_list_params[] = {
    {"account", API_STRING, false},   {"domainid", API_UUID, false},
    {"keyword", API_STRING, false},   {"isrecursive", API_BOOLEAN, false},
    {"listall", API_BOOLEAN, false},  {"page", API_INTEGER, false},
    {"pagesize", API_INTEGER, false}, {0},
};

const char *api_arg(const struct api_rq *rq, const char *name)
{
    return pairs_get_nocase(rq->params, name);
}

bool api_arg_bool(const struct api_rq *rq, const char *name, bool dflt)
{
    const char *v = api_arg(rq, name);

    return v ? strcasecmp(v, "true") == 0 : dflt;
}

long long api_arg_int(const struct api_rq *rq, const char *name, long long dflt)
{
    const char *v = api_arg(rq, name);

    return v ? strtoll(v, NULL, 10) : dflt;
}

bool api_match(const struct api_rq *rq, const char *name, const char *value)
{
    const char *want = api_arg(rq, name);

    return !want || (value && strcasecmp(want, value) == 0);
}

static json_t *owned(const struct api_rq *rq, json_t *docs)
{
    for (size_t i = json_array_size(docs); i > 0; i--) {
        if (!str_eq(account_of(json_array_get(docs, i - 1)), rq->account))
            json_array_remove(docs, i - 1);
    }
    return docs;
}

json_t *api_list(const struct api_rq *rq, const char *kind)
{
    return owned(rq, vdb_list(rq->db, kind));
}

json_t *api_find(const struct api_rq *rq, const char *kind, const char *key, const char *value)
{
    return owned(rq, vdb_find(rq->db, kind, key, value));
}

json_t *api_get(const struct api_rq *rq, const char *kind, const char *id)
{
    _cleanup_json_ json_t *doc = vdb_get(rq->db, kind, id);

    return doc && str_eq(account_of(doc), rq->account) ? TAKE(doc) : NULL;
}

json_t *api_need(struct api_rq *rq, const char *arg, const char *kind)
{
    const char *id = api_arg(rq, arg);
    json_t *doc = id ? api_get(rq, kind, id) : NULL;

    if (!doc)
        api_fail(rq, API_PARAM,
                 "Unable to execute API command %s due to invalid value. Invalid parameter %s "
                 "value=%s due to incorrect long value format, or entity does not exist",
                 rq->call->name, arg, id ? id : "");
    return doc;
}

json_t *api_split(const char *value)
{
    json_t *items = json_array();

    for (const char *p = value; p && *p;) {
        size_t n = strcspn(p, ",");

        while (n > 0 && *p == ' ') {
            p++;
            n--;
        }
        size_t m = n;
        while (m > 0 && p[m - 1] == ' ')
            m--;
        if (m > 0)
            json_array_append_new(items, json_stringn(p, m));
        p += n;
        if (*p == ',')
            p++;
    }
    return items;
}

static bool has_tag(const json_t *doc, const char *key, const char *value)
{
    size_t i = 0;
    json_t *tag = NULL;

    json_array_foreach(json_object_get(doc, "tags"), i, tag)
    {
        if (str_eq(vdc_str(tag, "key"), key) && (!value || str_eq(vdc_str(tag, "value"), value)))
            return true;
    }
    return false;
}

static bool match_tags(const struct api_rq *rq, const json_t *doc)
{
    for (int i = 0; i < 32; i++) {
        char name[32], value[32];

        snprintf(name, sizeof(name), "tags[%d].key", i);
        snprintf(value, sizeof(value), "tags[%d].value", i);
        const char *key = api_arg(rq, name);
        if (!key)
            break;
        if (!has_tag(doc, key, api_arg(rq, value)))
            return false;
    }
    return true;
}

bool api_match_common(const struct api_rq *rq, const json_t *doc)
{
    const char *id = vdc_str(doc, "id");

    if (!api_match(rq, "id", id) || !match_tags(rq, doc))
        return false;
    const char *keyword = api_arg(rq, "keyword");
    if (keyword && !strcasestr(vdc_str(doc, "name"), keyword))
        return false;
    if (!api_arg(rq, "ids"))
        return true;
    _cleanup_json_ json_t *ids = api_split(api_arg(rq, "ids"));
    size_t i = 0;
    json_t *one = NULL;
    json_array_foreach(ids, i, one)
    {
        if (str_eq(json_string_value(one), id))
            return true;
    }
    return false;
}

static bool match_member(const struct api_rq *rq, const json_t *doc, const char *name)
{
    const json_t *value = json_object_get(doc, name);
    char number[24];

    if (json_is_boolean(value))
        return api_match(rq, name, json_is_true(value) ? "true" : "false");
    snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    return api_match(rq, name, json_is_integer(value) ? number : json_string_value(value));
}

int api_reply_where(struct api_rq *rq, const char *name, json_t *all, const char *const *filters)
{
    _cleanup_json_ json_t *docs = all;
    json_t *shown = json_array();
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(docs, i, one)
    {
        bool match = api_match_common(rq, one);

        for (const char *const *f = filters; match && *f; f++)
            match = match_member(rq, one, *f);
        if (match)
            json_array_append(shown, one);
    }
    return api_reply_list(rq, name, shown);
}

int api_reply_list(struct api_rq *rq, const char *name, json_t *all)
{
    _cleanup_json_ json_t *items = all;
    long long count = (long long)json_array_size(items);
    long long page = api_arg_int(rq, "page", 0), size = api_arg_int(rq, "pagesize", 0);
    bool paged = api_arg(rq, "page") != NULL;

    if (paged != (api_arg(rq, "pagesize") != NULL) && (paged || size != -1))
        return api_fail(rq, API_PARAM,
                        "\"page\" parameter and \"pagesize\" parameter have to be "
                        "specified together");
    if (size > PAGE_SIZE_MAX || (paged && (size < 1 || page < 1)))
        return api_fail(rq, API_PARAM, "Page size can not exceed max allowed page size %d",
                        PAGE_SIZE_MAX);
    long long from = paged ? (page - 1) * size : 0;
    long long until = paged ? from + size : (size == -1 ? count : PAGE_SIZE_MAX);
    _cleanup_json_ json_t *part = json_array();
    for (long long i = from; i < until && i < count; i++)
        json_array_append_new(part, api_public(json_array_get(items, (size_t)i)));
    /* Calls of CloudStack answer an empty list with an empty object, those of the VDC do not. */
    if (count == 0 && strcmp(name, "network") != 0 && !rq->call->alone)
        rq->result = json_object();
    else
        rq->result = json_pack("{s:I,s:O}", "count", (json_int_t)count, name, part);
    return 0;
}

static int put_job(struct vdb *db, const char *account, json_int_t latency_ms, const char *cmd,
                   const char *type, const char *id, json_t *args, char ret_id[37], struct err *err)
{
    char now[32], uuid[37];

    vdc_now(now);
    if (!*ret_id)
        keys_uuid(ret_id);
    account_id(account, uuid);
    _cleanup_json_ json_t *job = json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:i,s:i,s:i,s:o,s:s}", "jobid", ret_id, "cmd", cmd, "created", now,
        "accountid", uuid, "userid", uuid, "jobstatus", 0, "jobprocstatus", 0, "jobresultcode", 0,
        "_args", args ? args : json_object(), "_account", account);
    json_object_set_new(job, "_open", json_string("yes"));
    if (latency_ms > 0)
        json_object_set_new(job, "_due", json_integer((json_int_t)clock_wall_ms() + latency_ms));
    if (type && id) {
        json_object_set_new(job, "jobinstancetype", json_string(type));
        json_object_set_new(job, "jobinstanceid", json_string(id));
    }
    return vdb_put(db, "job", ret_id, job, err);
}

int api_job_new(struct vdb *db, const char *cmd, const char *type, const char *id, json_t *args,
                char ret_id[37], struct err *err)
{
    return put_job(db, VDC_ACCOUNT, 0, cmd, type, id, args, ret_id, err);
}

int api_reply_job(struct api_rq *rq, const char *type, const char *id, json_t *args)
{
    struct err err = {0};
    char job[37] = "";
    const char *custom = api_arg(rq, "customjobid");

    args = args ? args : json_object();
    if (rq->fault.action == FAULT_FAIL_JOB)
        json_object_set_new(args, "_fail", json_string("The job failed (a fault that was set)"));
    if (custom)
        str_copy(job, sizeof(job), custom);
    _cleanup_json_ json_t *config = vdb_get(rq->db, "meta", "config");
    json_int_t latency = json_integer_value(json_object_get(config, "job_latency_ms"));
    if (put_job(rq->db, rq->account, latency, rq->call->name, type, id, args, job, &err) < 0)
        return api_fail(rq, API_INTERNAL, "%s", err.msg);
    rq->result = json_pack("{s:s}", "jobid", job);
    if (id)
        json_object_set_new(rq->result, "id", json_string(id));
    return 0;
}

json_t *api_public(const json_t *doc)
{
    json_t *copy = json_object();
    const char *key = NULL;
    json_t *value = NULL;

    json_object_foreach((json_t *)doc, key, value)
    {
        if (key[0] != '_')
            json_object_set(copy, key, value);
    }
    return copy;
}
