/* SPDX-License-Identifier: Apache-2.0 */
/* Guest networks and their addresses (rules.h). */
#include <string.h>

#include "controller/localvdc/network/rules.h"

int guest_net_parse(const char *text, struct ipv4_net *ret, struct err *err)
{
    uint32_t address;
    unsigned len;

    if (ipv4_interface_parse(text, &address, &len) < 0)
        return err_set(err, ERR_USAGE, "'%.40s' is not a network such as 10.1.0.0/24",
                       text ? text : "");
    if (len < 8 || len > 29)
        return err_set(err, ERR_USAGE, "%s: the prefix length must be from 8 to 29", text);
    if (ipv4_net_parse(text, ret) < 0) {
        char base[IPV4_SIZE];

        ipv4_text(address & ipv4_mask(len), base);
        return err_set(err, ERR_USAGE, "%s has host bits set; the network is %s/%u", text, base,
                       len);
    }
    return 0;
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

int guest_net_pick(const struct ipv4_net *c, const char *gateway, const json_t *used, char ret[16],
                   struct err *err)
{
    uint32_t last = c->base | ~ipv4_mask(c->len);
    uint32_t first = c->base + (c->len <= 27 ? 10 : 2);

    for (uint32_t a = first; a < last; a++) {
        char text[IPV4_SIZE];

        ipv4_text(a, text);
        if (!str_eq(text, gateway) && !listed(used, text)) {
            str_copy(ret, 16, text);
            return 0;
        }
    }
    return err_set(err, ERR_FAILED, "no address is left in the network");
}
