/* SPDX-License-Identifier: Apache-2.0 */
/* secret: a value that the application got as ${secret.NAME}. */
#include <stdio.h>

#include "common/cleanup.h"
#include "common/keys.h"
#include "common/str.h"
#include "controller/cli/cli.h"
#include "controller/nodes/planner.h"

int cmd_secret(const struct cli *cli, struct err *err)
{
    _cleanup_(deployment_close) struct deployment d = {.lock_fd = -1};
    _cleanup_(strbuf_free) struct strbuf known = {0};
    _cleanup_json_ json_t *names = NULL;
    bool found = false;
    char value[STORE_SECRET_SIZE];

    if (cli_open(cli, false, &d, err) < 0)
        return -1;
    names = planner_app_secret_names(&d.spec);
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));

        strbuf_addf(&known, "%s%s", i ? ", " : "", name);
        if (!cli->n_words)
            puts(name);
        else
            found = found || str_eq(name, cli->words[0]);
    }
    if (!cli->n_words)
        return 0;
    if (!found)
        return err_set(err, ERR_USAGE, "no ${secret.%.60s} in %s; it has: %.300s", cli->words[0],
                       d.file, known.len ? known.s : "none");
    _cleanup_free_ char *stored = planner_app_secret(cli->words[0]);
    if (store_secret(d.store, stored, PLANNER_SECRET_CHARS, value, err) < 0)
        return -1;
    puts(value);
    keys_wipe(value, sizeof(value));
    return 0;
}
