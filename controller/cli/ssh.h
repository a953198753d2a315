/* SPDX-License-Identifier: Apache-2.0 */
/* The ssh client, with the deployment's key and a node's known host key. */
#ifndef MUSTER_CONTROLLER_CLI_SSH_H
#define MUSTER_CONTROLLER_CLI_SSH_H

#include "common/err.h"
#include "controller/deployment.h"

#define SSH_UNREACHABLE 255 /* its exit status when it never came to the command */

/* Its command line for that node and these words, which a shell there reads. The caller frees with
 * ssh_free. */
int ssh_command(struct deployment *d, const char *node, const char *const words[], size_t n,
                char ***ret, struct err *err);
void ssh_free(char **argv);
/* Runs it, prints what it says as text_plain leaves it, and waits; its exit status, or -1. */
int ssh_run(struct deployment *d, const char *node, const char *const words[], size_t n,
            struct err *err);
/* The same of any program. */
int ssh_print(const char *const argv[], struct err *err);
/* The same of the agent's program on that node, whose exit codes are ours. */
int ssh_agent(struct deployment *d, const char *node, const char *const words[], size_t n,
              struct err *err);
/* `text` as one word of that shell. The caller frees. */
char *ssh_quote(const char *text);

#endif
