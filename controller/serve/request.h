/* SPDX-License-Identifier: Apache-2.0 */
/* What a client may ask of a running hub: one JSON object a line (docs/protocol.md, section 11).
 * Pure. */
#ifndef MUSTER_CONTROLLER_SERVE_REQUEST_H
#define MUSTER_CONTROLLER_SERVE_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/keys.h"
#include "common/nettest.h"

#define REQUEST_VERSION 1
#define REQUEST_MAX (64 * 1024) /* bytes of a line */
#define REQUEST_WAIT_MAX_MS 30000

enum request_kind {
    REQUEST_STATE,   /* ask every agent now */
    REQUEST_EVENTS,  /* those after a number; and follow */
    REQUEST_UP,      /* an `up` has stored new plans: take them, let every agent repair */
    REQUEST_MEASURE, /* a measurement of the network between two nodes */
    REQUEST_FORGET,  /* a node's VM is about to be recreated */
    REQUEST_KINDS
};

struct request {
    enum request_kind kind;
    uint64_t wait_ms;           /* of REQUEST_STATE */
    uint64_t after;             /* of REQUEST_EVENTS */
    bool follow, states;        /* the same */
    char file[SHA256_HEX_SIZE]; /* of REQUEST_UP: digest of the deployment file */
    char node[64];              /* of REQUEST_FORGET and REQUEST_MEASURE: who is asked */
    struct nettest_order order; /* of REQUEST_MEASURE */
};

const char *request_name(enum request_kind kind);
int request_parse(const json_t *j, struct request *ret, struct err *err);

#endif
