/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/ipc/cmd.h"
#include "agent/ipc/helper.h"
#include "agent/ipc/paths.h"
#include "agent/supervisor/verbs.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/log.h"

static int cmd_version(int argc, char **argv)
{
    (void)argc, (void)argv;
    puts("muster-agent " MUSTER_VERSION);
    return 0;
}

static int cmd_help(int argc, char **argv);

/* What needs the libraries for disks, mounts, routes and the database is a program of its own. */
static int worker(int argc, char **argv)
{
    return helper_become(HELPER_WORKER, argc, argv);
}

static const struct cmd commands[] = {
    {"run", cmd_run, "serve the controller; what the system service runs",
     "\nNeeds root. Enrols with " PATH_BOOTSTRAP ", then keeps this machine to its plan.\n"},
    {"apply", worker, "converge this machine to a plan file",
     " [--check] [--json] PLANFILE\n\n  --json   one event a line as JSON\n"
     "  --check  change nothing; say what differs (exit code 10 when something does)\n"},
    {"check", worker, "say what differs from the plan; changes nothing",
     " [--json] [PLANFILE]\n\nWithout PLANFILE this machine's. Exit code 10: something differs.\n"},
    {"disk", worker, "say what is on each disk, which rule decides, and what a run would do",
     " --explain [--json] [PLANFILE | --volume UUID --size BYTES]\n\n"
     "Without either, the plan on this machine. Changes nothing.\n"},
    {"logs", worker, "print what the programs of the steps said",
     " [--step STEP] [-n LINES] [--follow]\n\nSTEP is such as package:all, or a type.\n"},
    {"backup", worker, "make, list, verify and restore backups", HELP_BACKUP},
    {"cluster", cmd_cluster, "look at the database cluster, and decide what it cannot",
     HELP_CLUSTER},
    {"drain", cmd_drain, "send this node's visitors to other nodes, or give them back",
     " [on|off] [--to NODE] [--because TEXT] [--allow-outage]\n"},
    {"enrol", cmd_enrol, "enrol again with the one-time key on standard input", "\n"},
    {"maintenance", cmd_maintenance, "take this node out of the traffic, or give it back",
     " [on|off] [--because TEXT] [--allow-outage]\n"},
    {"share", cmd_share, "what the shared directories say of themselves",
     " [--json | --accept-mass-delete]\n\n"
     "  --accept-mass-delete  more than half of the files are gone, and that is meant\n"},
    {"status", cmd_status, "what the agent does now", " [--json]\n"},
    {"version", cmd_version, "print the version", "\n"},
    {"help", cmd_help, "print this text", " [VERB]\n"},
};

static const struct cmd *find(const char *verb)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(commands[i].verb, verb) == 0)
            return &commands[i];
    return NULL;
}

static int cmd_help(int argc, char **argv)
{
    const struct cmd *c = argc > 1 ? find(argv[1]) : NULL;

    if (c) {
        printf("usage: muster-agent %s%s", c->verb, c->help);
        return 0;
    }
    puts("usage: muster-agent VERB [OPTION]... [ARGUMENT]\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        printf("  %-15s %s\n", commands[i].verb, commands[i].summary);
    puts("\n'muster-agent VERB --help' says more.");
    return 0;
}

int main(int argc, char **argv)
{
    umask(022);
    log_open("muster-agent");
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        cmd_help(0, NULL);
        return argc < 2 ? ERR_USAGE : 0;
    }
    const struct cmd *c = find(strcmp(argv[1], "--version") == 0 ? "version" : argv[1]);
    if (!c)
        return cmd_usage("help", "no such verb; 'muster-agent help' lists them");
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return cmd_help(2, (char *[]){argv[0], argv[1], NULL});
    return c->run(argc - 1, argv + 1);
}
