/* SPDX-License-Identifier: Apache-2.0 */
/* `muster-agent-worker aside`: the data directory of this node's plan is kept beside, and a fresh
 * one takes its place; a part of `muster-agent cluster release`. */
#include <stdio.h>
#include <stdlib.h>

#include "agent/galera/datadir.h"
#include "agent/ipc/cmd.h"
#include "agent/ipc/paths.h"
#include "agent/worker/engine.h"
#include "agent/worker/verbs.h"
#include "common/cleanup.h"
#include "common/js.h"

int cmd_aside(int argc, char **argv)
{
    _cleanup_(plan_cleanup) struct plan *plan = NULL;
    _cleanup_free_ char *kept = NULL;
    struct err err = {0};
    const json_t *step;

    (void)argv;
    if (argc != 1)
        return cmd_usage("help", "aside: takes no argument");
    if (plan_load(PATH_PLAN, &plan, &err) < 0)
        return cmd_fail(&err);
    step = plan_find(plan, "datadir");
    if (!step) {
        err_set(&err, ERR_USAGE, "this node's plan has no data directory");
        return cmd_fail(&err);
    }
    if (datadir_aside(js_opt_str(step, "path", ""), js_opt_str(step, "mount", ""), &kept, &err) < 0)
        return cmd_fail(&err);
    printf("the old data is in %s\n", kept ? kept : "the place where an earlier run put it");
    return 0;
}
