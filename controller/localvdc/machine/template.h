/* SPDX-License-Identifier: Apache-2.0 */
/* The templates: root directories built once from the machine's package sources and cached; guests
 * see them read-only below their own root disks. */
#ifndef MUSTER_CONTROLLER_LOCALVDC_MACHINE_TEMPLATE_H
#define MUSTER_CONTROLLER_LOCALVDC_MACHINE_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

#define TEMPLATE_NAME "Debian 12"

enum template_kind {
    TEMPLATE_BARE,    /* for containers */
    TEMPLATE_SERVERS, /* with MariaDB, Apache and PHP installed, as a prepared image of a cloud */
    TEMPLATE_MACHINE, /* for machines with a kernel of their own: holds the three files below */
    TEMPLATE_KINDS
};

/* The directory that the present recipe and package sources lead to. */
void template_dir(enum template_kind kind, char *ret, size_t cap);
bool template_ready(enum template_kind kind);
/* Builds it when it is missing; others that want it wait. Progress goes to VDC_TEMPLATE_LOG. A
 * build that is killed leaves nothing that could be taken for a template. */
int template_ensure(enum template_kind kind, struct err *err);
/* The same by the directory that a guest was deployed from. */
int template_ensure_dir(const char *dir, struct err *err);
#define TEMPLATE_DISK "disk.img" /* ext4, no partitions */
#define TEMPLATE_KERNEL "vmlinuz"
#define TEMPLATE_INITRD "initrd"
/* Whether one of them is being built now. */
bool template_building(void);
/* The last line of the build's log, "" when there is none. */
void template_progress(char *ret, size_t cap);

#endif
