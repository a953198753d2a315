/* SPDX-License-Identifier: Apache-2.0 */
/* The zones of the cloud: there from the start, never stored. */
#ifndef MUSTER_CONTROLLER_LOCALVDC_BASE_ZONES_H
#define MUSTER_CONTROLLER_LOCALVDC_BASE_ZONES_H

#include <jansson.h>

json_t *zones_list(void); /* all, in an order that stays; a new array */
/* One by id or name (either may be NULL) in any case, a new reference; NULL: none. */
json_t *zones_find(const char *id, const char *name);

#endif
