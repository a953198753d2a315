/* SPDX-License-Identifier: Apache-2.0 */
/* Whom this node may measure: the members of the roster that the controller signed. */
#include <string.h>

#include "agent/measure/measure.h"
#include "common/cleanup.h"
#include "common/js.h"
#include "common/ports.h"
#include "common/str.h"

static void address(const json_t *m, const char *key, char ret[IPV4_SIZE])
{
    const char *text = js_opt_str(m, key, "");
    uint32_t number;

    ret[0] = '\0';
    if (ipv4_parse(text, &number) == 0)
        ipv4_text(number, ret);
}

int measure_roster_find(const char *file, size_t len, const struct bootstrap *boot,
                        const char *name, struct measure_node *ret, struct err *err)
{
    _cleanup_json_ json_t *j = NULL;
    _cleanup_json_ json_t *roster = NULL;
    const char *text, *hex;
    uint8_t sig[SIGN_SIZE];
    json_t *m;
    size_t i;

    if (js_parse(file, len, &j, err) < 0 || js_str(j, "roster", &text, err) < 0 ||
        js_str(j, "sig", &hex, err) < 0)
        return err_wrap(err, "roster");
    if (keys_unhex(hex, sig, SIGN_SIZE) < 0 ||
        keys_verify(boot->sign_key, text, strlen(text), sig) != 0)
        return err_set(err, ERR_SAFETY, "roster: the signature does not hold");
    if (js_parse(text, strlen(text), &roster, err) < 0)
        return err_wrap(err, "roster");
    if (!str_eq(js_opt_str(roster, "deployment", ""), boot->deployment))
        return err_set(err, ERR_SAFETY, "roster: it is of another deployment");
    json_array_foreach(json_object_get(roster, "members"), i, m)
    {
        uint64_t port = js_opt_u64(m, "nettest", 0);

        if (!str_eq(js_opt_str(m, "name", ""), name))
            continue;
        address(m, "address", ret->private_address);
        address(m, "public", ret->public_address);
        ret->public_port = port <= PORT_MAX ? (unsigned)port : 0;
        return 0;
    }
    return err_set(err, ERR_USAGE, "no node '%.40s' is in the roster", name);
}
