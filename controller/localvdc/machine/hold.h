/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps a running guest from writing to a volume while that is copied. A process of its own does
 * it, and lets go when the copying one ends, however that ends. */
#ifndef MUSTER_CONTROLLER_LOCALVDC_MACHINE_HOLD_H
#define MUSTER_CONTROLLER_LOCALVDC_MACHINE_HOLD_H

#include <sys/types.h>

#include "controller/localvdc/base/vdb.h"

struct hold {
    pid_t pid;
    int fd;
};

/* The caller has the guest's lock, and ends what it began. */
int hold_begin(const char *vm_id, const char *volume_id, struct hold *ret, struct err *err);
/* An error when the guest was let go of before this. */
int hold_end(struct hold *h, struct err *err);
/* In that process: `fd` is its end of the socket. */
int hold_run(struct vdb *db, const char *vm_id, const char *volume_id, int fd, struct err *err);

#endif
