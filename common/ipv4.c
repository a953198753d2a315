/* SPDX-License-Identifier: Apache-2.0 */
#include "common/ipv4.h"

#include <arpa/inet.h>
#include <string.h>

#include "common/str.h"

int ipv4_parse(const char *text, uint32_t *ret)
{
    struct in_addr in;

    if (!text || inet_pton(AF_INET, text, &in) != 1)
        return -1;
    *ret = ntohl(in.s_addr);
    return 0;
}

void ipv4_text(uint32_t address, char ret[IPV4_SIZE])
{
    struct in_addr in = {.s_addr = htonl(address)};

    inet_ntop(AF_INET, &in, ret, IPV4_SIZE);
}

uint32_t ipv4_mask(unsigned len)
{
    return len == 0 ? 0 : UINT32_MAX << (32 - len);
}

int ipv4_interface_parse(const char *text, uint32_t *ret_address, unsigned *ret_len)
{
    char address[IPV4_SIZE] = "";
    const char *slash = text ? strchr(text, '/') : NULL;
    uint64_t len;

    if (!slash || (size_t)(slash - text) >= sizeof(address))
        return -1;
    memcpy(address, text, (size_t)(slash - text));
    if (str_to_u64(slash + 1, 32, &len) < 0 || ipv4_parse(address, ret_address) < 0)
        return -1;
    *ret_len = (unsigned)len;
    return 0;
}

int ipv4_net_parse(const char *text, struct ipv4_net *ret)
{
    struct ipv4_net net;

    if (ipv4_interface_parse(text, &net.base, &net.len) < 0 || (net.base & ~ipv4_mask(net.len)))
        return -1;
    *ret = net;
    return 0;
}

bool ipv4_net_has(const struct ipv4_net *net, uint32_t address)
{
    return (address & ipv4_mask(net->len)) == net->base;
}

bool ipv4_net_overlaps(const struct ipv4_net *a, const struct ipv4_net *b)
{
    return a->len < b->len ? ipv4_net_has(a, b->base) : ipv4_net_has(b, a->base);
}
