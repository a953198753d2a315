/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts: who signs a call, and whose an entity is. The first, VDC_ACCOUNT, comes with the cloud;
 * the others are documents of kind "account". */
#ifndef MUSTER_CONTROLLER_LOCALVDC_API_ACCOUNT_H
#define MUSTER_CONTROLLER_LOCALVDC_API_ACCOUNT_H

#include <jansson.h>
#include <stdbool.h>

#include "controller/localvdc/base/vdb.h"

#define ACCOUNT_NAME_MAX 40 /* with the NUL */

/* Pure. A letter, then letters, digits, '-', '_' and '.'. */
bool account_name_ok(const char *name);
void account_id(const char *name, char ret[37]);
void account_domain_id(char ret[37]);
/* {"name", "api_key", "secret_key"} of who has this key, a new reference; NULL: nobody. */
json_t *account_by_key(struct vdb *db, const char *api_key);
/* All, VDC_ACCOUNT first; a new array of such objects. */
json_t *account_list(struct vdb *db);
/* The keys of VDC_ACCOUNT, made when there are none. */
int account_ensure(struct vdb *db, struct err *err);
int account_add(struct vdb *db, const char *name, json_t **ret, struct err *err);
/* Refused while it has entities. */
int account_remove(struct vdb *db, const char *name, struct err *err);

/* Whose a document is: those of an earlier version, without an owner, are VDC_ACCOUNT's. */
const char *account_of(const json_t *doc);
/* Sets the members that say whose it is. */
void account_own(json_t *doc, const char *name);

#endif
