/* SPDX-License-Identifier: Apache-2.0 */
/* The messages between the supervisor (root), the net process (unprivileged) and the worker (root):
 * one table of their names, ways and members (docs/protocol.md, section 5). A message that the
 * table does not know ends the channel, and the process that sent it is started again. Pure. */
#ifndef MUSTER_AGENT_IPC_MSG_H
#define MUSTER_AGENT_IPC_MSG_H

#include <jansson.h>

#include "common/err.h"

/* The programs are of one package. Another version means that the package was exchanged under a
 * running one. */
#define IPC_VERSION 1

enum ipc_msg {
    /* to the net process */
    IPC_INFO,     /* the plan's revision and counter, the last event's number, for HELLO */
    IPC_EVENT,    /* send it */
    IPC_STATE,    /* send it */
    IPC_TRIM,     /* give memory back */
    IPC_CLUSTER,  /* the plan's galera step and the record on disk: the coordinator begins */
    IPC_SAVED,    /* the last IPC_SAVE is durable */
    IPC_DB,       /* what a look at the database said */
    IPC_RESULT,   /* how an IPC_DO ended */
    IPC_ASK,      /* what an operator typed: look, recover, hold, resume, release */
    IPC_MEASURED, /* how an IPC_MEASURE ended */
    /* from the net process */
    IPC_BOUND,       /* enrolled: the one-time key is used up */
    IPC_ONLINE,      /* the controller is there */
    IPC_ACK,         /* it has all events up to this one */
    IPC_LOOK,        /* compare the machine with the plan */
    IPC_PLAN,        /* a plan came, signed; the supervisor verifies it */
    IPC_SAVE,        /* make the record durable */
    IPC_DO,          /* an action on the database */
    IPC_COORDINATOR, /* the coordinator's state changed */
    IPC_ANSWER,      /* to an IPC_ASK; what the coordinator knows of all members */
    IPC_MEASURE,     /* a part of a network test */
    /* to a job of the worker */
    IPC_JOB_PLAN,    /* would a worker take this plan? */
    IPC_JOB_LOOK,    /* at the database and the web server */
    IPC_JOB_DRIFT,   /* what differs from the plan on disk? */
    IPC_JOB_ENGINES, /* make other tables InnoDB */
    IPC_JOB_MEASURE, /* an IPC_MEASURE */
    IPC_JOB_ACTION,  /* an IPC_DO */
    /* from the worker: what a run says, and the answers of jobs */
    IPC_RUN_EVENT,
    IPC_DID_PLAN,
    IPC_DID_LOOK,
    IPC_DID_DRIFT,
    IPC_DID_ENGINES,
    IPC_DID_MEASURE,
    IPC_DID_ACTION,
    IPC_MSGS
};

/* Who sends it to whom; one of the two is the supervisor. */
enum ipc_way { IPC_TO_NET, IPC_FROM_NET, IPC_TO_WORKER, IPC_FROM_WORKER, IPC_WAYS };

#define IPC_DRIFT_MAX 32 /* steps that an IPC_DID_DRIFT names at most */

/* Actions on the database: member `what` of IPC_DO and IPC_RESULT, and the name of the job. */
enum ipc_action {
    IPC_POSITION,
    IPC_BOOT,
    IPC_JOIN,
    IPC_STOP,
    IPC_ABANDON,
    IPC_ROW,
    IPC_REJECT,
    IPC_WEIGHT,
    IPC_EVICT,
    IPC_ACTIONS
};

const char *ipc_msg_name(enum ipc_msg m);
/* The message that ends an IPC_JOB_…; IPC_MSGS for any other. */
enum ipc_msg ipc_answer(enum ipc_msg job);
const char *ipc_action_name(enum ipc_action a);
/* 0, or -1 for a name that is none. */
int ipc_action_find(const char *name, enum ipc_action *ret);

/* The message of that kind with these members, whose reference is taken (NULL: none). */
json_t *ipc_make(enum ipc_msg m, json_t *members);
/* Checks a message that came this way: version, name, each member's type; none is missing and none
 * is there that the table does not name. */
int ipc_decode(const json_t *msg, enum ipc_way way, enum ipc_msg *ret, struct err *err);

#endif
