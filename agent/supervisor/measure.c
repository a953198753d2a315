/* SPDX-License-Identifier: Apache-2.0 */
/* This node's parts of a network test: one job at a time, none while a state transfer is under way,
 * each ended after its time. What came last counts: whoever asked before is gone. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "agent/supervisor/internal.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/js.h"
#include "common/str.h"

static void answer(struct supervisor *s, uint64_t id, bool ok, const char *why,
                   const json_t *figures)
{
    json_t *j =
        json_pack("{s:I, s:b, s:o}", "id", (json_int_t)id, "ok", (int)ok, "why", js_string(why));

    json_object_set(j, "figures", figures ? (json_t *)figures : json_null());
    sup_net_send(s, IPC_MEASURED, j);
}

/* Whether this node takes part in a state transfer, or may. A node without a database does not. */
static bool transfers(const struct supervisor *s, char *ret, size_t cap)
{
    if (!sup_cluster_galera(s))
        return false;
    _cleanup_json_ json_t *state = json_object();

    if (sup_watch_db(s))
        json_object_set(state, "db", sup_watch_db(s));
    if (sup_cluster_status(s))
        json_object_set(state, "coordinator", sup_cluster_status(s));
    return nettest_transfer(state, ret, cap);
}

static bool is_refused(const struct supervisor *s, const struct nettest_order *o, char *ret,
                       size_t cap)
{
    /* Two that install packages would be in each other's way. */
    if (o->what == NETTEST_PREPARE && !sup_worker_idle(s)) {
        str_copy(ret, cap, "a run of its plan is at work");
        return true;
    }
    return o->what != NETTEST_PREPARE && !o->force && transfers(s, ret, cap);
}

static void begin(struct supervisor *s, const json_t *msg)
{
    struct sup_measure_state *m = &s->measure;
    const json_t *order = json_object_get(msg, "order");
    uint64_t id = js_opt_u64(msg, "id", 0);
    struct nettest_order o;
    struct err err = {0};
    char why[160];

    if (nettest_order_parse(order, &o, &err) < 0) {
        answer(s, id, false, err.msg, NULL);
        return;
    }
    if (is_refused(s, &o, why, sizeof(why))) {
        answer(s, id, false, why, NULL);
        return;
    }
    m->order = o;
    m->id = id;
    m->why[0] = '\0';
    /* An installation goes on as long as it gets further, also without this process. */
    m->job.bound = o.what != NETTEST_PREPARE;
    m->until = o.what == NETTEST_PREPARE
                   ? UINT64_MAX
                   : clock_mono_ms() + (o.seconds + NETTEST_AGENT_S) * UINT64_C(1000);
    if (sup_job_start(&m->job, IPC_JOB_MEASURE,
                      json_pack("{s:o}", "order", nettest_order_json(&o))) < 0)
        answer(s, id, false, "it could not be started", NULL);
}

static void end(struct supervisor *s, const char *why)
{
    str_copy(s->measure.why, sizeof(s->measure.why), why);
    kill(s->measure.job.pid, SIGKILL);
}

void sup_measure_take(struct supervisor *s, json_t *msg)
{
    struct sup_measure_state *m = &s->measure;

    if (!m->job.pid) {
        begin(s, msg);
    } else if (sup_measure_installs(s)) {
        answer(s, js_opt_u64(msg, "id", 0), false, "it still installs packages for an earlier test",
               NULL);
    } else {
        json_decref(m->next);
        m->next = json_incref(msg);
        end(s, "another measurement took its place");
    }
}

bool sup_measure_installs(const struct supervisor *s)
{
    return s->measure.job.pid && s->measure.order.what == NETTEST_PREPARE;
}

static bool died(struct supervisor *s, pid_t pid, int status)
{
    struct sup_measure_state *m = &s->measure;

    (void)status;
    if (pid != m->job.pid)
        return false;
    _cleanup_json_ json_t *said = sup_job_end(&m->job);
    _cleanup_json_ json_t *next = TAKE(m->next);

    if (m->why[0])
        answer(s, m->id, false, m->why, NULL);
    else if (!said)
        answer(s, m->id, false, "the worker gave no answer", NULL);
    else
        answer(s, m->id, js_opt_bool(said, "ok", false), js_opt_str(said, "why", ""),
               json_object_get(said, "figures"));
    if (next)
        begin(s, next);
    return true;
}

static void tick(struct supervisor *s, uint64_t now)
{
    struct sup_measure_state *m = &s->measure;
    char why[160];

    if (!m->job.pid || m->why[0])
        return;
    if (now >= m->until)
        end(s, "it took too long");
    else if (m->order.what != NETTEST_PREPARE && is_refused(s, &m->order, why, sizeof(why)))
        end(s, why);
}

static uint64_t due(const struct supervisor *s, uint64_t now)
{
    (void)now;
    return s->measure.job.pid && !s->measure.why[0] ? s->measure.until : UINT64_MAX;
}

static void stop(struct supervisor *s)
{
    json_decref(s->measure.next);
}

const struct sup_part sup_measure = {.died = died, .tick = tick, .due = due, .stop = stop};
