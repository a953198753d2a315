/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots of data volumes: copies of their files, each as the disk was at one moment. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/str.h"
#include "controller/localvdc/calls/calls.h"
#include "controller/localvdc/machine/compute.h"
#include "controller/localvdc/machine/disk.h"
#include "controller/localvdc/machine/hold.h"
#include "controller/localvdc/machine/image.h"

#define NAME_MAX_CHARS 255
#define TYPE "MANUAL"

void snapshot_path(const char *id, char *ret, size_t cap)
{
    snprintf(ret, cap, VDC_DIR "/snapshots/%s.img", id);
}

bool snapshot_is_made_of(struct vdb *db, const char *volume_id)
{
    _cleanup_json_ json_t *all = vdb_find(db, "snapshot", "volumeid", volume_id);
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(all, i, one)
    {
        if (str_eq(vdc_str(one, "state"), "Creating"))
            return true;
    }
    return false;
}

/* ---- calls ---- */

/* "db-1_data_20240131102030", or "detached_data_…". */
static char *default_name(const json_t *volume)
{
    char stamp[20];
    time_t now = time(NULL);
    struct tm tm;
    const char *vm = vdc_str(volume, "vmname");

    gmtime_r(&now, &tm);
    strftime(stamp, sizeof(stamp), "%Y%m%d%H%M%S", &tm);
    return str_fmt("%s_%s_%s", *vm ? vm : "detached", vdc_str(volume, "name"), stamp);
}

static json_t *snapshot_new(struct api_rq *rq, const json_t *volume)
{
    char id[37], now[32];
    const char *wanted = api_arg(rq, "name");
    _cleanup_free_ char *name = wanted && *wanted ? xstrdup(wanted) : default_name(volume);

    keys_uuid(id);
    vdc_now(now);
    json_t *snapshot = json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:i,s:b,s:s,s:[]}", "id", id, "name", name,
        "created", now, "state", "Creating", "volumeid", vdc_str(volume, "id"), "volumename",
        vdc_str(volume, "name"), "volumetype", vdc_str(volume, "type"), "zoneid",
        vdc_str(volume, "zoneid"), "snapshottype", TYPE, "intervaltype", TYPE, "virtualsize",
        json_integer_value(json_object_get(volume, "size")), "physicalsize", 0, "revertable", 0,
        "_diskofferingid", vdc_str(volume, "diskofferingid"), "tags");
    account_own(snapshot, rq->account);
    tags_given(rq, json_object_get(snapshot, "tags"), "Snapshot", id);
    return snapshot;
}

int call_create_snapshot(struct api_rq *rq)
{
    struct err err = {0};
    const char *name = api_arg(rq, "name");
    _cleanup_json_ json_t *volume = api_need(rq, "volumeid", "volume");

    if (!volume)
        return -1;
    if (!str_eq(vdc_str(volume, "state"), "Ready"))
        return api_fail(rq, API_PARAM,
                        "VolumeId: %s is not in Ready state but %s. Cannot take snapshot.",
                        vdc_str(volume, "id"), vdc_str(volume, "state"));
    if (name && strlen(name) > NAME_MAX_CHARS)
        return api_fail(rq, API_PARAM, "Parameter name is longer than %d characters",
                        NAME_MAX_CHARS);
    _cleanup_json_ json_t *snapshot = snapshot_new(rq, volume);
    const char *id = vdc_str(snapshot, "id");
    if (vdb_put(rq->db, "snapshot", id, snapshot, &err) < 0)
        return api_fail(rq, API_INTERNAL, "%s", err.msg);
    return api_reply_job(rq, "Snapshot", id, json_pack("{s:s}", "id", id));
}

int call_list_snapshots(struct api_rq *rq)
{
    return api_reply_where(
        rq, "snapshot", api_list(rq, "snapshot"),
        API_FILTERS("name", "volumeid", "zoneid", "snapshottype", "intervaltype"));
}

int call_delete_snapshot(struct api_rq *rq)
{
    struct err err = {0};
    _cleanup_json_ json_t *snapshot = api_need(rq, "id", "snapshot");

    if (!snapshot)
        return -1;
    const char *id = vdc_str(snapshot, "id"), *state = vdc_str(snapshot, "state");
    if (!str_eq(state, "BackedUp") && !str_eq(state, "Error"))
        return api_fail(rq, API_PARAM, "Can't delete snapshot %s due to it is in %s Status", id,
                        state);
    if (vdb_patch(rq->db, "snapshot", id, json_pack("{s:s}", "state", "Destroying"), &err) < 0)
        return api_fail(rq, API_INTERNAL, "%s", err.msg);
    return api_reply_job(rq, "Snapshot", NULL, json_pack("{s:s}", "id", id));
}

/* ---- jobs ---- */

/* Whoever kept the guest from writing was killed. */
static int let_all_go(struct vdb *db, const char *id, const char *vm_id, const char *volume_id,
                      struct err *err)
{
    _cleanup_json_ json_t *vm = vdb_get(db, "vm", vm_id);
    _cleanup_json_ json_t *volume = vdb_get(db, "volume", volume_id);

    if (vm && volume && guest_alive(vm_id) && compute_of(vm)->let_all_go(vm, volume, err) < 0)
        return -1;
    return vdb_patch(db, "snapshot", id, json_pack("{s:n}", "_held"), err);
}

/* An earlier attempt was cut off while it kept a guest from writing. */
static int after_cut(struct vdb *db, const json_t *snapshot, struct err *err)
{
    const char *vm_id = vdc_str(snapshot, "_held");
    _cleanup_close_ int lock = *vm_id ? guest_lock(vm_id, err) : -1;

    if (!*vm_id)
        return 0;
    return lock < 0
               ? -1
               : let_all_go(db, vdc_str(snapshot, "id"), vm_id, vdc_str(snapshot, "volumeid"), err);
}

/* What the guest wrote since the first pass, while it writes nothing. It is recorded first that it
 * is held: a job that is killed with its helper does not leave it so. */
static int copy_held(struct vdb *db, const json_t *snapshot, const char *vm_id, struct image *m,
                     struct err *err)
{
    struct hold hold;
    struct err late = {0};
    const char *id = vdc_str(snapshot, "id"), *volume_id = vdc_str(snapshot, "volumeid");

    if (vdb_patch(db, "snapshot", id, json_pack("{s:s}", "_held", vm_id), err) < 0)
        return -1;
    int r = hold_begin(vm_id, volume_id, &hold, err);
    if (r == 0) {
        r = image_update(m, err);
        if (hold_end(&hold, r == 0 ? err : &late) < 0)
            r = -1;
    }
    if (r == 0)
        return vdb_patch(db, "snapshot", id, json_pack("{s:n}", "_held"), err);
    let_all_go(db, id, vm_id, volume_id, &late);
    return -1;
}

/* All of the disk as it is at one moment; *ret_again: the volume was attached or detached since it
 * was looked at. */
static int copy_once(struct vdb *db, const json_t *snapshot, struct image *m, bool *ret_again,
                     struct err *err)
{
    char disk[128], vm_id[37];
    const char *id = vdc_str(snapshot, "volumeid");
    _cleanup_json_ json_t *before = vdb_get(db, "volume", id);

    volume_path(id, disk, sizeof(disk));
    str_copy(vm_id, sizeof(vm_id), vdc_str(before, "virtualmachineid"));
    _cleanup_close_ int lock = *vm_id ? guest_lock(vm_id, err) : image_lock(disk, err);
    if (lock < 0)
        return -1;
    _cleanup_json_ json_t *volume = vdb_get(db, "volume", id);
    if (!volume)
        return err_set(err, ERR_FAILED, "volume %s does not exist any more", id);
    *ret_again = !str_eq(vdc_str(volume, "virtualmachineid"), vm_id);
    if (*ret_again)
        return 0;
    _cleanup_json_ json_t *vm = *vm_id ? vdb_get(db, "vm", vm_id) : NULL;
    if (vm && !compute_of(vm)->record_only && guest_alive(vm_id))
        return copy_held(db, snapshot, vm_id, m, err);
    return image_update(m, err);
}

/* Without shared blocks the first pass copies while the guest goes on, so that it is held for as
 * long as reading takes. */
static int copy(struct vdb *db, const json_t *snapshot, struct image *m, struct err *err)
{
    bool again = true;
    int shared = image_share(m, err);

    if (shared != 0)
        return shared < 0 ? -1 : 0;
    if (image_check_space(m, err) < 0 || image_update(m, err) < 0)
        return -1;
    while (again) {
        if (copy_once(db, snapshot, m, &again, err) < 0)
            return -1;
    }
    return 0;
}

static int take(struct vdb *db, const json_t *snapshot, const char *path, struct err *err)
{
    char disk[128];
    _cleanup_(image_drop) struct image m = {.from = -1, .to = -1};

    volume_path(vdc_str(snapshot, "volumeid"), disk, sizeof(disk));
    return after_cut(db, snapshot, err) < 0 || image_begin(disk, path, &m, err) < 0 ||
                   copy(db, snapshot, &m, err) < 0 || image_commit(&m, err) < 0
               ? -1
               : 0;
}

int job_create_snapshot(struct api_job *job, struct err *err)
{
    char path[128];
    struct stat st;
    const char *id = vdc_str(job->params, "id");
    _cleanup_json_ json_t *snapshot = vdb_get(job->db, "snapshot", id);

    if (!snapshot)
        return err_set(err, ERR_FAILED, "snapshot %s does not exist any more", id);
    snapshot_path(id, path, sizeof(path));
    if (!fs_exists(path) && take(job->db, snapshot, path, err) < 0)
        return -1;
    if (stat(path, &st) < 0)
        return err_errno(err, errno, "look at %s", path);
    if (vdb_patch(job->db, "snapshot", id,
                  json_pack("{s:s,s:I,s:I,s:n}", "state", "BackedUp", "virtualsize",
                            (json_int_t)st.st_size, "physicalsize", (json_int_t)st.st_blocks * 512,
                            "_held"),
                  err) < 0)
        return -1;
    _cleanup_json_ json_t *done = vdb_get(job->db, "snapshot", id);
    job->result = json_pack("{s:o}", "snapshot", api_public(done));
    return 0;
}

static void remove_files(const char *id)
{
    char path[128], part[160];

    snapshot_path(id, path, sizeof(path));
    image_part(path, part, sizeof(part));
    unlink(path);
    unlink(part);
}

/* It stays as one in state Error, which can be deleted. */
static int set_failed(struct vdb *db, const json_t *snapshot, struct err *err)
{
    const char *id = vdc_str(snapshot, "id");

    if (after_cut(db, snapshot, err) < 0 ||
        vdb_patch(db, "snapshot", id, json_pack("{s:s}", "state", "Error"), err) < 0)
        return -1;
    remove_files(id);
    return 0;
}

void undo_create_snapshot(struct api_job *job)
{
    struct err err = {0};
    _cleanup_json_ json_t *snapshot = vdb_get(job->db, "snapshot", vdc_str(job->params, "id"));

    if (snapshot && set_failed(job->db, snapshot, &err) < 0)
        log_warn("snapshot %s: %s", vdc_str(snapshot, "name"), err.msg);
}

int job_delete_snapshot(struct api_job *job, struct err *err)
{
    char path[128];
    const char *id = vdc_str(job->params, "id");

    snapshot_path(id, path, sizeof(path));
    remove_files(id);
    return fs_sync_parent(path, err) < 0 ? -1 : vdb_del(job->db, "snapshot", id, err);
}

void undo_delete_snapshot(struct api_job *job)
{
    char path[128];
    struct err err = {0};
    const char *id = vdc_str(job->params, "id");

    snapshot_path(id, path, sizeof(path));
    if (vdb_patch(job->db, "snapshot", id,
                  json_pack("{s:s}", "state", fs_exists(path) ? "BackedUp" : "Error"), &err) < 0)
        log_warn("snapshot %s: %s", id, err.msg);
}

/* ---- what jobs left that ended for good without an end ---- */

static bool is_open(const json_t *open, const char *id)
{
    size_t i = 0;
    json_t *job = NULL;

    json_array_foreach(open, i, job)
    {
        if (str_eq(vdc_str(json_object_get(job, "_args"), "id"), id))
            return true;
    }
    return false;
}

/* Copies that nobody goes on with. Whole disks are never removed here: a document that cannot be
 * read is not one that is not there. */
static void sweep_parts(const char *dir, const json_t *open)
{
    _cleanup_closedir_ DIR *d = opendir(dir);

    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        char id[37];

        str_copy(id, sizeof(id), e->d_name);
        if (!str_ends(e->d_name, ".part") || is_open(open, id))
            continue;
        _cleanup_free_ char *path = str_fmt("%s/%s", dir, e->d_name);
        log_info("removes %s, a copy that was not finished", path);
        unlink(path);
    }
}

void snapshot_sweep(struct vdb *db)
{
    _cleanup_json_ json_t *open = vdb_find(db, "job", "_open", "yes");
    _cleanup_json_ json_t *all = vdb_list(db, "snapshot");
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(all, i, one)
    {
        struct err err = {0};
        const char *id = vdc_str(one, "id"), *state = vdc_str(one, "state");
        struct api_job job = {.db = db, .params = one};

        if (is_open(open, id))
            continue;
        if ((str_eq(state, "Creating") && set_failed(db, one, &err) < 0) ||
            (str_eq(state, "Destroying") && job_delete_snapshot(&job, &err) < 0))
            log_warn("snapshot %s: %s", vdc_str(one, "name"), err.msg);
    }
    sweep_parts(VDC_DIR "/snapshots", open);
    sweep_parts(VDC_DIR "/volumes", open);
}
