/* SPDX-License-Identifier: Apache-2.0 */
/* Taking a deployment, or one node of it, down. Safe to run again. */
#ifndef MUSTER_CONTROLLER_CLOUD_TEARDOWN_H
#define MUSTER_CONTROLLER_CLOUD_TEARDOWN_H

#include "controller/cloud/survey.h"

/* What would be destroyed, and what stays and why; a line each, appended to the two texts. */
void teardown_preview(const struct survey *v, const struct spec *s, struct strbuf *gone,
                      struct strbuf *left);

struct teardown_result {
    unsigned destroyed;
    unsigned data_disks; /* that are still there */
};

/* The caller holds the deployment's lock; the survey was made with `destroy`. `say` gets one line
 * per thing. */
int teardown_run(struct reach *r, struct store *store, const struct spec *s, struct survey *v,
                 void (*say)(const char *line), struct teardown_result *ret, struct err *err);

#endif
