/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ipc/cmd.h"

#include <stdio.h>
#include <string.h>

#include "common/err.h"

int cmd_fail(const struct err *err)
{
    fprintf(stderr, "muster-agent: %s\n", err->msg);
    return err->code ? err->code : ERR_FAILED;
}

int cmd_usage(const char *verb, const char *what)
{
    fprintf(stderr, "muster-agent: %s (see 'muster-agent %s%s')\n", what, verb,
            strcmp(verb, "help") == 0 ? "" : " --help");
    return ERR_USAGE;
}
