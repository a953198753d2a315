/* SPDX-License-Identifier: Apache-2.0 */
/* muster-vdc account: further accounts, each with keys of its own. */
#include <stdio.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/str.h"
#include "controller/localvdc/api/account.h"
#include "controller/localvdc/base/vdc.h"
#include "controller/localvdc/cmd.h"

static int print_json(json_t *what)
{
    _cleanup_free_ char *text = json_dumps(what, JSON_COMPACT);

    printf("%s\n", text);
    return 0;
}

static int list(struct vdb *db, bool json)
{
    _cleanup_json_ json_t *all = account_list(db);
    size_t i = 0;
    json_t *one = NULL;

    if (json)
        return print_json(all);
    json_array_foreach(all, i, one)
    {
        printf("%-16s %s %s\n", vdc_str(one, "name"), vdc_str(one, "api_key"),
               vdc_str(one, "secret_key"));
    }
    return 0;
}

int vdc_cmd_account(int argc, char **argv, struct err *err)
{
    const char *verb = argc > 1 ? argv[1] : "";
    bool json = argc > 2 && str_eq(argv[argc - 1], "--json");
    int words = argc - json;
    bool add = str_eq(verb, "add") && words == 3, all = str_eq(verb, "list") && words == 2;
    bool drop = str_eq(verb, "remove") && words == 3 && !json;

    if (!add && !all && !drop)
        return err_set(err, ERR_USAGE,
                       "account takes: add NAME [--json], list [--json], remove NAME");
    _cleanup_(vdb_close) struct vdb *db = NULL;
    _cleanup_json_ json_t *made = NULL;
    if (vdc_cmd_need_root(err) < 0 || vdc_open(false, &db, err) < 0)
        return -1;
    if (all)
        return list(db, json);
    if (drop)
        return account_remove(db, argv[2], err);
    if (account_add(db, argv[2], &made, err) < 0)
        return -1;
    if (json)
        return print_json(made);
    printf("%s %s %s\n", vdc_str(made, "name"), vdc_str(made, "api_key"),
           vdc_str(made, "secret_key"));
    return 0;
}
