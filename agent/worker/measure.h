/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MUSTER_AGENT_WORKER_MEASURE_H
#define MUSTER_AGENT_WORKER_MEASURE_H

#include <jansson.h>

/* The members of an IPC_DID_MEASURE for that IPC_JOB_MEASURE; new reference. */
json_t *measure_job(const json_t *request);

#endif
