/* SPDX-License-Identifier: Apache-2.0 */
/* What a network test found, as text and as JSON. Pure. */
#ifndef MUSTER_CONTROLLER_CLI_NETTEST_H
#define MUSTER_CONTROLLER_CLI_NETTEST_H

#include <jansson.h>

#include "common/nettest.h"
#include "common/str.h"

enum nettest_state {
    NETTEST_NOT_ASKED,
    NETTEST_MEASURED,
    NETTEST_NOT_REACHABLE, /* the public port does not lead there: that is known */
    NETTEST_FAILED,        /* not known; why */
    NETTEST_STATES
};

struct nettest_latency_cell {
    enum nettest_state state;
    char why[300];
    struct nettest_latency l;
};

struct nettest_throughput_cell {
    enum nettest_state state;
    char why[300];
    struct nettest_throughput t;
};

enum nettest_side { NETTEST_PRIVATE, NETTEST_PUBLIC, NETTEST_SIDES };

struct nettest_pair {
    struct nettest_latency_cell latency[NETTEST_SIDES];
    struct nettest_throughput_cell throughput[NETTEST_SIDES];
};

struct nettest_report {
    const char *deployment;
    const char **names; /* of n nodes */
    size_t n;
    unsigned seconds, streams;
    bool public_side;
    struct nettest_pair *pairs; /* n * n: from row to column */
};

/* The answer of the hub to an NETTEST_LATENCY, or to an NETTEST_THROUGHPUT; anything in it may be
 * malformed. */
void nettest_take_latency(const json_t *answer, struct nettest_latency_cell *ret);
void nettest_take_throughput(const json_t *answer, struct nettest_throughput_cell *ret);
/* Every pair that was asked for is known. */
bool nettest_is_complete(const struct nettest_report *r);
/* Periods of Galera that its defaults are too short for, at the longest round trip that was met:
 * for `database.settings`; empty: none. New reference. */
json_t *nettest_settings(const struct nettest_report *r);
/* Matrices of at most 80 columns when the names are short; ASCII. */
void nettest_render(const struct nettest_report *r, struct strbuf *out);
json_t *nettest_json(const struct nettest_report *r); /* new reference */

#endif
