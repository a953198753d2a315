/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cli/judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/str.h"
#include "controller/nodes/layout.h"

#define SILENT_MS 30000

static const char *const class_names[NODE_CLASSES] = {
    [NODE_FAILED] = "failed",   [NODE_REFUSED] = "refused",   [NODE_UNKNOWN] = "unknown",
    [NODE_SILENT] = "silent",   [NODE_DEGRADED] = "degraded", [NODE_DIFFERS] = "differs",
    [NODE_WORKING] = "working", [NODE_WAITING] = "waiting",   [NODE_READY] = "ready",
};

const char *node_class_name(enum node_class c)
{
    return class_names[c];
}

/* --- what is wrong with a node whose plan is carried out ------------------------------------- */

/* "" when its database does its work, or it has none. */
static void db_trouble(const struct view *v, const struct view_row *r, struct strbuf *out)
{
    const struct view_status *s = &r->said;
    const char *what = r->arbitrator ? "arbitrator" : "database";

    if (!v->has_database)
        return;
    if (s->db_why[0])
        strbuf_addf(out, "%s unknown: %s", what, s->db_why);
    else if (str_eq(s->db_status, "non-Primary"))
        strbuf_addf(out, "database without quorum");
    else if (!layout_db_serves(s->db))
        strbuf_addf(out, "%s %s", what, s->db[0] ? s->db : "unknown");
}

static void trouble(const struct view *v, const struct view_row *r, struct strbuf *out)
{
    const struct view_status *s = &r->said;

    if (s->maintenance[0]) {
        strbuf_addf(out, "in maintenance: %s", s->maintenance);
        return;
    }
    db_trouble(v, r, out);
    if (s->web_why[0])
        strbuf_addf(out, "%s%s", out->len ? "; " : "", s->web_why);
    if (s->share_why[0])
        strbuf_addf(out, "%s%s", out->len ? "; " : "", s->share_why);
}

static bool is_degraded(const struct view *v, const struct view_row *r)
{
    struct strbuf b = {0};
    bool ret;

    trouble(v, r, &b);
    ret = b.len > 0;
    strbuf_free(&b);
    return ret;
}

/* --- what a node is -------------------------------------------------------------------------- */

static enum node_class failed_class(const struct view_row *r)
{
    return r->refused ? NODE_REFUSED : NODE_FAILED;
}

static enum node_class working_class(const struct view_row *r, uint64_t now)
{
    uint64_t heard = r->spoke > r->heard ? r->spoke : r->heard;

    return now > heard + SILENT_MS ? NODE_SILENT : NODE_WORKING;
}

static enum node_class class_by_events(const struct view_row *r, uint64_t now)
{
    switch (r->state) {
    case ROW_WAITING:
        return NODE_WAITING;
    case ROW_CONVERGING:
        return working_class(r, now);
    case ROW_READY:
        return NODE_READY;
    case ROW_FAILED:
        return failed_class(r);
    default:
        return NODE_WORKING;
    }
}

static enum node_class class_by_state(const struct view *v, const struct view_row *r, uint64_t now)
{
    enum node_class c;

    switch (r->said.phase) {
    case PHASE_FAILED:
        return failed_class(r);
    case PHASE_CONVERGING:
        return working_class(r, now);
    case PHASE_READY:
        c = NODE_READY;
        break;
    case PHASE_ENROLLED:
        return NODE_WORKING;
    default:
        c = class_by_events(r, now);
    }
    if (c == NODE_READY && is_degraded(v, r))
        return NODE_DEGRADED;
    return c == NODE_READY && r->said.drift[0] ? NODE_DIFFERS : c;
}

bool node_is_clouds(const struct view_row *r)
{
    if (r->cloud.failed)
        return true;
    if (r->known == VIEW_KNOWN)
        return false;
    return r->cloud.busy || !r->spoke || r->cloud.vm_made > r->spoke ||
           (r->known == VIEW_NOT_TOLD && r->state <= ROW_BOOTING);
}

enum node_class node_class_of(const struct view *v, const struct view_row *r, uint64_t now)
{
    if (r->cloud.failed)
        return NODE_FAILED;
    if (r->known == VIEW_KNOWN)
        return class_by_state(v, r, now);
    if (node_is_clouds(r))
        return r->cloud.busy || r->state != ROW_WAITING ? NODE_WORKING : NODE_WAITING;
    if (r->known == VIEW_NOT_KNOWN)
        return NODE_UNKNOWN;
    return class_by_events(r, now);
}

void judge(const struct view *v, uint64_t now, struct judged *ret)
{
    size_t n = 0;

    *ret = (struct judged){.of = xcalloc(v->n, sizeof(*ret->of)),
                           .order = xcalloc(v->n, sizeof(*ret->order))};
    for (size_t i = 0; i < v->n; i++) {
        ret->of[i] = node_class_of(v, &v->rows[i], now);
        ret->count[ret->of[i]]++;
    }
    for (int c = 0; c < NODE_CLASSES; c++)
        for (size_t i = 0; i < v->n; i++)
            if (ret->of[i] == (enum node_class)c)
                ret->order[n++] = i;
}

void judged_free(struct judged *j)
{
    free(j->of);
    free(j->order);
}

const char *judge_deployment(const struct view *v, const struct judged *j)
{
    const size_t *n = j->count;

    if (n[NODE_FAILED] || n[NODE_REFUSED])
        return "failed";
    if (n[NODE_READY] == v->n)
        return v->ended || v->was_ready ? "ready" : "checking";
    if (n[NODE_UNKNOWN] == v->n)
        return "unknown";
    if (n[NODE_UNKNOWN] || n[NODE_SILENT] || n[NODE_DEGRADED] || n[NODE_DIFFERS])
        return "degraded";
    if (v->ended && !v->ended_well && !n[NODE_WORKING])
        return "stopped";
    return v->was_ready ? "recovering" : "raising";
}

/* --- what there is to say of it -------------------------------------------------------------- */

/* Its VM is there, and its agent not yet. */
static bool boots(const struct view_row *r)
{
    return node_is_clouds(r) && r->cloud.vm_made && !r->cloud.busy && !r->cloud.failed;
}

uint64_t node_work_from(const struct view_row *r)
{
    if (boots(r))
        return r->cloud.vm_made;
    return node_is_clouds(r) ? r->cloud.from : r->step_from;
}

/* Errors begin with the step's id, which stands beside them. */
const char *node_without_id(const char *msg, const char *id)
{
    size_t len = strlen(id);

    return len && str_starts(msg, id) && str_starts(msg + len, ": ") ? msg + len + 2 : msg;
}

/* As the agents write it in their messages. */
static void count_text(const struct event_count *c, struct strbuf *out)
{
    static const char *const units[] = {"kB", "MB", "GB", "TB"};
    double unit = 1e3;
    size_t u = 0;

    if (c->unit == EVENT_PACKAGES || c->unit == EVENT_STEPS) {
        if (c->total)
            strbuf_addf(out, "%llu of %llu %s", (unsigned long long)c->done,
                        (unsigned long long)c->total, event_unit_name(c->unit));
        return;
    }
    if (c->unit != EVENT_BYTES)
        return;
    for (; u + 1 < sizeof(units) / sizeof(units[0]) &&
           (double)(c->total ? c->total : c->done) >= unit * 1e3;
         u++)
        unit *= 1e3;
    if (c->total)
        strbuf_addf(out, "%.0f %%, %.*f of %.*f %s", 100.0 * (double)c->done / (double)c->total,
                    u ? 1 : 0, (double)c->done / unit, u ? 1 : 0, (double)c->total / unit,
                    units[u]);
    else
        strbuf_addf(out, "%.*f %s", u ? 1 : 0, (double)c->done / unit, units[u]);
}

static void last_known(const struct view_row *r, uint64_t now, struct strbuf *out)
{
    char age[CLOCK_AGE_MAX];

    clock_age(r->spoke, now, age);
    strbuf_addf(out, "last heard %s", age);
    if (r->said.phase != PHASE_UNKNOWN)
        strbuf_addf(out, ": %s%s%s", proto_phase_name(r->said.phase), r->said.db[0] ? ", " : "",
                    r->said.db);
}

static void at_work(const struct view_row *r, bool brief, struct strbuf *out)
{
    bool clouds = node_is_clouds(r);
    const char *step = clouds ? r->cloud.id : r->step, *msg = clouds ? r->cloud.msg : r->msg;

    if (boots(r)) {
        strbuf_adds(out, r->spoke ? "boots" : "boots, gets its agent");
        return;
    }
    strbuf_adds(out, step[0] ? step : EVENT_ID_PLAN);
    if (brief && !clouds && r->part.unit != EVENT_UNCOUNTED) {
        strbuf_adds(out, "  ");
        count_text(&r->part, out);
    } else if (!brief && msg[0]) {
        strbuf_addf(out, "  %s", node_without_id(msg, step));
    }
}

static void is_ready(const struct view_row *r, struct strbuf *out)
{
    if (r->arbitrator)
        strbuf_adds(out, "arbitrator");
    else if (r->said.db[0])
        strbuf_addf(out, "database %s", r->said.db);
}

void node_text(const struct view *v, const struct view_row *r, enum node_class c, bool brief,
               uint64_t now, struct strbuf *out)
{
    switch (c) {
    case NODE_UNKNOWN:
        last_known(r, now, out);
        break;
    case NODE_DEGRADED:
        trouble(v, r, out);
        if (r->said.drift[0] && !brief)
            strbuf_addf(out, "; differs from its plan: %s", r->said.drift);
        break;
    case NODE_DIFFERS:
        strbuf_addf(out, "%s%s", r->said.drift, v->drift_repair ? "" : "; 'muster up' repairs it");
        break;
    case NODE_READY:
        is_ready(r, out);
        break;
    case NODE_WAITING:
        break;
    default:
        at_work(r, brief, out);
    }
}

void node_output(const struct view_row *r, enum node_class c, struct strbuf *out)
{
    struct strbuf count = {0};
    const char *msg = node_is_clouds(r) ? r->cloud.msg : r->msg;
    size_t len;

    if (c == NODE_DEGRADED && r->said.drift[0])
        strbuf_addf(out, "differs from its plan: %s", r->said.drift);
    if (c != NODE_WORKING && c != NODE_SILENT && c != NODE_FAILED && c != NODE_REFUSED)
        return;
    if (node_is_clouds(r) && c == NODE_WORKING)
        return;                   /* it is as short as the step's name, and beside it */
    count_text(&r->part, &count); /* said already, beside the step */
    len = c == NODE_WORKING ? count.len : 0;
    if (len && str_starts(msg, count.s) && str_starts(msg + len, ": "))
        msg += len + 2;
    strbuf_adds(out, node_without_id(msg, node_is_clouds(r) ? r->cloud.id : r->step));
    strbuf_free(&count);
}

/* How long that step took, on this node, else on the first other one that knows; 0: not known. */
static uint64_t past_ms(const struct view *v, const struct view_row *r, const char *id)
{
    for (size_t i = 0; i < r->n_past; i++)
        if (str_eq(r->past[i].id, id))
            return r->past[i].ms;
    for (size_t n = 0; n < v->n; n++)
        for (size_t i = 0; i < v->rows[n].n_past; i++)
            if (str_eq(v->rows[n].past[i].id, id))
                return v->rows[n].past[i].ms;
    return 0;
}

void node_estimate(const struct view *v, const struct view_row *r, enum node_class c, uint64_t now,
                   char ret[32])
{
    bool clouds = node_is_clouds(r);
    uint64_t from = node_work_from(r), ms, s;

    ret[0] = '\0';
    if (c != NODE_WORKING || !from || !(clouds ? r->cloud.busy || boots(r) : r->applying))
        return;
    ms = past_ms(v, r, boots(r) ? VIEW_PAST_BOOT : clouds ? r->cloud.id : r->step);
    if (now > from && ms <= now - from)
        return; /* it takes longer than it did: not known any more */
    s = (ms - (now > from ? now - from : 0)) / 1000;
    if (ms == 0 || s == 0)
        return;
    if (s >= 90)
        snprintf(ret, 32, "about %llu min left", (unsigned long long)(s + 30) / 60);
    else
        snprintf(ret, 32, "about %llu s left", (unsigned long long)(s >= 10 ? (s + 2) / 5 * 5 : s));
}
