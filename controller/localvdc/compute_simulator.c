/* SPDX-License-Identifier: Apache-2.0 */
/* Guests that are records only, for tests of clients and for measuring with many of them. */
#include "controller/localvdc/compute.h"

static int simulator_start(const json_t *vm, struct err *err)
{
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

const struct compute_ops compute_simulator = {.name = "Simulator",
                                              .record_only = true,
                                              .start = simulator_start,
                                              .stop = simulator_stop,
                                              .clean = simulator_clean};
