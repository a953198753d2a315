/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of `muster-agent backup` only. */
#ifndef MUSTER_AGENT_WORKER_BACKUP_H
#define MUSTER_AGENT_WORKER_BACKUP_H

#include "agent/backup/backup.h"
#include "agent/worker/plan.h"

/* What is on this node, by its plan. */
struct backup_here {
    struct plan *plan;
    struct backup_conf conf;
};
int backup_here_open(struct backup_here *ret, struct err *err);
void backup_here_close(struct backup_here *h);

#define BACKUP_RECEIVED "received.upload" /* of an operator, to be restored */

/* backup_work.c: in the unit, and before and after it. */
/* `args`: WHAT [NAME] and options, as `work` takes them. Starts it, and follows it until it has
 * ended. *ret: how: {name, …}; new reference. */
int backup_work_start(const char *const args[], bool quiet, json_t **ret, struct err *err);
int backup_work_main(int argc, char **argv);
int backup_work_tidy(struct err *err);
/* A scheduled one, if it is this node's turn. *ret_done: the period needs no more. */
int backup_work_turn(uint64_t period, bool *ret_done, struct err *err);

#endif
