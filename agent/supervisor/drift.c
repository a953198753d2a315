/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at the machine between runs and tells what differs from the plan. By itself it changes
 * nothing: what somebody changed by hand stays until the controller asks for a repair. */
#include <stdlib.h>
#include <string.h>

#include "agent/supervisor/internal.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/js.h"
#include "common/str.h"

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

/* Steps whose repair may restart the database. */
static bool is_delicate(const json_t *list)
{
    static const char *const types[] = {
        "galera:", "synced:", "datadir:", "package:", "mount:", "disk:", "grow:", "agent"};
    const json_t *d;
    size_t i;

    json_array_foreach((json_t *)list, i, d)
    {
        for (size_t k = 0; k < ARRAY_LEN(types); k++)
            if (str_starts(js_opt_str(d, "id", ""), types[k]))
                return true;
    }
    return false;
}

/* What the controller asked for: nothing differs, or a run repairs it; then comes a second look.
 * When that one finds something still, the controller is told. */
static void answer_look(struct supervisor *s, bool known)
{
    if (s->drift.of_job == s->drift.done)
        return;
    bool repair =
        s->drift.job_repair && (s->drift.job_all || (known && !is_delicate(s->drift.list)));

    if (known && (!s->drift.list || !repair || s->drift.repaired == s->drift.of_job)) {
        s->drift.done = s->drift.of_job;
        if (s->drift.asked == s->drift.done)
            s->drift.repair = s->drift.all = false;
        return;
    }
    if (!repair || s->drift.repaired == s->drift.of_job)
        return; /* the look fails: not known, tried again */
    s->drift.repaired = s->drift.of_job;
    sup_worker_again(s);
}

void sup_drift_answer(struct supervisor *s, const json_t *answer)
{
    json_t *now = json_object_get(answer, "drift"), *d;
    size_t i;

    if (!sup_worker_idle(s))
        return; /* a run is at work: it repairs, and says so itself */
    if (!json_is_array(now)) {
        answer_look(s, false);
        return;
    }
    json_array_foreach(now, i, d)
    {
        if (!has(s->drift.list, js_opt_str(d, "id", "")))
            sup_event(s, EVENT_NOTE, js_opt_str(d, "id", ""), "%s%.300s",
                      str_starts(js_opt_str(d, "why", ""), "unknown: ") ? "" : "drifted: ",
                      js_opt_str(d, "why", ""));
    }
    json_array_foreach(s->drift.list, i, d)
    {
        if (!has(now, js_opt_str(d, "id", "")))
            sup_event(s, EVENT_NOTE, js_opt_str(d, "id", ""), "in sync again");
    }
    json_decref(s->drift.list);
    s->drift.list = json_array_size(now) ? json_incref(now) : NULL;
    answer_look(s, true);
}

void sup_drift_ask(struct supervisor *s, uint64_t id, bool repair, bool careful)
{
    if (id == 0 || id == s->drift.asked)
        return; /* the controller's connection was lost in between */
    s->drift.asked = id;
    s->drift.repair = s->drift.repair || repair;
    s->drift.all = s->drift.all || (repair && !careful);
    s->drift.at = 0;
    sup_watch_all(s); /* what the state says of both is to be new, too */
    if (repair && !careful)
        sup_worker_hurry(s); /* a run that failed waits: now is better */
}

void sup_drift_forget(struct supervisor *s)
{
    json_decref(s->drift.list);
    s->drift.list = NULL;
    s->drift.next = clock_mono_ms() + DRIFT_EVERY_MS;
    s->drift.at = 0;
}

void sup_drift_now(struct supervisor *s)
{
    s->drift.next = 0;
}

const json_t *sup_drift_list(const struct supervisor *s)
{
    return s->drift.list;
}

uint64_t sup_drift_looked(const struct supervisor *s)
{
    return s->drift.done;
}

static uint64_t due(const struct supervisor *s, uint64_t now)
{
    (void)now;
    if (!sup_worker_ready(s) || s->drift.job.pid)
        return UINT64_MAX;
    return s->drift.asked != s->drift.done && s->drift.at < s->drift.next ? s->drift.at
                                                                          : s->drift.next;
}

static void tick(struct supervisor *s, uint64_t now)
{
    if (now < due(s, now))
        return;
    s->drift.next = now + DRIFT_EVERY_MS;
    s->drift.at = now + LOOK_AGAIN_MS;
    s->drift.of_job = s->drift.asked;
    s->drift.job_repair = s->drift.repair;
    s->drift.job_all = s->drift.all;
    sup_job_start(&s->drift.job, IPC_JOB_DRIFT, NULL);
}

static bool died(struct supervisor *s, pid_t pid, int status)
{
    (void)status;
    if (pid != s->drift.job.pid)
        return false;
    _cleanup_json_ json_t *answer = sup_job_end(&s->drift.job);
    sup_drift_answer(s, answer);
    return true;
}

static void start(struct supervisor *s)
{
    s->drift.job.bound = true;
}

static void stop(struct supervisor *s)
{
    json_decref(s->drift.list);
}

const struct sup_part sup_drift = {
    .start = start, .died = died, .tick = tick, .due = due, .stop = stop};
