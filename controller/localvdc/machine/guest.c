/* SPDX-License-Identifier: Apache-2.0 */
/* What is the same for every driver: the record of a running guest. */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"
#include "controller/localvdc/base/tool.h"
#include "controller/localvdc/base/vdc.h"
#include "controller/localvdc/machine/compute.h"
#include "controller/localvdc/machine/disk.h"
#include "controller/localvdc/machine/rootfs.h"

const struct compute_ops *const compute_drivers[] = {&compute_lxc, &compute_qemu,
                                                     &compute_simulator, NULL};

const struct compute_ops *compute_find(const char *name)
{
    for (size_t i = 0; compute_drivers[i]; i++) {
        if (strcasecmp(compute_drivers[i]->name, name) == 0)
            return compute_drivers[i];
    }
    return NULL;
}

const struct compute_ops *compute_of(const json_t *vm)
{
    const struct compute_ops *driver = compute_find(vdc_str(vm, "hypervisor"));

    return driver ? driver : compute_drivers[0];
}

struct record {
    int init, keeper;
    unsigned long long init_start, keeper_start;
};

static struct record record_read(const char *vm_id)
{
    char path[160];
    struct err err = {0};
    struct record r = {0};
    _cleanup_free_ char *text = NULL;

    guest_path(vm_id, "running", path, sizeof(path));
    if (!fs_exists(path) || fs_read(path, 256, &text, NULL, &err) < 0 ||
        sscanf(text, "%d %llu %d %llu", &r.init, &r.init_start, &r.keeper, &r.keeper_start) != 4)
        return (struct record){0};
    return r;
}

static bool same_process(int pid, unsigned long long start)
{
    return pid > 1 && start != 0 && tool_starttime(pid) == start;
}

int guest_record(const char *vm_id, pid_t init, pid_t keeper, struct err *err)
{
    char path[160], text[128];

    guest_path(vm_id, "running", path, sizeof(path));
    int n = snprintf(text, sizeof(text), "%d %llu %d %llu\n", (int)init, tool_starttime(init),
                     (int)keeper, tool_starttime(keeper));
    return fs_write_atomic(path, text, (size_t)n, 0600, err);
}

int guest_started(struct vdb *db, const char *vm_id, pid_t init, pid_t keeper, struct err *err)
{
    if (guest_record(vm_id, init, keeper, err) < 0)
        return -1;
    return disk_sync_guest(db, vm_id, init, err);
}

bool guest_alive(const char *vm_id)
{
    struct record r = record_read(vm_id);

    return same_process(r.keeper, r.keeper_start);
}

pid_t guest_init(const char *vm_id)
{
    struct record r = record_read(vm_id);

    return same_process(r.init, r.init_start) ? r.init : 0;
}

int guest_lock(const char *vm_id, struct err *err)
{
    _cleanup_free_ char *path = str_fmt(VDC_DIR "/lock/vm-%s", vm_id);

    return fs_lock(path, true, err);
}
