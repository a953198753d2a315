/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor's plan, and its worker that converges it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/ipc/helper.h"
#include "agent/ipc/paths.h"
#include "agent/supervisor/internal.h"
#include "agent/supervisor/signed_plan.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/proc.h"
#include "common/str.h"

#define RETRY_MIN_MS 5000
#define RETRY_MAX_MS 60000
#define CHECK_TIMEOUT_MS 30000

static void keep_event(struct supervisor *s, struct event *ev)
{
    struct err err = {0};

    if (outbox_add(s->outbox, ev, &err) < 0)
        log_warn("%s", err.msg);
    sup_net_events(s);
    sup_hooks_event(s, ev);
}

void sup_event(struct supervisor *s, enum event_kind kind, const char *id, const char *fmt, ...)
{
    struct event ev = {.ts = clock_wall_ms()};
    char msg[EVENT_MSG_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    event_fill(&ev, kind, id, "%s", msg);
    str_copy(ev.node, sizeof(ev.node), s->worker.node);
    str_copy(ev.rev, sizeof(ev.rev), s->worker.rev);
    log_info("%s %s: %s", event_kind_name(kind), id, ev.msg);
    keep_event(s, &ev);
}

/* The few members that the supervisor itself needs; the worker judges all of it. */
struct head {
    const char *rev, *node, *deployment;
};

static int head_read(const json_t *plan, struct head *ret, struct err *err)
{
    if (js_str(plan, "rev", &ret->rev, err) < 0 || js_str(plan, "node", &ret->node, err) < 0 ||
        js_str(plan, "deployment", &ret->deployment, err) < 0)
        return -1;
    return strlen(ret->rev) < EVENT_REV_MAX && strlen(ret->node) < EVENT_NODE_MAX
               ? 0
               : err_set(err, ERR_USAGE, "plan: a name is too long");
}

const json_t *sup_plan_step(const json_t *plan, const char *type)
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

static void start(struct supervisor *s)
{
    struct err err = {0};
    struct head h;
    _cleanup_json_ json_t *plan = NULL;
    char *text = NULL;
    size_t len = 0;

    s->worker.chan.fd = -1;
    s->worker.phase = PHASE_ENROLLED;
    if (s->has_boot)
        str_copy(s->worker.node, sizeof(s->worker.node), s->boot.node);
    if (signed_plan_load(PATH_PLAN_COUNTER, &s->worker.counter, &err) < 0) {
        str_copy(s->worker.no_counter, sizeof(s->worker.no_counter), err.msg);
        log_warn("%s", err.msg);
    }
    if (!fs_exists(PATH_PLAN))
        return;
    int r = fs_read(PATH_PLAN, PLAN_SIZE_MAX, &text, &len, &err);
    if (r == 0) {
        r = js_parse(text, len, &plan, &err);
        keys_wipe(text, len);
        free(text);
    }
    if (r < 0 || head_read(plan, &h, &err) < 0) {
        log_warn("%s; waiting for a new plan", err.msg);
        return;
    }
    str_copy(s->worker.rev, sizeof(s->worker.rev), h.rev);
    if (!s->has_boot)
        str_copy(s->worker.node, sizeof(s->worker.node), h.node);
    s->worker.wanted = true;
    sup_cluster_plan(s, plan);
    sup_watch_plan(s, plan);
    sup_share_plan(s, plan);
    sup_backup_plan(s, plan);
}

/* --- a new plan ---------------------------------------------------------------------------- */

static void refuse(struct supervisor *s, const char *why)
{
    sup_event(s, EVENT_REFUSED, EVENT_ID_PLAN, "%s", why);
    sup_event(s, EVENT_ABORTED, "", "the plan was not taken: %s", why);
    sup_net_info(s);
}

/* A worker understands all of it: it takes the old one's place. */
static void accept_plan(struct supervisor *s, const json_t *plan)
{
    struct err err = {0};
    char *text = js_text(plan);
    int r = fs_write_atomic(PATH_PLAN, text, strlen(text), 0600, &err);

    keys_wipe(text, strlen(text));
    free(text);
    if (r < 0) {
        refuse(s, err.msg);
        return;
    }
    str_copy(s->worker.rev, sizeof(s->worker.rev), js_opt_str(plan, "rev", ""));
    sup_cluster_plan(s, plan);
    sup_watch_plan(s, plan);
    sup_share_plan(s, plan);
    sup_backup_plan(s, plan);
    sup_worker_again(s);
    sup_net_info(s);
}

static void check(struct supervisor *s, const json_t *plan)
{
    s->worker.came = json_incref((json_t *)plan);
    s->worker.check.bound = true;
    s->worker.check_until = clock_mono_ms() + CHECK_TIMEOUT_MS;
    if (sup_job_start(&s->worker.check, IPC_JOB_PLAN, json_pack("{s:O}", "plan", plan)) == 0)
        return;
    json_decref(s->worker.came);
    s->worker.came = NULL;
    refuse(s, "it could not be checked: no worker could be started");
}

/* No answer is not a "no": the plan is refused with that reason, and may be sent again. */
static void checked(struct supervisor *s)
{
    _cleanup_json_ json_t *answer = sup_job_end(&s->worker.check);
    _cleanup_json_ json_t *plan = s->worker.came;
    _cleanup_json_ json_t *latest = s->worker.latest;

    s->worker.came = s->worker.latest = NULL;
    if (!answer)
        refuse(s, "it could not be checked: the worker gave no answer");
    else if (!json_is_true(json_object_get(answer, "ok")))
        refuse(s, js_opt_str(answer, "why", ""));
    else
        accept_plan(s, plan);
    if (latest)
        check(s, latest);
}

void sup_plan_take(struct supervisor *s, const json_t *plan)
{
    struct err err = {0};
    struct head h;
    int r = head_read(plan, &h, &err);

    if (r == 0 &&
        (strcmp(h.node, s->worker.node) != 0 || strcmp(h.deployment, s->boot.deployment) != 0))
        r = err_set(&err, ERR_USAGE, "it is for %.32s of %.32s", h.node, h.deployment);
    if (r < 0) {
        refuse(s, err.msg);
    } else if (s->worker.check.pid) {
        json_decref(s->worker.latest);
        s->worker.latest = json_incref((json_t *)plan);
    } else {
        check(s, plan);
    }
}

/* The counter is durable before anything follows from the plan. After a crash in between this one
 * is not taken again: the controller sends what it has with a new one. */
void sup_plan_came(struct supervisor *s, const char *text, const char *sig)
{
    _cleanup_json_ json_t *plan = NULL;
    uint64_t counter = 0;
    struct err err = {0};

    if (s->worker.no_counter[0]) {
        refuse(s, s->worker.no_counter);
        return;
    }
    if (signed_plan_open(s->boot.sign_key, text, sig, s->worker.counter, &plan, &counter, &err) <
            0 ||
        signed_plan_save(PATH_PLAN_COUNTER, counter, &err) < 0) {
        refuse(s, err.msg);
        return;
    }
    s->worker.counter = counter;
    sup_net_info(s);
    sup_plan_take(s, plan);
}

/* --- a run --------------------------------------------------------------------------------- */

static void launch(struct supervisor *s)
{
    int pipefd[2];

    if (!s->worker.wanted || s->worker.pid || sup_measure_installs(s))
        return;
    _cleanup_close_ int plan_fd = open(PATH_PLAN, O_RDONLY | O_CLOEXEC);
    if (plan_fd < 0 || pipe2(pipefd, O_CLOEXEC) < 0) {
        log_warn("cannot start a worker: %s", strerror(errno));
        s->worker.next = clock_mono_ms() + RETRY_MIN_MS;
        return;
    }
    pid_t pid = helper_start(PROC_ARGV(HELPER_WORKER, "apply", "--plan-fd", "3", "--event-fd", "4"),
                             plan_fd, pipefd[1], true);
    close(pipefd[1]);
    if (pid < 0) {
        close(pipefd[0]);
        s->worker.next = clock_mono_ms() + RETRY_MIN_MS;
        return;
    }
    s->worker.pid = pid;
    s->worker.wanted = false;
    sup_drift_forget(s);
    s->worker.said_end = false;
    s->worker.flaw[0] = '\0';
    chan_open(&s->worker.chan, pipefd[0]);
    s->worker.phase = PHASE_CONVERGING;
    s->worker.step[0] = '\0';
}

static void on_event(struct supervisor *s, struct event *ev)
{
    switch (ev->kind) {
    case EVENT_DONE:
        s->worker.said_end = true;
        s->worker.failures = 0;
        s->worker.phase = PHASE_READY;
        s->worker.changed = ev->changed;
        s->worker.ok = ev->ok;
        s->worker.step[0] = '\0';
        break;
    case EVENT_ABORTED:
        s->worker.said_end = true;
        s->worker.phase = PHASE_FAILED;
        break;
    default:
        if (ev->id[0])
            str_copy(s->worker.step, sizeof(s->worker.step), ev->id);
    }
    if (ev->kind != EVENT_PROGRESS && ev->kind != EVENT_OK)
        log_info("%s %s: %s", event_kind_name(ev->kind), ev->id, ev->msg);
    keep_event(s, ev);
}

static int take(struct supervisor *s, const json_t *msg, struct err *err)
{
    struct event ev;
    enum ipc_msg m;

    if (ipc_decode(msg, IPC_FROM_WORKER, &m, err) < 0)
        return -1;
    if (m != IPC_RUN_EVENT)
        return err_set(err, ERR_FAILED, "message '%s' is none of a run", ipc_msg_name(m));
    if (event_from_json(json_object_get(msg, "event"), &ev, err) < 0)
        return -1;
    if (ev.origin != EVENT_OF_AGENT)
        return err_set(err, ERR_FAILED, "event: it says that the controller made it");
    on_event(s, &ev);
    return 0;
}

/* What it says from here on is not heard; it may be ended anywhere, and the run begins again. */
static void distrust(struct supervisor *s, const char *why)
{
    str_copy(s->worker.flaw, sizeof(s->worker.flaw), why);
    kill(s->worker.pid, SIGKILL);
}

static void readable(struct supervisor *s, short revents)
{
    struct err err = {0};
    bool broken = false;

    (void)revents;
    bool alive = chan_fill(&s->worker.chan);
    for (json_t *j; !broken && (j = chan_next(&s->worker.chan, &broken));) {
        broken = take(s, j, &err) < 0;
        json_decref(j);
    }
    if (broken)
        distrust(s, err.msg[0] ? err.msg : "a line that is no JSON");
    if (!alive || broken)
        chan_close(&s->worker.chan); /* the end itself comes with SIGCHLD */
}

static void emit_end(struct supervisor *s, int status)
{
    if (s->worker.flaw[0])
        sup_event(s, EVENT_ABORTED, "", "the worker was ended, its messages are not understood: %s",
                  s->worker.flaw);
    else if (WIFSIGNALED(status))
        sup_event(s, EVENT_ABORTED, "", "the worker was killed by signal %d", WTERMSIG(status));
    else
        sup_event(s, EVENT_ABORTED, "", "the worker ended with exit code %d before the plan did",
                  WEXITSTATUS(status));
}

static bool died(struct supervisor *s, pid_t pid, int status)
{
    if (pid == s->worker.check.pid) {
        checked(s);
        return true;
    }
    if (pid != s->worker.pid)
        return false;
    if (s->worker.chan.fd >= 0)
        readable(s, POLLIN);
    chan_close(&s->worker.chan);
    s->worker.pid = 0;
    sup_watch_all(s); /* it may have started or stopped what is looked at */
    bool good =
        s->worker.said_end && !s->worker.flaw[0] && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!good && (!s->worker.said_end || s->worker.flaw[0])) {
        s->worker.phase = PHASE_FAILED;
        emit_end(s, status);
    }
    if (good || s->worker.wanted) /* done, or a newer plan waits */
        return true;
    uint64_t wait = RETRY_MIN_MS << (s->worker.failures < 4 ? s->worker.failures : 4);
    s->worker.failures++;
    s->worker.wanted = true;
    s->worker.next = clock_mono_ms() + (wait < RETRY_MAX_MS ? wait : RETRY_MAX_MS);
    return true;
}

static int fd(const struct supervisor *s, short *ret_events)
{
    *ret_events = POLLIN;
    return s->worker.pid ? s->worker.chan.fd : -1;
}

static void tick(struct supervisor *s, uint64_t now)
{
    if (s->worker.check.pid && now >= s->worker.check_until)
        kill(s->worker.check.pid, SIGKILL);
    if (s->worker.wanted && !s->worker.pid && now >= s->worker.next)
        launch(s);
}

static uint64_t due(const struct supervisor *s, uint64_t now)
{
    (void)now;
    uint64_t run = s->worker.wanted && !s->worker.pid ? s->worker.next : UINT64_MAX;

    return s->worker.check.pid && s->worker.check_until < run ? s->worker.check_until : run;
}

/* systemd would kill it anyway; jobs may finish. */
static void stop(struct supervisor *s)
{
    if (s->worker.pid)
        kill(s->worker.pid, SIGTERM);
    json_decref(s->worker.came);
    json_decref(s->worker.latest);
}

const struct sup_part sup_worker = {start, fd, readable, died, tick, due, stop};

/* --- for the other parts ------------------------------------------------------------------- */

const char *sup_plan_rev(const struct supervisor *s)
{
    return s->worker.rev;
}

uint64_t sup_plan_counter(const struct supervisor *s)
{
    return s->worker.counter;
}

bool sup_worker_runs(const struct supervisor *s)
{
    return s->worker.pid;
}

bool sup_worker_idle(const struct supervisor *s)
{
    return !s->worker.pid && !s->worker.wanted;
}

bool sup_worker_ready(const struct supervisor *s)
{
    return sup_worker_idle(s) && s->worker.phase == PHASE_READY;
}

void sup_worker_again(struct supervisor *s)
{
    s->worker.wanted = true;
    s->worker.next = 0;
    s->worker.failures = 0;
    launch(s);
}

void sup_worker_hurry(struct supervisor *s)
{
    if (s->worker.wanted)
        s->worker.next = 0;
}

void sup_worker_add_state(const struct supervisor *s, json_t *state)
{
    json_object_set_new(state, "phase", json_string(proto_phase_name(s->worker.phase)));
    json_object_set_new(state, "rev", json_string(s->worker.rev));
    json_object_set_new(state, "changed", json_integer(s->worker.changed));
    json_object_set_new(state, "ok", json_integer(s->worker.ok));
    json_object_set_new(state, "step", json_string(s->worker.step));
}
