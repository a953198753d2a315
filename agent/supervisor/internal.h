/* SPDX-License-Identifier: Apache-2.0 */
/* The root process of `muster-agent run`: one thread, one poll loop. It owns the plan on disk,
 * the event outbox and the children; it has no network socket and parses nothing from outside
 * but what its own net process passed on. Internal to this folder. */
#ifndef MUSTER_AGENT_SUPERVISOR_INTERNAL_H
#define MUSTER_AGENT_SUPERVISOR_INTERNAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/ipc/bootstrap.h"
#include "agent/ipc/chan.h"
#include "agent/supervisor/outbox.h"

/* A child that leaves one JSON text: a look at the database, a cluster action. */
struct job {
    pid_t pid;  /* 0: none */
    int answer; /* a file in memory, read when the child has ended */
    char what[16];
};

enum {
    JOB_LOOK,    /* status of the database and the web server */
    JOB_ACT,     /* position, boot, join, stop, row */
    JOB_ABANDON, /* beside the join that it ends */
    JOB_DRIFT,
    JOB_ENGINES,
    JOBS
};

#define STATE_EVERY_MS 10000
#define ACK_PATIENCE_MS 15000

struct supervisor {
    struct bootstrap boot;
    bool has_boot; /* a controller is known */
    bool stopping;

    pid_t net_pid; /* 0: not running */
    struct chan net;
    uint64_t net_next; /* not before (clock_mono_ms); 0: now */
    unsigned net_failures;
    bool bound, online;
    uint64_t acked_at; /* when the controller last took an event */

    struct outbox *outbox;

    char rev[EVENT_REV_MAX]; /* of the plan on disk */
    pid_t worker_pid;
    struct chan worker;
    char worker_rev[EVENT_REV_MAX];
    bool wanted;          /* the plan on disk is still to be converged */
    uint64_t worker_next; /* not before */
    unsigned worker_failures;
    bool said_end; /* DONE or ABORTED came from this worker */

    bool settled; /* all is as wanted, and calm */
    char phase[16];
    char step[EVENT_ID_MAX];
    char result[EVENT_MSG_MAX]; /* "N changed, M ok" of the last run */
    json_t *db;                 /* last look at the database, or NULL */
    json_t *coordinator;        /* what the coordinator last said, or NULL */
    json_t *galera;             /* the plan's galera step, or NULL */
    bool cluster_told;          /* the net process knows galera and record */
    uint64_t generation;        /* of the record on disk */
    char health[256];           /* path of the web step's health page, or "" */
    uint64_t state_sent_at;
    char *state_text; /* last one sent */
    int web;

    struct job jobs[JOBS];
    uint64_t look_next, web_next;
    pid_t db_pid;   /* the database's process, as the last look saw it; 0: none */
    int db_fd;      /* becomes readable when that one ends; -1: none */
    int engines_fd; /* inotify on the data directory; -1: none */
    uint64_t engines_watch, engines_next;
    unsigned engines_tries;
    char *engines_failed; /* last told, or NULL */
    uint64_t drift_next;
    json_t *drift; /* [{id, why}] of the last look, or NULL: nothing differs */

    /* The controller asks by an id of its own; the state has it when all is done. 0: none. */
    uint64_t look_asked, look_done;
    uint64_t look_job;    /* asked when the drift job under way began */
    uint64_t look_mended; /* a run was made for this one */
    uint64_t look_at;     /* not before */
};

/* net.c */
void sup_net_start(struct supervisor *s);
void sup_net_died(struct supervisor *s, int status);
void sup_net_readable(struct supervisor *s);
void sup_net_tell(struct supervisor *s, const char *m, json_t *members); /* takes members */
void sup_net_events(struct supervisor *s); /* sends what the outbox has */

/* worker.c */
void sup_plan_load(struct supervisor *s);               /* from disk, at start */
void sup_plan_take(struct supervisor *s, json_t *plan); /* a new one */
void sup_worker_start(struct supervisor *s);
void sup_worker_died(struct supervisor *s, int status);
void sup_worker_readable(struct supervisor *s);
/* An event of the agent itself. */
void sup_event(struct supervisor *s, enum event_kind kind, const char *id, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* cluster.c */
void sup_cluster_plan(struct supervisor *s, const json_t *plan);
void sup_cluster_tell(struct supervisor *s); /* configuration and record to the net process */
void sup_cluster_message(struct supervisor *s, const char *m, json_t *msg);
void sup_cluster_tick(struct supervisor *s, uint64_t now);
void sup_cluster_db_died(struct supervisor *s);
bool sup_cluster_eager(const struct supervisor *s); /* look often: the cluster is forming */
void sup_job_died(struct supervisor *s, struct job *j, int status);

/* Executes the worker for one job; `request` is taken. -1: it did not start. */
int sup_job_start(struct job *j, const char *what, json_t *request);

/* engines.c */
void sup_engines_tick(struct supervisor *s, uint64_t now);
void sup_engines_readable(struct supervisor *s);
void sup_engines_answer(struct supervisor *s, const json_t *answer);

/* drift.c */
void sup_drift_tick(struct supervisor *s, uint64_t now);
void sup_drift_answer(struct supervisor *s, const json_t *answer);
void sup_drift_forget(struct supervisor *s);           /* a run begins */
void sup_drift_ask(struct supervisor *s, uint64_t id); /* the controller: look now, mend, answer */

/* state.c */
void sup_state_tell(struct supervisor *s, uint64_t now); /* when it changed, and every 10 s */

#endif
