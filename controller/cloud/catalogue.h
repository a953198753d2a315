/* SPDX-License-Identifier: Apache-2.0 */
/* What the cloud offers: zones, templates, offerings. Pure. */
#ifndef MUSTER_CONTROLLER_CLOUD_CATALOGUE_H
#define MUSTER_CONTROLLER_CLOUD_CATALOGUE_H

#include "controller/cloud/resource.h"

/* The id of what has that name in the list and is offered in the resource's zone. */
int catalogue_id(const struct inventory *inv, const struct spec *s, const struct resource *it,
                 enum listing l, const char *name, char ret[64], struct err *err);
/* Zone, template and offerings that the file names but the cloud does not have: every one, a line
 * each, with what there is instead. */
int catalogue_check(const struct resources *resources, const struct spec *s,
                    const struct inventory *inv, struct strbuf *lines);

#endif
