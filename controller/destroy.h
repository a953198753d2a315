/* SPDX-License-Identifier: Apache-2.0 */
/* Taking a deployment down, in the order in which the cloud lets go: VMs, then what they held,
 * then networks, then key pairs that were ours. Safe to run again. */
#ifndef MUSTER_DESTROY_H
#define MUSTER_DESTROY_H

#include "controller/deployment.h"
#include "controller/items.h"

/* What would be destroyed or left, one line each, appended to the two texts. */
void destroy_preview(const struct items *items, bool with_data, struct strbuf *gone,
                     struct strbuf *left);

struct destroy_result {
    unsigned destroyed;
    unsigned left;
};

/* The deployment is open and locked; `items` as from up_look. `say` gets one line per thing. */
int destroy_run(struct deployment *d, struct items *items, bool with_data,
                void (*say)(const char *line), struct destroy_result *ret, struct err *err);

#endif
