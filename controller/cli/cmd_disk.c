/* SPDX-License-Identifier: Apache-2.0 */
/* disk: the agent's own explanation, asked for over ssh. */
#include "common/cleanup.h"
#include "controller/cli/cli.h"
#include "controller/cli/ssh.h"

int cmd_disk(const struct cli *cli, struct err *err)
{
    static const char *const words[] = {"sudo", "muster-agent", "disk", "--explain", "--json"};
    _cleanup_(deployment_close) struct deployment d = {.lock_fd = -1};

    return cli_open(cli, false, &d, err) < 0
               ? -1
               : ssh_agent(&d, cli->words[0], words, cli->json ? 5 : 4, err);
}
