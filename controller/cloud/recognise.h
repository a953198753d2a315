/* SPDX-License-Identifier: Apache-2.0 */
/* Items against what the cloud lists. Pure. */
#ifndef MUSTER_CONTROLLER_CLOUD_RECOGNISE_H
#define MUSTER_CONTROLLER_CLOUD_RECOGNISE_H

#include "controller/cloud/resource.h"

/* Finds the resource among what was listed: by `known_id`, by our tags, by its place (a rule of our
 * network), by its name and zone. Sets found, id, entity and lost; FOUND_NOT is no error. -1 when
 * two have its name and nothing tells which is ours. */
int resource_recognise(struct resource *it, const struct resources *resources, const struct spec *s,
                       const struct inventory *inv, const char *known_id, struct err *err);
/* Nobody can attach such a volume any more; the cloud goes on listing it for days, with our name
 * and tags. */
bool volume_is_gone(const json_t *e);
/* Takes id and entity from the answer of the create call. */
int resource_take_answer(struct resource *it, const struct resources *resources,
                         const json_t *answer, struct err *err);

#endif
