/* SPDX-License-Identifier: Apache-2.0 */
/* Compiles the file and what the cloud gave into one complete plan per node (docs/protocol.md,
 * section 3), and the roster of the database cluster. Pure. */
#ifndef MUSTER_CONTROLLER_NODES_PLANNER_H
#define MUSTER_CONTROLLER_NODES_PLANNER_H

#include <jansson.h>

#include "common/err.h"
#include "controller/nodes/certs.h"
#include "controller/spec/spec.h"

/* What the cloud gave to one node. */
struct node_facts {
    char private_address[16]; /* "" without a private network */
    char private_mac[18];
    char public_address[16]; /* of its zone's gateway; "" when that is not known */
    char volume[64];         /* UUID of the data disk, "" without one */
    char url[128];           /* of the site from outside, "" without a port forward to 80 */
};

struct planner_input {
    const struct spec *spec;
    const struct node_facts *facts; /* one per node of the spec */
    const char *archive_url;        /* of the application */
    const char *archive_sha256;
    bool archive_zip;        /* it is a .zip, or may be one */
    const char *package_key; /* of the packages' repository, armored */
    const struct certs *certs;
    const char *site_cert; /* of the front door, PEM; NULL without one */
};

/* *ret has no secrets yet: planner_secret_names tells which it needs, and they go into
 * "secrets". The revision covers everything but their values. */
int planner_compile(const struct planner_input *in, size_t node, json_t **ret, struct err *err);
/* Array of the names used as ${secret:NAME} in the plan. */
json_t *planner_secret_names(const json_t *plan);
/* Array of the names used as ${secret.NAME} in the file's app section. */
json_t *planner_app_secret_names(const struct spec *s);
/* What such a secret is called in plans and in the store. The caller frees. */
char *planner_app_secret(const char *name);
/* Characters of a secret's value. */
#define PLANNER_SECRET_CHARS 24

/* The text that is signed: members in the file's order with their keys (hex). NULL while a node
 * has no key yet. The caller frees. */
char *planner_roster(const struct planner_input *in, const char *const keys[], uint64_t epoch);

#endif
