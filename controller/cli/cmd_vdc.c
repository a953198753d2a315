/* SPDX-License-Identifier: Apache-2.0 */
/* vdc: becomes muster-vdc. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/str.h"
#include "controller/cli/cli.h"
#include "controller/cloud/access.h"

int cmd_vdc(const struct cli *cli, struct err *err)
{
    _cleanup_free_ char *program = access_program("muster-vdc");
    const char **argv = xcalloc((size_t)cli->n_words + 3, sizeof(*argv));
    int n = 0;

    if (!program) {
        free(argv);
        return err_set(err, ERR_FAILED, "muster-vdc is neither beside muster nor in /usr/sbin");
    }
    argv[n++] = program;
    for (int i = 0; i < cli->n_words; i++)
        argv[n++] = cli->words[i];
    if (n == 1)
        argv[n++] = "help";
    execv(program, (char *const *)argv);
    err_errno(err, errno, "%s", program);
    free(argv);
    return -1;
}
