/* SPDX-License-Identifier: Apache-2.0 */
/* One run of `up`; shared by up.c (the story) and up_agents.c (its side towards the nodes). */
#ifndef MUSTER_CONTROLLER_INTERNAL_H
#define MUSTER_CONTROLLER_INTERNAL_H

#include "controller/cloud/apply.h"
#include "controller/nodes/hub.h"
#include "controller/nodes/planner.h"
#include "controller/serve/link.h"
#include "controller/up.h"

struct up;

struct node_run {
    unsigned aborted;
    unsigned changed;
    bool ready;          /* by what it said after it has looked for this run */
    bool enrolled;       /* when the cloud part was done: it is expected to answer soon */
    bool away;           /* the hub that runs has not heard it for a while */
    uint64_t heard;      /* monotonic; 0: not in this run */
    bool told_no_call;   /* that its agent never called */
    bool told_user_data; /* cloud: none */
    uint64_t idle;       /* monotonic: since when it is idle and has not looked; 0: not so */
    char failure[EVENT_MSG_MAX];
    char held[256]; /* an operator keeps its database, which is down, from starting; "": not so */
    bool erase_tried, erasing; /* of its user-data at the cloud */
    uint64_t erased_of;        /* incarnation */
    struct up *of;
    int final; /* exit code when trying again cannot help, else 0 */
};

struct up {
    struct deployment *d;
    const struct up_options *options;
    struct reach *reach;
    struct survey *survey;
    struct apply *apply;
    struct hub *hub;  /* its own; or NULL */
    int hub_lock;     /* of its own; -1: none */
    struct chan link; /* to the hub that runs; fd -1: none */
    bool followed;
    uint64_t after;                /* number of the last event from there */
    uint64_t own[4096];            /* numbers of events that this run made, by their remainder */
    unsigned again;                /* times that the hub has ended */
    uint64_t look_id, look_latest; /* asked for by this run (0: not yet), by anybody */
    struct archive archive;
    char *package;
    char package_sha256[SHA256_HEX_SIZE];
    char *archive_url;
    char *package_key;
    char *site_cert; /* that the front doors show, PEM; NULL: none */
    struct certs certs;
    struct node_facts *facts;
    json_t **plans; /* as compiled from all above, one per node; NULL: not yet */
    struct node_run *runs;
    bool cloud_done;
    bool none_known;        /* cloud: none: the agents have said what a cloud would */
    uint64_t none_looked;   /* monotonic: when that was asked last */
    uint64_t waiting_since; /* monotonic: when the cloud part was done */
    uint64_t last_event;    /* monotonic */
};

/* Tells who shows the progress. */
void up_show_event(struct up *u, const struct event *ev);

/* User-data of a node that is about to be created: its one-time key is made and recorded before
 * the cloud is asked for the VM. Hook of apply. */
int up_user_data(void *ctx, size_t node, char **ret, struct err *err);
/* The same as plain text, with a key that is good for so long; the caller wipes and frees it. */
int up_user_data_text(struct up *u, size_t node, unsigned ttl_s, char **ret, struct err *err);
/* The node's plan with its secrets; NULL while the cloud part is not done. New reference. Compiled
 * once, until up_drop_plans says that what it is made from has changed. */
json_t *up_plan(void *ctx, size_t node);
void up_drop_plans(struct up *u);
/* The nodes that are expected to answer: enrolled, and their VM was not touched by this run. */
int up_expect_nodes(struct up *u, struct err *err);
/* What `up` does with what agents say. */
struct hub_hooks up_hooks(struct up *u);

/* An event of this run, stored and shown; `node` "": of none. */
int up_emit(struct up *u, const char *node, enum event_kind kind, const char *id, const char *msg,
            struct err *err);

/* up_erase.c: of each node that is ready the cloud is told other user-data. *ret_under_way: an
 * answer is still to come. */
int up_erase_user_data(struct up *u, bool *ret_under_way, struct err *err);

/* up_none.c: cloud: none. What a cloud would say of that node, by what its agent said (NULL:
 * nothing yet); false: not enough. Pure. */
bool up_none_facts(const struct spec *s, size_t node, const json_t *said, struct node_facts *ret);
/* Enough is known of all; then the facts are filled and the places of the nodes recorded. */
bool up_none_known(struct up *u);
int up_none_layout(struct up *u, struct err *err);
/* Writes the user-data of who has not enrolled, says where once, and lets `up` wait. */
int up_none_wait(struct up *u, struct err *err);
/* up_first_call.c. Says of which nodes the VM runs and the agent does not call; fails when that
 * stays so and all others are ready. */
int up_check_first_calls(struct up *u, struct err *err);

/* up_hub.c */
int up_open_hub(struct up *u, struct err *err);
void up_close_hub(struct up *u);
int up_run_hub(struct up *u, struct err *err);             /* as hub_run */
int up_hub_fds(struct up *u, struct http_fd fds[HUB_FDS]); /* how many */
/* What agents fetch, before the first VM is made. */
int up_store_files(struct up *u, struct err *err);
/* The cloud part is done: every node gets its plan and is asked to look. */
int up_give_plans(struct up *u, struct err *err);
/* A new VM of that name is about to be made. */
int up_forget(struct up *u, size_t node, struct err *err);
bool up_has_looked(const struct up *u, const json_t *state);

/* Fails when a node's plan was refused or failed too often, or a node that had enrolled before does
 * not answer; else says whether all are ready. */
int up_check_nodes(struct up *u, bool *ret_ready, struct err *err);

#endif
