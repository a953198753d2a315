/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of muster-agent itself, one file each. */
#ifndef MUSTER_AGENT_SUPERVISOR_VERBS_H
#define MUSTER_AGENT_SUPERVISOR_VERBS_H

int cmd_cluster(int argc, char **argv);
int cmd_enrol(int argc, char **argv);
int cmd_drain(int argc, char **argv);
int cmd_maintenance(int argc, char **argv);
int cmd_share(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_status(int argc, char **argv);

/* How the verbs that have more of their own are called. */
#define HELP_CLUSTER                                                                               \
    " status|explain|history [--json]\n"                                                           \
    "       muster-agent cluster recover --without NODE [--because TEXT] [--confirm NODE]\n"       \
    "       muster-agent cluster hold|resume [--because TEXT]\n"                                   \
    "       muster-agent cluster release NODE [--keep] [--because TEXT] [--confirm NODE]\n"        \
    "       muster-agent cluster restart [--allow-outage]\n\n"                                     \
    "muster-agent(8) says what each does.\n"
#define HELP_BACKUP                                                                                \
    " now|list [--json]\n"                                                                         \
    "       muster-agent backup verify|delete NAME [--json]\n"                                     \
    "       muster-agent backup restore NAME [--confirm DEPLOYMENT] [--key] [--json]\n"            \
    "       muster-agent backup send NAME | receive BYTES SHA256\n"                                \
    "       muster-agent backup close [--because TEXT] | open\n\n"                                 \
    "muster-agent(8) says what each does.\n"

#endif
