/* SPDX-License-Identifier: Apache-2.0 */
/* Faults that a test sets: documents of kind "fault", kept until they are cleared. A call's fault
 * counts the calls that match it and acts on some of them. */
#ifndef MUSTER_CONTROLLER_LOCALVDC_FAULTS_FAULT_H
#define MUSTER_CONTROLLER_LOCALVDC_FAULTS_FAULT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "controller/localvdc/base/vdb.h"

enum fault_action {
    FAULT_NONE,
    FAULT_ERROR, /* the API's error body */
    FAULT_HTTP,  /* a bare HTTP error */
    FAULT_LOSE,  /* closed without an answer */
    FAULT_RESET,
    FAULT_DELAY,
    FAULT_FAIL_JOB,
    FAULT_KILL_CLIENT,
};

struct fault_hit {
    enum fault_action action;
    bool after; /* when the call has taken effect */
    int code;   /* FAULT_ERROR, FAULT_HTTP */
    int ms;     /* FAULT_DELAY */
    int retry_after_s;
    char text[256];
    char note[48]; /* for the record of calls: "3 lose after" */
};

/* Pure. Whether the pattern (a name, "*", or "write": all that only look excepted) means it. */
bool fault_name_matches(const char *pattern, const char *command);
/* FAULT_NONE: no action has that name. */
enum fault_action fault_action_of(const char *name);
/* Pure. Whether the fault concerns the call (`has_job`: an asynchronous one); its count of matches
 * goes up, and when it acts on this one, its count of firings, too, and *ret is set; else that is
 * left alone. */
bool fault_count(json_t *fault, const char *command, const char *account, bool has_job,
                 struct fault_hit *ret);
/* The fault that acts on this call, if any; counts are stored. */
int fault_take(struct vdb *db, const char *command, const char *account, bool has_job,
               struct fault_hit *ret, struct err *err);

/* Kills whoever has the other end of a TCP connection of this machine; the number of processes. */
int fault_kill_peer(const char *address, uint16_t port);

#endif
