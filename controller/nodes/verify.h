/* SPDX-License-Identifier: Apache-2.0 */
/* A look from outside: does each site answer, and does its node say that its database is part of
 * the whole cluster? */
#ifndef MUSTER_CONTROLLER_NODES_VERIFY_H
#define MUSTER_CONTROLLER_NODES_VERIFY_H

#include <stdbool.h>

#include "controller/cloud/http.h"
#include "controller/spec/spec.h"

struct verify_result {
    bool has_url;
    long site;     /* HTTP status of the site, 0: no answer */
    long health;   /* of the health page */
    bool computed; /* PHP made that answer: it is no source text */
    char db[32];   /* "Synced", … ; "" unknown */
    unsigned cluster_size;
    char drift[256]; /* what its agent last saw to differ from the plan: "file:f, web:apache", or ""
                      */
    char why[256];   /* what is missing, "" when all is well */
};

/* `urls`: one per node, "" for a node without a web site. Runs the loop of `h` until every answer
 * is there or `timeout_s` has passed. Returns whether all is well; drift is not asked for that. */
bool verify_sites(struct http *h, const struct spec *s, const char *const urls[],
                  unsigned timeout_s, struct verify_result *ret);

#endif
