/* SPDX-License-Identifier: Apache-2.0 */
/* Raising a deployment: cloud resources, agents, verification. Can be killed at any point and run
 * again. */
#ifndef MUSTER_UP_H
#define MUSTER_UP_H

#include "controller/cloud/survey.h"
#include "controller/deployment.h"
#include "controller/ui.h"

struct up_options {
    const char *public_key; /* that VMs let in */
    bool cloud_only;        /* end when the cloud part is done */
    const char *package;    /* the agent's .deb; NULL: where it is installed */
    enum ui_mode mode;
    int color;
};

/* What `up` ended with, for the last line. */
struct up_result {
    unsigned created, mended, removed; /* cloud resources */
    unsigned changed;                  /* steps on the nodes */
};

/* The deployment is open and locked; `v` is what a survey found, its items are worked on. */
int up_run(struct deployment *d, struct reach *r, struct survey *v, const struct up_options *o,
           struct up_result *ret, struct err *err);

/* What the store knows of the nodes' places: array of {name, zone, public_ip, private_ip, url,
 * ssh_port, vm}, NULL before the cloud part was done once. */
int up_layout(struct deployment *d, json_t **ret, struct err *err);

#endif
