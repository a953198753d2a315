/* SPDX-License-Identifier: Apache-2.0 */
/* What is to be done next about an resource, judged from what was found of it: the rules of plan,
 * up and destroy in one place. Pure. */
#ifndef MUSTER_CONTROLLER_CLOUD_MOVES_H
#define MUSTER_CONTROLLER_CLOUD_MOVES_H

#include "controller/cloud/resource.h"

enum move_kind {
    MOVE_NONE, /* it is as it should be */
    MOVE_WAIT, /* it will be by itself */
    MOVE_CREATE,
    MOVE_CHANGE,  /* in place, by `call` */
    MOVE_REPLACE, /* remove it; what comes next is MOVE_CREATE */
    MOVE_DESTROY,
    MOVE_LEAVE,  /* not wanted any more, and stays on purpose */
    MOVE_REFUSE, /* only the operator can decide that */
    MOVE_KINDS
};

struct move {
    enum move_kind kind;
    const char *call;    /* MOVE_CHANGE, MOVE_REPLACE, MOVE_DESTROY: the API call */
    const char *consent; /* MOVE_REFUSE: the option that would allow it, or NULL */
    char why[240];
};

struct move resource_move(const struct resource *it, const struct resources *resources,
                          const struct spec *s);

/* "create", "change", "replace", "destroy", "none", "left", "refused". */
const char *move_name(enum move_kind k);

/* The whole plan: what `up` would do about each resource, consequences included (a port forward
 * goes with its VM). Array of {resource, kind, name, node, zone, action, reason, needs}: needs is
 * the option without which `up` refuses, or "". New reference. */
json_t *moves_plan(const struct resources *resources, const struct spec *s);

#endif
