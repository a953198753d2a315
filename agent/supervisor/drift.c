/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at the machine between runs and tells what differs from the plan. By itself it changes
 * nothing: what somebody changed by hand stays until the controller asks. */
#include <stdlib.h>
#include <string.h>

#include "agent/supervisor/internal.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/js.h"

#define DRIFT_EVERY_MS 600000
#define LOOK_AGAIN_MS 2000

static bool has(const json_t *list, const char *id)
{
    size_t i;
    json_t *d;
    json_array_foreach((json_t *)list, i, d)
    {
        if (strcmp(js_opt_str(d, "id", ""), id) == 0)
            return true;
    }
    return false;
}

/* What the controller asked for: nothing differs, or a run mends it; then comes a second look. When
 * that one finds something still, the controller is told. */
static void answer_look(struct supervisor *s, bool known)
{
    if (s->look_job == s->look_done)
        return;
    if (known && (!s->drift || s->look_mended == s->look_job)) {
        s->look_done = s->look_job;
        return;
    }
    if (s->look_mended == s->look_job)
        return; /* the look fails: not known, tried again */
    s->look_mended = s->look_job;
    s->wanted = true;
    s->worker_next = 0;
    s->worker_failures = 0;
    sup_worker_start(s);
}

void sup_drift_answer(struct supervisor *s, const json_t *answer)
{
    json_t *now = json_object_get(answer, "drift"), *d;
    size_t i;
    if (s->worker_pid || s->wanted)
        return; /* a run is at work: it mends, and says so itself */
    if (!json_is_array(now)) {
        answer_look(s, false);
        return;
    }
    json_array_foreach(now, i, d)
    {
        if (!has(s->drift, js_opt_str(d, "id", "")))
            sup_event(s, EVENT_NOTE, js_opt_str(d, "id", ""), "drifted: %.300s",
                      js_opt_str(d, "why", ""));
    }
    json_array_foreach(s->drift, i, d)
    {
        if (!has(now, js_opt_str(d, "id", "")))
            sup_event(s, EVENT_NOTE, js_opt_str(d, "id", ""), "as wanted again");
    }
    json_decref(s->drift);
    s->drift = json_array_size(now) ? json_incref(now) : NULL;
    answer_look(s, true);
}

void sup_drift_ask(struct supervisor *s, uint64_t id)
{
    if (id == 0 || id == s->look_asked)
        return; /* the controller's connection was lost in between */
    s->look_asked = id;
    s->look_at = 0;
    s->look_next = s->web_next = 0; /* what the state says of both is to be new, too */
    if (s->wanted)
        s->worker_next = 0; /* a run that failed waits: now is better */
}

void sup_drift_forget(struct supervisor *s)
{
    json_decref(s->drift);
    s->drift = NULL;
    s->drift_next = clock_mono_ms() + DRIFT_EVERY_MS;
    s->look_at = 0;
}

void sup_drift_tick(struct supervisor *s, uint64_t now)
{
    bool asked = s->look_asked != s->look_done;
    if (strcmp(s->phase, "ready") != 0 || s->worker_pid || s->wanted || s->jobs[JOB_DRIFT].pid ||
        (now < s->drift_next && !(asked && now >= s->look_at)))
        return;
    s->drift_next = now + DRIFT_EVERY_MS;
    s->look_at = now + LOOK_AGAIN_MS;
    s->look_job = s->look_asked;
    sup_job_start(&s->jobs[JOB_DRIFT], "drift", json_object());
}
