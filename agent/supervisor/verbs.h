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

#endif
