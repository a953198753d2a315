/* SPDX-License-Identifier: Apache-2.0 */
/* Which resources a deployment has, in an order in which each comes after what it needs: those that
 * the file wants, and those that an earlier file wanted. Pure: works on what was listed. */
#ifndef MUSTER_CONTROLLER_CLOUD_RESOURCES_H
#define MUSTER_CONTROLLER_CLOUD_RESOURCES_H

#include "controller/cloud/resource.h"

void resources_build(const struct spec *s, struct resources *ret);
/* What an earlier file wanted, from its journal key ("vm:old"), unless the file still does. NULL:
 * nothing to do about it. May move the array. */
struct resource *resources_add_gone(struct resources *resources, const char *name, const char *id);
/* As resources_add_gone, for everything listed that carries our tags, and for rules on our networks
 * and addresses that the file does not have. The resources were recognised before. */
void resources_add_found(struct resources *resources, const struct inventory *inv);

#endif
