/* SPDX-License-Identifier: Apache-2.0 */
/* Disks: sparse files on loop devices, and their nodes in a guest's /dev. */
#ifndef MUSTER_CONTROLLER_LOCALVDC_MACHINE_DISK_H
#define MUSTER_CONTROLLER_LOCALVDC_MACHINE_DISK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "controller/localvdc/base/vdb.h"

/* A sparse file of that size; there already: success, never changed. */
int disk_make(const char *path, uint64_t bytes, struct err *err);
/* Makes it larger; that size or more already: success. The loop device that it is on follows. */
int disk_grow(const char *path, uint64_t bytes, struct err *err);
/* Puts the file on a loop device ("/dev/loopN", node made when missing), or finds the one that it
 * is on. */
int disk_attach(const char *path, char ret_dev[32], struct err *err);
/* Takes it off; not attached is success. In use by the running guest whose first process is
 * `init`, or by a program (mkfs, swap): an error. Mounted elsewhere only, by processes that hold a
 * copy of the host's mounts: as disk_release. */
int disk_detach(const char *path, pid_t init, struct err *err);
/* Takes it off although it may be in use: then it goes when its last user lets go of it. Until
 * then disk_attach finds it, and the file can be removed. */
int disk_release(const char *path, struct err *err);
/* As disk_release, but who still uses it gets errors from now on and never writes to the file
 * again: disk_attach takes another device. */
int disk_forsake(const char *path, struct err *err);
/* The number of the loop device that holds the file, or -1. */
int disk_loop_of(const char *path);

void volume_path(const char *id, char *ret, size_t cap);
/* Puts the volume's file on a loop device and tells the kernel its partitions. */
int volume_plug(const char *id, struct err *err);
/* Makes the nodes in the running guest's /dev equal to what is attached: /dev/sdb…, partitions,
 * by-id links. `init` is the guest's first process as the host sees it. */
int disk_sync_guest(struct vdb *db, const char *vm_id, pid_t init, struct err *err);

/* Kernel events of block devices: a descriptor to poll, and the number of the loop device of the
 * next event (-1: none waiting, -2: some were lost, look at all). */
int disk_events_open(struct err *err);
int disk_events_next(int fd);

#endif
