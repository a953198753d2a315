/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs of the three programs share. A verb takes its own argv (argv[0] is the verb) and
 * returns the exit code of the program. */
#ifndef MUSTER_AGENT_IPC_CMD_H
#define MUSTER_AGENT_IPC_CMD_H

struct cmd {
    const char *verb;
    int (*run)(int argc, char **argv);
    const char *summary;
    const char *help; /* what --help prints below the usage line */
};

/* "The agent could not ...": prints the error once and returns its code (never 0). */
struct err;
int cmd_fail(const struct err *err);
int cmd_usage(const char *verb, const char *what);

#endif
