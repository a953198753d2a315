/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's documents as QEMU's command line. Pure. */
#ifndef MUSTER_CONTROLLER_LOCALVDC_MACHINE_QEMU_ARGS_H
#define MUSTER_CONTROLLER_LOCALVDC_MACHINE_QEMU_ARGS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "controller/localvdc/base/vdc.h"

/* An argument vector that owns its texts. */
struct qemu_args {
    char **v;
    size_t n;
};

void qemu_args_build(struct qemu_args *a, const char *program, const json_t *vm,
                     const json_t *volumes, bool kvm);
void qemu_args_free(struct qemu_args *a); /* a cleanup function, too */

/* What the guest sees as a volume's serial; with 'v' before it, what QEMU writes to, with 'd' the
 * device. */
void qemu_serial(const json_t *volume, char ret[21]);
void qemu_tap(const char *vm_id, size_t nic, char ret[VDC_NAME_MAX]);

#endif
