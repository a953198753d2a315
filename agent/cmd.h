/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of muster-agent. Each takes its own argv (argv[0] is the verb) and returns the exit
 * code of the program. */
#ifndef MUSTER_AGENT_CMD_H
#define MUSTER_AGENT_CMD_H

struct cmd {
    const char *verb;
    int (*run)(int argc, char **argv);
    const char *summary;
    const char *help; /* what --help prints below the usage line */
};

int cmd_run(int argc, char **argv);
int cmd_apply(int argc, char **argv);
int cmd_disk(int argc, char **argv);
int cmd_job(int argc, char **argv);
int cmd_recover(int argc, char **argv);
int cmd_status(int argc, char **argv);

/* "The agent could not ...": prints the error once and returns its code (never 0). */
struct err;
int cmd_fail(const struct err *err);
int cmd_usage(const char *verb, const char *what);

#endif
