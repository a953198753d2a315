/* SPDX-License-Identifier: Apache-2.0 */
/* Drivers that run guests. Each function is idempotent, and is called by single-threaded
 * processes only (a job, a fault, destroy) that hold the guest's lock. */
#ifndef MUSTER_CONTROLLER_LOCALVDC_MACHINE_COMPUTE_H
#define MUSTER_CONTROLLER_LOCALVDC_MACHINE_COMPUTE_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "common/err.h"
#include "controller/localvdc/base/vdb.h"

/* What a guest is held by, for as long as its volume is copied. */
#define HELD_MAX 64
struct held {
    int fds[HELD_MAX]; /* filesystems that were frozen */
    size_t n;
    bool paused; /* the whole guest */
};

struct compute_ops {
    const char *name; /* as the API names the hypervisor */
    bool record_only; /* no processes, disks and bridges: its guests are what their documents say */
    /* With its disks; its networks are there. Returns when its first process runs. */
    int (*start)(struct vdb *db, const json_t *vm, struct err *err);
    /* Gone when it returns; `forced`: at once, else after asking it to shut down. */
    int (*stop)(const json_t *vm, bool forced, struct err *err);
    /* What the driver left on the host; the guest is stopped. */
    int (*clean)(const char *vm_id, struct err *err);
    /* Shows a running guest a volume that is its own by the documents, or its new size; stopped:
     * success. */
    int (*plug)(const json_t *vm, const json_t *volume, struct err *err);
    /* Takes it off; in use by the guest: an error, or, when it is to be `pulled`, the guest's
     * problem. */
    int (*unplug)(struct vdb *db, const json_t *vm, const json_t *volume, bool pulled,
                  struct err *err);
    /* As without electricity: all its processes end at once, and what was not synced is lost. */
    int (*power_off)(struct vdb *db, const json_t *vm, struct err *err);
    /* None of its processes runs, until it is resumed. */
    int (*pause)(const json_t *vm, bool on, struct err *err);
    /* Leaves no byte free on its root disk, or on the volume that it has mounted; `undo`: gives
     * them back. */
    int (*fill)(const json_t *vm, const json_t *volume, bool undo, struct err *err);
    /* What a running guest has synced is on the volume, and nothing is written to it, until it is
     * let go of; also called when `hold` failed. A program that writes to a bare device goes on. */
    int (*hold)(const json_t *vm, const json_t *volume, struct held *ret, struct err *err);
    int (*let_go)(const json_t *vm, struct held *held, struct err *err);
    /* The same for a guest that a process held which was killed. */
    int (*let_all_go)(const json_t *vm, const json_t *volume, struct err *err);
};

extern const struct compute_ops compute_lxc, compute_qemu, compute_simulator;
extern const struct compute_ops *const compute_drivers[]; /* the default first; ends with NULL */
const struct compute_ops *compute_find(const char *name); /* any case; NULL: no such driver */
/* The one that the guest's document names. */
const struct compute_ops *compute_of(const json_t *vm);

/* Of guests that share the machine's kernel: called when one (re)starts, records its processes and
 * gives it its disks. `init` is its first process, `keeper` the one that lives as long as it. */
int guest_started(struct vdb *db, const char *vm_id, pid_t init, pid_t keeper, struct err *err);
/* Records a guest's processes; `init` is 0 when it has a kernel of its own. */
int guest_record(const char *vm_id, pid_t init, pid_t keeper, struct err *err);
/* Whether it runs (also while it reboots itself). */
bool guest_alive(const char *vm_id);
/* Its first process as the host sees it, 0 when it does not run or has a kernel of its own. */
pid_t guest_init(const char *vm_id);
/* Serialises what is done to a guest; the descriptor that holds the lock, or -1. */
int guest_lock(const char *vm_id, struct err *err);

#endif
