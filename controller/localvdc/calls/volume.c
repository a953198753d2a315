/* SPDX-License-Identifier: Apache-2.0 */
/* Data volumes. A volume's size is what was asked for, its file is sparse. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/str.h"
#include "controller/localvdc/base/tool.h"
#include "controller/localvdc/base/zones.h"
#include "controller/localvdc/calls/calls.h"
#include "controller/localvdc/machine/compute.h"
#include "controller/localvdc/machine/disk.h"
#include "controller/localvdc/machine/image.h"

#define GIB_MAX 10240
#define DEVICE_MAX 25 /* /dev/sdz */

static json_t *volume_of(struct api_rq *rq, const char *name, const json_t *zone,
                         const json_t *offering, long long gib)
{
    char id[37], now[32];

    keys_uuid(id);
    vdc_now(now);
    json_t *volume = json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:s,s:s,s:s,s:b,s:[]}", "id", id, "name",
        name ? name : id, "zoneid", vdc_str(zone, "id"), "zonename", vdc_str(zone, "name"), "type",
        "DATADISK", "diskofferingid", vdc_str(offering, "id"), "diskofferingname",
        vdc_str(offering, "name"), "size", (json_int_t)gib << 30, "state", "Creating", "created",
        now, "storagetype", "shared", "isextractable", 0, "tags");
    account_own(volume, rq->account);
    return volume;
}

json_t *volume_new(struct api_rq *rq, const char *name, const json_t *zone, const json_t *offering)
{
    long long gib = api_arg_int(rq, "size", 0);

    if (gib >= 1 && gib <= GIB_MAX)
        return volume_of(rq, name, zone, offering, gib);
    api_fail(rq, API_PARAM,
             "The disk offering is custom sized: parameter size must be from 1 to %d (GB)",
             GIB_MAX);
    return NULL;
}

/* As large as the snapshot unless a larger size is asked for. */
static json_t *volume_from(struct api_rq *rq, const json_t *zone, const json_t *offering,
                           const json_t *snapshot)
{
    json_int_t bytes = json_integer_value(json_object_get(snapshot, "virtualsize"));
    long long least = (bytes + (1LL << 30) - 1) >> 30, gib = api_arg_int(rq, "size", least);

    if (!str_eq(vdc_str(snapshot, "state"), "BackedUp"))
        api_fail(
            rq, API_PARAM,
            "Snapshot id=%s is not in BackedUp state yet and can't be used for volume creation",
            vdc_str(snapshot, "id"));
    else if (!str_eq(vdc_str(snapshot, "zoneid"), vdc_str(zone, "id")))
        api_fail(rq, API_PARAM, "Snapshot %s is not in zone %s", vdc_str(snapshot, "name"),
                 vdc_str(zone, "name"));
    else if (gib < least || gib > GIB_MAX)
        api_fail(rq, API_PARAM,
                 "Invalid size for volume creation: %lldGB, snapshot size is: %lldGB, the largest "
                 "is %dGB",
                 gib, least, GIB_MAX);
    else {
        json_t *volume = volume_of(rq, api_arg(rq, "name"), zone, offering, gib);

        json_object_set(volume, "snapshotid", json_object_get(snapshot, "id"));
        return volume;
    }
    return NULL;
}

int call_create_volume(struct api_rq *rq)
{
    struct err err = {0};
    bool copied = api_arg(rq, "snapshotid") != NULL;
    _cleanup_json_ json_t *snapshot = copied ? api_need(rq, "snapshotid", "snapshot") : NULL;
    const char *offering_id = api_arg(rq, "diskofferingid"), *zone_id = api_arg(rq, "zoneid");

    if (copied && !snapshot)
        return -1;
    if (copied && !offering_id)
        offering_id = vdc_str(snapshot, "_diskofferingid");
    if (copied && !zone_id)
        zone_id = vdc_str(snapshot, "zoneid");
    _cleanup_json_ json_t *offering = offering_id ? catalog_disk_offering(offering_id) : NULL;
    _cleanup_json_ json_t *zone = zone_id ? zones_find(zone_id, NULL) : NULL;
    if (!offering || !zone)
        return api_fail(rq, API_PARAM, "Unable to find %s by id",
                        !offering ? "disk offering" : "zone");
    _cleanup_json_ json_t *volume = copied ? volume_from(rq, zone, offering, snapshot)
                                           : volume_new(rq, api_arg(rq, "name"), zone, offering);
    if (!volume)
        return -1;
    const char *id = vdc_str(volume, "id");
    if (vdb_put(rq->db, "volume", id, volume, &err) < 0)
        return api_fail(rq, API_INTERNAL, "%s", err.msg);
    return api_reply_job(rq, "Volume", id, json_pack("{s:s}", "id", id));
}

/* Root disks are listed, too; they have no documents of their own. */
static json_t *root_volume(const json_t *vm)
{
    char id[37];

    keys_uuid_derived("mvdc-root-volume", vdc_str(vm, "id"), id);
    _cleanup_free_ char *name = str_fmt("ROOT-%.8s", vdc_str(vm, "id"));
    return json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:I,s:s,s:s,s:s,s:s,s:s,s:s,s:i,s:s,s:[]}", "id", id, "name", name,
        "zoneid", vdc_str(vm, "zoneid"), "zonename", vdc_str(vm, "zonename"), "type", "ROOT",
        "size", json_integer_value(json_object_get(vm, "_rootsize")), "state", "Ready", "created",
        vdc_str(vm, "created"), "account", account_of(vm), "virtualmachineid", vdc_str(vm, "id"),
        "vmname", vdc_str(vm, "name"), "vmdisplayname", vdc_str(vm, "displayname"), "deviceid", 0,
        "vmstate", vdc_str(vm, "state"), "tags");
}

int call_list_volumes(struct api_rq *rq)
{
    _cleanup_json_ json_t *all = api_list(rq, "volume");
    _cleanup_json_ json_t *vms = api_list(rq, "vm");
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(vms, i, one)
    {
        json_array_append_new(all, root_volume(one));
    }
    return api_reply_where(
        rq, "volume", json_incref(all),
        API_FILTERS("name", "type", "state", "zoneid", "diskofferingid", "virtualmachineid"));
}

int call_attach_volume(struct api_rq *rq)
{
    _cleanup_json_ json_t *volume = api_need(rq, "id", "volume");
    _cleanup_json_ json_t *vm = volume ? api_need(rq, "virtualmachineid", "vm") : NULL;

    if (!vm)
        return -1;
    const char *holder = vdc_str(volume, "virtualmachineid");
    if (*holder)
        return api_fail(rq, API_PARAM, "Volume %s is attached to virtual machine %s already",
                        vdc_str(volume, "name"), vdc_str(volume, "vmname"));
    if (!str_eq(vdc_str(volume, "zoneid"), vdc_str(vm, "zoneid")))
        return api_fail(rq, API_PARAM, "Volume %s is in zone %s, virtual machine %s in zone %s",
                        vdc_str(volume, "name"), vdc_str(volume, "zonename"), vdc_str(vm, "name"),
                        vdc_str(vm, "zonename"));
    if (!str_eq(vdc_str(vm, "state"), "Running") && !str_eq(vdc_str(vm, "state"), "Stopped"))
        return api_fail(rq, API_PARAM, "Please specify a VM that is either running or stopped.");
    long long device = api_arg_int(rq, "deviceid", -1);
    if (device == 0 || device < -1 || device > DEVICE_MAX)
        return api_fail(rq, API_PARAM, "deviceid must be from 1 to %d", DEVICE_MAX);
    return api_reply_job(rq, "Volume", NULL,
                         json_pack("{s:s,s:s,s:I}", "id", vdc_str(volume, "id"), "vm",
                                   vdc_str(vm, "id"), "deviceid", (json_int_t)device));
}

int call_detach_volume(struct api_rq *rq)
{
    const char *vm_id = api_arg(rq, "virtualmachineid");

    if (!api_arg(rq, "id") && !(vm_id && api_arg(rq, "deviceid")))
        return api_fail(rq, API_PARAM, "Specify either id, or virtualmachineid and deviceid");
    _cleanup_json_ json_t *all = api_list(rq, "volume");
    size_t i = 0;
    json_t *one = NULL;
    json_array_foreach(all, i, one)
    {
        json_int_t device = json_integer_value(json_object_get(one, "deviceid"));
        const char *holder = vdc_str(one, "virtualmachineid");

        if (!api_match(rq, "id", vdc_str(one, "id")) ||
            (vm_id && (!str_eq(holder, vm_id) || device != api_arg_int(rq, "deviceid", device))))
            continue;
        if (!*holder)
            return api_fail(rq, API_PARAM, "Volume %s is not attached to a virtual machine",
                            vdc_str(one, "name"));
        return api_reply_job(rq, "Volume", NULL, json_pack("{s:s}", "id", vdc_str(one, "id")));
    }
    return api_fail(rq, API_PARAM, "Unable to find the volume");
}

int call_delete_volume(struct api_rq *rq)
{
    struct err err = {0};
    _cleanup_json_ json_t *volume = api_need(rq, "id", "volume");

    if (!volume)
        return -1;
    if (*vdc_str(volume, "virtualmachineid"))
        return api_fail(rq, API_PARAM, "Please specify a volume that is not attached with any VM.");
    if (snapshot_is_made_of(rq->db, vdc_str(volume, "id")))
        return api_fail(rq, API_PARAM,
                        "There are snapshot operations in progress on the volume, unable to delete "
                        "it");
    if (volume_delete(rq->db, vdc_str(volume, "id"), &err) < 0)
        return api_fail(rq, API_INTERNAL, "%s", err.msg);
    rq->result = json_pack("{s:b}", "success", 1);
    return 0;
}

int volume_delete(struct vdb *db, const char *id, struct err *err)
{
    char path[128];

    volume_path(id, path, sizeof(path));
    if (disk_release(path, err) < 0 || vdb_del(db, "volume", id, err) < 0)
        return -1;
    unlink(path);
    return 0;
}

static void set_result(struct api_job *job)
{
    _cleanup_json_ json_t *volume = vdb_get(job->db, "volume", vdc_str(job->params, "id"));

    if (volume)
        job->result = json_pack("{s:o}", "volume", api_public(volume));
}

static void warn_large(const char *name, uint64_t bytes)
{
    struct statvfs v;

    if (statvfs(VDC_DIR, &v) == 0 && (uint64_t)v.f_bavail * v.f_frsize < bytes)
        log_warn("volume %s of %llu GB is larger than what is free below " VDC_DIR " (%llu GB): "
                 "writes to it will fail when the disk is full",
                 name, (unsigned long long)bytes >> 30,
                 (unsigned long long)v.f_bavail * v.f_frsize >> 30);
}

/* The snapshot's blocks, or a copy of them. There already: an earlier attempt got so far. */
static int make_from(const char *snapshot_id, const char *path, uint64_t bytes, struct err *err)
{
    char from[128];
    _cleanup_(image_drop) struct image m = {.from = -1, .to = -1};

    if (fs_exists(path))
        return 0;
    snapshot_path(snapshot_id, from, sizeof(from));
    if (!fs_exists(from))
        return err_set(err, ERR_FAILED, "snapshot %s does not exist any more", snapshot_id);
    if (image_begin(from, path, &m, err) < 0)
        return -1;
    int shared = image_share(&m, err);
    if (shared < 0 ||
        (shared == 0 && (image_check_space(&m, err) < 0 || image_update(&m, err) < 0)))
        return -1;
    return image_grow(&m, bytes, err) < 0 ? -1 : image_commit(&m, err);
}

int volume_make(struct vdb *db, const json_t *volume, struct err *err)
{
    char path[128];
    const char *id = vdc_str(volume, "id");
    uint64_t bytes = (uint64_t)json_integer_value(json_object_get(volume, "size"));

    if (!str_eq(vdc_str(volume, "state"), "Creating"))
        return 0;
    volume_path(id, path, sizeof(path));
    const char *snapshot = vdc_str(volume, "snapshotid");
    if ((*snapshot ? make_from(snapshot, path, bytes, err) : disk_make(path, bytes, err)) < 0)
        return -1;
    warn_large(vdc_str(volume, "name"), bytes);
    return vdb_patch(db, "volume", id, json_pack("{s:s}", "state", "Ready"), err);
}

int job_create_volume(struct api_job *job, struct err *err)
{
    const char *id = vdc_str(job->params, "id");
    _cleanup_json_ json_t *volume = vdb_get(job->db, "volume", id);

    if (!volume)
        return err_set(err, ERR_FAILED, "volume %s does not exist any more", id);
    if (volume_make(job->db, volume, err) < 0)
        return -1;
    set_result(job);
    return 0;
}

int call_resize_volume(struct api_rq *rq)
{
    _cleanup_json_ json_t *volume = api_need(rq, "id", "volume");
    long long gib = api_arg_int(rq, "size", 0);

    if (!volume)
        return -1;
    json_int_t now = json_integer_value(json_object_get(volume, "size"));
    if (!str_eq(vdc_str(volume, "state"), "Ready"))
        return api_fail(rq, API_PARAM, "Volume %s is %s, not Ready", vdc_str(volume, "name"),
                        vdc_str(volume, "state"));
    if (gib > GIB_MAX || (json_int_t)gib << 30 < now)
        return api_fail(rq, API_PARAM,
                        "Parameter size is %lld (GB), but volume %s has %lld; it can grow up to %d",
                        gib, vdc_str(volume, "name"), (long long)now >> 30, GIB_MAX);
    return api_reply_job(
        rq, "Volume", NULL,
        json_pack("{s:s,s:I}", "id", vdc_str(volume, "id"), "size", (json_int_t)gib << 30));
}

int job_resize_volume(struct api_job *job, struct err *err)
{
    char path[128];
    const char *id = vdc_str(job->params, "id");
    json_int_t bytes = json_integer_value(json_object_get(job->params, "size"));
    _cleanup_json_ json_t *volume = vdb_get(job->db, "volume", id);

    if (!volume)
        return err_set(err, ERR_FAILED, "volume %s does not exist any more", id);
    volume_path(id, path, sizeof(path));
    if (disk_grow(path, (uint64_t)bytes, err) < 0 ||
        vdb_patch(job->db, "volume", id, json_pack("{s:I}", "size", bytes), err) < 0)
        return -1;
    warn_large(vdc_str(volume, "name"), (uint64_t)bytes);
    const char *holder = vdc_str(volume, "virtualmachineid");
    _cleanup_close_ int lock = *holder ? guest_lock(holder, err) : -1;
    _cleanup_json_ json_t *vm = lock >= 0 ? vdb_get(job->db, "vm", holder) : NULL;
    if (*holder && (lock < 0 || (vm && compute_of(vm)->plug(vm, volume, err) < 0)))
        return -1;
    set_result(job);
    return 0;
}

void undo_create_volume(struct api_job *job)
{
    char path[128], part[160];
    struct err err = {0};
    const char *id = vdc_str(job->params, "id");

    volume_path(id, path, sizeof(path));
    image_part(path, part, sizeof(part));
    unlink(path);
    unlink(part);
    vdb_del(job->db, "volume", id, &err);
}

/* The lowest free device number of the guest; 0 is its root disk. Within a transaction. */
static int pick_device(struct vdb *db, const char *vm_id, json_int_t asked, json_int_t *ret,
                       struct err *err)
{
    bool used[DEVICE_MAX + 1] = {true};
    _cleanup_json_ json_t *volumes = vdb_find(db, "volume", "virtualmachineid", vm_id);
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(volumes, i, one)
    {
        json_int_t n = json_integer_value(json_object_get(one, "deviceid"));

        if (n >= 0 && n <= DEVICE_MAX)
            used[n] = true;
    }
    for (json_int_t n = 1; n <= DEVICE_MAX; n++) {
        if (!used[n] && (asked < 0 || asked == n)) {
            *ret = n;
            return 0;
        }
    }
    return err_set(err, ERR_FAILED, "the device number is in use");
}

void volume_claim(json_t *volume, const json_t *vm, json_int_t device)
{
    char now[32];

    vdc_now(now);
    _cleanup_json_ json_t *holder =
        json_pack("{s:s,s:s,s:s,s:s,s:I,s:s}", "virtualmachineid", vdc_str(vm, "id"), "vmname",
                  vdc_str(vm, "name"), "vmdisplayname", vdc_str(vm, "displayname"), "vmstate",
                  vdc_str(vm, "state"), "deviceid", device, "attached", now);
    json_object_update(volume, holder);
}

static int claim(struct api_job *job, const json_t *vm, struct err *err)
{
    json_int_t device = 0;
    const char *id = vdc_str(job->params, "id"), *vm_id = vdc_str(vm, "id");
    _cleanup_json_ json_t *volume = vdb_get(job->db, "volume", id);

    if (!volume)
        return err_set(err, ERR_FAILED, "volume %s does not exist any more", id);
    const char *holder = vdc_str(volume, "virtualmachineid");
    if (str_eq(holder, vm_id))
        return 0; /* claimed before this job was cut off */
    if (*holder)
        return err_set(err, ERR_FAILED, "volume %s was attached to virtual machine %s meanwhile",
                       vdc_str(volume, "name"), vdc_str(volume, "vmname"));
    json_int_t asked = json_integer_value(json_object_get(job->params, "deviceid"));
    if (pick_device(job->db, vm_id, asked, &device, err) < 0)
        return -1;
    volume_claim(volume, vm, device);
    return vdb_put(job->db, "volume", id, volume, err);
}

int job_attach_volume(struct api_job *job, struct err *err)
{
    const char *id = vdc_str(job->params, "id"), *vm_id = vdc_str(job->params, "vm");
    _cleanup_close_ int lock = guest_lock(vm_id, err);
    _cleanup_json_ json_t *vm = lock >= 0 ? vdb_get(job->db, "vm", vm_id) : NULL;

    if (lock < 0)
        return -1;
    if (!vm)
        return err_set(err, ERR_FAILED, "the virtual machine %s does not exist any more", vm_id);
    char path[128];
    volume_path(id, path, sizeof(path));
    _cleanup_close_ int whole = image_lock(path, err); /* nobody copies it as one without a guest */
    if (whole < 0 || vdb_begin(job->db, err) < 0)
        return -1;
    if (claim(job, vm, err) < 0) {
        vdb_rollback(job->db);
        return -1;
    }
    if (vdb_commit(job->db, err) < 0)
        return -1;
    _cleanup_json_ json_t *volume = vdb_get(job->db, "volume", id);
    if (compute_of(vm)->plug(vm, volume, err) < 0)
        return -1;
    pid_t init = guest_init(vm_id);
    if (init > 0 && disk_sync_guest(job->db, vm_id, init, err) < 0)
        return -1;
    set_result(job);
    return 0;
}

static json_t *loose(void)
{
    return json_pack("{s:n,s:n,s:n,s:n,s:n,s:n}", "virtualmachineid", "vmname", "vmdisplayname",
                     "vmstate", "deviceid", "attached");
}

int volume_set_loose(struct vdb *db, const char *id, struct err *err)
{
    return vdb_patch(db, "volume", id, loose(), err);
}

int job_detach_volume(struct api_job *job, struct err *err)
{
    const char *id = vdc_str(job->params, "id");
    _cleanup_json_ json_t *volume = vdb_get(job->db, "volume", id);

    if (!volume)
        return err_set(err, ERR_FAILED, "volume %s does not exist any more", id);
    const char *vm_id = vdc_str(volume, "virtualmachineid");
    _cleanup_close_ int lock = guest_lock(vm_id, err);
    _cleanup_json_ json_t *vm = lock >= 0 ? vdb_get(job->db, "vm", vm_id) : NULL;
    if (lock < 0 || (vm && compute_of(vm)->unplug(job->db, vm, volume, false, err) < 0) ||
        volume_set_loose(job->db, id, err) < 0)
        return -1;
    pid_t init = guest_init(vm_id);
    if (init > 0 && disk_sync_guest(job->db, vm_id, init, err) < 0)
        return -1;
    set_result(job);
    return 0;
}

int volume_unplug_all(struct vdb *db, const char *vm_id, struct err *err)
{
    _cleanup_json_ json_t *volumes = vdb_find(db, "volume", "virtualmachineid", vm_id);
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(volumes, i, one)
    {
        char path[128];
        const char *id = vdc_str(one, "id");

        volume_path(id, path, sizeof(path));
        if (disk_release(path, err) < 0 || volume_set_loose(db, id, err) < 0)
            return -1;
    }
    return 0;
}
