/* SPDX-License-Identifier: Apache-2.0 */
/* User data: its limits, registered texts, and what a guest has. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/keys.h"
#include "common/sign.h"
#include "common/str.h"
#include "controller/localvdc/calls/calls.h"

#define USERDATA_GET_MAX 4096 /* of base64 text */
#define USERDATA_MAX 32768
#define DETAILS_MAX 32

static int check_text(struct api_rq *rq, const char *text)
{
    struct err err = {0};
    _cleanup_free_ char *data = NULL;
    size_t len = 0;

    if (!rq->post && strlen(text) > USERDATA_GET_MAX)
        return api_fail(rq, API_PARAM, "User data is too long for an http GET request");
    if (strlen(text) > USERDATA_MAX)
        return api_fail(rq, API_PARAM, "User data has exceeded configurable max length: %d",
                        USERDATA_MAX);
    if (base64_decode(text, &data, &len, &err) < 0)
        return api_fail(rq, API_PARAM, "User data is not base64 encoded.");
    return 0;
}

/* userdatadetails[0].key=value…: further files of the guest's metadata. */
static json_t *details_of(const struct api_rq *rq)
{
    json_t *details = json_object();

    for (int i = 0; i < DETAILS_MAX; i++) {
        char prefix[32];
        int n = snprintf(prefix, sizeof(prefix), "userdatadetails[%d].", i);

        for (size_t k = 0; k < rq->params->n; k++) {
            const struct pair *p = &rq->params->v[k];

            if (strncmp(p->name, prefix, (size_t)n) == 0 && !strchr(p->name + n, '/'))
                json_object_set_new(details, p->name + n, json_string(p->value));
        }
    }
    return details;
}

int userdata_of(struct api_rq *rq, json_t **ret)
{
    const char *text = api_arg(rq, "userdata"), *id = api_arg(rq, "userdataid");

    *ret = NULL;
    if (text && id)
        return api_fail(rq, API_PARAM, "Give either userdata or userdataid, not both");
    if (!text && !id)
        return 0;
    if (text) {
        if (check_text(rq, text) < 0)
            return -1;
        *ret = json_pack("{s:s,s:n,s:n,s:n,s:n}", "_userdata", text, "userdataid", "userdataname",
                         "userdatadetails", "_userdatadetails");
        return 0;
    }
    _cleanup_json_ json_t *registered = api_need(rq, "userdataid", "userdata");
    if (!registered)
        return -1;
    json_t *details = details_of(rq);
    _cleanup_free_ char *shown = json_dumps(details, JSON_COMPACT);
    *ret = json_pack("{s:s,s:s,s:s,s:s,s:o}", "_userdata", vdc_str(registered, "userdata"),
                     "userdataid", id, "userdataname", vdc_str(registered, "name"),
                     "userdatadetails", shown, "_userdatadetails", details);
    return 0;
}

int call_register_userdata(struct api_rq *rq)
{
    char id[37];
    struct err err = {0};
    const char *name = api_arg(rq, "name"), *text = api_arg(rq, "userdata");
    const char *params = api_arg(rq, "params");

    if (check_text(rq, text) < 0)
        return -1;
    _cleanup_json_ json_t *same = api_find(rq, "userdata", "name", name);
    if (json_array_size(same) > 0)
        return api_fail(rq, API_PARAM, "A userdata with name %s already exists for this account.",
                        name);
    keys_uuid(id);
    _cleanup_json_ json_t *doc = json_pack("{s:s,s:s,s:s,s:s}", "id", id, "name", name, "userdata",
                                           text, "params", params ? params : "");
    account_own(doc, rq->account);
    if (vdb_put(rq->db, "userdata", id, doc, &err) < 0)
        return api_fail(rq, API_INTERNAL, "%s", err.msg);
    rq->result = json_pack("{s:O}", "userdata", doc);
    return 0;
}

int call_list_userdata(struct api_rq *rq)
{
    return api_reply_where(rq, "userdata", api_list(rq, "userdata"), API_FILTERS("name"));
}

int call_delete_userdata(struct api_rq *rq)
{
    struct err err = {0};
    _cleanup_json_ json_t *doc = api_need(rq, "id", "userdata");

    if (!doc)
        return -1;
    _cleanup_json_ json_t *users = vdb_find(rq->db, "vm", "userdataid", vdc_str(doc, "id"));
    if (json_array_size(users) > 0)
        return api_fail(rq, API_PARAM, "Userdata %s is in use by virtual machine %s",
                        vdc_str(doc, "name"), vdc_str(json_array_get(users, 0), "name"));
    if (vdb_del(rq->db, "userdata", vdc_str(doc, "id"), &err) < 0)
        return api_fail(rq, API_INTERNAL, "%s", err.msg);
    rq->result = json_pack("{s:b}", "success", 1);
    return 0;
}

int call_get_userdata(struct api_rq *rq)
{
    _cleanup_json_ json_t *vm = api_need(rq, "virtualmachineid", "vm");

    if (!vm)
        return -1;
    const char *text = vdc_str(vm, "_userdata");
    rq->result =
        json_pack("{s:{s:s}}", "virtualmachineuserdata", "virtualmachineid", vdc_str(vm, "id"));
    if (*text)
        json_object_set_new(json_object_get(rq->result, "virtualmachineuserdata"), "userdata",
                            json_string(text));
    return 0;
}

int call_reset_userdata(struct api_rq *rq)
{
    struct err err = {0};
    json_t *data = NULL;
    _cleanup_json_ json_t *vm = vm_need_stopped(rq);

    if (!vm || userdata_of(rq, &data) < 0)
        return -1;
    if (!data)
        return api_fail(rq, API_PARAM, "Give userdata or userdataid");
    if (vdb_patch(rq->db, "vm", vdc_str(vm, "id"), data, &err) < 0)
        return api_fail(rq, API_INTERNAL, "%s", err.msg);
    rq->result = vm_result(rq->db, vdc_str(vm, "id"));
    return 0;
}
