/* SPDX-License-Identifier: Apache-2.0 */
/* The part of the agent that works on the machine: executed when there is something to do. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/ipc/cmd.h"
#include "agent/worker/verbs.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/keys.h"
#include "common/log.h"

int main(int argc, char **argv)
{
    static const struct cmd commands[] = {
        {"apply", cmd_apply, NULL, NULL},   {"check", cmd_apply, NULL, NULL},
        {"disk", cmd_disk, NULL, NULL},     {"logs", cmd_logs, NULL, NULL},
        {"job", cmd_job, NULL, NULL},       {"aside", cmd_aside, NULL, NULL},
        {"backup", cmd_backup, NULL, NULL},
    };
    struct err err = {0};

    umask(022);
    log_open("muster-agent");
    if (keys_init(&err) < 0)
        return cmd_fail(&err);
    for (size_t i = 0; argc > 1 && i < ARRAY_LEN(commands); i++)
        if (strcmp(commands[i].verb, argv[1]) == 0)
            return commands[i].run(argc - 1, argv + 1);
    return cmd_usage("help", "this program is started by muster-agent");
}
