/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual machines after they were deployed. Job arguments: {"id", …}; jobs of one guest run one
 * after another. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"
#include "controller/localvdc/calls/calls.h"
#include "controller/localvdc/machine/compute.h"
#include "controller/localvdc/machine/rootfs.h"
#include "controller/localvdc/network/router.h"

static int set_state(struct vdb *db, const char *id, const char *state, struct err *err)
{
    char boot[40];

    vdc_boot_id(boot);
    return vdb_patch(db, "vm", id, json_pack("{s:s,s:s}", "state", state, "_boot", boot), err);
}

void vm_refresh(struct vdb *db, json_t *vm)
{
    struct err err = {0};
    char boot[40];

    vdc_boot_id(boot);
    const char *id = vdc_str(vm, "id");
    /* After a reboot of the machine the guest is started again; it is not "stopped". */
    if (compute_of(vm)->record_only || !str_eq(vdc_str(vm, "state"), "Running") ||
        !str_eq(vdc_str(vm, "_boot"), boot) || guest_alive(id))
        return;
    if (set_state(db, id, "Stopped", &err) == 0)
        json_object_set_new(vm, "state", json_string("Stopped"));
}

static bool on_network(const json_t *vm, const char *network_id)
{
    size_t i = 0;
    json_t *nic = NULL;

    json_array_foreach(json_object_get(vm, "nic"), i, nic)
    {
        if (str_eq(vdc_str(nic, "networkid"), network_id))
            return true;
    }
    return false;
}

static bool in_group(const json_t *vm, const char *group_id)
{
    size_t i = 0;
    json_t *group = NULL;

    json_array_foreach(json_object_get(vm, "affinitygroup"), i, group)
    {
        if (str_eq(vdc_str(group, "id"), group_id))
            return true;
    }
    return false;
}

int call_list_vms(struct api_rq *rq)
{
    const char *network = api_arg(rq, "networkid"), *group = api_arg(rq, "affinitygroupid");
    _cleanup_json_ json_t *all = api_list(rq, "vm");
    json_t *shown = json_array();
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(all, i, one)
    {
        vm_refresh(rq->db, one);
        if ((!network || on_network(one, network)) && (!group || in_group(one, group)))
            json_array_append(shown, one);
    }
    return api_reply_where(rq, "virtualmachine", shown,
                           API_FILTERS("name", "state", "zoneid", "templateid", "hypervisor",
                                       "serviceofferingid", "keypair", "haenable"));
}

static int vm_job(struct api_rq *rq, const char *flag, bool value)
{
    _cleanup_json_ json_t *vm = api_need(rq, "id", "vm");

    if (!vm)
        return -1;
    return api_reply_job(rq, "VirtualMachine", NULL,
                         json_pack("{s:s,s:b}", "id", vdc_str(vm, "id"), flag, value));
}

int call_start_vm(struct api_rq *rq)
{
    return vm_job(rq, "start", true);
}

int call_stop_vm(struct api_rq *rq)
{
    return vm_job(rq, "forced", api_arg_bool(rq, "forced", false));
}

int call_reboot_vm(struct api_rq *rq)
{
    return vm_job(rq, "forced", api_arg_bool(rq, "forced", false));
}

int call_destroy_vm(struct api_rq *rq)
{
    _cleanup_json_ json_t *vm = api_need(rq, "id", "vm");

    if (!vm)
        return -1;
    _cleanup_json_ json_t *volumes = api_split(api_arg(rq, "volumeids"));
    size_t i = 0;
    json_t *one = NULL;
    json_array_foreach(volumes, i, one)
    {
        _cleanup_json_ json_t *volume = api_get(rq, "volume", json_string_value(one));

        if (!str_eq(vdc_str(volume, "virtualmachineid"), vdc_str(vm, "id")))
            return api_fail(rq, API_PARAM, "Volume %s is not attached to virtual machine %s",
                            json_string_value(one), vdc_str(vm, "name"));
    }
    return api_reply_job(rq, "VirtualMachine", NULL,
                         json_pack("{s:s,s:b,s:o,s:O}", "id", vdc_str(vm, "id"), "expunge",
                                   api_arg_bool(rq, "expunge", false), "vm", api_public(vm),
                                   "volumeids", volumes));
}

static bool alive(const json_t *vm)
{
    return compute_of(vm)->record_only ? str_eq(vdc_str(vm, "state"), "Running")
                                       : guest_alive(vdc_str(vm, "id"));
}

/* Everything that a start needs, made or found. */
static int bring_up(struct vdb *db, const json_t *vm, struct err *err)
{
    const char *id = vdc_str(vm, "id");
    size_t i = 0;
    json_t *nic = NULL, *volume = NULL;

    if (compute_of(vm)->record_only)
        return set_state(db, id, "Running", err);
    json_array_foreach(json_object_get(vm, "nic"), i, nic)
    {
        if (router_ensure(db, vdc_str(nic, "networkid"), err) < 0)
            return -1;
    }
    _cleanup_json_ json_t *volumes = vdb_find(db, "volume", "virtualmachineid", id);
    json_array_foreach(volumes, i, volume)
    {
        if (volume_make(db, volume, err) < 0)
            return -1;
    }
    if (compute_of(vm)->start(db, vm, err) < 0)
        return -1;
    return set_state(db, id, "Running", err);
}

static int bring_down(struct vdb *db, const json_t *vm, bool forced, struct err *err)
{
    const char *id = vdc_str(vm, "id");

    if (set_state(db, id, "Stopping", err) < 0 || compute_of(vm)->stop(vm, forced, err) < 0)
        return -1;
    return set_state(db, id, "Stopped", err);
}

static json_t *load_vm(const struct api_job *job, struct err *err)
{
    const char *id = vdc_str(job->params, "id");
    json_t *vm = vdb_get(job->db, "vm", id);

    if (!vm)
        err_set(err, ERR_FAILED, "the virtual machine %s does not exist any more", id);
    return vm;
}

static void set_result(struct api_job *job)
{
    job->result = vm_result(job->db, vdc_str(job->params, "id"));
}

int job_start_vm(struct api_job *job, struct err *err)
{
    _cleanup_close_ int lock = guest_lock(vdc_str(job->params, "id"), err);
    _cleanup_json_ json_t *vm = lock >= 0 ? load_vm(job, err) : NULL;

    if (!vm)
        return -1;
    const char *id = vdc_str(vm, "id"), *state = vdc_str(vm, "state");
    if (str_eq(state, "Destroyed"))
        return err_set(err, ERR_FAILED, "virtual machine %s is destroyed", vdc_str(vm, "name"));
    if (json_is_true(json_object_get(job->params, "start"))) {
        if (!alive(vm) && !str_eq(state, "Starting") && set_state(job->db, id, "Starting", err) < 0)
            return -1;
        if (bring_up(job->db, vm, err) < 0)
            return -1;
    }
    set_result(job);
    vm_show_password(job);
    return 0;
}

/* CloudStack leaves a deployment that failed as a row in state Error. */
void undo_start_vm(struct api_job *job)
{
    struct err err = {0};
    const char *id = vdc_str(job->params, "id");
    _cleanup_json_ json_t *vm = vdb_get(job->db, "vm", id);
    bool deploy = json_is_true(json_object_get(job->params, "deploy"));

    if (vm && !str_eq(vdc_str(vm, "state"), "Destroyed") && !alive(vm))
        set_state(job->db, id, deploy ? "Error" : "Stopped", &err);
}

int job_resume(struct api_job *job, struct err *err)
{
    _cleanup_close_ int lock = guest_lock(vdc_str(job->params, "id"), err);
    _cleanup_json_ json_t *vm = lock >= 0 ? load_vm(job, err) : NULL;

    if (!vm)
        return -1;
    if (bring_up(job->db, vm, err) == 0)
        return 0;
    struct err ignored = {0};
    set_state(job->db, vdc_str(vm, "id"), "Stopped", &ignored);
    return -1;
}

int job_stop_vm(struct api_job *job, struct err *err)
{
    _cleanup_close_ int lock = guest_lock(vdc_str(job->params, "id"), err);
    _cleanup_json_ json_t *vm = lock >= 0 ? load_vm(job, err) : NULL;
    bool forced = json_is_true(json_object_get(job->params, "forced"));

    if (!vm || bring_down(job->db, vm, forced, err) < 0)
        return -1;
    set_result(job);
    return 0;
}

int job_reboot_vm(struct api_job *job, struct err *err)
{
    _cleanup_close_ int lock = guest_lock(vdc_str(job->params, "id"), err);
    _cleanup_json_ json_t *vm = lock >= 0 ? load_vm(job, err) : NULL;
    bool forced = json_is_true(json_object_get(job->params, "forced"));

    if (!vm || bring_down(job->db, vm, forced, err) < 0 || bring_up(job->db, vm, err) < 0)
        return -1;
    set_result(job);
    return 0;
}

/* Forwards that lead to the guest, with the firewall rules that they opened. */
static int drop_forwards(struct vdb *db, const char *id, struct err *err)
{
    _cleanup_json_ json_t *all = vdb_find(db, "forward", "virtualmachineid", id);
    size_t i = 0, k = 0;
    json_t *one = NULL, *rule = NULL;

    json_array_foreach(all, i, one)
    {
        _cleanup_json_ json_t *opened = vdb_find(db, "firewall", "_forward", vdc_str(one, "id"));

        json_array_foreach(opened, k, rule)
        {
            if (vdb_del(db, "firewall", vdc_str(rule, "id"), err) < 0)
                return -1;
        }
        if (vdb_del(db, "forward", vdc_str(one, "id"), err) < 0)
            return -1;
    }
    return 0;
}

/* Volumes that the caller wants gone with the guest; it is down. */
static int delete_volumes(struct api_job *job, struct err *err)
{
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(json_object_get(job->params, "volumeids"), i, one)
    {
        if (volume_delete(job->db, json_string_value(one), err) < 0)
            return -1;
    }
    return 0;
}

static int expunge(struct vdb *db, const json_t *vm, struct err *err)
{
    const char *id = vdc_str(vm, "id");
    size_t i = 0;
    json_t *nic = NULL;
    _cleanup_json_ json_t *forwards = vdb_find(db, "forward", "virtualmachineid", id);
    _cleanup_json_ json_t *ips = vdb_find(db, "ip", "virtualmachineid", id);

    bool known =
        !compute_of(vm)->record_only || json_array_size(forwards) > 0 || json_array_size(ips) > 0;
    if (compute_of(vm)->clean(id, err) < 0 || volume_unplug_all(db, id, err) < 0 ||
        rootfs_remove(id, err) < 0 || drop_forwards(db, id, err) < 0 ||
        ip_forget_vm(db, id, err) < 0 || vdb_del(db, "vm", id, err) < 0)
        return -1;
    json_array_foreach(known ? json_object_get(vm, "nic") : NULL, i, nic)
    {
        if (router_update(db, vdc_str(nic, "networkid"), err) < 0)
            return -1;
    }
    return 0;
}

int job_destroy_vm(struct api_job *job, struct err *err)
{
    bool final = json_is_true(json_object_get(job->params, "expunge"));
    _cleanup_close_ int lock = guest_lock(vdc_str(job->params, "id"), err);

    if (lock < 0)
        return -1;
    _cleanup_json_ json_t *vm = vdb_get(job->db, "vm", vdc_str(job->params, "id"));
    if (vm && (bring_down(job->db, vm, true, err) < 0 || delete_volumes(job, err) < 0))
        return -1;
    if (vm && final && expunge(job->db, vm, err) < 0)
        return -1;
    if (vm && !final && set_state(job->db, vdc_str(vm, "id"), "Destroyed", err) < 0)
        return -1;
    _cleanup_json_ json_t *last = json_deep_copy(json_object_get(job->params, "vm"));
    json_object_set_new(last, "state", json_string(final ? "Expunging" : "Destroyed"));
    job->result = json_pack("{s:O}", "virtualmachine", last);
    return 0;
}
