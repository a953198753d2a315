/* SPDX-License-Identifier: Apache-2.0 */
/* What `watch` and `up` show: a picture of the deployment built from its events alone, so that
 * replaying them from the first gives the same picture. Pure. */
#ifndef MUSTER_CONTROLLER_CLI_VIEW_H
#define MUSTER_CONTROLLER_CLI_VIEW_H

#include <jansson.h>
#include <stdbool.h>

#include "common/event.h"
#include "common/str.h"
#include "controller/spec/spec.h"

enum row_state { ROW_WAITING, ROW_CLOUD, ROW_BOOTING, ROW_CONVERGING, ROW_READY, ROW_FAILED };

#define VIEW_LOG_LINES 5

struct view_row {
    char name[SPEC_NAME_MAX];
    char zone[SPEC_LABEL_MAX];
    enum row_state state;
    char step[EVENT_ID_MAX];
    char msg[EVENT_MSG_MAX];
    uint64_t started;   /* ts of its first event */
    uint64_t step_from; /* ts at which the step began */
    uint64_t heard;     /* ts of its last event */
    unsigned cloud_done, cloud_total;
    unsigned done, total;    /* steps of the plan */
    struct event_count part; /* of the step at work, as it last said */
    char db[32];             /* from its state: "Synced" */
    unsigned cluster_size;
    char drift[128]; /* from its state: the steps that differ, "" for none */
};

struct view {
    char deployment[SPEC_NAME_MAX];
    struct view_row *rows;
    size_t n;
    unsigned cloud_done, cloud_total; /* resources that belong to no node */
    char cluster[EVENT_MSG_MAX];      /* last event of the coordinator */
    bool has_database;
    bool ended;
    char verdict[EVENT_MSG_MAX];
    uint64_t started, now;
    struct event log[VIEW_LOG_LINES];
    size_t n_log;
};

void view_init(struct view *v, const struct spec *s);
void view_free(struct view *v);
void view_event(struct view *v, const struct event *ev);
/* `state` NULL: nothing is known of it now. */
void view_state(struct view *v, size_t node, const json_t *state);
/* The whole picture, at most `columns` wide, lines ended by "\n". `now`: ms since 1970. */
void view_render(const struct view *v, unsigned columns, bool color, uint64_t now,
                 struct strbuf *out);
/* One line without its end: what is still being waited for, and for how long. */
void view_still(const struct view *v, uint64_t now, struct strbuf *out);
/* One event as a line without colour; with the day (`events`) or the time alone (progress). */
void view_event_line(const struct event *event, bool day, struct strbuf *out);

#endif
