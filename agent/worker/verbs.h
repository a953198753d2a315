/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of the worker, one file each. */
#ifndef MUSTER_AGENT_WORKER_VERBS_H
#define MUSTER_AGENT_WORKER_VERBS_H

int cmd_backup(int argc, char **argv);
int cmd_apply(int argc, char **argv); /* and `check` */
int cmd_aside(int argc, char **argv);
int cmd_disk(int argc, char **argv);
int cmd_logs(int argc, char **argv);
int cmd_job(int argc, char **argv);

#endif
