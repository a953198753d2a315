/* SPDX-License-Identifier: Apache-2.0 */
/* What `status` says of backups. Pure. */
#ifndef MUSTER_CONTROLLER_CLI_BACKUP_VIEW_H
#define MUSTER_CONTROLLER_CLI_BACKUP_VIEW_H

#include <jansson.h>
#include <stdint.h>

#include "common/str.h"

/* Of a node's state: {every, made, verified, failed}; null when it is not known, or none are
 * wanted. New reference. */
json_t *backup_view_of(const json_t *state);
/* Of all nodes of `status`: when the last one was made and verified, and what is wrong with that.
 * Times are ms since 1970. */
void backup_view_render(const json_t *nodes, uint64_t now, struct strbuf *ret);

#endif
