/* SPDX-License-Identifier: Apache-2.0 */
/* ssh: becomes the ssh client. */
#include <errno.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "controller/cli/cli.h"
#include "controller/cli/ssh.h"

int cmd_ssh(const struct cli *cli, struct err *err)
{
    _cleanup_(deployment_close) struct deployment d = {.lock_fd = -1};
    char **argv = NULL;

    if (cli_open(cli, false, &d, err) < 0 ||
        ssh_command(&d, cli->words[0], (const char *const *)cli->words + 1,
                    (size_t)cli->n_words - 1, &argv, err) < 0)
        return -1;
    execv(argv[0], argv);
    err_errno(err, errno, "%s (install openssh-client)", argv[0]);
    ssh_free(argv);
    return -1;
}
