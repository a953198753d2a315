/* SPDX-License-Identifier: Apache-2.0 */
/* What the datadir step needs besides itself. */
#ifndef MUSTER_AGENT_GALERA_DATADIR_H
#define MUSTER_AGENT_GALERA_DATADIR_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/sys/run.h"
#include "common/err.h"

#define DATADIR_MODE 0700

/* datadir_new.c. A data directory with nothing but the system tables, at `dir`, which is not there
 * yet; not synced. */
int datadir_install(const char *dir, struct err *err);
/* The data at `dir`, below the mount point `mount`, is kept beside it as "NAME.kept-DATE", and a
 * fresh directory takes its place. Refused while the database runs, and when the disk has no room
 * for both. *ret: where it is now; NULL: an earlier run had moved it. The caller frees. */
int datadir_aside(const char *dir, const char *mount, char **ret, struct err *err);

/* datadir_move.c. Databases of somebody's are in the directory, not only what the package put
 * there.
 */
bool datadir_used(const char *dir);
/* What a copy of it takes. */
uint64_t datadir_bytes(const char *dir);
/* Fails when the disk that holds `dir` has less than that free. */
int datadir_room(const char *dir, uint64_t bytes, struct err *err);
/* Copies `dir` to `to`, which is removed first, with owners and modes; synced, read back and
 * compared. `dir` may be a link to where the files are; it and they stay. Refused when somebody has
 * it open, or when a part of it is only a link to another place. */
int datadir_copy(const char *dir, const char *to, struct run *run, struct err *err);
/* Both trees hold the same files with the same owners, modes and bytes; lost+found at the top does
 * not count. The message names the first difference. */
int datadir_compare(const char *a, const char *b, struct run *run, struct err *err);

/* apparmor.c. The file with additional rules of the profile that confines the database, or NULL
 * when none is loaded; a literal. */
const char *apparmor_local(const char *profiles);
/* `text` with our rules for `dir`, in place of those that are there. The caller frees. */
char *apparmor_with(const char *text, const char *dir);
/* 1: the database may use `dir`, as far as AppArmor is concerned. 0: not yet. */
int apparmor_check(const char *dir, struct err *err);
int apparmor_apply(const char *dir, struct err *err);

#endif
