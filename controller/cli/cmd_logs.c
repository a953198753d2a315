/* SPDX-License-Identifier: Apache-2.0 */
/* logs: what the programs said that a node's steps ran; the node keeps it, and is asked over ssh.
 */
#include <stdio.h>
#include <string.h>

#include "controller/cli/cli.h"

#define STEP_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:._-"

int cmd_logs(const struct cli *cli, struct err *err)
{
    char lines[16], *words[10] = {cli->words[0], "sudo", "muster-agent", "logs"};
    struct cli ssh = *cli;
    int n = 4;

    /* ssh hands the words to a shell. */
    if (cli->step && cli->step[strspn(cli->step, STEP_CHARACTERS)])
        return err_set(err, ERR_USAGE, "--step %.40s: no step is called so", cli->step);
    if (cli->step) {
        words[n++] = "--step";
        words[n++] = (char *)cli->step;
    }
    if (cli->lines) {
        snprintf(lines, sizeof(lines), "%u", cli->lines);
        words[n++] = "-n";
        words[n++] = lines;
    }
    if (cli->follow)
        words[n++] = "--follow";
    ssh.words = words;
    ssh.n_words = n;
    return cmd_ssh(&ssh, err);
}
