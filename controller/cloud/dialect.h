/* SPDX-License-Identifier: Apache-2.0 */
/* What each kind of resource is called at the cloud, and with which parameters: one table for the
 * VDC's API, one for stock CloudStack. Pure. */
#ifndef MUSTER_CONTROLLER_CLOUD_DIALECT_H
#define MUSTER_CONTROLLER_CLOUD_DIALECT_H

#include "common/pairs.h"
#include "controller/cloud/items.h"

/* What parameters are made from. */
struct making {
    const struct items *items;
    const struct spec *spec;
    const struct inventory *inv;
    const char *user_data;  /* base64, of VMs */
    const char *public_key; /* of the key pair */
};

struct item_ops {
    const char *prefix; /* of item.name */
    const char *what;   /* for people: "VM" */
    enum listing list;  /* where it is found */
    const char *create; /* API call; NULL: it comes with something else */
    int (*params)(const struct making *m, const struct item *it, struct pairs *ret,
                  struct err *err);
    const char *destroy; /* NULL: goes with something else, or the API cannot */
    int phase;           /* of teardown: a phase begins when the one before has ended */
    const char *tag;     /* resource type for createTags; NULL: carries none */
    bool shared; /* may be somebody else's: taken as found, destroyed only when we made it */
    bool stays;  /* the API cannot or need not be able to destroy it */
};

struct listing_call {
    const char *command;
    const char *member;
    const char *param; /* one fixed parameter, or NULL */
    const char *value;
};

#define TEARDOWN_PHASES 6

struct dialect {
    const char *name;
    bool region; /* calls carry the region */
    struct item_ops ops[ITEM_KINDS];
    bool lists[LISTINGS]; /* those that this cloud has */
};

const struct dialect *dialect_of(const struct spec *s);
const struct item_ops *item_ops(const struct items *items, enum item_kind k);
const struct listing_call *listing_call(enum listing l);

/* A call that changes an item in place, or removes it. */
void params_destroy(const struct item *it, bool expunge, struct pairs *ret);
void params_tags(const struct items *items, const struct item *it, struct pairs *ret);
void params_grow(const struct making *m, const struct item *it, struct pairs *ret);

/* Zone, template and offerings that the file names but the cloud does not have: every one, a line
 * each, with what there is instead. */
int catalogue_check(const struct items *items, const struct spec *s, const struct inventory *inv,
                    struct strbuf *lines);

#endif
