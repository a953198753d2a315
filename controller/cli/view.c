/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cli/view.h"

#include <limits.h>
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

    *v = (struct view){
        .n = s->n_nodes, .has_database = s->database.present, .drift_repair = s->drift_repair};
    str_copy(v->deployment, sizeof(v->deployment), s->deployment);
    v->rows = xcalloc(s->n_nodes, sizeof(*v->rows));
    for (size_t i = 0; i < s->n_nodes; i++) {
        str_copy(v->rows[i].name, sizeof(v->rows[i].name), s->nodes[i].name);
        str_copy(v->rows[i].zone, sizeof(v->rows[i].zone), s->zones[s->nodes[i].zone].name);
        v->rows[i].arbitrator = s->nodes[i].arbitrator;
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
    for (size_t i = 0; i < v->n; i++)
        free(v->rows[i].past);
    free(v->rows);
    *v = (struct view){0};
}

const struct event *view_log(const struct view *v, size_t back)
{
    if (back >= v->n_log || back >= VIEW_LOG_LINES)
        return NULL;
    return &v->log[(v->n_log - 1 - back) % VIEW_LOG_LINES];
}

/* The progress of a step is shown with its node. */
static void log_add(struct view *v, const struct event *ev)
{
    const struct event *last = view_log(v, 0);

    if (ev->kind == EVENT_PROGRESS)
        return;
    if (ev->kind == EVENT_ABORTED && last && str_eq(last->node, ev->node) &&
        str_eq(last->msg, ev->msg))
        return; /* it says the same as the failure of the step */
    v->log[v->n_log++ % VIEW_LOG_LINES] = *ev;
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
    r->applying = false;
}

/* So long a step took, for the estimates of later runs. */
static void step_took(struct view_row *r, const char *id, uint64_t ms)
{
    size_t i = 0;

    while (i < r->n_past && !str_eq(r->past[i].id, id))
        i++;
    if (i == EVENT_STEPS_MAX || ms == 0)
        return;
    if (i == r->n_past) {
        r->past = xrealloc(r->past, (r->n_past + 1) * sizeof(*r->past));
        r->past[r->n_past++] = (struct view_past){0};
        str_copy(r->past[i].id, sizeof(r->past[i].id), id);
    }
    r->past[i].ms = ms;
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

static void up_event(struct view *v, const struct event *ev)
{
    size_t ready = 0;

    v->ended = ev->kind != EVENT_START;
    v->ended_well = ev->kind == EVENT_DONE;
    str_copy(v->verdict, sizeof(v->verdict), v->ended ? ev->msg : "");
    for (size_t i = 0; i < v->n; i++) {
        struct view_row *r = &v->rows[i];

        ready += r->state == ROW_READY;
        r->cloud.busy = false;
        if (v->ended)
            continue;
        r->cloud.failed = false;
        r->cloud_done = 0;
        r->started = ev->ts;
        r->took = 0;
    }
    if (v->ended) {
        v->ended_at = ev->ts;
        v->was_ready = v->was_ready || (v->ended_well && ready == v->n);
    } else {
        v->started = ev->ts;
        v->cloud_done = 0;
    }
}

/* What the cloud does for a node, beside what its agent says. */
static void cloud_event(struct view_cloud *c, struct view_row *r, const struct event *ev)
{
    if (ev->kind == EVENT_START || (!c->busy && ev->kind == EVENT_NOTE)) {
        c->busy = ev->kind == EVENT_START;
        c->from = ev->ts;
    } else if (ev->kind == EVENT_CHANGED && str_eq(c->id, ev->id)) {
        step_took(r, ev->id, ev->ts > c->from ? ev->ts - c->from : 0);
    }
    if (ev->kind != EVENT_START && ev->kind != EVENT_NOTE)
        c->busy = false;
    c->failed = ev->kind == EVENT_FAILED || (c->failed && !str_eq(c->id, ev->id));
    if (ev->kind == EVENT_CHANGED && of_vm(ev->id))
        c->vm_made = ev->ts;
    if (ev->kind != EVENT_OK) {
        str_copy(c->id, sizeof(c->id), ev->id);
        str_copy(c->msg, sizeof(c->msg), ev->msg);
    }
}

/* The controller's own events: cloud resources, enrolment, the verdict. */
static void controller_event(struct view *v, struct view_row *r, const struct event *ev)
{
    bool done = ev->kind == EVENT_CHANGED || ev->kind == EVENT_OK;

    if (of_up(ev)) {
        up_event(v, ev);
        return;
    }
    if (!r) {
        v->cloud_done += done && v->cloud_done < v->cloud_total;
        return;
    }
    cloud_event(&r->cloud, r, ev);
    if (ev->kind == EVENT_NOTE) {
        step_begins(r, ev);
        return;
    }
    r->cloud_done += done && r->cloud_done < r->cloud_total;
    if (ev->kind == EVENT_FAILED) {
        r->state = ROW_FAILED;
        r->refused = false;
    } else if (r->state <= ROW_BOOTING) {
        r->state = ROW_CLOUD;
        if (done && of_vm(ev->id))
            r->state = ROW_BOOTING;
        if (r->state == ROW_CLOUD && !of_vm(r->step))
            step_begins(r, ev);
        if (r->state == ROW_BOOTING || of_vm(ev->id))
            step_begins(r, ev);
    }
}

static void step_done(struct view_row *r, const struct event *ev)
{
    if (r->done < r->total)
        r->done++;
    r->part = (struct event_count){0};
    if (ev->kind == EVENT_CHANGED)
        step_took(r, ev->id, ev->ms);
}

/* A run that ends without success says why in the event before, unless its worker was killed. */
static void run_failed(struct view_row *r, const struct event *ev)
{
    if (ev->kind != EVENT_ABORTED || r->state != ROW_FAILED)
        str_copy(r->failure, sizeof(r->failure), ev->msg);
    str_copy(r->failed_rev, sizeof(r->failed_rev), ev->rev);
    r->state = ROW_FAILED;
}

static void agent_event(const struct view *v, struct view_row *r, const struct event *ev)
{
    switch (ev->kind) {
    case EVENT_PLAN:
        if (!str_eq(ev->rev, r->failed_rev))
            r->failure[0] = '\0';
        r->total = (unsigned)ev->count.total;
        r->done = 0;
        r->state = ROW_CONVERGING;
        step_begins(r, ev);
        break;
    case EVENT_START:
        r->state = ROW_CONVERGING;
        step_begins(r, ev);
        r->applying = true;
        break;
    case EVENT_PROGRESS: /* of one that began before the last one did */
        if (!str_eq(r->step, ev->id)) {
            step_begins(r, ev);
            r->step_from = ev->ts > ev->ms ? ev->ts - ev->ms : 0;
        }
        r->applying = true;
        r->part = ev->count;
        break;
    case EVENT_OK:
    case EVENT_CHANGED:
        step_done(r, ev);
        break;
    case EVENT_FAILED:
    case EVENT_REFUSED:
        step_begins(r, ev);
        r->refused = ev->kind == EVENT_REFUSED;
        run_failed(r, ev);
        break;
    case EVENT_ABORTED:
        run_failed(r, ev);
        break;
    case EVENT_DONE:
        r->state = ROW_READY;
        r->failure[0] = '\0';
        r->done = r->total;
        r->part = (struct event_count){0};
        if (!r->took && !v->ended && ev->ts > r->started)
            r->took = ev->ts - r->started;
        break;
    default:
        break;
    }
}

/* A note tells of something else than the step at work, the coordinator has lines of its own. */
static bool is_output(const struct view_row *r, const struct event *ev)
{
    if (ev->kind == EVENT_CLUSTER)
        return false;
    if (ev->kind == EVENT_ABORTED)
        return r->state != ROW_FAILED;
    return ev->kind != EVENT_NOTE || ev->origin == EVENT_OF_CONTROLLER || r->state == ROW_WAITING;
}

void view_event(struct view *v, const struct event *ev)
{
    struct view_row *r = row_of(v, ev->node);

    if (!v->started)
        v->started = ev->ts;
    if (r) {
        if (!r->started)
            r->started = ev->ts;
        r->heard = ev->ts;
        if (ev->origin == EVENT_OF_AGENT && ev->ts > r->spoke) {
            if (r->cloud.vm_made > r->spoke && ev->ts > r->cloud.vm_made)
                step_took(r, VIEW_PAST_BOOT, ev->ts - r->cloud.vm_made);
            r->spoke = ev->ts;
        }
        if (is_output(r, ev))
            str_copy(r->msg, sizeof(r->msg), ev->msg);
    }
    if (ev->kind == EVENT_CLUSTER) {
        snprintf(v->cluster, sizeof(v->cluster), "%.60s: %.440s", ev->node, ev->msg);
    } else if (ev->origin == EVENT_OF_CONTROLLER) {
        controller_event(v, r, ev);
    } else if (r) {
        agent_event(v, r, ev);
    }
    if (!of_up(ev))
        log_add(v, ev);
}

static void names_of(const json_t *arr, char *ret, size_t cap)
{
    struct strbuf b = {0};

    for (size_t i = 0; i < json_array_size(arr); i++) {
        const char *name = json_string_value(json_array_get(arr, i));

        strbuf_addf(&b, "%s%s", b.len ? ", " : "", name ? name : "?");
    }
    str_copy(ret, cap, strbuf_str(&b));
    strbuf_free(&b);
}

static void status_of(const json_t *state, struct view_status *ret)
{
    const json_t *db = json_object_get(state, "db"), *c = json_object_get(state, "coordinator");
    uint64_t epoch = js_opt_u64(c, "epoch", 0);

    *ret = (struct view_status){.phase = proto_phase_of(state)};
    str_copy(ret->db, sizeof(ret->db), js_opt_str(db, "state", ""));
    str_copy(ret->db_status, sizeof(ret->db_status), js_opt_str(db, "status", ""));
    str_copy(ret->db_why, sizeof(ret->db_why), js_opt_str(db, "unknown", ""));
    str_copy(ret->maintenance, sizeof(ret->maintenance), js_opt_str(state, "maintenance", ""));
    str_copy(ret->web_why, sizeof(ret->web_why),
             js_opt_str(json_object_get(state, "web"), "why", ""));
    layout_share_trouble(state, ret->share_why, sizeof(ret->share_why));
    ret->epoch = js_opt_u64(db, "epoch", epoch);
    str_copy(ret->coordinator, sizeof(ret->coordinator), js_opt_str(c, "state", ""));
    str_copy(ret->why, sizeof(ret->why), js_opt_str(c, "why", ""));
    names_of(json_object_get(c, "waiting_for"), ret->waiting_for, sizeof(ret->waiting_for));
    layout_drift(state, ret->drift, sizeof(ret->drift));
}

void view_state(struct view *v, size_t node, const json_t *state, uint64_t heard)
{
    struct view_row *r = &v->rows[node];

    r->known = json_is_object(state) ? VIEW_KNOWN : VIEW_NOT_KNOWN;
    if (r->known == VIEW_KNOWN)
        status_of(state, &r->said);
    if (heard > r->spoke)
        r->spoke = heard;
}

void view_address(struct view *v, size_t node, const char *address)
{
    str_copy(v->rows[node].address, sizeof(v->rows[node].address), address);
}
