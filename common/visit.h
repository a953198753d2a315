/* SPDX-License-Identifier: Apache-2.0 */
/* What a site answered to a visitor, and what keeps visitors from it: the same judgement for the
 * agent, which asks on the node itself, and the controller, which asks from outside. Pure. */
#ifndef MUSTER_COMMON_VISIT_H
#define MUSTER_COMMON_VISIT_H

#include <stdbool.h>
#include <stddef.h>

#define VISIT_WHY_MAX 256

struct visit_wanted {
    const char *path;   /* asked for */
    bool stated;        /* by the file's app.health: it answers 2xx; else anything below 400 */
    const char *expect; /* text that the answer has; "": any */
};

struct visit_answer {
    long status;          /* of HTTP */
    const char *location; /* where a redirect leads, or NULL */
    const char *body;
    size_t len;
};

/* A path that a request can ask for, with its query: from `/` on, no blanks, no control characters.
 */
bool visit_path_valid(const char *path);
/* `why`: what is wrong with the answer; "": nothing. */
void visit_judge(const struct visit_wanted *w, const struct visit_answer *a,
                 char why[VISIT_WHY_MAX]);

#endif
