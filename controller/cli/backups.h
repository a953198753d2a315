/* SPDX-License-Identifier: Apache-2.0 */
/* What backup and restore have in common. */
#ifndef MUSTER_CONTROLLER_CLI_BACKUPS_H
#define MUSTER_CONTROLLER_CLI_BACKUPS_H

#include <jansson.h>
#include <stdbool.h>

#include "common/err.h"
#include "controller/deployment.h"

/* What that node has: {node, ready, drains, why, backups}; new reference. */
int backups_ask(struct deployment *d, const char *node, json_t **ret, struct err *err);
/* The node that has the backup of that name (`node`: only that one). */
int backups_find(struct deployment *d, const char *node, const char *name, char *ret, size_t cap,
                 struct err *err);
/* The file has the section; else the error says how. */
bool backups_wanted(const struct deployment *d, struct err *err);

#endif
