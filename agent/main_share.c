/* SPDX-License-Identifier: Apache-2.0 */
/* The process of the shared directories: a unit of its own, which the step `share` writes. */
#include <stdlib.h>
#include <sys/stat.h>

#include "agent/ipc/cmd.h"
#include "agent/share/share.h"
#include "common/err.h"
#include "common/keys.h"
#include "common/log.h"

int main(int argc, char **argv)
{
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    struct err err = {0};

    (void)argv;
    umask(022);
    log_open("muster-agent-share");
    if (argc != 1 || !credentials)
        return cmd_usage("help", "this program is started by systemd");
    if (keys_init(&err) < 0)
        return cmd_fail(&err);
    return share_run(credentials);
}
