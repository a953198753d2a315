/* SPDX-License-Identifier: Apache-2.0 */
/* Readings of a JSON object of the cloud, as all generations of servers write them. Pure. */
#ifndef MUSTER_CONTROLLER_CLOUD_ENTITY_H
#define MUSTER_CONTROLLER_CLOUD_ENTITY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define TAG_DEPLOYMENT "muster.deployment"
#define TAG_RESOURCE "muster.resource"
#define TAG_BECAUSE "muster.because"

/* Text of an id, a number or a string; `ret` is "" when absent. */
void entity_text(const json_t *e, const char *key, char *ret, size_t cap);
bool entity_is(const json_t *e, const char *key, const char *want);
/* The first of the array whose member is `value`, borrowed; NULL: none. */
const json_t *entity_find(const json_t *list, const char *key, const char *value);
/* "" without. */
void entity_tag(const json_t *e, const char *key, char *ret, size_t cap);
bool entity_has_tag(const json_t *e, const char *key, const char *value);

#endif
