/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the cloud match what a survey found wanting: each resource goes look -> move -> call -> job
 * -> look until there is no move left; resources that do not depend on each other go side by side,
 * what is not wanted any more goes first. Every create call is journaled before it is sent, with
 * the id of its job, and its entity's id as soon as it is known; after a kill another run
 * continues. */
#ifndef MUSTER_CONTROLLER_CLOUD_APPLY_H
#define MUSTER_CONTROLLER_CLOUD_APPLY_H

#include "common/event.h"
#include "controller/cloud/survey.h"

struct apply;

struct apply_hooks {
    void *ctx;
    /* User-data of a node, base64; the caller frees. Called right before its VM is created. */
    int (*user_data)(void *ctx, size_t node, char **ret, struct err *err);
    /* What happened to an resource. */
    void (*event)(void *ctx, const struct resource *it, enum event_kind kind, const char *msg);
};

struct apply_options {
    bool removals_only;     /* destroy: what is missing is not made */
    const char *public_key; /* of the key pair */
};

/* Borrows everything for its life, the survey's resources included. */
struct apply *apply_new(struct cloud *c, struct store *st, const struct spec *s, struct survey *v,
                        const struct apply_options *o, const struct apply_hooks *hooks);
void apply_free(struct apply *a);

/* Starts what can be started. Returns 1 when every resource is done, 0 while there is work, -1 when
 * something failed and nothing is under way any more. To be called in the loop. */
int apply_tick(struct apply *a, struct err *err);

#endif
