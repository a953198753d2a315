/* SPDX-License-Identifier: Apache-2.0 */
/* muster: the controller. The table is the program. */
#include <stdlib.h>

#include "controller/cli/cli.h"

static const struct verb verbs[] = {
    {"validate", NULL, "", "check the file; say every problem at once", OPT_FILE | OPT_JSON, 0, 0,
     cmd_validate},
    {"plan", NULL, "", "show what up would create, change, replace or destroy, and why",
     OPT_FILE | OPT_JSON | OPT_EXITCODE | OPT_ADOPT | OPT_REPLACE, 0, 0, cmd_plan},
    {"up", "apply", "", "raise the deployment, or bring it back to what the file says",
     OPT_FILE | OPT_JSON | OPT_PROGRESS | OPT_YES | OPT_ADOPT | OPT_REPLACE | OPT_CLOUD_ONLY |
         OPT_PACKAGE,
     0, 0, cmd_up},
    {"serve", NULL, "", "listen for the agents for ever, for up, watch and status", OPT_FILE, 0, 0,
     cmd_serve},
    {"watch", NULL, "", "show live what happens, from the first event on",
     OPT_FILE | OPT_JSON | OPT_PROGRESS, 0, 0, cmd_watch},
    {"status", NULL, "", "say how each node and site is now", OPT_FILE | OPT_JSON | OPT_WATCH, 0, 0,
     cmd_status},
    {"show", NULL, "[uri]",
     "draw the networks, VMs, addresses and ports; or say what is reached where",
     OPT_FILE | OPT_JSON, 0, 1, cmd_show},
    {"events", NULL, "", "print what has happened", OPT_FILE | OPT_JSON | OPT_NODE | OPT_EVENTS, 0,
     0, cmd_events},
    {"logs", NULL, "NODE", "print what the programs said that a node's steps ran",
     OPT_FILE | OPT_LOGS, 1, 1, cmd_logs},
    {"secret", NULL, "[NAME]", "print a secret of the application, or the names of all", OPT_FILE,
     0, 1, cmd_secret},
    {"ssh", NULL, "NODE [COMMAND…]", "open a shell on a node, or run a command there",
     OPT_FILE | OPT_REST, 1, 1000, cmd_ssh},
    {"enrol", NULL, "reset NODE", "let a node in again with new keys, over ssh", OPT_FILE | OPT_YES,
     2, 2, cmd_enrol},
    {"revoke", NULL, "NODE", "let a node's agent in no more, at once", OPT_FILE | OPT_YES, 1, 1,
     cmd_revoke},
    {"nettest", NULL, "[NODE…]", "measure latency and throughput between the nodes",
     OPT_FILE | OPT_JSON | OPT_NETTEST, 0, 64, cmd_nettest},
    {"disk", NULL, "NODE", "say what is on each disk of a node, and what a run would do with it",
     OPT_FILE | OPT_JSON, 1, 1, cmd_disk},
    {"backup", NULL, "[list|verify NAME|fetch NAME|delete NAME|key]",
     "make a backup of the database and the files, look at them, check one",
     OPT_FILE | OPT_JSON | OPT_NODE | OPT_BACKUP, 0, 2, cmd_backup},
    {"restore", NULL, "NAME|FILE", "bring the database and the files back as a backup has them",
     OPT_FILE | OPT_NODE | OPT_YES | OPT_BECAUSE | OPT_RESTORE, 1, 1, cmd_restore},
    {"cluster", NULL, "status|explain|history|recover|hold|resume|release [NODE]",
     "look at the database cluster, and decide what it cannot",
     OPT_FILE | OPT_JSON | OPT_BECAUSE | OPT_RECOVER, 1, 2, cmd_cluster},
    {"maintenance", NULL, "NODE [on|off]", "take a node out of the traffic, or give it back",
     OPT_FILE | OPT_BECAUSE | OPT_ALLOW_OUTAGE, 1, 2, cmd_maintenance},
    {"failover", NULL, "", "send all visitors to one node, or give each node its own back",
     OPT_FILE | OPT_BECAUSE | OPT_ALLOW_OUTAGE | OPT_FAILOVER, 0, 0, cmd_failover},
    {"restart", NULL, "[NODE]", "restart the database of a node, or of all, one after another",
     OPT_FILE | OPT_ALLOW_OUTAGE | OPT_ROLLING, 0, 1, cmd_restart},
    {"snapshot", NULL, "create|list|delete [ID]",
     "take, name or delete snapshots of the data disks",
     OPT_FILE | OPT_JSON | OPT_NODE | OPT_BECAUSE, 1, 2, cmd_snapshot},
    {"destroy", "down", "", "remove what was raised; data disks stay unless --with-data",
     OPT_FILE | OPT_YES | OPT_WITH_DATA | OPT_NODE, 0, 0, cmd_destroy},
    {"vdc", NULL, "start|stop|status|destroy|logs|link|account|fault",
     "manage the local cloud (muster-vdc)", OPT_REST, 0, 1000, cmd_vdc},
    {"version", NULL, "", "print the version", 0, 0, 0, cmd_version},
    {"help", NULL, "[COMMAND]", "explain a command", 0, 0, 1, cmd_help},
    {0},
};

int main(int argc, char **argv)
{
    return cli_main(verbs, argc, argv);
}
