/* SPDX-License-Identifier: Apache-2.0 */
/* What a node, and the deployment, is now: from its events and from what its agent says. Pure. */
#ifndef MUSTER_CONTROLLER_CLI_JUDGE_H
#define MUSTER_CONTROLLER_CLI_JUDGE_H

#include "controller/cli/view.h"

/* The most important first: so the rows of a picture are sorted. */
enum node_class {
    NODE_FAILED,
    NODE_REFUSED,
    NODE_UNKNOWN,  /* nothing is known of it now */
    NODE_SILENT,   /* at work, and not heard for long */
    NODE_DEGRADED, /* its plan is carried out, and it does not do its work */
    NODE_DIFFERS,  /* from its plan */
    NODE_WORKING,
    NODE_WAITING,
    NODE_READY,
    NODE_CLASSES
};

const char *node_class_name(enum node_class c);
enum node_class node_class_of(const struct view *v, const struct view_row *r, uint64_t now);
/* Whether what is at work on it is the cloud, not its agent. */
bool node_is_clouds(const struct view_row *r);

struct judged {
    enum node_class *of; /* of each row */
    size_t *order;       /* rows, the most important first, else in the file's order */
    size_t count[NODE_CLASSES];
};

void judge(const struct view *v, uint64_t now, struct judged *ret);
void judged_free(struct judged *j);
/* The deployment in a word: "ready", "raising", "degraded". */
const char *judge_deployment(const struct view *v, const struct judged *j);

/* When the step at work, of its agent or the cloud, began. */
uint64_t node_work_from(const struct view_row *r);
/* What there is to say of it, in a line. `brief`: its last output has a line of its own. */
void node_text(const struct view *v, const struct view_row *r, enum node_class c, bool brief,
               uint64_t now, struct strbuf *out);
/* A message without the name of its step in front. */
const char *node_without_id(const char *msg, const char *id);
/* Its last output, or "". */
void node_output(const struct view_row *r, enum node_class c, struct strbuf *out);
/* "about 40 s left", from how long the step at work took before; "" when that is not known. */
void node_estimate(const struct view *v, const struct view_row *r, enum node_class c, uint64_t now,
                   char ret[32]);

#endif
