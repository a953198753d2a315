/* SPDX-License-Identifier: Apache-2.0 */
/* What plan, up and destroy have open, and what they ask the operator. */
#ifndef MUSTER_CONTROLLER_CLI_SESSION_H
#define MUSTER_CONTROLLER_CLI_SESSION_H

#include "controller/cli/cli.h"
#include "controller/cloud/survey.h"

struct cli_session {
    struct deployment d;
    struct reach reach;
    struct survey v;
    char *public_key;
    char *private_key;
};

/* Reads the file, looks at the cloud. `o` gets the public key. On failure the caller closes what
 * was opened, too; *ret starts as {.d.lock_fd = -1}. */
int cli_session_open(const struct cli *cli, bool lock, bool start_local, struct survey_options *o,
                     struct cli_session *ret, struct err *err);
void cli_session_close(struct cli_session *s);

/* Whether the operator says yes: with -y, or by typing it on a terminal. */
bool cli_confirmed(const struct cli *cli, const char *question);

#endif
