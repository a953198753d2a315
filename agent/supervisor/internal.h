/* SPDX-License-Identifier: Apache-2.0 */
/* The root process of `muster-agent run`: one thread, one poll loop. It owns the plan on disk,
 * the event outbox and the children; it has no network socket and parses nothing from outside
 * but what its own net process passed on. Internal to this directory.
 *
 * Each part is a file with a state of its own, which only that file touches (lint holds it to it):
 * the others ask it by a function. Times are clock_mono_ms. */
#ifndef MUSTER_AGENT_SUPERVISOR_INTERNAL_H
#define MUSTER_AGENT_SUPERVISOR_INTERNAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/cluster/cluster.h"
#include "agent/ipc/bootstrap.h"
#include "agent/ipc/msg.h"
#include "agent/supervisor/outbox.h"
#include "common/chan.h"
#include "common/nettest.h"
#include "common/proto.h"

#define STATE_EVERY_MS 10000

struct supervisor;

/* What the loop asks of a part; members that it does not need are NULL. */
struct sup_part {
    void (*start)(struct supervisor *s);
    int (*fd)(const struct supervisor *s, short *ret_events); /* to wait for; -1: none now */
    void (*readable)(struct supervisor *s, short revents);
    bool (*died)(struct supervisor *s, pid_t pid, int status); /* true: it was a child of its own */
    void (*tick)(struct supervisor *s, uint64_t now);
    /* When it wants to be called next; UINT64_MAX: time alone changes nothing. */
    uint64_t (*due)(const struct supervisor *s, uint64_t now);
    void (*stop)(struct supervisor *s);
};

extern const struct sup_part sup_net, sup_cluster, sup_watch, sup_engines, sup_drift, sup_worker,
    sup_hooks, sup_measure, sup_backup_part, sup_state;

/* job.c: a child that leaves one JSON text: a look at the database, a cluster action. */
struct job {
    bool bound; /* the next one does all that it does: it ends with the supervisor */
    pid_t pid;  /* 0: none */
    int answer; /* a file in memory, read when the child has ended */
    enum ipc_msg asked;
    char what[16]; /* the same for people; of an IPC_JOB_ACTION its action */
};

/* Executes the worker for one job; `members` of that message are taken. -1: it did not start. */
int sup_job_start(struct job *j, enum ipc_msg m, json_t *members);
/* It ended: its answer, or NULL when it did not come so far, or left what is no answer to what it
 * was asked. New reference. */
json_t *sup_job_end(struct job *j);

struct sup_net_state {
    pid_t pid; /* 0: not running */
    struct chan chan;
    uint64_t next; /* not before */
    unsigned failures;
    bool online;
    uint64_t acked_at; /* when the controller last took an event */
};

struct sup_worker_state {
    char node[EVENT_NODE_MAX];
    char rev[EVENT_REV_MAX]; /* of the plan on disk */
    pid_t pid;               /* 0: not running */
    struct chan chan;
    uint64_t counter;     /* of the newest plan that was taken */
    char no_counter[160]; /* why that is not known, and no plan is taken; "": it is */
    bool wanted;          /* the plan on disk is still to be converged */
    uint64_t next;        /* not before */
    unsigned failures;
    bool said_end;  /* DONE or ABORTED came from this worker */
    char flaw[128]; /* of a message of this worker, which was ended for it; or "" */
    enum proto_phase phase;
    char step[EVENT_ID_MAX];
    unsigned changed, ok; /* steps of the last run that ended well */
    struct job check;     /* would a worker take the plan that came? */
    uint64_t check_until;
    json_t *came;   /* that plan, or NULL */
    json_t *latest; /* one that came meanwhile: it is checked next; or NULL */
};

struct sup_cluster_state {
    json_t *galera;      /* the plan's galera step, or NULL */
    json_t *coordinator; /* what the coordinator last said, or NULL */
    enum cluster_state state;
    bool told;            /* the net process knows galera and record */
    uint64_t generation;  /* of the record on disk */
    uint64_t recorded;    /* the last decision that the history has */
    uint64_t asked;       /* the last question of an operator that is more than a look */
    uint64_t leave_until; /* the agent ends by then; 0: it does not */
    bool left;            /* nothing is to be said to the others any more */
    struct job act;       /* position, boot, join, stop, row, reject, weight */
    struct job abandon;   /* beside the join that it ends */
    char failed[256];     /* why the last action failed, as the event said; "": it did not */
};

struct sup_watch_state {
    struct job job;
    bool leaving; /* it began when the agent was to end */
    json_t *db;   /* the last look at the database, or NULL */
    json_t *site; /* the plan's step of the web server, or NULL */
    json_t *web;  /* the last visit to the site that it has, or NULL */
    uint64_t next, web_next;
    pid_t db_pid; /* the database's process, as the last look saw it; 0: none */
    int db_fd;    /* becomes readable when that one ends; -1: none */
};

struct sup_engines_state {
    struct job job;
    int fd; /* inotify on the data directory; -1: none */
    uint64_t watch, next;
    unsigned tries;
    bool busy;    /* there are such tables, or may be; not for ever */
    bool made;    /* one was made while the job was at work */
    char *failed; /* last told, or NULL */
};

struct sup_drift_state {
    struct job job;
    uint64_t next;
    json_t *list; /* [{id, why}] of the last look, or NULL: nothing differs */
    /* The controller asks by an id of its own; the state has it when all is done. 0: none. */
    uint64_t asked, done;
    uint64_t of_job; /* asked when the job under way began */
    /* Asked for since the last look that is done, and when the job under way began: to repair; that
     * also when something of it may restart the database. */
    bool repair, all;
    bool job_repair, job_all;
    uint64_t repaired; /* a run was made for this one */
    uint64_t at;       /* not before */
};

struct sup_share_state {
    bool wanted; /* the plan has directories that all nodes share */
};

struct sup_state_state {
    uint64_t sent_at;
    char *text; /* last one sent, or NULL */
};

struct sup_measure_state {
    struct job job;
    struct nettest_order order; /* of the job */
    uint64_t id, until;         /* of the job; the controller's number */
    char why[160];              /* why this process ended it; "": it did not */
    json_t *next;               /* an IPC_MEASURE that begins when the job has ended, or NULL */
};

struct sup_backup_state {
    json_t *step;              /* of the plan, or NULL */
    char node[EVENT_NODE_MAX]; /* of it */
    pid_t pid, tidy;           /* 0: not at work */
    uint64_t next;             /* not before */
    uint64_t of, done;         /* period: of the one at work; that needs no more */
    bool has_done, looked, tidied;
    uint64_t made, verified, failed; /* when; of what was told */
    uint64_t told_at;
};

struct sup_hooks_state {
    struct hooks *own; /* NULL before the start */
};

struct supervisor {
    struct bootstrap boot; /* run.c at start; net.c wipes its secret */
    bool has_boot;         /* a controller is known */
    struct outbox *outbox;
    struct sup_net_state net;
    struct sup_worker_state worker;
    struct sup_cluster_state cluster;
    struct sup_watch_state watch;
    struct sup_engines_state engines;
    struct sup_drift_state drift;
    struct sup_share_state share;
    struct sup_state_state state;
    struct sup_hooks_state hooks;
    struct sup_measure_state measure;
    struct sup_backup_state backup;
};

/* hooks.c */
void sup_hooks_event(struct supervisor *s, const struct event *ev);

/* engines.c */
bool sup_engines_busy(const struct supervisor *s); /* tables become InnoDB */

/* measure.c */
void sup_measure_take(struct supervisor *s, json_t *msg); /* an IPC_MEASURE; the newest counts */
bool sup_measure_installs(const struct supervisor *s);    /* packages, beside no run of a plan */

/* net.c */
bool sup_net_runs(const struct supervisor *s);
void sup_net_send(struct supervisor *s, enum ipc_msg m, json_t *members); /* takes members */
void sup_net_events(struct supervisor *s);                                /* what the outbox has */
void sup_net_info(struct supervisor *s);  /* revision of the plan, last event */
void sup_net_again(struct supervisor *s); /* kills it: it begins from what is on disk */

/* worker.c */
const json_t *sup_plan_step(const json_t *plan, const char *type); /* borrowed, or NULL */
const char *sup_plan_rev(const struct supervisor *s);              /* "": there is none */
uint64_t sup_plan_counter(const struct supervisor *s); /* of the newest taken; 0: none */
/* A new one, from the net process: only what the controller signed, and nothing older than what it
 * signed before. */
void sup_plan_came(struct supervisor *s, const char *text, const char *sig);
/* One that is the controller's: it is checked in a job, and the answer is an event. */
void sup_plan_take(struct supervisor *s, const json_t *plan);
bool sup_worker_runs(const struct supervisor *s);
bool sup_worker_idle(const struct supervisor *s);  /* nor is a run still to come */
bool sup_worker_ready(const struct supervisor *s); /* idle, and the last run ended well */
void sup_worker_again(struct supervisor *s);       /* a run, now */
void sup_worker_hurry(struct supervisor *s);       /* a run that waits begins now */
void sup_worker_add_state(const struct supervisor *s, json_t *state);
/* An event of the agent itself. */
void sup_event(struct supervisor *s, enum event_kind kind, const char *id, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* cluster.c; what is returned is borrowed, or NULL */
json_t *sup_cluster_galera(const struct supervisor *s);
json_t *sup_cluster_status(const struct supervisor *s);
enum cluster_state sup_cluster_at(const struct supervisor *s);
/* no member is about to change, or there is no cluster */
/* The agent is to end: when the database is down the others are told, since they may go on without
 * this node then. True while that is under way, for some seconds at most. */
void sup_cluster_leave(struct supervisor *s);
bool sup_cluster_leaves(const struct supervisor *s);
void sup_cluster_left(struct supervisor *s);
bool sup_cluster_stable(const struct supervisor *s);
void sup_cluster_plan(struct supervisor *s, const json_t *plan);
void sup_cluster_send(struct supervisor *s); /* configuration and record to the net process */
void sup_cluster_message(struct supervisor *s, enum ipc_msg m, json_t *msg);

/* history.c. Writes down the decisions after epoch `after`; the last one that is written. */
uint64_t sup_history_decisions(const struct cluster_record *rec, uint64_t after);
/* What an operator asked for. */
void sup_history_act(const char *what, const char *node, const char *because);

/* watch.c */
json_t *sup_watch_db(const struct supervisor *s); /* borrowed, or NULL */
json_t *sup_watch_web(const struct supervisor *s);
void sup_watch_plan(struct supervisor *s, const json_t *plan);
void sup_watch_now(struct supervisor *s); /* at the database */
void sup_watch_all(struct supervisor *s); /* at the web server, too */

/* share.c. What the shared directories say of themselves, or NULL: none are wanted; new reference.
 */
json_t *sup_share(const struct supervisor *s);
void sup_share_plan(struct supervisor *s, const json_t *plan);

/* backup.c. When the last ones were made and verified, and what failed; NULL: none are wanted. New
 * reference. */
json_t *sup_backup(const struct supervisor *s);
void sup_backup_plan(struct supervisor *s, const json_t *plan);

/* drift.c */
const json_t *sup_drift_list(const struct supervisor *s);
uint64_t sup_drift_looked(const struct supervisor *s);
void sup_drift_answer(struct supervisor *s, const json_t *answer);
void sup_drift_now(struct supervisor *s);
void sup_drift_forget(struct supervisor *s); /* a run begins */
/* The controller: look now, repair if it says so, answer. `careful`: repair nothing when something
 * of it may restart the database. */
void sup_drift_ask(struct supervisor *s, uint64_t id, bool repair, bool careful);

/* maintenance.c. A reason that is in force for as long as its file is there, or NULL; new
 * reference. */
json_t *sup_reason(const char *path);
/* Why this node is to get no traffic, or NULL; new reference. */
json_t *sup_maintenance(void);
/* drain.c. Why it is to finish what it has and to get nothing new, or NULL; new reference. */
json_t *sup_drain(void);

/* state.c */
void sup_state_again(struct supervisor *s); /* whoever listens knows nothing of it */

#endif
