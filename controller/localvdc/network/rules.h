/* SPDX-License-Identifier: Apache-2.0 */
/* What a network's documents mean to the tools: packet filter and name server configuration.
 * Pure: documents in, text out. */
#ifndef MUSTER_CONTROLLER_LOCALVDC_NETWORK_RULES_H
#define MUSTER_CONTROLLER_LOCALVDC_NETWORK_RULES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/ipv4.h"
#include "common/str.h"
#include "controller/localvdc/network/sources.h"

/* A network for guests, "10.1.0.0/24": a prefix of 8 to 29 bits, no host bits set. */
int guest_net_parse(const char *text, struct ipv4_net *ret, struct err *err);
/* The first address for guests that is neither the gateway nor in `used` (array of texts). */
int guest_net_pick(const struct ipv4_net *c, const char *gateway, const json_t *used, char ret[16],
                   struct err *err);

/* The router's packet filter: table `mvdc` of its namespace, replaced as a whole. `lan` and `pub`
 * are its interfaces; `ips` are its public addresses, of which those for static NAT count. Members
 * of `allowed` (filled by the name server) are what lies outside. */
void rules_nft(const json_t *network, const json_t *egress, const json_t *forwards,
               const json_t *firewall, const json_t *ips, struct strbuf *out);
/* The host's side: masquerading of the pool. */
void rules_nft_host(struct strbuf *out);

/* dnsmasq's configuration for the interface `iface` in directory `dir`. A network without outside
 * (a private one) gets addresses only: no router, no name server. */
void rules_dnsmasq(const json_t *network, const struct outside *outside, const char *iface,
                   const char *dir, struct strbuf *out);
/* For each NIC in the network a line of dhcp-hostsfile, and one of the form of /etc/hosts. */
void rules_dhcp_hosts(const char *network_id, const json_t *vms, struct strbuf *out,
                      struct strbuf *names);

#endif
