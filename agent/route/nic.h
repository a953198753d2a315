/* SPDX-License-Identifier: Apache-2.0 */
/* Which interface is the machine's NIC of a MAC: bridges, bonds, VLANs and others that lie on it,
 * and whoever was given its address, have the same one. */
#ifndef MUSTER_AGENT_ROUTE_NIC_H
#define MUSTER_AGENT_ROUTE_NIC_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

#include "agent/route/rtnl.h"
#include "common/err.h"

struct nic_seen {
    char name[IF_NAMESIZE];
    char kind[RTNL_KIND_SIZE]; /* of a virtual one, such as "veth"; "" for hardware */
    bool device;               /* it belongs to a device of a bus */
    bool on_another;           /* it lies on another interface of this machine */
    char master[IF_NAMESIZE];  /* it is a part of this bridge or bond; "" of none */
};

/* Which of those with the MAC. Refused when none is one, or when several might be: all are named.
 * Pure. */
int nic_choose(const struct nic_seen *v, size_t n, const char *mac, const struct nic_seen **ret,
               struct err *err);
/* Looks for it on this machine. */
int nic_find(const char *mac, struct rtnl *nl, char ret[IF_NAMESIZE], struct err *err);

#endif
