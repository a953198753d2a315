/* SPDX-License-Identifier: Apache-2.0 */
/* IPv4 arithmetic of rules.h. */
#include <arpa/inet.h>
#include <string.h>

#include "controller/localvdc/network/rules.h"

int ipv4_parse(const char *text, uint32_t *ret)
{
    struct in_addr in;
    if (!text || inet_pton(AF_INET, text, &in) != 1)
        return -1;
    *ret = ntohl(in.s_addr);
    return 0;
}

void ipv4_text(uint32_t address, char ret[16])
{
    struct in_addr in = {.s_addr = htonl(address)};
    inet_ntop(AF_INET, &in, ret, 16);
}

static uint32_t mask_of(unsigned bits)
{
    return bits == 0 ? 0 : UINT32_MAX << (32 - bits);
}

int ipv4_net_parse(const char *text, struct ipv4_net *ret, struct err *err)
{
    char address[16] = "";
    const char *slash = text ? strchr(text, '/') : NULL;
    uint64_t bits = 0;
    struct ipv4_net c = {0};
    bool whole = slash && (size_t)(slash - text) < sizeof(address);
    if (whole)
        memcpy(address, text, (size_t)(slash - text));
    if (!whole || ipv4_parse(address, &c.base) != 0 || str_to_u64(slash + 1, 32, &bits) != 0)
        return err_set(err, ERR_USAGE, "'%.40s' is not a network such as 10.1.0.0/24",
                       text ? text : "");
    c.bits = (unsigned)bits;
    if (bits < 8 || bits > 29)
        return err_set(err, ERR_USAGE, "%s: the prefix length must be from 8 to 29", text);
    if (c.base & ~mask_of(c.bits)) {
        char base[16];
        ipv4_text(c.base & mask_of(c.bits), base);
        return err_set(err, ERR_USAGE, "%s has host bits set; the network is %s/%u", text, base,
                       c.bits);
    }
    *ret = c;
    return 0;
}

bool ipv4_net_has(const struct ipv4_net *c, uint32_t address)
{
    return (address & mask_of(c->bits)) == c->base;
}

bool ipv4_net_overlaps(const struct ipv4_net *a, const struct ipv4_net *b)
{
    return ipv4_net_has(a, b->base) || ipv4_net_has(b, a->base);
}

static bool listed(const json_t *used, const char *address)
{
    size_t i = 0;
    json_t *one = NULL;
    json_array_foreach(used, i, one)
    {
        if (str_eq(json_string_value(one), address))
            return true;
    }
    return false;
}

int ipv4_net_pick(const struct ipv4_net *c, const char *gateway, const json_t *used, char ret[16],
                  struct err *err)
{
    uint32_t last = c->base | ~mask_of(c->bits);
    uint32_t first = c->base + (c->bits <= 27 ? 10 : 2);
    for (uint32_t a = first; a < last; a++) {
        char text[16];
        ipv4_text(a, text);
        if (!str_eq(text, gateway) && !listed(used, text)) {
            str_copy(ret, 16, text);
            return 0;
        }
    }
    return err_set(err, ERR_FAILED, "no address is left in the network");
}
