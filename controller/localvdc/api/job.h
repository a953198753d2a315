/* SPDX-License-Identifier: Apache-2.0 */
/* Asynchronous work: rows of kind "job", each done by a process of its own that outlives the
 * daemon. A job that was cut off is done again from its start, so its effect is idempotent. */
#ifndef MUSTER_CONTROLLER_LOCALVDC_API_JOB_H
#define MUSTER_CONTROLLER_LOCALVDC_API_JOB_H

#include <time.h>

#include "controller/localvdc/api/api.h"

/* Names of jobs that no call asks for. */
#define JOB_PROVISION "provisionNetwork" /* {"networkid"} */
#define JOB_UPDATE "updateRouter"        /* the same, if it is to be there */
#define JOB_TEMPLATE "buildTemplate"
#define JOB_RESUME "resumeVirtualMachine" /* {"id"}: after a reboot of the machine */

struct jobs;
struct jobs *jobs_new(struct vdb *db);
void jobs_free(struct jobs *j); /* running jobs go on */
/* Starts jobs that wait and looks after those that ended; to be called when a child ended, after
 * each request and now and then. */
void jobs_tick(struct jobs *j);

/* At most so long until the next jobs_tick; -1: until something happens. */
int jobs_due_ms(const struct jobs *j);

/* Puts a job with the arguments {key: id} unless one like it waits or runs already. */
int job_want(struct vdb *db, const char *cmd, const char *key, const char *id, struct err *err);
/* Forgets jobs that ended a day or more before `now`. */
int jobs_expire(struct vdb *db, time_t now, struct err *err);

/* In the job's own process. Returns 0 when the job is finished, well or badly. */
int job_run(const struct api_table *table, const char *id, struct err *err);

#endif
