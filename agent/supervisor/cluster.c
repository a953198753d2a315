/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor's part of the coordinator: its record on disk, and its actions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/cluster/codec.h"
#include "agent/cluster/store.h"
#include "agent/ipc/paths.h"
#include "agent/ipc/permit.h"
#include "agent/supervisor/internal.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/log.h"
#include "common/str.h"

#define TICK_MS 1000     /* to see what another process makes */
#define TICK_SOON_MS 100 /* while something is under way */
#define LEAVE_MS 3000    /* systemd stops the database before this agent, which says so then */

void sup_cluster_plan(struct supervisor *s, const json_t *plan)
{
    const json_t *galera = sup_plan_step(plan, "galera");

    galera = galera ? galera : sup_plan_step(plan, "arbitrator");

    if (galera && s->cluster.galera && json_equal(galera, s->cluster.galera))
        return;
    json_decref(s->cluster.galera);
    s->cluster.galera = galera ? json_deep_copy(galera) : NULL;
    s->cluster.told = false;
}

/* --- the record ---------------------------------------------------------------------------- */

struct store_dirs {
    const char *dirs[2];
    char *owned;
};

static void store_dirs_cleanup(struct store_dirs *d)
{
    free(d->owned);
}

static void store_dirs_fill(const struct supervisor *s, struct store_dirs *d)
{
    d->owned = str_fmt("%s/" MOUNT_STATE, js_opt_str(s->cluster.galera, "mount", "/nonexistent"));
    d->dirs[0] = PATH_CLUSTER;
    d->dirs[1] = d->owned;
}

void sup_cluster_send(struct supervisor *s)
{
    _cleanup_(store_dirs_cleanup) struct store_dirs d = {0};
    struct cluster_record rec;
    struct err err = {0};

    s->cluster.told = false;
    if (!sup_net_runs(s) || !s->cluster.galera || !fs_exists(GALERA_READY))
        return;
    store_dirs_fill(s, &d);
    int found = cluster_store_load(d.dirs, &rec, &s->cluster.generation, &err);
    if (found < 0) {
        sup_event(s, EVENT_REFUSED, "cluster", "%s", err.msg);
        s->cluster.told = true; /* once is enough */
        return;
    }
    s->cluster.recorded = found ? rec.epoch : 0;
    sup_net_send(s, IPC_CLUSTER,
                 json_pack("{s:O, s:o}", "galera", s->cluster.galera, "record",
                           found ? cluster_record_to_json(&rec) : json_null()));
    s->cluster.told = true;
    sup_watch_now(s);
}

static void on_save(struct supervisor *s, const json_t *msg)
{
    _cleanup_(store_dirs_cleanup) struct store_dirs d = {0};
    struct cluster_record rec;
    struct err err = {0};

    if (!s->cluster.galera)
        return;
    store_dirs_fill(s, &d);
    if (cluster_record_from_json(json_object_get(msg, "record"), &rec, &err) < 0 ||
        cluster_store_save(d.dirs, &rec, ++s->cluster.generation, &err) < 0) {
        /* Unsaved means unpromised: the net process begins again from what is on disk. */
        sup_event(s, EVENT_FAILED, "cluster", "%s", err.msg);
        sup_net_again(s);
        return;
    }
    s->cluster.recorded = sup_history_decisions(&rec, s->cluster.recorded);
    sup_net_send(s, IPC_SAVED, NULL);
}

/* --- children ------------------------------------------------------------------------------ */

/* The job has all members of the message, and the plan's step. */
static json_t *action_of(const struct supervisor *s, const json_t *msg)
{
    json_t *members = json_copy((json_t *)msg);

    json_object_set(members, "galera", s->cluster.galera);
    return members;
}

static void on_do(struct supervisor *s, const json_t *msg)
{
    const char *what = js_opt_str(msg, "what", "");
    struct cluster_position none = {.kind = DATADIR_UNKNOWN, .seqno = -1};
    enum ipc_action action;

    if (!s->cluster.galera || ipc_action_find(what, &action) < 0)
        return;
    struct job *j = action == IPC_ABANDON ? &s->cluster.abandon : &s->cluster.act;
    bool busy = j->pid != 0;
    if (!busy && sup_job_start(j, IPC_JOB_ACTION, action_of(s, msg)) == 0)
        return;
    sup_net_send(s, IPC_RESULT,
                 json_pack("{s:s, s:b, s:s, s:o}", "what", what, "ok", 0, "why",
                           busy ? "another action is at work" : "it could not be started",
                           "position", cluster_position_to_json(&none)));
}

/* --- messages and time --------------------------------------------------------------------- */

static void on_coordinator(struct supervisor *s, json_t *msg)
{
    struct err err;
    enum cluster_state state;

    if (cluster_state_find(js_opt_str(msg, "state", ""), &state) < 0) {
        log_warn("from the net process: a state of the coordinator that is none");
        sup_net_again(s);
        return;
    }
    bool changed = !s->cluster.coordinator || state != s->cluster.state;
    bool alarmed = json_is_true(json_object_get(s->cluster.coordinator, "stable")) &&
                   !json_is_true(json_object_get(msg, "stable"));
    json_object_del(msg, "m");
    json_object_del(msg, "v");
    _cleanup_free_ char *text = js_text(msg);
    fs_write_atomic(PATH_COORDINATOR, text, strlen(text), 0600, &err);
    if (changed)
        sup_event(s, EVENT_CLUSTER, "cluster", "%s: %s", cluster_state_name(state),
                  js_opt_str(msg, "why", ""));
    s->cluster.state = state;
    json_decref(s->cluster.coordinator);
    s->cluster.coordinator = json_incref(msg);
    /* It listens from now on, and knows nothing of the database; or something changes. */
    if (state == CLUSTER_UNCONF || alarmed)
        sup_watch_now(s);
}

/* What 'muster-agent cluster' left; it is used once, whatever comes of it. */
static void take_ask(struct supervisor *s)
{
    struct err err;
    size_t len = 0;
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *j = NULL;

    if (!s->cluster.told || !sup_net_runs(s) || fs_read(PATH_ASK, 4096, &text, &len, &err) < 0)
        return;
    unlink(PATH_ASK);
    if (js_parse(text, len, &j, &err) < 0)
        return;
    const char *what = js_opt_str(j, "what", ""), *node = js_opt_str(j, "node", ""),
               *because = js_opt_str(j, "because", "");
    uint64_t id = js_opt_u64(j, "id", 0);
    if (strcmp(what, "look") != 0) {
        s->cluster.asked = id;
        sup_event(s, EVENT_CLUSTER, "cluster", "an operator asks: %.20s %.64s%s%.160s%s", what,
                  node, *because ? " (" : "", because, *because ? ")" : "");
        sup_history_act(what, node, because);
    }
    sup_net_send(s, IPC_ASK,
                 json_pack("{s:I, s:s, s:s, s:s, s:b}", "id", (json_int_t)id, "what", what, "node",
                           node, "because", because, "keep", js_opt_bool(j, "keep", false)));
}

static void on_answer(struct supervisor *s, json_t *msg)
{
    struct err err;

    json_object_del(msg, "m");
    json_object_del(msg, "v");
    _cleanup_free_ char *text = js_text(msg);
    if (s->cluster.asked && js_opt_u64(msg, "id", 0) == s->cluster.asked)
        sup_event(s, EVENT_CLUSTER, "cluster", "%s: %s",
                  json_is_true(json_object_get(msg, "ok")) ? "accepted" : "not accepted",
                  js_opt_str(msg, "why", ""));
    fs_write_atomic(PATH_ANSWER, text, strlen(text), 0600, &err);
}

void sup_cluster_message(struct supervisor *s, enum ipc_msg m, json_t *msg)
{
    if (m == IPC_SAVE)
        on_save(s, msg);
    else if (m == IPC_DO)
        on_do(s, msg);
    else if (m == IPC_COORDINATOR)
        on_coordinator(s, msg);
    else if (m == IPC_ANSWER)
        on_answer(s, msg);
}

/* --- a part of the supervisor --------------------------------------------------------------- */

/* Some are asked for again until they succeed: the same failure is told once. */
static void note_end(struct supervisor *s, const char *what, const json_t *answer)
{
    char failed[sizeof(s->cluster.failed)] = "";

    if (!json_is_true(json_object_get(answer, "ok")))
        snprintf(failed, sizeof(failed), "%s: %s", what, js_opt_str(answer, "why", ""));
    if (failed[0] && strcmp(failed, s->cluster.failed) != 0)
        sup_event(s, EVENT_CLUSTER, "cluster", "%s", failed);
    memcpy(s->cluster.failed, failed, sizeof(failed));
}

static bool died(struct supervisor *s, pid_t pid, int status)
{
    struct job *j = pid == s->cluster.act.pid ? &s->cluster.act : &s->cluster.abandon;

    if (pid != j->pid)
        return false;
    json_t *answer = sup_job_end(j);
    if (!answer) {
        if (j == &s->cluster.act)
            permit_close(); /* it must not outlive who opened it */
        struct cluster_position none = {.kind = DATADIR_UNKNOWN, .seqno = -1};
        _cleanup_free_ char *why = str_fmt("the %s action gave no answer (%d)", j->what, status);
        answer = json_pack("{s:s, s:b, s:s, s:o}", "what", j->what, "ok", 0, "why", why, "position",
                           cluster_position_to_json(&none));
    }
    json_object_set_new(answer, "what", json_string(j->what)); /* what it was, we know */
    const char *note = js_opt_str(answer, "note", "");
    if (*note)
        sup_event(s, EVENT_CLUSTER, "cluster", "%s: %s", j->what, note);
    json_object_del(answer, "note"); /* for the operator only */
    note_end(s, j->what, answer);
    sup_watch_now(s);
    sup_net_send(s, IPC_RESULT, answer);
    return true;
}

static void tick(struct supervisor *s, uint64_t now)
{
    (void)now;
    if (s->cluster.galera && !s->cluster.told)
        sup_cluster_send(s);
    if (s->cluster.galera)
        take_ask(s);
}

/* The cluster forms: soon, to see at once what another process makes. */
static uint64_t due(const struct supervisor *s, uint64_t now)
{
    if (s->cluster.leave_until)
        return s->cluster.leave_until;
    if (!s->cluster.galera)
        return UINT64_MAX;
    if (sup_worker_runs(s) && (!s->cluster.told || s->cluster.state != CLUSTER_PRIMARY))
        return now + TICK_SOON_MS;
    return s->cluster.told && fs_exists(GALERA_READY) ? UINT64_MAX : now + TICK_MS;
}

static void stop(struct supervisor *s)
{
    json_decref(s->cluster.galera);
    json_decref(s->cluster.coordinator);
}

const struct sup_part sup_cluster = {.died = died, .tick = tick, .due = due, .stop = stop};

void sup_cluster_leave(struct supervisor *s)
{
    s->cluster.leave_until = clock_mono_ms() + LEAVE_MS;
    s->cluster.left = !s->cluster.galera || !s->cluster.told || !sup_net_runs(s);
    sup_watch_now(s);
}

bool sup_cluster_leaves(const struct supervisor *s)
{
    return s->cluster.leave_until && !s->cluster.left && clock_mono_ms() < s->cluster.leave_until;
}

void sup_cluster_left(struct supervisor *s)
{
    s->cluster.left = true;
}

json_t *sup_cluster_galera(const struct supervisor *s)
{
    return s->cluster.galera;
}

json_t *sup_cluster_status(const struct supervisor *s)
{
    return s->cluster.coordinator;
}

enum cluster_state sup_cluster_at(const struct supervisor *s)
{
    return s->cluster.state;
}

bool sup_cluster_stable(const struct supervisor *s)
{
    return !s->cluster.galera || json_is_true(json_object_get(s->cluster.coordinator, "stable"));
}
