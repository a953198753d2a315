/* SPDX-License-Identifier: Apache-2.0 */
/* Routes that must not be made: those which would lead SSH's or the controller's connection, or the
 * default gateway's address, another way. IPv4 addresses are in network byte order. */
#ifndef MUSTER_AGENT_ROUTE_GUARD_H
#define MUSTER_AGENT_ROUTE_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/route/rtnl.h"

#define GUARD_MAX 64

struct guarded {
    uint32_t addr;
    char what[32]; /* "an SSH connection" */
};

struct guard {
    struct guarded who[GUARD_MAX];
    size_t n;
};

/* Pure: adds those of a /proc/net/tcp or tcp6 text who are connected to our port `ssh`, or to whose
 * port `controller` we are (0: none). */
void guard_add_peers(struct guard *g, const char *text, uint16_t ssh, uint16_t controller);
/* Pure: NULL when `gateway` can be the next hop of a NIC with this address, else why not. */
const char *guard_gateway(uint32_t addr, unsigned len, uint32_t gateway);
/* Pure: would the wanted route take over what goes by `now` today? */
bool guard_takes_over(const struct rtnl_route *want, const struct rtnl_route *now, uint32_t addr);

/* Whom this machine talks to. */
void guard_collect(struct guard *g, struct rtnl *nl);
/* Whose path `want` would take over, or NULL. */
int guard_check(const struct guard *g, struct rtnl *nl, const struct rtnl_route *want,
                const struct guarded **ret, struct err *err);

#endif
