/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's Debian package sources, and what else guests may reach: the template is built
 * from the former, the routers let guests reach both. */
#ifndef MUSTER_CONTROLLER_LOCALVDC_NETWORK_SOURCES_H
#define MUSTER_CONTROLLER_LOCALVDC_NETWORK_SOURCES_H

#include <jansson.h>
#include <stdbool.h>

#include "common/err.h"
#include "controller/localvdc/base/vdb.h"

#define SOURCES_SUITE "bookworm"

/* Pure. Appends to `out` an object {"uri", "suite", "components"} for each enabled binary source
 * of Debian's archive (path …/debian or …/debian-security) with a suite of SOURCES_SUITE. */
void sources_parse(const char *text, bool deb822, json_t *out);
/* Pure. The host of "http://host:port/path"; false when there is none. */
bool sources_uri_host(const char *uri, char *ret, size_t cap);

/* Those of the machine; a new array, empty when it has none for the suite. */
json_t *sources_read(void);
/* The machine's proxy for apt ("http://host:port"), or "". */
void sources_proxy(char *ret, size_t cap);

struct outside {
    json_t *hosts;   /* names and addresses that guests may reach */
    json_t *servers; /* addresses of name servers */
    bool vdc_roots;  /* answers of the network calls are inside "response" */
};

/* From the package sources, VDC_CONF ("allow = host", "dns = address", "roots = regular|vdc"), and
 * what `start --allow` stored. */
int outside_read(struct vdb *db, struct outside *ret, struct err *err);
void outside_free(struct outside *o);

#endif
