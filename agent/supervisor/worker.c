/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor's plan, and its worker that converges it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/ipc/helper.h"
#include "agent/ipc/paths.h"
#include "agent/supervisor/internal.h"
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

static void keep_event(struct supervisor *s, struct event *ev)
{
    struct err err = {0};
    if (outbox_add(s->outbox, ev, &err) < 0)
        log_warn("%s", err.msg);
    sup_net_events(s);
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
    str_copy(ev.node, sizeof(ev.node), s->boot.node);
    str_copy(ev.rev, sizeof(ev.rev), s->rev);
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

void sup_plan_load(struct supervisor *s)
{
    struct err err = {0};
    struct head h;
    _cleanup_json_ json_t *plan = NULL;
    char *text = NULL;
    size_t len = 0;
    str_copy(s->phase, sizeof(s->phase), "enrolled");
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
    str_copy(s->rev, sizeof(s->rev), h.rev);
    if (!s->has_boot)
        str_copy(s->boot.node, sizeof(s->boot.node), h.node);
    s->wanted = true;
    sup_cluster_plan(s, plan);
}

/* A plan takes the old one's place when the worker understands all of it. */
static int plan_keep(const json_t *plan, struct err *err)
{
    char program[PATH_MAX];
    struct proc_opts opts = {.timeout_s = 30};
    struct proc_result said = {0};
    char *text = js_text(plan);
    int r = fs_write_atomic(PATH_PLAN ".new", text, strlen(text), 0600, err);
    keys_wipe(text, strlen(text));
    free(text);
    helper_path(HELPER_WORKER, program, sizeof(program));
    if (r == 0 &&
        (r = proc_run(PROC_ARGV(program, "verify", PATH_PLAN ".new"), &opts, &said, err)) < 0 &&
        said.status >= PROC_NOT_STARTED) /* it gave no answer: that is not a "no" */
        err_wrap(err, "it could not be checked");
    proc_result_free(&said);
    if (r < 0) {
        unlink(PATH_PLAN ".new");
        return -1;
    }
    if (rename(PATH_PLAN ".new", PATH_PLAN) < 0)
        return err_errno(err, errno, "rename %s", PATH_PLAN);
    return fs_sync_parent(PATH_PLAN, err);
}

static int plan_accept(struct supervisor *s, const json_t *plan, struct head *ret, struct err *err)
{
    if (head_read(plan, ret, err) < 0)
        return -1;
    if (strcmp(ret->node, s->boot.node) != 0 || strcmp(ret->deployment, s->boot.deployment) != 0)
        return err_set(err, ERR_USAGE, "it is for %.32s of %.32s", ret->node, ret->deployment);
    return plan_keep(plan, err);
}

void sup_plan_take(struct supervisor *s, json_t *plan)
{
    struct err err = {0};
    struct head h;
    if (plan_accept(s, plan, &h, &err) < 0) {
        sup_event(s, EVENT_REFUSED, EVENT_ID_PLAN, "%s", err.msg);
        sup_event(s, EVENT_ABORTED, "", "the plan was not taken: %s", err.msg);
        return;
    }
    str_copy(s->rev, sizeof(s->rev), h.rev);
    s->wanted = true;
    s->worker_next = 0;
    s->worker_failures = 0;
    sup_cluster_plan(s, plan);
    sup_worker_start(s);
}

void sup_worker_start(struct supervisor *s)
{
    int pipefd[2];
    if (!s->wanted || s->worker_pid)
        return;
    _cleanup_close_ int plan_fd = open(PATH_PLAN, O_RDONLY | O_CLOEXEC);
    if (plan_fd < 0 || pipe2(pipefd, O_CLOEXEC) < 0) {
        log_warn("cannot start a worker: %s", strerror(errno));
        s->worker_next = clock_mono_ms() + RETRY_MIN_MS;
        return;
    }
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        helper_exec(PROC_ARGV(HELPER_WORKER, "apply", "--plan-fd", "3", "--event-fd", "4"), plan_fd,
                    pipefd[1]);
    }
    close(pipefd[1]);
    if (pid < 0) {
        close(pipefd[0]);
        s->worker_next = clock_mono_ms() + RETRY_MIN_MS;
        return;
    }
    s->worker_pid = pid;
    s->wanted = false;
    sup_drift_forget(s);
    s->said_end = false;
    chan_open(&s->worker, pipefd[0]);
    str_copy(s->worker_rev, sizeof(s->worker_rev), s->rev);
    str_copy(s->phase, sizeof(s->phase), "converging");
    s->step[0] = '\0';
}

static void on_event(struct supervisor *s, struct event *ev)
{
    switch (ev->kind) {
    case EVENT_DONE:
        s->said_end = true;
        s->worker_failures = 0;
        str_copy(s->phase, sizeof(s->phase), "ready");
        str_copy(s->result, sizeof(s->result), ev->msg);
        s->step[0] = '\0';
        break;
    case EVENT_ABORTED:
        s->said_end = true;
        str_copy(s->phase, sizeof(s->phase), "failed");
        break;
    default:
        if (ev->id[0])
            str_copy(s->step, sizeof(s->step), ev->id);
    }
    if (ev->kind != EVENT_PROGRESS && ev->kind != EVENT_OK)
        log_info("%s %s: %s", event_kind_name(ev->kind), ev->id, ev->msg);
    keep_event(s, ev);
}

void sup_worker_readable(struct supervisor *s)
{
    bool broken = false;
    bool alive = chan_fill(&s->worker);
    for (json_t *j; (j = chan_next(&s->worker, &broken));) {
        struct event ev;
        struct err err;
        if (event_from_json(j, &ev, &err) == 0)
            on_event(s, &ev);
        json_decref(j);
    }
    if (!alive || broken)
        chan_close(&s->worker); /* the end itself comes with SIGCHLD */
}

void sup_worker_died(struct supervisor *s, int status)
{
    if (s->worker.fd >= 0)
        sup_worker_readable(s);
    chan_close(&s->worker);
    s->worker_pid = 0;
    bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!s->said_end && !good) {
        str_copy(s->phase, sizeof(s->phase), "failed");
        if (WIFSIGNALED(status))
            sup_event(s, EVENT_ABORTED, "", "the worker was killed by signal %d", WTERMSIG(status));
        else
            sup_event(s, EVENT_ABORTED, "",
                      "the worker ended with exit code %d before the plan did",
                      WEXITSTATUS(status));
    }
    if (good || s->wanted) /* done, or a newer plan waits */
        return;
    uint64_t wait = RETRY_MIN_MS << (s->worker_failures < 4 ? s->worker_failures : 4);
    s->worker_failures++;
    s->wanted = true;
    s->worker_next = clock_mono_ms() + (wait < RETRY_MAX_MS ? wait : RETRY_MAX_MS);
}
