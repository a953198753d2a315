/* SPDX-License-Identifier: Apache-2.0 */
/* What `watch` and `up` show: a picture of the deployment built from its events and from what the
 * agents say now, so that replaying the events from the first gives the same picture. Pure. */
#ifndef MUSTER_CONTROLLER_CLI_VIEW_H
#define MUSTER_CONTROLLER_CLI_VIEW_H

#include <jansson.h>
#include <stdbool.h>

#include "common/event.h"
#include "common/proto.h"
#include "common/str.h"
#include "controller/spec/spec.h"

/* By its events alone. */
enum row_state { ROW_WAITING, ROW_CLOUD, ROW_BOOTING, ROW_CONVERGING, ROW_READY, ROW_FAILED };

/* What is known of the agent's state now. NOT_TOLD: nobody asked for it, events must do. */
enum view_known { VIEW_NOT_TOLD, VIEW_NOT_KNOWN, VIEW_KNOWN };

#define VIEW_LOG_LINES 40

/* The state of an agent (docs/protocol.md, section 4). Texts are "" where it does not say. */
struct view_status {
    enum proto_phase phase;
    char db[32];        /* "Synced" */
    char db_status[32]; /* "Primary" */
    char db_why[128];   /* why the database could not be asked */
    uint64_t epoch;
    char web_why[256];   /* what keeps visitors from the site */
    char share_why[256]; /* what keeps shared files from being the same */
    char maintenance[192];
    char coordinator[32];
    char why[384];
    char waiting_for[192];
    char drift[192]; /* the steps that differ */
};

#define VIEW_PAST_BOOT "boot" /* in place of a step: until its agent spoke */

/* How long a step took when it was last applied. */
struct view_past {
    char id[EVENT_ID_MAX];
    uint64_t ms;
};

/* What the cloud is asked for, of one node. */
struct view_cloud {
    bool busy, failed;
    char id[EVENT_ID_MAX];
    char msg[EVENT_MSG_MAX];
    uint64_t from;    /* ts of its start */
    uint64_t vm_made; /* ts at which its VM was made or changed, 0: never */
};

struct view_row {
    char name[SPEC_NAME_MAX];
    char zone[SPEC_LABEL_MAX];
    char address[40]; /* as others reach it; "" while not known */
    bool arbitrator;  /* of the database cluster: it has no data */
    enum row_state state;
    bool refused; /* of ROW_FAILED: for safety */
    char step[EVENT_ID_MAX];
    char msg[EVENT_MSG_MAX]; /* its last line of output */
    /* Why the last run of this plan failed, also while the agent tries it again; "" it did not. */
    char failure[EVENT_MSG_MAX];
    char failed_rev[EVENT_REV_MAX];
    uint64_t started;   /* ts of its first event */
    uint64_t step_from; /* ts at which the step began */
    uint64_t heard;     /* ts of its last event */
    uint64_t spoke;     /* ts of the last event of its agent, or of its state if that is later */
    uint64_t took;      /* ms from the start of the last `up` until its plan was done */
    bool applying;      /* the step changes something, it does not only check */
    unsigned cloud_done, cloud_total;
    unsigned done, total;    /* steps of the plan */
    struct event_count part; /* of the step at work, as it last said */
    struct view_cloud cloud;
    enum view_known known;
    struct view_status said; /* now, or last when it is not known */
    struct view_past *past;
    size_t n_past;
};

struct view {
    char deployment[SPEC_NAME_MAX];
    struct view_row *rows;
    size_t n;
    unsigned cloud_done, cloud_total; /* resources that belong to no node */
    char cluster[EVENT_MSG_MAX];      /* last event of a coordinator */
    bool has_database;
    bool ended, ended_well; /* the last `up` */
    bool was_ready;         /* an `up` has ended with all nodes ready */
    char verdict[EVENT_MSG_MAX];
    bool drift_repair; /* a running hub has what differs repaired */
    uint64_t started, ended_at;
    struct event log[VIEW_LOG_LINES]; /* a ring: the oldest at n_log % VIEW_LOG_LINES when full */
    size_t n_log;                     /* ever added */
};

/* Where the picture goes. */
struct view_screen {
    unsigned columns, lines; /* both at least 1; the picture has at most `lines` - 1, but one */
    bool color;
    bool ascii; /* no character beyond ASCII */
};

void view_init(struct view *v, const struct spec *s);
void view_free(struct view *v);
void view_event(struct view *v, const struct event *ev);
/* What the agent says now; NULL, or JSON's null: nothing is known of it now. `heard`: when its
 * agent was last heard, ms since 1970, 0 when that is not known. */
void view_state(struct view *v, size_t node, const json_t *state, uint64_t heard);
void view_address(struct view *v, size_t node, const char *address);
/* The event `back` lines before the last one of the log, or NULL. */
const struct event *view_log(const struct view *v, size_t back);

/* The whole picture: lines ended by "\n", none wider than the screen. `now`: ms since 1970. */
void view_render(const struct view *v, const struct view_screen *screen, uint64_t now,
                 struct strbuf *out);
/* One line without its end: what is still being waited for, and for how long. */
void view_still(const struct view *v, uint64_t now, struct strbuf *out);
/* One event as a line without colour; with the day (`events`) or the time alone (progress). */
void view_event_line(const struct event *event, bool day, struct strbuf *out);

#endif
