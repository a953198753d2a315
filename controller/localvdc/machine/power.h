/* SPDX-License-Identifier: Apache-2.0 */
/* Filesystems of guests that share the machine's kernel, from outside. */
#ifndef MUSTER_CONTROLLER_LOCALVDC_MACHINE_POWER_H
#define MUSTER_CONTROLLER_LOCALVDC_MACHINE_POWER_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/err.h"

/* Stops the filesystem mounted at the path as a loss of power would: what was not synced is gone,
 * its journal is not written any more. */
int power_shut_path(const char *path, struct err *err);
/* Those that the guest whose first process is `init` has mounted from the image, whole or of a
 * partition. */
int power_shut_image(pid_t init, const char *image, struct err *err);

/* Takes all the space of the filesystem with a file of that name, or gives it back. The space is
 * reserved, not written. */
int power_fill_path(const char *dir, const char *name, bool undo, struct err *err);
/* That of the image as the guest has it mounted; not mounted is an error. */
int power_fill_image(pid_t init, const char *image, bool undo, struct err *err);

struct held;
/* What the guest has mounted from the image is whole on it and stays as it is until it is thawed; a
 * filesystem that cannot be frozen is synced. */
int power_freeze_image(pid_t init, const char *image, struct held *ret, struct err *err);
int power_thaw(struct held *held, struct err *err);
/* All that is mounted from the image, whoever froze it. */
int power_thaw_image(pid_t init, const char *image, struct err *err);

#endif
