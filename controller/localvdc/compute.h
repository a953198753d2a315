/* SPDX-License-Identifier: Apache-2.0 */
/* Drivers that run guests. Each function is idempotent; all but `init` and `alive` are called
 * in a job's own single-threaded process only. */
#ifndef MUSTER_VDC_COMPUTE_H
#define MUSTER_VDC_COMPUTE_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "common/err.h"
#include "controller/localvdc/vdb.h"

struct compute_ops {
    const char *name; /* as the API names the hypervisor */
    bool record_only; /* no processes, disks and bridges: its guests are what their documents say */
    /* Its root is mounted and its bridges are there; returns when its first process runs. */
    int (*start)(const json_t *vm, struct err *err);
    /* Gone when it returns; `forced`: at once, else after asking it to shut down. */
    int (*stop)(const json_t *vm, bool forced, struct err *err);
    /* What the driver left on the host; the guest is stopped. */
    int (*clean)(const char *vm_id, struct err *err);
};

extern const struct compute_ops compute_lxc, compute_simulator;
extern const struct compute_ops *const compute_drivers[]; /* the default first; ends with NULL */
const struct compute_ops *compute_find(const char *name); /* any case; NULL: no such driver */
/* The one that the guest's document names. */
const struct compute_ops *compute_of(const json_t *vm);

/* Called by the driver's hook when a guest (re)starts: records its processes and gives it its
 * disks. `init` is its first process, `keeper` the one that lives as long as the guest does. */
int guest_started(struct vdb *db, const char *vm_id, pid_t init, pid_t keeper, struct err *err);
/* Whether it runs (also while it reboots itself). */
bool guest_alive(const char *vm_id);
/* Its first process as the host sees it, 0 when it does not run. */
pid_t guest_init(const char *vm_id);

#endif
