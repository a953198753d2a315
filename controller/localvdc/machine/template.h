/* SPDX-License-Identifier: Apache-2.0 */
/* The template "Debian 12": a root folder built once from the machine's package sources and
 * cached; guests see it read-only below their own root disks. */
#ifndef MUSTER_CONTROLLER_LOCALVDC_MACHINE_TEMPLATE_H
#define MUSTER_CONTROLLER_LOCALVDC_MACHINE_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

#define TEMPLATE_NAME "Debian 12"

/* The folder that the present recipe and package sources lead to. */
void template_dir(char *ret, size_t cap);
bool template_ready(void);
/* Builds it when it is missing; others that want it wait. Progress goes to VDC_TEMPLATE_LOG. A
 * build that is killed leaves nothing that could be taken for a template. */
int template_ensure(struct err *err);
/* The same system for machines with a kernel of their own: the folder that holds these files. */
int template_disk_ensure(char *ret, size_t cap, struct err *err);
#define TEMPLATE_DISK "disk.img" /* ext4, no partitions */
#define TEMPLATE_KERNEL "vmlinuz"
#define TEMPLATE_INITRD "initrd"
/* Whether one of them is being built now. */
bool template_building(void);
/* The last line of the build's log, "" when there is none. */
void template_progress(char *ret, size_t cap);

#endif
