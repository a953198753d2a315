/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of disks' files: sparse, and never half a one under its final name. */
#ifndef MUSTER_CONTROLLER_LOCALVDC_MACHINE_IMAGE_H
#define MUSTER_CONTROLLER_LOCALVDC_MACHINE_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/* A copy on its way to `path`: a file beside it, which goes with image_drop. */
struct image {
    int from, to;   /* -1: not open */
    char path[160]; /* when it is done */
    char part[168]; /* until then */
    uint64_t size;  /* of the copy, in bytes; set by image_share and image_update */
};

/* The name that a copy has until it is done. */
void image_part(const char *path, char *ret, size_t cap);
/* Opens the disk, and an empty file for its copy; an earlier attempt is thrown away. */
int image_begin(const char *disk, const char *path, struct image *ret, struct err *err);
/* Takes all of the disk as it is at one moment, by sharing its blocks. 1: done; 0: this filesystem
 * cannot. */
int image_share(struct image *m, struct err *err);
/* Refuses what could not be copied for want of space. */
int image_check_space(const struct image *m, struct err *err);
/* Makes the copy equal to the disk, and syncs it. Writes what differs only: a second pass is as
 * fast as reading. What is written to the disk meanwhile may be in it or not. */
int image_update(struct image *m, struct err *err);
/* Makes the copy larger; not smaller. */
int image_grow(struct image *m, uint64_t bytes, struct err *err);
/* Durable, under its name. */
int image_commit(struct image *m, struct err *err);
/* A cleanup function: closes, and removes what was not committed. */
void image_drop(struct image *m);

/* Holds the lock of a disk that no guest has: who attaches it waits. The descriptor, or -1. */
int image_lock(const char *disk, struct err *err);

#endif
