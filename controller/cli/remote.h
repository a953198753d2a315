/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent of a node is asked over ssh, beside what is shown on this terminal (ssh.h). */
#ifndef MUSTER_CONTROLLER_CLI_REMOTE_H
#define MUSTER_CONTROLLER_CLI_REMOTE_H

#include <jansson.h>

#include "common/err.h"
#include "controller/deployment.h"

/* The JSON that the command prints; new reference. ERR_NODE: the node cannot be reached, or it said
 * something else. */
int remote_json(struct deployment *d, const char *node, const char *const words[], size_t n,
                json_t **ret, struct err *err);
/* Runs it with these descriptors as stdin and stdout (-1: none). *ret_status: its exit status. */
int remote_run(struct deployment *d, const char *node, const char *const words[], size_t n, int in,
               int out, int *ret_status, struct err *err);

#endif
