/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at the machine between runs and tells what differs from the plan. It changes nothing: what
 * somebody changed by hand stays until the plan is applied again. */
#include <stdlib.h>
#include <string.h>

#include "agent/supervisor.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/js.h"

#define DRIFT_EVERY_MS 600000

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

void sup_drift_answer(struct supervisor *s, const json_t *answer)
{
    json_t *now = json_object_get(answer, "drift"), *d;
    size_t i;
    if (!json_is_array(now) || s->worker_pid || s->wanted)
        return; /* a run is at work: it mends, and says so itself */
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
}

void sup_drift_forget(struct supervisor *s)
{
    json_decref(s->drift);
    s->drift = NULL;
    s->drift_next = clock_mono_ms() + DRIFT_EVERY_MS;
}

void sup_drift_tick(struct supervisor *s, uint64_t now)
{
    if (strcmp(s->phase, "ready") != 0 || s->worker_pid || s->wanted || s->jobs[JOB_DRIFT].pid ||
        now < s->drift_next)
        return;
    s->drift_next = now + DRIFT_EVERY_MS;
    sup_job_start(&s->jobs[JOB_DRIFT], "drift", json_object());
}
