/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cli/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/js.h"
#include "common/str.h"
#include "controller/cloud/resources.h"
#include "controller/nodes/layout.h"

void view_init(struct view *v, const struct spec *s)
{
    struct resources resources;

    *v = (struct view){.n = s->n_nodes, .has_database = s->database.present};
    str_copy(v->deployment, sizeof(v->deployment), s->deployment);
    v->rows = xcalloc(s->n_nodes, sizeof(*v->rows));
    for (size_t i = 0; i < s->n_nodes; i++) {
        str_copy(v->rows[i].name, sizeof(v->rows[i].name), s->nodes[i].name);
        str_copy(v->rows[i].zone, sizeof(v->rows[i].zone), s->zones[s->nodes[i].zone].name);
    }
    resources_build(s, &resources);
    for (size_t i = 0; i < resources.n; i++) {
        if (resources.v[i].of_node)
            v->rows[resources.v[i].node].cloud_total++;
        else
            v->cloud_total++;
    }
    resources_free(&resources);
}

void view_free(struct view *v)
{
    free(v->rows);
    *v = (struct view){0};
}

/* The progress of a step takes one line, which changes. */
static void log_add(struct view *v, const struct event *ev)
{
    for (size_t i = 0; ev->kind == EVENT_PROGRESS && i < v->n_log; i++)
        if (v->log[i].kind == EVENT_PROGRESS && str_eq(v->log[i].id, ev->id) &&
            str_eq(v->log[i].node, ev->node)) {
            v->log[i] = *ev;
            return;
        }
    if (v->n_log == VIEW_LOG_LINES) {
        memmove(v->log, v->log + 1, (VIEW_LOG_LINES - 1) * sizeof(v->log[0]));
        v->n_log--;
    }
    v->log[v->n_log++] = *ev;
}

static struct view_row *row_of(struct view *v, const char *node)
{
    for (size_t i = 0; i < v->n; i++)
        if (str_eq(v->rows[i].name, node))
            return &v->rows[i];
    return NULL;
}

static void step_begins(struct view_row *r, const struct event *ev)
{
    str_copy(r->step, sizeof(r->step), ev->id);
    r->step_from = ev->ts;
    r->part = (struct event_count){0};
}

/* A run of `up` begins or ends. */
static bool of_up(const struct event *ev)
{
    return ev->origin == EVENT_OF_CONTROLLER && str_eq(ev->id, EVENT_ID_UP);
}

static bool of_vm(const char *id)
{
    return str_starts(id, "vm:");
}

/* The controller's own events: cloud resources, enrolment, the verdict. */
static void controller_event(struct view *v, struct view_row *r, const struct event *ev)
{
    bool done = ev->kind == EVENT_CHANGED || ev->kind == EVENT_OK;

    if (of_up(ev)) {
        v->ended = ev->kind != EVENT_START;
        str_copy(v->verdict, sizeof(v->verdict), v->ended ? ev->msg : "");
        if (ev->kind == EVENT_START) {
            v->started = ev->ts;
            v->cloud_done = 0;
            for (size_t i = 0; i < v->n; i++) {
                v->rows[i].cloud_done = 0;
                v->rows[i].started = ev->ts;
            }
        }
        return;
    }
    if (!r) {
        v->cloud_done += done;
        return;
    }
    if (ev->kind == EVENT_NOTE) {
        step_begins(r, ev);
        return;
    }
    r->cloud_done += done;
    if (ev->kind == EVENT_FAILED)
        r->state = ROW_FAILED;
    else if (r->state <= ROW_BOOTING) {
        r->state = ROW_CLOUD;
        if (done && of_vm(ev->id))
            r->state = ROW_BOOTING;
        if (r->state == ROW_CLOUD && !of_vm(r->step))
            step_begins(r, ev);
        if (r->state == ROW_BOOTING || of_vm(ev->id))
            step_begins(r, ev);
    }
}

static void agent_event(struct view_row *r, const struct event *ev)
{
    switch (ev->kind) {
    case EVENT_PLAN:
        r->total = (unsigned)ev->count.total;
        r->done = 0;
        r->state = ROW_CONVERGING;
        step_begins(r, ev);
        break;
    case EVENT_START:
        r->state = ROW_CONVERGING;
        step_begins(r, ev);
        break;
    case EVENT_PROGRESS: /* of one that began before the last one did */
        if (!str_eq(r->step, ev->id)) {
            step_begins(r, ev);
            r->step_from = ev->ts - ev->ms;
        }
        r->part = ev->count;
        break;
    case EVENT_OK:
    case EVENT_CHANGED:
        if (r->done < r->total)
            r->done++;
        r->part = (struct event_count){0};
        break;
    case EVENT_FAILED:
    case EVENT_REFUSED:
        step_begins(r, ev);
        /* fall through */
    case EVENT_ABORTED:
        r->state = ROW_FAILED;
        break;
    case EVENT_DONE:
        r->state = ROW_READY;
        r->done = r->total;
        r->part = (struct event_count){0};
        break;
    default:
        break;
    }
}

void view_event(struct view *v, const struct event *ev)
{
    struct view_row *r = row_of(v, ev->node);

    if (!v->started)
        v->started = ev->ts;
    v->now = ev->ts;
    if (r) {
        if (!r->started)
            r->started = ev->ts;
        r->heard = ev->ts;
        if (ev->kind != EVENT_CLUSTER && ev->kind != EVENT_ABORTED)
            str_copy(r->msg, sizeof(r->msg), ev->msg);
    }
    if (ev->kind == EVENT_CLUSTER) {
        snprintf(v->cluster, sizeof(v->cluster), "%.60s: %.440s", ev->node, ev->msg);
    } else if (ev->origin == EVENT_OF_CONTROLLER) {
        controller_event(v, r, ev);
    } else if (r) {
        agent_event(r, ev);
    }
    if (!of_up(ev))
        log_add(v, ev);
}

void view_state(struct view *v, size_t node, const json_t *state)
{
    const json_t *db = json_object_get(state, "db");
    const char *unknown = v->has_database && !state ? "unknown" : "";

    str_copy(v->rows[node].db, sizeof(v->rows[node].db), js_opt_str(db, "state", unknown));
    layout_drift(state, v->rows[node].drift, sizeof(v->rows[node].drift));
    v->rows[node].cluster_size = (unsigned)js_opt_u64(db, "cluster_size", 0);
}
