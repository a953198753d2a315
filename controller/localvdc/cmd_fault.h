/* SPDX-License-Identifier: Apache-2.0 */
/* muster-vdc fault: its table of kinds. */
#ifndef MUSTER_VDC_CMD_FAULT_H
#define MUSTER_VDC_CMD_FAULT_H

#include <jansson.h>

#include "common/err.h"
#include "controller/localvdc/base/vdb.h"

/* A row of `muster-vdc fault`; those of the table are all that its help knows. */
struct fault_kind {
    const char *name; /* NULL ends the table */
    const char *args;
    const char *help;
    int (*run)(int argc, char **argv, struct err *err); /* argv[0] is the name */
};

extern const struct fault_kind fault_kinds[];

int fault_cmd_call(int argc, char **argv, struct err *err);
/* cmd_fault_machine.c */
int fault_cmd_vm(int argc, char **argv, struct err *err);
int fault_cmd_volume(int argc, char **argv, struct err *err);
int fault_cmd_disk(int argc, char **argv, struct err *err);
int fault_cmd_link(int argc, char **argv, struct err *err);

/* Puts a fault (its reference stays the caller's) under a new number; prints it. */
int fault_put(struct vdb *db, json_t *doc, struct err *err);

#endif
