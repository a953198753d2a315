/* SPDX-License-Identifier: Apache-2.0 */
/* The cloud resources of a deployment ("items"), in an order in which each comes after what it
 * needs, and the table that tells for each kind how it is listed, recognised, created and
 * deleted. Pure: works on what was listed. */
#ifndef MUSTER_ITEMS_H
#define MUSTER_ITEMS_H

#include <jansson.h>
#include <stdbool.h>

#include "common/err.h"
#include "controller/pairs.h"
#include "controller/spec.h"

enum item_kind {
    ITEM_GROUP,   /* Direct Connect Group */
    ITEM_GATEWAY, /* network with internet gateway */
    ITEM_PRIVATE, /* private network, joined through a group */
    ITEM_EGRESS,
    ITEM_ADDRESS, /* public address of a gateway network; comes with it */
    ITEM_KEYPAIR,
    ITEM_VOLUME,
    ITEM_VM,
    ITEM_FORWARD,
    ITEM_ATTACH,
    ITEM_KINDS
};

/* The lists that an inventory holds; each item kind is recognised in one of them. */
enum listing {
    LIST_ZONES,
    LIST_TEMPLATES,
    LIST_OFFERINGS,
    LIST_DISK_OFFERINGS,
    LIST_GROUPS,
    LIST_NETWORKS,
    LIST_EGRESS,
    LIST_ADDRESSES,
    LIST_KEYPAIRS,
    LIST_VOLUMES,
    LIST_VMS,
    LIST_FORWARDS,
    LISTINGS
};

struct inventory {
    json_t *list[LISTINGS]; /* arrays of entities as the cloud gave them */
};
void inventory_free(struct inventory *inv);

enum item_state { ITEM_WANTED, ITEM_BUSY, ITEM_DONE, ITEM_FAILED };

#define ITEM_DEPS_MAX 6

struct item {
    enum item_kind kind;
    char name[160];  /* journal key: "vm:fra" */
    char label[100]; /* its name at the cloud */
    size_t zone;     /* indices into the spec; node only for kinds that belong to one */
    size_t node;
    bool of_node;
    struct spec_port port;
    size_t deps[ITEM_DEPS_MAX];
    size_t n_deps;
    /* what is known of the real one */
    char id[64];
    json_t *entity; /* as last listed or answered; may be NULL */
    enum item_state state;
    bool created; /* by this run */
    struct err err;
};

struct items {
    struct item *v;
    size_t n;
};

/* How one kind is handled. */
struct item_ops {
    const char *prefix;  /* of item.name */
    const char *what;    /* for people: "VM" */
    enum listing list;   /* where it is found */
    const char *create;  /* API call; NULL: it comes with something else */
    const char *destroy; /* NULL: goes with something else or is left on purpose */
    bool shared;         /* may belong to others, too: taken as found, never deleted */
};
const struct item_ops *item_ops(enum item_kind k);

struct listing_call {
    const char *command;
    const char *member;
    const char *param; /* one fixed parameter, or NULL */
    const char *value;
};
const struct listing_call *listing_call(enum listing l);

void items_build(const struct spec *s, struct items *ret);
void items_free(struct items *items);
struct item *items_find(const struct items *items, enum item_kind kind, size_t index);

/* Recognises the item among what was listed: by `known_id` if that is not empty, else by its
 * name and place. Sets id and entity and answers 1, 0 when it is not there; -1 when two match. */
int item_recognise(struct item *it, const struct items *items, const struct spec *s,
                   const struct inventory *inv, const char *known_id, struct err *err);

/* Whether the entity can be used: 1 yes, 0 not yet, -1 never (err says why). */
int item_settled(const struct item *it, struct err *err);

/* A VM that is there and off. */
bool item_is_stopped(const struct item *it);

/* Parameters of the create call. Its dependencies must be done. `user_data` (base64) is for VMs,
 * `public_key` for the key pair. */
int item_create_params(const struct item *it, const struct items *items, const struct spec *s,
                       const struct inventory *inv, const char *user_data, const char *public_key,
                       struct pairs *ret, struct err *err);

/* Takes id and entity from the answer of the create call. */
int item_take_answer(struct item *it, const json_t *answer, struct err *err);

/* Zone, template and offerings that the file names but the cloud does not have: every one, a
 * line each, with what there is instead. */
int items_check_catalogue(const struct spec *s, const struct inventory *inv, struct strbuf *lines);

#endif
