/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/nodes/userdata.h"

#include <jansson.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/js.h"
#include "common/ports.h"
#include "common/str.h"
#include "userdata_template.h"

char *userdata_bootstrap(const struct userdata *u)
{
    _cleanup_free_ char *enrol = str_fmt("tcp://%s:%u", u->address, u->port + PORT_ENROL);
    _cleanup_free_ char *main_socket = str_fmt("tcp://%s:%u", u->address, u->port + PORT_MAIN);
    _cleanup_json_ json_t *j =
        json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I}", "v", 1, "deployment",
                  u->deployment, "node", u->node, "enrol", enrol, "main", main_socket,
                  "controller_key", u->controller_key, "sign_key", u->sign_key, "bootstrap_secret",
                  u->bootstrap_secret, "expires", (json_int_t)u->expires);

    return j ? js_text(j) : NULL;
}

int userdata_text(const struct userdata *u, char **ret, struct err *err)
{
    _cleanup_free_ char *bootstrap = userdata_bootstrap(u);
    _cleanup_free_ char *url =
        str_fmt("http://%s:%u/blob/%s", u->address, u->port + PORT_BLOB, u->package_sha256);
    const struct {
        const char *name;
        const char *value;
    } slots[] = {{"@BOOTSTRAP@", bootstrap},
                 {"@URL@", url},
                 {"@ADDRESS@", u->address},
                 {"@SHA256@", u->package_sha256}};
    _cleanup_(strbuf_free) struct strbuf out = {0};

    if (!bootstrap)
        return err_set(err, ERR_FAILED, "user-data of node '%s': a value is not UTF-8", u->node);
    for (const char *s = userdata_template; *s;) {
        bool replaced = false;

        for (size_t i = 0; *s == '@' && i < ARRAY_LEN(slots); i++)
            if (str_starts(s, slots[i].name)) {
                strbuf_adds(&out, slots[i].value);
                s += strlen(slots[i].name);
                replaced = true;
                break;
            }
        if (!replaced)
            strbuf_add(&out, s++, 1);
    }
    if (out.len > USERDATA_MAX)
        return err_set(err, ERR_FAILED, "user-data of node '%s': %zu bytes, at most %d are sent",
                       u->node, out.len, USERDATA_MAX);
    *ret = TAKE(out.s);
    return 0;
}
