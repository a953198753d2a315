/* SPDX-License-Identifier: Apache-2.0 */
/* A look from outside: does each site answer its visitors? */
#ifndef MUSTER_CONTROLLER_NODES_VERIFY_H
#define MUSTER_CONTROLLER_NODES_VERIFY_H

#include <stdbool.h>

#include "common/visit.h"
#include "controller/cloud/http.h"
#include "controller/spec/spec.h"

struct verify_result {
    bool has_url;
    long site;               /* HTTP status of the site, 0: no answer */
    char why[VISIT_WHY_MAX]; /* what is missing, "" when all is well */
};

/* `urls`: one per node, "" for a node without a web site. Runs the loop of `h` until every answer
 * is there or `timeout_s` has passed. Returns whether all is well. */
bool verify_sites(struct http *h, const struct spec *s, const char *const urls[],
                  unsigned timeout_s, struct verify_result *ret);

#endif
