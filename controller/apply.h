/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the cloud match the items: lists what there is, recognises what is ours, creates the rest
 * side by side where items do not depend on each other. Every create call is journaled before it
 * is sent and its id and job as soon as they are known; after a kill the same run continues. */
#ifndef MUSTER_APPLY_H
#define MUSTER_APPLY_H

#include "controller/cloud.h"
#include "controller/items.h"
#include "controller/store.h"

struct apply;

struct apply_hooks {
    void *ctx;
    /* User-data of a node, base64; the caller frees. Called right before its VM is created. */
    int (*user_data)(void *ctx, size_t node, char **ret, struct err *err);
    /* What happened to an item; `item` is its journal key. */
    void (*event)(void *ctx, const struct item *it, enum event_kind kind, const char *msg);
};

/* Borrows everything for its life. */
struct apply *apply_new(struct cloud *c, struct store *st, const struct spec *s,
                        const char *public_key, const struct apply_hooks *hooks);
void apply_free(struct apply *a);

/* Starts listing everything; done when apply_listed answers 1 (-1: failed). */
void apply_list(struct apply *a);
int apply_listed(struct apply *a, struct err *err);

/* Recognises all items. `adopt`: also those by name that this deployment did not ask for. After
 * it the items' states are ITEM_DONE or ITEM_WANTED. */
int apply_recognise(struct apply *a, bool adopt, struct err *err);
struct items *apply_items(struct apply *a);
const struct inventory *apply_inventory(struct apply *a);

/* Starts what can be started. Returns 1 when every item is done, 0 while there is work, -1 when
 * something failed and nothing is under way any more. To be called in the loop. */
int apply_tick(struct apply *a, struct err *err);

#endif
