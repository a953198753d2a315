/* SPDX-License-Identifier: Apache-2.0 */
/* The coordinator's record on disk: two slots in each of two directories (the root disk's and the
 * data disk's), written in turn, each with a generation and a CRC-32C. The newest valid one is
 * the record; a crash at any write leaves the one before (I13). */
#ifndef MUSTER_AGENT_CLUSTER_STORE_H
#define MUSTER_AGENT_CLUSTER_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "agent/cluster/cluster.h"
#include "common/err.h"

uint32_t crc32c(const void *data, size_t len);

/* 1: found; 0: none in either directory. Directories that do not exist are passed over. The second
 * is the data disk's: when only the first knows of data, the record says that the disk is new. */
int cluster_store_load(const char *const dirs[2], struct cluster_record *ret,
                       uint64_t *ret_generation, struct err *err);
/* Writes generation `generation` to both directories. The first must succeed; a second that is not
 * there (disk not mounted) is passed over. */
int cluster_store_save(const char *const dirs[2], const struct cluster_record *r,
                       uint64_t generation, struct err *err);

#endif
