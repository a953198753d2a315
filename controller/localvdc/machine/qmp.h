/* SPDX-License-Identifier: Apache-2.0 */
/* QEMU's monitor: JSON lines over a socket. Blocking, with a deadline for each answer. */
#ifndef MUSTER_CONTROLLER_LOCALVDC_MACHINE_QMP_H
#define MUSTER_CONTROLLER_LOCALVDC_MACHINE_QMP_H

#include <jansson.h>
#include <stdio.h>

#include "common/err.h"

/* A connection that is ready for commands; closing it ends it. */
int qmp_open(const char *path, FILE **ret, struct err *err);
/* `args` (taken over) may be NULL. *ret_value, which may be NULL, is a new reference. */
int qmp_call(FILE *qmp, const char *command, json_t *args, json_t **ret_value, struct err *err);

#endif
