/* SPDX-License-Identifier: Apache-2.0 */
/* logs: what the programs said that a node's steps ran; the node keeps it, and is asked over ssh.
 */
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "controller/cli/cli.h"
#include "controller/cli/ssh.h"

#define STEP_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:._-"

int cmd_logs(const struct cli *cli, struct err *err)
{
    _cleanup_(deployment_close) struct deployment d = {.lock_fd = -1};
    const char *words[10] = {"sudo", "muster-agent", "logs"};
    char lines[16];
    size_t n = 3;

    /* ssh hands the words to a shell. */
    if (cli->step && cli->step[strspn(cli->step, STEP_CHARACTERS)])
        return err_set(err, ERR_USAGE, "--step %.40s: no step is called so", cli->step);
    if (cli->step) {
        words[n++] = "--step";
        words[n++] = cli->step;
    }
    if (cli->lines) {
        snprintf(lines, sizeof(lines), "%u", cli->lines);
        words[n++] = "-n";
        words[n++] = lines;
    }
    if (cli->follow)
        words[n++] = "--follow";
    return cli_open(cli, false, &d, err) < 0 ? -1 : ssh_agent(&d, cli->words[0], words, n, err);
}
