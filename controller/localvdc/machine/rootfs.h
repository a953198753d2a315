/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's root: an overlay whose lower layer is the template and whose upper layer lies on the
 * guest's own sparse ext4 image, so that losing power can lose what was not synced. */
#ifndef MUSTER_CONTROLLER_LOCALVDC_MACHINE_ROOTFS_H
#define MUSTER_CONTROLLER_LOCALVDC_MACHINE_ROOTFS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

/* "<VDC_DIR>/vms/mvdc-<short>[/<file>]"; file may be NULL. */
void guest_path(const char *vm_id, const char *file, char *ret, size_t cap);
/* Makes what is missing and mounts it at guest_path(id, "rootfs"). Members used: id,
 * _template (directory), _rootsize (bytes). */
int rootfs_mount(const json_t *vm, struct err *err);
/* Not mounted is success. */
int rootfs_unmount(const char *vm_id, struct err *err);
/* Unmounts and removes the guest's directory. */
int rootfs_remove(const char *vm_id, struct err *err);

#endif
