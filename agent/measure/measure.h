/* SPDX-License-Identifier: Apache-2.0 */
/* A node's side of the network test: ping and iperf3 as programs, what they say, and whom they may
 * reach. */
#ifndef MUSTER_AGENT_MEASURE_MEASURE_H
#define MUSTER_AGENT_MEASURE_MEASURE_H

#include <jansson.h>

#include "agent/ipc/bootstrap.h"
#include "common/err.h"
#include "common/ipv4.h"
#include "common/nettest.h"

#define MEASURE_PING "/usr/bin/ping"
#define MEASURE_IPERF "/usr/bin/iperf3"

/* --- what they say: ping.c, iperf.c; pure ----------------------------------------------------- */

/* The whole output of ping, in the C locale: reply lines and the summary. Without any reply that is
 * no error. ERR_FAILED when it was cut off, or says what cannot be. */
int measure_ping_parse(const char *text, struct nettest_latency *ret, struct err *err);
/* The whole output of `iperf3 -J` as a client. The program's own complaint is the error. */
int measure_iperf_parse(const char *text, size_t len, const struct nettest_order *o,
                        struct nettest_throughput *ret, struct err *err);

/* --- whom: roster.c ----------------------------------------------------------------------------
 */

/* One node of the roster; addresses are IPv4, "" when it has none. */
struct measure_node {
    char private_address[IPV4_SIZE];
    char public_address[IPV4_SIZE]; /* of its zone's gateway */
    unsigned public_port; /* of that address, forwarded to the node's PORT_NETTEST; or 0 */
};

/* Of the file that the net process keeps: verified by the key that this machine was born with.
 * ERR_USAGE: the roster has no node of that name. Pure. */
int measure_roster_find(const char *file, size_t len, const struct bootstrap *boot,
                        const char *name, struct measure_node *ret, struct err *err);

/* --- running: run.c ----------------------------------------------------------------------------
 */

/* Carries out an order other than NETTEST_PREPARE between these two. *ret: its figures, or json
 * null; new reference. Blocks for the order's seconds and NETTEST_WORKER_S more at most. */
int measure_run(const struct nettest_order *o, const struct measure_node *self,
                const struct measure_node *other, json_t **ret, struct err *err);

#endif
