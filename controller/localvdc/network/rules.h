/* SPDX-License-Identifier: Apache-2.0 */
/* What a network's documents mean to the tools: packet filter and name server configuration.
 * Pure: documents in, text out. */
#ifndef MUSTER_CONTROLLER_LOCALVDC_NETWORK_RULES_H
#define MUSTER_CONTROLLER_LOCALVDC_NETWORK_RULES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/str.h"
#include "controller/localvdc/network/sources.h"

struct ipv4_net {
    uint32_t base; /* host order */
    unsigned bits;
};

/* "10.1.0.0/24"; bits 8 to 29, no host bits set. */
int ipv4_net_parse(const char *text, struct ipv4_net *ret, struct err *err);
bool ipv4_net_has(const struct ipv4_net *c, uint32_t address);
bool ipv4_net_overlaps(const struct ipv4_net *a, const struct ipv4_net *b);
int ipv4_parse(const char *text, uint32_t *ret);
void ipv4_text(uint32_t address, char ret[16]);
/* The first address for guests that is neither the gateway nor in `used` (array of texts). */
int ipv4_net_pick(const struct ipv4_net *c, const char *gateway, const json_t *used, char ret[16],
                  struct err *err);

/* The router's packet filter: table `mvdc` of its namespace, replaced as a whole. `lan` and `pub`
 * are its interfaces; `ips` are its public addresses, of which those for static NAT count. Members
 * of `allowed` (filled by the name server) are what lies outside. */
void rules_nft(const json_t *network, const json_t *egress, const json_t *forwards,
               const json_t *firewall, const json_t *ips, struct strbuf *out);
/* The host's side: masquerading of the pool. */
void rules_nft_host(struct strbuf *out);

/* dnsmasq's configuration for the interface `iface` in folder `dir`. A network without outside
 * (a private one) gets addresses only: no router, no name server. */
void rules_dnsmasq(const json_t *network, const struct outside *outside, const char *iface,
                   const char *dir, struct strbuf *out);
/* For each NIC in the network a line of dhcp-hostsfile, and one of the form of /etc/hosts. */
void rules_dhcp_hosts(const char *network_id, const json_t *vms, struct strbuf *out,
                      struct strbuf *names);

#endif
