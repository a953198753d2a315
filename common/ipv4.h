/* SPDX-License-Identifier: Apache-2.0 */
/* IPv4 addresses and networks in text and as numbers of the host's byte order. Pure. */
#ifndef MUSTER_COMMON_IPV4_H
#define MUSTER_COMMON_IPV4_H

#include <stdbool.h>
#include <stdint.h>

#define IPV4_SIZE 16 /* "255.255.255.255" with its NUL */

struct ipv4_net {
    uint32_t base; /* no host bits */
    unsigned len;  /* of the prefix, 0 to 32 */
};

/* Dotted quads only. 0 or -1; `text` may be NULL. */
int ipv4_parse(const char *text, uint32_t *ret);
void ipv4_text(uint32_t address, char ret[IPV4_SIZE]);

/* "10.1.2.3/24": an address in its network. 0 or -1; `text` may be NULL. */
int ipv4_interface_parse(const char *text, uint32_t *ret_address, unsigned *ret_len);
/* "10.1.2.0/24": a network, so host bits are malformed. 0 or -1; `text` may be NULL. */
int ipv4_net_parse(const char *text, struct ipv4_net *ret);
uint32_t ipv4_mask(unsigned len);
bool ipv4_net_has(const struct ipv4_net *net, uint32_t address);
bool ipv4_net_overlaps(const struct ipv4_net *a, const struct ipv4_net *b);

#endif
