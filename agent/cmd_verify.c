/* SPDX-License-Identifier: Apache-2.0 */
/* Would this agent take the plan? */
#include "agent/cmd.h"
#include "agent/plan.h"
#include "agent/worker_verbs.h"
#include "common/cleanup.h"

int cmd_verify(int argc, char **argv)
{
    struct err err = {0};
    _cleanup_(plan_cleanup) struct plan *p = NULL;
    if (argc != 2)
        return cmd_usage("help", "verify: needs a PLANFILE");
    return plan_load(argv[1], &p, &err) < 0 ? cmd_fail(&err) : 0;
}
