/* SPDX-License-Identifier: Apache-2.0 */
/* The secrets that a plan needs, from the store. */
#ifndef MUSTER_CONTROLLER_NODES_SECRETS_H
#define MUSTER_CONTROLLER_NODES_SECRETS_H

#include <jansson.h>

#include "common/err.h"
#include "controller/store/store.h"

/* The key that a deployment's backups are encrypted with: 64 hexadecimal digits. */
#define SECRETS_BACKUP_KEY "backup_key"
/* Made when it is not there. The caller wipes it. */
int secrets_backup_key(struct store *st, char ret[STORE_SECRET_SIZE], struct err *err);

/* Puts the value of each ${secret:NAME} of `plan` into its member "secrets". Passwords are made
 * when they are not there; a key that is not there is an error. */
int secrets_fill(struct store *st, json_t *plan, struct err *err);

#endif
