/* SPDX-License-Identifier: Apache-2.0 */
/* Raising a deployment: cloud resources, agents, verification. Can be killed at any point and run
 * again. */
#ifndef MUSTER_UP_H
#define MUSTER_UP_H

#include "controller/cloud/survey.h"
#include "controller/deployment.h"

/* Who shows how it goes; each may be NULL. */
struct up_progress {
    void *ctx;
    void (*begin)(void *ctx); /* there is something to do; before all others */
    void (*event)(void *ctx, const struct event *ev);
    void (*state)(void *ctx, size_t node, const json_t *state);
    int (*tick)(void *ctx); /* ms until it wants to be called again, -1 for never */
};

struct up_options {
    const char *public_key; /* that VMs let in */
    bool cloud_only;        /* end when the cloud part is done */
    const char *package;    /* the agent's .deb; NULL: where it is installed */
    struct up_progress progress;
};

/* What `up` ended with, for the last line. */
struct up_result {
    unsigned created, repaired, removed; /* cloud resources */
    unsigned changed;                    /* steps on the nodes */
};

/* The deployment is open and locked; `v` is what a survey found, its resources are worked on. */
int up_run(struct deployment *d, struct reach *r, struct survey *v, const struct up_options *o,
           struct up_result *ret, struct err *err);

#endif
