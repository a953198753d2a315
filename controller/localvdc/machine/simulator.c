/* SPDX-License-Identifier: Apache-2.0 */
/* Guests that are records only, for tests of clients and for measuring with many of them. */
#include "controller/localvdc/machine/compute.h"

static int simulator_start(struct vdb *db, const json_t *vm, struct err *err)
{
    (void)db;
    (void)vm;
    (void)err;
    return 0;
}

static int simulator_stop(const json_t *vm, bool forced, struct err *err)
{
    (void)vm;
    (void)forced;
    (void)err;
    return 0;
}

static int simulator_clean(const char *vm_id, struct err *err)
{
    (void)vm_id;
    (void)err;
    return 0;
}

static int simulator_plug(const json_t *vm, const json_t *volume, struct err *err)
{
    (void)vm;
    (void)volume;
    (void)err;
    return 0;
}

static int simulator_unplug(struct vdb *db, const json_t *vm, const json_t *volume, bool pulled,
                            struct err *err)
{
    (void)db;
    (void)vm;
    (void)volume;
    (void)pulled;
    (void)err;
    return 0;
}

/* Faults of machines refuse guests that are records only. */
const struct compute_ops compute_simulator = {.name = "Simulator",
                                              .record_only = true,
                                              .start = simulator_start,
                                              .stop = simulator_stop,
                                              .clean = simulator_clean,
                                              .plug = simulator_plug,
                                              .unplug = simulator_unplug};
