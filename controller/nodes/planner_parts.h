/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the planner*.c files only. */
#ifndef MUSTER_CONTROLLER_NODES_PLANNER_PARTS_H
#define MUSTER_CONTROLLER_NODES_PLANNER_PARTS_H

#include <stdlib.h>

#include "common/js.h"
#include "common/str.h"
#include "controller/nodes/planner.h"

static inline void add(json_t *resources, json_t *r)
{
    if (!r || json_array_append_new(resources, r) < 0)
        abort(); /* all texts were checked to be UTF-8 when the file was read */
}

static inline void push_unique(json_t *names, const char *name)
{
    for (size_t i = 0; i < json_array_size(names); i++)
        if (str_eq(json_string_value(json_array_get(names, i)), name))
            return;
    js_push_str(names, name);
}

/* How visitors call the site of that node. Borrowed. */
const char *planner_site(const struct planner_input *in, size_t node);
/* What the application keeps in a shared directory and is a node's own: what the file leaves out of
 * it, and configuration. New reference. */
json_t *planner_ignored(const struct planner_input *in, const json_t *shared);
void planner_add_web(const struct planner_input *in, size_t node, json_t *resources);
void planner_add_frontdoor(const struct planner_input *in, size_t node, json_t *resources);

#endif
