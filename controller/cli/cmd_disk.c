/* SPDX-License-Identifier: Apache-2.0 */
/* disk: the agent's own explanation, asked for over ssh. */
#include "controller/cli/cli.h"

int cmd_disk(const struct cli *cli, struct err *err)
{
    char *words[] = {cli->words[0], "sudo", "muster-agent", "disk", "--explain", "--json"};
    struct cli ssh = *cli;

    ssh.words = words;
    ssh.n_words = cli->json ? 6 : 5;
    return cmd_ssh(&ssh, err);
}
