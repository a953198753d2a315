/* SPDX-License-Identifier: Apache-2.0 */
/* The network test between the nodes of a deployment: what is asked of a node, the figures that it
 * answers with, and when none is made. The same records travel between client, hub, agent and
 * worker (docs/protocol.md, sections 2, 5 and 11). Pure. */
#ifndef MUSTER_COMMON_NETTEST_H
#define MUSTER_COMMON_NETTEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define NETTEST_SECONDS 10 /* of one measurement, when nothing else is asked for */
#define NETTEST_SECONDS_MAX 60
#define NETTEST_STREAMS 10
#define NETTEST_STREAMS_MAX 64
#define NETTEST_PINGS_PER_SECOND 10
/* Bytes that one measurement of the throughput sends at most: the rate is limited to that. */
#define NETTEST_BYTES_MAX (64ull << 30)
#define NETTEST_NODE_MAX 64

/* How much longer than its seconds each may take: in the worker, then in the agent, then at the
 * hub, so that whoever knows most says what was wrong. */
#define NETTEST_CONNECT_MS 10000 /* the other side opens its port */
#define NETTEST_WORKER_S 15
#define NETTEST_AGENT_S 20
#define NETTEST_HUB_S 25
#define NETTEST_PREPARE_S 300 /* the hub waits for packages */

enum nettest_what {
    NETTEST_PREPARE,    /* have the programs that measure */
    NETTEST_LATENCY,    /* ping the other node */
    NETTEST_SERVE,      /* let the other node connect once */
    NETTEST_THROUGHPUT, /* send to the other node, which serves */
    NETTEST_WHATS
};

struct nettest_order {
    enum nettest_what what;
    char node[NETTEST_NODE_MAX]; /* the other one, by its name; "" of NETTEST_PREPARE */
    unsigned seconds;
    unsigned streams;
    bool public_side; /* by the address of the other one's gateway */
    bool force;       /* also while a state transfer is, or may be, under way */
};

const char *nettest_what_name(enum nettest_what what);
/* Members what, node, seconds, streams, public, force: all are needed, each within its bounds. */
int nettest_order_parse(const json_t *j, struct nettest_order *ret, struct err *err);
json_t *nettest_order_json(const struct nettest_order *o); /* new reference */

struct nettest_latency { /* times in ms; not set when nothing was received */
    unsigned sent, received;
    double min, avg, p99, max;
};

struct nettest_throughput {
    bool reachable;         /* false: nobody listens there, and the rest is not set */
    double bits_per_second; /* as the receiver counted */
    uint64_t bytes;
    double seconds;
    uint64_t retransmits;
    bool limited; /* by NETTEST_BYTES_MAX, not by the network */
};

double nettest_loss_percent(const struct nettest_latency *l);
json_t *nettest_latency_json(const struct nettest_latency *l); /* new reference */
json_t *nettest_throughput_json(const struct nettest_throughput *t);
/* What another program says: an error unless all members are there and can be. */
int nettest_latency_parse(const json_t *j, struct nettest_latency *ret, struct err *err);
int nettest_throughput_parse(const json_t *j, struct nettest_throughput *ret, struct err *err);

/* Bits per second that each of the streams may send. */
uint64_t nettest_stream_rate(const struct nettest_order *o);

/* Whether a node's state (docs/protocol.md, section 4; NULL: not known) says that it takes part in
 * a state transfer, or does not say that it takes part in none; then *ret says which. */
bool nettest_transfer(const json_t *state, char *ret, size_t cap);

#endif
