/* SPDX-License-Identifier: Apache-2.0 */
/* Files: whole reads with a bound, writes that survive power loss. */
#ifndef MUSTER_FS_H
#define MUSTER_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

/* Reads a whole file of at most `max` bytes. *ret is NUL-terminated (the NUL is not counted in
 * *ret_len, which may be NULL); the caller frees it. err->code is ERR_FAILED; errno is kept. */
int fs_read(const char *path, size_t max, char **ret, size_t *ret_len, struct err *err);
/* Whether it is a zip archive, by its content: its name may be that of a download script. */
int fs_is_zip(const char *path, bool *ret, struct err *err);

/* Replaces `path`: temporary file beside it, fsync, rename, fsync of the directory. After a crash
 * there is the old content or the new, never a mixture. */
int fs_write_atomic(const char *path, const void *data, size_t len, mode_t mode, struct err *err);

/* As fs_write_atomic, with an owner ((uid_t)-1 and (gid_t)-1 leave it). */
int fs_write_atomic_as(const char *path, const void *data, size_t len, mode_t mode, uid_t uid,
                       gid_t gid, struct err *err);

/* mkdir -p; directories that are made get `mode`, those that exist are left alone. */
int fs_mkdirs(const char *path, mode_t mode, struct err *err);

/* Removes a file or a directory with all that is in it, staying on its filesystem and never
 * following a symbolic link. Missing is success. */
int fs_remove_tree(const char *path, struct err *err);

bool fs_exists(const char *path);

/* Removes a file, when it is there, so that it does not come back after a loss of power. */
int fs_unlink(const char *path, struct err *err);

/* fsync of the directory that holds `path`. */
int fs_sync_parent(const char *path, struct err *err);

/* Everything of the filesystem that holds the directory `path` is on its disk. */
int fs_sync_filesystem(const char *path, struct err *err);

/* Bytes that somebody without privilege can still write on the filesystem that holds `path`. */
int fs_free(const char *path, uint64_t *ret, struct err *err);

/* Takes an exclusive lock (flock) on `path`, made if missing. Returns the descriptor that holds
 * it, or -1; err->code is ERR_LOCKED when somebody else has it and `wait` is false. */
int fs_lock(const char *path, bool wait, struct err *err);

#endif
