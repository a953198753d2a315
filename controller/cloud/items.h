/* SPDX-License-Identifier: Apache-2.0 */
/* Which resources a deployment has, in an order in which each comes after what it needs: those that
 * the file wants, and those that an earlier file wanted. Pure: works on what was listed. */
#ifndef MUSTER_CONTROLLER_CLOUD_ITEMS_H
#define MUSTER_CONTROLLER_CLOUD_ITEMS_H

#include "controller/cloud/resource.h"

void items_build(const struct spec *s, struct items *ret);
/* What an earlier file wanted, from its journal key ("vm:old"), unless the file still does. NULL:
 * nothing to do about it. May move the array. */
struct item *items_add_gone(struct items *items, const char *name, const char *id);
/* As items_add_gone, for everything listed that carries our tags, and for rules on our networks and
 * addresses that the file does not have. The items were recognised before. */
void items_add_found(struct items *items, const struct inventory *inv);

#endif
