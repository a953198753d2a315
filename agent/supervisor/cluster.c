/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor's part of the coordinator: its record on disk, its actions, and looks at the
 * database; actions and looks are programs of their own, so that nothing here ever blocks. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/cluster/codec.h"
#include "agent/cluster/store.h"
#include "agent/ipc/helper.h"
#include "agent/ipc/paths.h"
#include "agent/ipc/permit.h"
#include "agent/supervisor/internal.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/log.h"
#include "common/proc.h"
#include "common/str.h"

#define ANSWER_MAX 65536
#define LOOK_SOON_MS 500
#define LOOK_EVERY_MS 2000
#define LOOK_CALM_MS STATE_EVERY_MS /* for the state that goes to the controller */
#define WEB_EVERY_MS STATE_EVERY_MS

static const json_t *step_find(const json_t *plan, const char *type)
{
    size_t i;
    json_t *step;
    json_array_foreach(json_object_get(plan, "resources"), i, step)
    {
        if (strcmp(js_opt_str(step, "type", ""), type) == 0)
            return step;
    }
    return NULL;
}

void sup_cluster_plan(struct supervisor *s, const json_t *plan)
{
    const json_t *galera = step_find(plan, "galera");
    const json_t *web = step_find(plan, "web");
    bool same = galera && s->galera && json_equal(galera, s->galera);
    str_copy(s->health, sizeof(s->health), web ? js_opt_str(web, "health", "") : "");
    s->web = web ? 0 : -1;
    if (same)
        return;
    json_decref(s->galera);
    s->galera = galera ? json_deep_copy(galera) : NULL;
    s->cluster_told = false;
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
    d->owned = str_fmt("%s/" MOUNT_STATE, js_opt_str(s->galera, "mount", "/nonexistent"));
    d->dirs[0] = PATH_CLUSTER;
    d->dirs[1] = d->owned;
}

void sup_cluster_tell(struct supervisor *s)
{
    _cleanup_(store_dirs_cleanup) struct store_dirs d = {0};
    struct cluster_record rec;
    struct err err = {0};
    s->cluster_told = false;
    if (!s->net_pid || !s->galera || !fs_exists(GALERA_READY))
        return;
    store_dirs_fill(s, &d);
    int found = cluster_store_load(d.dirs, &rec, &s->generation, &err);
    if (found < 0) {
        sup_event(s, EVENT_REFUSED, "cluster", "%s", err.msg);
        s->cluster_told = true; /* once is enough */
        return;
    }
    sup_net_tell(s, "cluster",
                 json_pack("{s:O, s:o}", "galera", s->galera, "record",
                           found ? cluster_record_to_json(&rec) : json_null()));
    s->cluster_told = true;
    s->look_next = 0;
}

static void on_save(struct supervisor *s, const json_t *msg)
{
    _cleanup_(store_dirs_cleanup) struct store_dirs d = {0};
    struct cluster_record rec;
    struct err err = {0};
    if (!s->galera)
        return;
    store_dirs_fill(s, &d);
    if (cluster_record_from_json(json_object_get(msg, "record"), &rec, &err) < 0 ||
        cluster_store_save(d.dirs, &rec, ++s->generation, &err) < 0) {
        /* Unsaved means unpromised: the net process begins again from what is on disk. */
        sup_event(s, EVENT_FAILED, "cluster", "%s", err.msg);
        kill(s->net_pid, SIGKILL);
        return;
    }
    sup_net_tell(s, "saved", NULL);
}

/* --- children ------------------------------------------------------------------------------ */

int sup_job_start(struct job *j, const char *what, json_t *request)
{
    _cleanup_free_ char *text = js_text(request);
    json_decref(request);
    _cleanup_close_ int in = memfd_create("request", MFD_CLOEXEC);
    _cleanup_close_ int out = memfd_create("answer", MFD_CLOEXEC);
    size_t len = strlen(text);
    if (in < 0 || out < 0 || write(in, text, len) != (ssize_t)len || lseek(in, 0, SEEK_SET) < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0)
        helper_exec(PROC_ARGV(HELPER_WORKER, "job", what), in, out);
    if (pid < 0)
        return -1;
    j->pid = pid;
    str_copy(j->what, sizeof(j->what), what);
    j->answer = out;
    out = -1;
    return 0;
}

static void on_do(struct supervisor *s, const json_t *msg)
{
    const char *what = js_opt_str(msg, "what", "");
    struct cluster_position none = {.kind = DATADIR_UNKNOWN, .seqno = -1};
    if (!s->galera)
        return;
    struct job *j = strcmp(what, "abandon") == 0 ? &s->jobs[JOB_ABANDON] : &s->jobs[JOB_ACT];
    if (j->pid ||
        sup_job_start(j, what, json_pack("{s:O, s:O}", "galera", s->galera, "msg", msg)) < 0)
        sup_net_tell(s, "result",
                     json_pack("{s:s, s:b, s:s, s:o}", "what", what, "ok", 0, "why",
                               "another action is at work", "position",
                               cluster_position_to_json(&none)));
}

static void look_start(struct supervisor *s)
{
    uint64_t now = clock_mono_ms();
    bool web = s->health[0] && now >= s->web_next;
    json_t *request =
        json_pack("{s:I, s:s}", "epoch", (json_int_t)js_opt_u64(s->coordinator, "epoch", 0),
                  "health", web ? s->health : "");
    if (s->galera)
        json_object_set(request, "galera", s->galera);
    if (web)
        s->web_next = now + WEB_EVERY_MS;
    sup_job_start(&s->jobs[JOB_LOOK], "look", request);
}

static void watch_db(struct supervisor *s, pid_t pid)
{
    if (pid == s->db_pid)
        return;
    if (s->db_fd >= 0)
        close(s->db_fd);
    s->db_pid = pid;
    s->db_fd = pid > 0 ? pidfd_open(pid, 0) : -1;
}

void sup_cluster_db_died(struct supervisor *s)
{
    watch_db(s, 0);
    s->look_next = 0;
}

/* Calm: no member is about to change, and the end of the own database tells of itself. */
static uint64_t look_pause(const struct supervisor *s, bool runs)
{
    if (s->db_fd >= 0 && json_is_true(json_object_get(s->coordinator, "calm")))
        return LOOK_CALM_MS;
    bool settled = (!runs || strcmp(js_opt_str(s->db, "state", ""), "Synced") == 0) &&
                   strcmp(js_opt_str(s->coordinator, "state", "unconfigured"), "unconfigured") != 0;
    return settled ? LOOK_EVERY_MS : LOOK_SOON_MS;
}

/* What the agent could not ask, when that changed: nothing follows from it but these words. */
static void tell_look(struct supervisor *s, const json_t *db)
{
    const char *login = js_opt_str(db, "login", ""), *unknown = js_opt_str(db, "unknown", "");
    bool was_login = js_opt_str(s->db, "login", "")[0], was = js_opt_str(s->db, "unknown", "")[0];
    if (login[0] && strcmp(login, js_opt_str(s->db, "login", "")) != 0)
        sup_event(s, EVENT_CLUSTER, "cluster", "%s", login);
    else if (!login[0] && was_login && !unknown[0])
        sup_event(s, EVENT_CLUSTER, "cluster", "root can ask the database again");
    if (unknown[0] && !was)
        sup_event(s, EVENT_CLUSTER, "cluster",
                  "unknown: the database runs and cannot be asked (%s); nothing is stopped or "
                  "started because of it",
                  unknown);
}

static void on_look(struct supervisor *s, json_t *answer)
{
    json_t *db = json_object_get(answer, "db");
    json_t *web = json_object_get(answer, "web");
    if (web)
        s->web = (int)json_integer_value(web);
    if (!db)
        return;
    bool runs = json_is_true(json_object_get(db, "running"));
    sup_net_tell(s, "db", json_pack("{s:O}", "db", db));
    tell_look(s, db);
    watch_db(s, (pid_t)js_opt_u64(db, "pid", 0));
    json_object_del(db, "running");
    json_object_del(db, "answers");
    json_object_del(db, "pid");
    json_decref(s->db);
    s->db = json_incref(db);
    s->look_next = clock_mono_ms() + look_pause(s, runs);
}

/* NULL: it did not come so far. */
static json_t *take_answer(struct job *j)
{
    struct err err;
    json_t *answer = NULL;
    size_t len = 0;
    _cleanup_free_ char *text = NULL;
    _cleanup_free_ char *path = str_fmt("/proc/self/fd/%d", j->answer);
    if (fs_read(path, ANSWER_MAX, &text, &len, &err) == 0)
        js_parse(text, len, &answer, &err);
    close(j->answer);
    j->pid = 0;
    return answer;
}

void sup_job_died(struct supervisor *s, struct job *j, int status)
{
    json_t *answer = take_answer(j);
    if (j == &s->jobs[JOB_DRIFT]) {
        sup_drift_answer(s, answer);
        json_decref(answer);
        return;
    }
    if (j == &s->jobs[JOB_ENGINES]) {
        sup_engines_answer(s, answer);
        json_decref(answer);
        return;
    }
    if (j == &s->jobs[JOB_LOOK]) {
        s->look_next = clock_mono_ms() + (s->galera ? LOOK_EVERY_MS : WEB_EVERY_MS);
        if (answer)
            on_look(s, answer);
        json_decref(answer);
        return;
    }
    if (!answer) {
        if (j == &s->jobs[JOB_ACT])
            permit_close(); /* it must not outlive who opened it */
        struct cluster_position none = {.kind = DATADIR_UNKNOWN, .seqno = -1};
        _cleanup_free_ char *why = str_fmt("the %s action was killed (%d)", j->what, status);
        answer = json_pack("{s:s, s:b, s:s, s:o}", "what", j->what, "ok", 0, "why", why, "position",
                           cluster_position_to_json(&none));
    }
    if (!json_is_true(json_object_get(answer, "ok")))
        sup_event(s, EVENT_CLUSTER, "cluster", "%s: %s", j->what, js_opt_str(answer, "why", ""));
    s->look_next = 0;
    sup_net_tell(s, "result", answer);
}

/* --- messages and time --------------------------------------------------------------------- */

static void on_coordinator(struct supervisor *s, json_t *msg)
{
    struct err err;
    const char *state = js_opt_str(msg, "state", "?");
    const char *why = js_opt_str(msg, "why", "");
    const char *before = js_opt_str(s->coordinator, "state", "");
    bool changed = strcmp(state, before) != 0;
    bool alarmed = json_is_true(json_object_get(s->coordinator, "calm")) &&
                   !json_is_true(json_object_get(msg, "calm"));
    json_object_del(msg, "m");
    _cleanup_free_ char *text = js_text(msg);
    fs_write_atomic(PATH_COORDINATOR, text, strlen(text), 0600, &err);
    if (changed)
        sup_event(s, EVENT_CLUSTER, "cluster", "%s: %s", state, why);
    json_decref(s->coordinator);
    s->coordinator = json_incref(msg);
    /* It listens from now on, and knows nothing of the database; or something changes. */
    if (strcmp(state, "unconfigured") == 0 || alarmed)
        s->look_next = 0;
}

/* What 'muster-agent cluster-recover' left; it is used once, whatever comes of it. */
static void take_recover(struct supervisor *s)
{
    struct err err;
    size_t len = 0;
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *j = NULL;
    if (!s->cluster_told || !s->net_pid || fs_read(PATH_RECOVER, 4096, &text, &len, &err) < 0)
        return;
    unlink(PATH_RECOVER);
    if (js_parse(text, len, &j, &err) < 0)
        return;
    sup_event(s, EVENT_CLUSTER, "cluster", "an operator accepts the loss of %s",
              js_opt_str(j, "lost", "?"));
    sup_net_tell(s, "recover", json_incref(j));
}

static void on_recovered(struct supervisor *s, json_t *msg)
{
    struct err err;
    json_object_del(msg, "m");
    _cleanup_free_ char *text = js_text(msg);
    sup_event(s, EVENT_CLUSTER, "cluster", "%s: %s",
              json_is_true(json_object_get(msg, "ok")) ? "accepted" : "not accepted",
              js_opt_str(msg, "why", ""));
    fs_write_atomic(PATH_RECOVERED, text, strlen(text), 0600, &err);
}

void sup_cluster_message(struct supervisor *s, const char *m, json_t *msg)
{
    if (strcmp(m, "save") == 0)
        on_save(s, msg);
    else if (strcmp(m, "do") == 0)
        on_do(s, msg);
    else if (strcmp(m, "coordinator") == 0)
        on_coordinator(s, msg);
    else if (strcmp(m, "recovered") == 0)
        on_recovered(s, msg);
}

bool sup_cluster_eager(const struct supervisor *s)
{
    return s->galera && s->worker_pid &&
           (!s->cluster_told || strcmp(js_opt_str(s->coordinator, "state", ""), "primary") != 0);
}

void sup_cluster_tick(struct supervisor *s, uint64_t now)
{
    if (s->galera && !s->cluster_told)
        sup_cluster_tell(s);
    if (s->galera)
        take_recover(s);
    bool anything = (s->galera && fs_exists(GALERA_READY)) || s->health[0];
    if (anything && !s->jobs[JOB_LOOK].pid && now >= s->look_next)
        look_start(s);
}
