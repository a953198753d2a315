/* SPDX-License-Identifier: Apache-2.0 */
/* Tags of guests, volumes, snapshots, networks, addresses and rules. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/cleanup.h"
#include "common/str.h"
#include "controller/localvdc/calls/calls.h"

#define TAGS_MAX 32

/* A type of two kinds has two rows. */
static const struct {
    const char *type;
    const char *kind;
} taggable[] = {{"UserVm", "vm"},           {"Volume", "volume"},
                {"Network", "network"},     {"PortForwardingRule", "forward"},
                {"PublicIpAddress", "ip"},  {"FirewallRule", "firewall"},
                {"FirewallRule", "egress"}, {"Snapshot", "snapshot"}};

/* The kind of the entity with this id; NULL: there is none of the request's resourcetype. */
static const char *kind_of(struct api_rq *rq, const char *id, const char **ret_type)
{
    const char *type = api_arg(rq, "resourcetype");
    bool known = false;

    for (size_t i = 0; i < ARRAY_LEN(taggable); i++) {
        if (strcasecmp(type, taggable[i].type) != 0)
            continue;
        known = true;
        _cleanup_json_ json_t *doc = api_get(rq, taggable[i].kind, id);
        *ret_type = taggable[i].type;
        if (doc)
            return taggable[i].kind;
    }
    if (known)
        api_fail(rq, API_PARAM, "Unable to find %s with id %s", type, id);
    else
        api_fail(rq, API_PARAM, "Invalid resource type: %s", type);
    return NULL;
}

static void remove_tag(json_t *tags, const char *key, const char *value)
{
    for (size_t i = json_array_size(tags); i > 0; i--) {
        const json_t *tag = json_array_get(tags, i - 1);

        if ((!key || str_eq(vdc_str(tag, "key"), key)) &&
            (!value || str_eq(vdc_str(tag, "value"), value)))
            json_array_remove(tags, i - 1);
    }
}

/* Adds or removes the request's tags of one document. */
static void change_tags(struct api_rq *rq, json_t *tags, const char *type, const char *id, bool add)
{
    for (int i = 0; i < TAGS_MAX; i++) {
        char k[32], v[32];

        snprintf(k, sizeof(k), "tags[%d].key", i);
        snprintf(v, sizeof(v), "tags[%d].value", i);
        const char *key = api_arg(rq, k), *value = api_arg(rq, v);
        if (!key) {
            if (i == 0 && !add)
                remove_tag(tags, NULL, NULL);
            return;
        }
        remove_tag(tags, key, add ? NULL : value);
        if (add)
            json_array_append_new(tags,
                                  json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "key", key, "value",
                                            value ? value : "", "resourcetype", type, "resourceid",
                                            id, "account", rq->account, "domain", VDC_DOMAIN));
    }
}

void tags_given(struct api_rq *rq, json_t *tags, const char *type, const char *id)
{
    change_tags(rq, tags, type, id, true);
}

static int tag_one(struct api_rq *rq, const char *id, bool add)
{
    struct err err = {0};
    const char *type = NULL;
    const char *kind = kind_of(rq, id, &type);

    if (!kind)
        return -1;
    _cleanup_json_ json_t *doc = api_get(rq, kind, id);
    change_tags(rq, json_object_get(doc, "tags"), type, id, add);
    return vdb_put(rq->db, kind, id, doc, &err) == 0 ? 0
                                                     : api_fail(rq, API_INTERNAL, "%s", err.msg);
}

static int tag_all(struct api_rq *rq, bool add)
{
    _cleanup_json_ json_t *ids = api_split(api_arg(rq, "resourceids"));
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(ids, i, one)
    {
        if (tag_one(rq, json_string_value(one), add) < 0)
            return -1;
    }
    return api_reply_job(rq, NULL, NULL, NULL);
}

static int tags_call(struct api_rq *rq, bool add)
{
    struct err err = {0};

    if (vdb_begin(rq->db, &err) < 0)
        return api_fail(rq, API_INTERNAL, "%s", err.msg);
    if (tag_all(rq, add) < 0) {
        vdb_rollback(rq->db);
        return -1;
    }
    return vdb_commit(rq->db, &err) == 0 ? 0 : api_fail(rq, API_INTERNAL, "%s", err.msg);
}

int call_create_tags(struct api_rq *rq)
{
    return tags_call(rq, true);
}

int call_delete_tags(struct api_rq *rq)
{
    return tags_call(rq, false);
}

int call_list_tags(struct api_rq *rq)
{
    json_t *shown = json_array();

    for (size_t t = 0; t < ARRAY_LEN(taggable); t++) {
        _cleanup_json_ json_t *docs = api_list(rq, taggable[t].kind);
        size_t i = 0, k = 0;
        json_t *doc = NULL, *tag = NULL;

        json_array_foreach(docs, i, doc)
        {
            json_array_foreach(json_object_get(doc, "tags"), k, tag)
            {
                if (api_match(rq, "resourceid", vdc_str(tag, "resourceid")) &&
                    api_match(rq, "resourcetype", taggable[t].type) &&
                    api_match(rq, "key", vdc_str(tag, "key")) &&
                    api_match(rq, "value", vdc_str(tag, "value")))
                    json_array_append(shown, tag);
            }
        }
    }
    return api_reply_list(rq, "tag", shown);
}

int job_nothing(struct api_job *job, struct err *err)
{
    (void)job;
    (void)err;
    return 0; /* it took effect with the call */
}
