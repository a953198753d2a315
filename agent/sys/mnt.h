/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts and fstab, through libmount. */
#ifndef MUSTER_AGENT_SYS_MNT_H
#define MUSTER_AGENT_SYS_MNT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

/* What is mounted on `path`: *ret_found, and the device's path in `ret_source`. */
int mnt_status(const char *path, bool *ret_found, char *ret_source, size_t cap, struct err *err);
/* Nothing can be written there now, whatever fstab says. */
int mnt_read_only(const char *path, bool *ret, struct err *err);
int mnt_mount(const char *source, const char *path, const char *type, const char *options,
              struct err *err);
/* The line of `path` in /etc/fstab is exactly this one. */
int mnt_fstab_has(const char *source, const char *path, const char *type, const char *options,
                  bool *ret, struct err *err);
/* Replaces the line of `path`, or appends it. */
int mnt_fstab_set(const char *source, const char *path, const char *type, const char *options,
                  struct err *err);

#endif
