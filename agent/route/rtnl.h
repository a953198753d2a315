/* SPDX-License-Identifier: Apache-2.0 */
/* Links, addresses and routes of the kernel (IPv4), through rtnetlink (RFC 3549). Addresses are in
 * network byte order. */
#ifndef MUSTER_AGENT_ROUTE_RTNL_H
#define MUSTER_AGENT_ROUTE_RTNL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

#define RTNL_KIND_SIZE 16

struct rtnl;

int rtnl_open(struct rtnl **ret, struct err *err);
void rtnl_close(struct rtnl *r);
void rtnl_cleanup(struct rtnl **r);

struct rtnl_route {
    uint32_t to, via;
    unsigned len;
    int ifindex;
};

int rtnl_link_is_up(struct rtnl *r, int ifindex, bool *ret, struct err *err);
/* What a virtual link is, such as "bridge"; "" for one of hardware. */
int rtnl_link_kind(struct rtnl *r, int ifindex, char ret[RTNL_KIND_SIZE], struct err *err);
int rtnl_link_up(struct rtnl *r, int ifindex, struct err *err);
int rtnl_has_address(struct rtnl *r, int ifindex, uint32_t addr, unsigned len, bool *ret,
                     struct err *err);
int rtnl_add_address(struct rtnl *r, int ifindex, uint32_t addr, unsigned len, struct err *err);
int rtnl_has_route(struct rtnl *r, const struct rtnl_route *route, bool *ret, struct err *err);
/* The entry of the kernel's tables that decides for `addr`; not found: unreachable. */
int rtnl_path(struct rtnl *r, uint32_t addr, struct rtnl_route *ret, bool *ret_found,
              struct err *err);
int rtnl_default_route(struct rtnl *r, struct rtnl_route *ret, bool *ret_found, struct err *err);
/* Replaces a route to the same network. */
int rtnl_set_route(struct rtnl *r, const struct rtnl_route *route, struct err *err);

#endif
