/* SPDX-License-Identifier: Apache-2.0 */
/* The local cloud's state: JSON documents by kind and id in one SQLite file (WAL, every commit
 * on disk before it is acknowledged). Several processes open it at once; a document is changed
 * with vdb_patch, or within vdb_begin and vdb_commit. */
#ifndef MUSTER_CONTROLLER_LOCALVDC_BASE_VDB_H
#define MUSTER_CONTROLLER_LOCALVDC_BASE_VDB_H

#include <jansson.h>
#include <stdbool.h>

#include "common/err.h"

struct vdb;

int vdb_open(const char *path, bool make, struct vdb **ret, struct err *err);
void vdb_close(struct vdb **db); /* a cleanup function, too */

/* Takes the write lock; waits for others at most 30 s. Transactions do not nest. */
int vdb_begin(struct vdb *db, struct err *err);
int vdb_commit(struct vdb *db, struct err *err);
void vdb_rollback(struct vdb *db);

/* Inserts or replaces. */
int vdb_put(struct vdb *db, const char *kind, const char *id, const json_t *doc, struct err *err);
/* Merges the members (their reference is taken; null deletes a member) in one transaction, or in
 * the one that is open. A missing document is an error. */
int vdb_patch(struct vdb *db, const char *kind, const char *id, json_t *members, struct err *err);
/* Missing is success. */
int vdb_del(struct vdb *db, const char *kind, const char *id, struct err *err);
/* All of a kind whose text member `key` sorts below `value`; those without it stay. */
int vdb_del_below(struct vdb *db, const char *kind, const char *key, const char *value,
                  struct err *err);
/* A new reference, or NULL when there is none. */
json_t *vdb_get(struct vdb *db, const char *kind, const char *id);
/* All of a kind, oldest first; a new array. */
json_t *vdb_list(struct vdb *db, const char *kind);
/* Those whose text member `key` (a literal of the program) is `value`, oldest first; a new array.
 */
json_t *vdb_find(struct vdb *db, const char *kind, const char *key, const char *value);
/* The texts `want` of all members of the array `array` of documents whose text `key` is `value`
 * (names are literals of the program); a new array. */
json_t *vdb_members(struct vdb *db, const char *kind, const char *array, const char *key,
                    const char *value, const char *want);
/* A rising number that is never used again. */
int vdb_next(struct vdb *db, const char *counter, long long *ret, struct err *err);

#endif
