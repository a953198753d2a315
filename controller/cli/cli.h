/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: one table of verbs, from which parsing, help and completion come. */
#ifndef MUSTER_CONTROLLER_CLI_CLI_H
#define MUSTER_CONTROLLER_CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>

#include "common/err.h"
#include "controller/cli/ui.h"
#include "controller/deployment.h"

/* Options; each verb names those that it takes. */
enum cli_option {
    OPT_FILE = 1 << 0,
    OPT_JSON = 1 << 1,
    OPT_PROGRESS = 1 << 2,
    OPT_YES = 1 << 3,
    OPT_WITH_DATA = 1 << 4,
    OPT_ADOPT = 1 << 5,
    OPT_PACKAGE = 1 << 6,
    OPT_EXITCODE = 1 << 7,
    OPT_REPLACE = 1 << 9,
    OPT_NODE = 1 << 10,
    OPT_CLOUD_ONLY = 1 << 11,
    OPT_EVENTS = 1 << 12, /* which events */
    OPT_WATCH = 1 << 13,
    OPT_LOGS = 1 << 14, /* which output */
    OPT_BECAUSE = 1 << 15,
    OPT_RECOVER = 1 << 16, /* who leads, and who is given up */
    OPT_ALLOW_OUTAGE = 1 << 17,
    OPT_ROLLING = 1 << 18,
    OPT_NETTEST = 1 << 19,  /* how it measures */
    OPT_FAILOVER = 1 << 20, /* where to, or back */
    OPT_BACKUP = 1 << 21,   /* where a file goes */
    OPT_RESTORE = 1 << 22,  /* the key of another deployment */
    OPT_REST = 1 << 8,      /* all further arguments belong to the verb */
};

struct verb;

struct cli {
    const struct verb *verbs; /* the program's; ended by a NULL name */
    const char *file;
    bool json;
    enum ui_mode mode;
    int color; /* -1: as the terminal says */
    bool yes;
    bool with_data;
    bool adopt;
    bool detailed_exitcode;
    bool cloud_only;
    const char *replace; /* node */
    const char *node;
    const char *package;
    const char *since, *kind; /* of events */
    const char *step;         /* of logs */
    unsigned lines;           /* of events and logs: the last; 0: all */
    bool follow;
    bool watch;
    const char *because;                  /* an operator's reason */
    const char *from, *without, *confirm; /* of cluster recover and release: nodes */
    bool keep, fence, allow_outage, rolling;
    unsigned seconds, streams; /* of nettest; 0: as usual */
    bool public_side, force;
    const char *to; /* of failover: a node */
    bool back;
    const char *output, *key; /* of backup fetch and restore: files */
    char **words;             /* operands */
    int n_words;
};

struct verb {
    const char *name;
    const char *alias; /* or NULL */
    const char *operands;
    const char *summary;
    unsigned options;
    int min_words, max_words;
    int (*run)(const struct cli *cli, struct err *err); /* 0, or -1 with the exit code in err */
};

/* Runs the command line of a program with these verbs (ended by a NULL name); the exit code. Prints
 * errors. */
int cli_main(const struct verb *verbs, int argc, char **argv);

/* Reads the file; prints the problems of its content. */
int cli_read(const struct cli *cli, struct deployment *ret, struct err *err);
/* Reads the file and opens the deployment's state; `lock` also makes it and takes the lock. */
int cli_open(const struct cli *cli, bool lock, struct deployment *ret, struct err *err);

/* Whether what the node said last may be taken for what is. */
bool cli_is_fresh(uint64_t seen); /* ms since 1970 */

/* Prints it for a machine; in ASCII, since a terminal may show it. */
void cli_print_json(const json_t *value, bool lines);

int cmd_validate(const struct cli *cli, struct err *err);
int cmd_plan(const struct cli *cli, struct err *err);
int cmd_up(const struct cli *cli, struct err *err);
int cmd_serve(const struct cli *cli, struct err *err);
int cmd_watch(const struct cli *cli, struct err *err);
int cmd_status(const struct cli *cli, struct err *err);
int cmd_show(const struct cli *cli, struct err *err);
int cmd_show_uri(const struct cli *cli, struct err *err);
int cmd_events(const struct cli *cli, struct err *err);
int cmd_logs(const struct cli *cli, struct err *err);
int cmd_secret(const struct cli *cli, struct err *err);
int cmd_ssh(const struct cli *cli, struct err *err);
int cmd_enrol(const struct cli *cli, struct err *err);
int cmd_revoke(const struct cli *cli, struct err *err);
int cmd_nettest(const struct cli *cli, struct err *err);
int cmd_disk(const struct cli *cli, struct err *err);
int cmd_backup(const struct cli *cli, struct err *err);
int cmd_restore(const struct cli *cli, struct err *err);
int cmd_cluster(const struct cli *cli, struct err *err);
int cmd_maintenance(const struct cli *cli, struct err *err);
int cmd_failover(const struct cli *cli, struct err *err);
int cmd_restart(const struct cli *cli, struct err *err);
int cmd_snapshot(const struct cli *cli, struct err *err);
int cmd_destroy(const struct cli *cli, struct err *err);
int cmd_vdc(const struct cli *cli, struct err *err);
int cmd_version(const struct cli *cli, struct err *err);
int cmd_help(const struct cli *cli, struct err *err);

#endif
