/* SPDX-License-Identifier: Apache-2.0 */
/* Would this agent take the plan? */
#include "agent/ipc/cmd.h"
#include "agent/worker/plan.h"
#include "agent/worker/verbs.h"
#include "common/cleanup.h"

int cmd_verify(int argc, char **argv)
{
    struct err err = {0};
    _cleanup_(plan_cleanup) struct plan *p = NULL;
    if (argc != 2)
        return cmd_usage("help", "verify: needs a PLANFILE");
    return plan_load(argv[1], &p, &err) < 0 ? cmd_fail(&err) : 0;
}
