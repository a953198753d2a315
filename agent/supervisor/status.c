/* SPDX-License-Identifier: Apache-2.0 */
/* `muster-agent status`: what the running agent last said about itself. */
#include <stdio.h>
#include <string.h>

#include "agent/ipc/cmd.h"
#include "agent/ipc/paths.h"
#include "agent/supervisor/verbs.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"

static void print_member(const json_t *state, const char *key)
{
    json_t *v = json_object_get(state, key);

    if (!v)
        return;
    _cleanup_free_ char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
    printf("%-12s %s\n", key, json_is_string(v) ? json_string_value(v) : text);
}

int cmd_status(int argc, char **argv)
{
    struct err err = {0};
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *state = NULL;
    size_t len = 0;

    if (argc > 2 || (argc == 2 && strcmp(argv[1], "--json") != 0))
        return cmd_usage("status", "option not understood");
    if (fs_read(PATH_STATUS, 65536, &text, &len, &err) < 0 ||
        js_parse(text, len, &state, &err) < 0) {
        err_set(&err, ERR_FAILED,
                "no status in " PATH_STATUS
                "; does the service run? (systemctl status muster-agent)");
        return cmd_fail(&err);
    }
    if (argc == 2) {
        puts(text);
        return 0;
    }
    static const char *const keys[] = {"phase", "rev",         "step",  "changed", "ok",
                                       "db",    "coordinator", "drift", "web",     "share"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        print_member(state, keys[i]);
    return 0;
}
