/* SPDX-License-Identifier: Apache-2.0 */
/* One resource's way through a run of apply; shared by apply.c (which resource when) and
 * apply_resource.c (what happens to one). */
#ifndef MUSTER_CONTROLLER_CLOUD_INTERNAL_H
#define MUSTER_CONTROLLER_CLOUD_INTERNAL_H

#include "controller/cloud/apply.h"

/* What is under way for one resource. */
struct work {
    struct apply *apply;
    size_t index;
    struct move move;             /* the last one that was made */
    struct cloud_failure failure; /* of its call; err.code 0: none */
    char did[240];                /* the last change, for people */
    bool stops;                   /* it was asked to stop before it goes */
    bool no_expunge;              /* this account may not expunge: the cloud does it later */
    unsigned moves, sends, busy, looks;
    uint64_t due; /* when to look again; 0: not waiting */
    char job[64];
};

struct apply {
    struct cloud *cloud;
    struct store *store;
    const struct spec *spec;
    struct survey *survey;
    struct apply_options options;
    struct apply_hooks hooks;
    struct work *work;
    size_t in_flight;
};

/* Its turn has come: `stale`: what was listed of it says nothing any more. */
void resource_start(struct work *w, bool stale);
/* Lists it again, and goes on from there. */
void resource_look(struct work *w);
/* Writes what the journal has to say about an resource that needs no more moves. */
int resource_settle(struct apply *a, struct resource *it, struct err *err);

#endif
