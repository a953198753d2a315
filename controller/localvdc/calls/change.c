/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of a guest's document: names, keys, size, and the way back from Destroyed. */
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/keys.h"
#include "common/str.h"
#include "controller/localvdc/calls/calls.h"

json_t *vm_result(struct vdb *db, const char *id)
{
    _cleanup_json_ json_t *vm = vdb_get(db, "vm", id);

    return vm ? json_pack("{s:o}", "virtualmachine", api_public(vm)) : NULL;
}

static json_t *need_state(struct api_rq *rq, const char *state, const char *first)
{
    json_t *vm = api_need(rq, "id", "vm");

    if (!vm)
        return NULL;
    vm_refresh(rq->db, vm);
    if (str_eq(vdc_str(vm, "state"), state))
        return vm;
    api_fail(rq, API_PARAM, "Virtual machine %s is %s, not %s; call %s first", vdc_str(vm, "name"),
             vdc_str(vm, "state"), state, first);
    json_decref(vm);
    return NULL;
}

json_t *vm_need_stopped(struct api_rq *rq)
{
    return need_state(rq, "Stopped", "stopVirtualMachine");
}

json_t *vm_keypairs(struct api_rq *rq, struct strbuf *ret_keys)
{
    const char *pairs = api_arg(rq, "keypairs");
    _cleanup_json_ json_t *names = api_split(pairs ? pairs : api_arg(rq, "keypair"));
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(names, i, one)
    {
        const char *name = json_string_value(one);
        _cleanup_json_ json_t *found = api_find(rq, "key", "name", name);

        if (json_array_size(found) == 0) {
            api_fail(rq, API_PARAM, "A key pair with name '%s' was not found.", name);
            return NULL;
        }
        strbuf_addf(ret_keys, "%s%s", i ? "\n" : "",
                    vdc_str(json_array_get(found, 0), "_publickey"));
    }
    return TAKE(names);
}

void vm_set_keypairs(json_t *vm, const json_t *names)
{
    _cleanup_(strbuf_free) struct strbuf all = {0};
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(names, i, one)
    {
        strbuf_addf(&all, "%s%s", i ? "," : "", json_string_value(one));
    }
    if (all.len == 0)
        return;
    json_object_set_new(vm, "keypairs", json_string(all.s));
    json_object_set(vm, "keypair", json_array_get(names, 0));
}

static int patch(struct api_rq *rq, const char *id, json_t *members)
{
    struct err err = {0};

    return vdb_patch(rq->db, "vm", id, members, &err) == 0
               ? 0
               : api_fail(rq, API_INTERNAL, "%s", err.msg);
}

/* The password, too, is a new one where the template has passwords. */
int call_reset_key(struct api_rq *rq)
{
    _cleanup_(strbuf_free) struct strbuf keys = {0};
    _cleanup_json_ json_t *vm = vm_need_stopped(rq);
    _cleanup_json_ json_t *names = vm ? vm_keypairs(rq, &keys) : NULL;

    if (!names)
        return -1;
    if (json_array_size(names) == 0)
        return api_fail(rq, API_PARAM, "Give keypair or keypairs");
    const char *id = vdc_str(vm, "id");
    json_t *change = json_pack("{s:s}", "_publickeys", strbuf_str(&keys));
    json_t *args = json_pack("{s:s}", "id", id);
    vm_set_keypairs(change, names);
    if (json_is_true(json_object_get(vm, "passwordenabled"))) {
        char password[PASSWORD_CHARS + 1];

        keys_token(password, PASSWORD_CHARS);
        json_object_set_new(change, "_password", json_string(password));
        json_object_set_new(args, "password", json_string(password));
        keys_wipe(password, sizeof(password));
    }
    if (patch(rq, id, change) < 0) {
        json_decref(args);
        return -1;
    }
    return api_reply_job(rq, "VirtualMachine", NULL, args);
}

int job_reset_key(struct api_job *job, struct err *err)
{
    job->result = vm_result(job->db, vdc_str(job->params, "id"));
    if (!job->result)
        return err_set(err, ERR_FAILED, "the virtual machine does not exist any more");
    vm_show_password(job);
    return 0;
}

void vm_show_password(struct api_job *job)
{
    const char *password = vdc_str(job->params, "password");

    if (*password)
        json_object_set_new(json_object_get(job->result, "virtualmachine"), "password",
                            json_string(password));
}

int call_update_vm(struct api_rq *rq)
{
    static const char *const texts[] = {"displayname", "group"};
    const char *name = api_arg(rq, "name");
    json_t *data = NULL;
    _cleanup_json_ json_t *vm = api_need(rq, "id", "vm");

    if (!vm)
        return -1;
    if (name && !str_eq(name, vdc_str(vm, "name")) && vm_check_name(rq, name) < 0)
        return -1;
    if (userdata_of(rq, &data) < 0)
        return -1;
    json_t *change = data ? data : json_object();
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (api_arg(rq, texts[i]))
            json_object_set_new(change, texts[i], json_string(api_arg(rq, texts[i])));
    }
    if (name)
        json_object_set_new(change, "name", json_string(name));
    if (api_arg(rq, "haenable"))
        json_object_set_new(change, "haenable", json_boolean(api_arg_bool(rq, "haenable", false)));
    if (patch(rq, vdc_str(vm, "id"), change) < 0)
        return -1;
    rq->result = vm_result(rq->db, vdc_str(vm, "id"));
    return 0;
}

/* What it has counts from its next start. */
int call_change_service(struct api_rq *rq)
{
    static const char *const numbers[] = {"cpunumber", "cpuspeed", "memory"};
    const char *id = api_arg(rq, "serviceofferingid");
    _cleanup_json_ json_t *vm = vm_need_stopped(rq);
    _cleanup_json_ json_t *offering = vm ? catalog_service_offering(id) : NULL;

    if (!vm)
        return -1;
    if (!offering)
        return api_fail(rq, API_PARAM, "Unable to find service offering %s", id);
    json_t *change = json_pack("{s:s,s:s}", "serviceofferingid", vdc_str(offering, "id"),
                               "serviceofferingname", vdc_str(offering, "name"));
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        json_object_set(change, numbers[i], json_object_get(offering, numbers[i]));
    if (patch(rq, vdc_str(vm, "id"), change) < 0)
        return -1;
    rq->result = vm_result(rq->db, vdc_str(vm, "id"));
    return 0;
}

int call_recover_vm(struct api_rq *rq)
{
    _cleanup_json_ json_t *vm = need_state(rq, "Destroyed", "destroyVirtualMachine");

    if (!vm || patch(rq, vdc_str(vm, "id"), json_pack("{s:s}", "state", "Stopped")) < 0)
        return -1;
    rq->result = vm_result(rq->db, vdc_str(vm, "id"));
    return 0;
}

int call_expunge_vm(struct api_rq *rq)
{
    _cleanup_json_ json_t *vm = need_state(rq, "Destroyed", "destroyVirtualMachine");

    if (!vm)
        return -1;
    return api_reply_job(rq, "VirtualMachine", NULL,
                         json_pack("{s:s,s:b}", "id", vdc_str(vm, "id"), "expunge", 1));
}
