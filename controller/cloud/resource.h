/* SPDX-License-Identifier: Apache-2.0 */
/* The cloud resources of a deployment: their kinds, what is known of each, what each kind
 * is called at the cloud, and the lists in which they are found. Pure. */
#ifndef MUSTER_CONTROLLER_CLOUD_RESOURCE_H
#define MUSTER_CONTROLLER_CLOUD_RESOURCE_H

#include <jansson.h>
#include <stdbool.h>

#include "common/err.h"
#include "common/pairs.h"
#include "controller/spec/spec.h"

enum resource_kind {
    RESOURCE_GROUP,   /* Direct Connect Group */
    RESOURCE_GATEWAY, /* network with internet gateway */
    RESOURCE_PRIVATE, /* network between the nodes */
    RESOURCE_EGRESS,
    RESOURCE_ADDRESS, /* public address of a gateway network */
    RESOURCE_KEYPAIR,
    RESOURCE_VOLUME,
    RESOURCE_VM,
    RESOURCE_FORWARD,
    RESOURCE_FIREWALL, /* firewall rule that lets a port forward's traffic in */
    RESOURCE_ATTACH,
    RESOURCE_KINDS
};

/* The lists that an inventory holds; each resource kind is found in one of them. Those from
 * LIST_ZONES on are the catalogue: only needed to create something. */
enum listing {
    LIST_GROUPS,
    LIST_NETWORKS,
    LIST_EGRESS,
    LIST_ADDRESSES,
    LIST_KEYPAIRS,
    LIST_VOLUMES,
    LIST_VMS,
    LIST_FORWARDS,
    LIST_FIREWALL,
    LIST_ZONES,
    LIST_TEMPLATES,
    LIST_OFFERINGS,
    LIST_DISK_OFFERINGS,
    LIST_NETWORK_OFFERINGS,
    LISTINGS
};

struct inventory {
    json_t *list[LISTINGS]; /* arrays of entities as the cloud gave them; NULL: not listed */
};
void inventory_free(struct inventory *inv);

enum resource_want { WANT_THERE, WANT_GONE, WANT_LEFT /* not in the file, kept all the same */ };
/* How the entity was recognised. */
enum resource_found { FOUND_NOT, FOUND_BY_ID, FOUND_BY_TAG, FOUND_BY_PLACE, FOUND_BY_NAME };
enum resource_state { RESOURCE_PENDING, RESOURCE_BUSY, RESOURCE_DONE, RESOURCE_FAILED };

#define RESOURCE_DEPS_MAX 6
#define RESOURCE_NO_INDEX SIZE_MAX

struct resource {
    enum resource_kind kind;
    enum resource_want want;
    char name[160];  /* journal key and tag: "vm:fra" */
    char label[100]; /* its name at the cloud */
    size_t zone;     /* indices into the spec; RESOURCE_NO_INDEX when it is not in the file */
    size_t node;     /* only for kinds that belong to one */
    bool of_node;
    struct spec_port port;
    size_t deps[RESOURCE_DEPS_MAX];
    size_t n_deps;
    char fingerprint[48]; /* of a key pair, as it should be; "" when unknown */
    char replace[64];     /* id of the entity that the operator wants replaced, or "" */
    bool foreign;         /* the file says that it is there: never made, changed or destroyed */
    bool owned;           /* in the journal, or made by this run */
    bool adopt;           /* what was found by its name alone may be taken over */
    bool settled;         /* the journal says that it was done */
    char job[64];         /* of an earlier run, maybe still under way */
    /* what is known of the real one */
    enum resource_found found;
    char id[64];
    char lost[64];   /* data disk: id of the one that was in use and is gone, or "" */
    json_t *entity;  /* as last listed or answered; may be NULL */
    bool tagged;     /* its tags were written after it was listed, or … */
    bool untaggable; /* … the cloud refuses them */
    /* this run */
    enum resource_state state;
    bool usable; /* what depends on it may begin: it is done, or only its tags are missing */
    bool created, changed, destroyed;
    struct err err;
};

struct request; /* dialect.h */

struct resource_ops {
    const char *prefix; /* of resource.name */
    const char *what;   /* for people: "VM" */
    enum listing list;  /* where it is found */
    const char *create; /* API call; NULL: it comes with something else */
    int (*params)(const struct request *m, const struct resource *it, struct pairs *ret,
                  struct err *err);
    const char *destroy; /* NULL: goes with something else, or the API cannot */
    int phase;           /* of teardown: a phase begins when the one before has ended */
    const char *tag;     /* resource type for createTags; NULL: carries none */
    bool shared; /* may be somebody else's: taken as found, destroyed only when we made it */
    bool stays;  /* the API cannot or need not be able to destroy it */
};

/* Snapshots of data disks are nothing that a file wants: no resources, but calls of every cloud. */
struct snapshot_ops {
    const char *create, *list, *member, *destroy;
    const char *tag; /* resource type for createTags */
};

#define TEARDOWN_PHASES 6

struct dialect {
    const char *name;
    bool region; /* calls carry the region */
    struct resource_ops ops[RESOURCE_KINDS];
    bool lists[LISTINGS]; /* those that this cloud has */
    struct snapshot_ops snapshots;
};

struct resources {
    const struct dialect *dialect;
    char deployment[SPEC_NAME_MAX];
    struct resource *v;
    size_t n;
};

struct listing_call {
    const char *command;
    const char *member;
    const char *param; /* one fixed parameter, or NULL */
    const char *value;
};

const struct resource_ops *resource_ops(const struct resources *resources, enum resource_kind k);
const struct listing_call *listing_call(enum listing l);

void resources_free(struct resources *resources);
/* By zone or node; RESOURCE_KEYPAIR has only one. NULL when there is none. */
struct resource *resources_find(const struct resources *resources, enum resource_kind kind,
                                size_t index);
struct resource *resources_named(const struct resources *resources, const char *name);
/* The id of the dependency of that kind, "" without. */
const char *resource_dep_id(const struct resources *resources, const struct resource *it,
                            enum resource_kind kind);
/* Whether what was found belongs to this deployment: it is in the journal, it carries our tags, it
 * was adopted, or it is a part of what does. A name alone says nothing. */
bool resource_is_ours(const struct resource *it, const struct resources *resources);

#endif
