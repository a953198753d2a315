/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor's plan and its worker: this program executed again as `apply`. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/paths.h"
#include "agent/supervisor.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/keys.h"
#include "common/log.h"
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

void sup_plan_load(struct supervisor *s)
{
    struct err err = {0};
    _cleanup_(plan_cleanup) struct plan *p = NULL;
    str_copy(s->phase, sizeof(s->phase), "enrolled");
    if (!fs_exists(PATH_PLAN))
        return;
    if (plan_load(PATH_PLAN, &p, &err) < 0) {
        log_warn("%s; waiting for a new plan", err.msg);
        return;
    }
    str_copy(s->rev, sizeof(s->rev), p->rev);
    if (!s->has_boot)
        str_copy(s->boot.node, sizeof(s->boot.node), p->node);
    s->wanted = true;
    sup_cluster_plan(s, p);
}

void sup_plan_take(struct supervisor *s, json_t *plan)
{
    struct err err = {0};
    _cleanup_(plan_cleanup) struct plan *p = NULL;
    if (!plan || plan_from_json(plan, &p, &err) < 0) {
        sup_event(s, EVENT_REFUSED, "", "plan refused: %s", plan ? err.msg : "none in the message");
        return;
    }
    if (strcmp(p->node, s->boot.node) != 0 || strcmp(p->deployment, s->boot.deployment) != 0) {
        sup_event(s, EVENT_REFUSED, "", "plan refused: it is for %.32s of %.32s", p->node,
                  p->deployment);
        return;
    }
    char *text = js_text(plan);
    int r = fs_write_atomic(PATH_PLAN, text, strlen(text), 0600, &err);
    keys_wipe(text, strlen(text));
    free(text);
    if (r < 0) {
        sup_event(s, EVENT_FAILED, "", "cannot keep the plan: %s", err.msg);
        return;
    }
    str_copy(s->rev, sizeof(s->rev), p->rev);
    s->wanted = true;
    s->worker_next = 0;
    s->worker_failures = 0;
    sup_cluster_plan(s, p);
    sup_worker_start(s);
}

static void worker_exec(int plan_fd, int event_fd)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* Out of the way of 3 and 4 first; dup2 then leaves them open over exec. */
    int p = fcntl(plan_fd, F_DUPFD_CLOEXEC, 10), e = fcntl(event_fd, F_DUPFD_CLOEXEC, 10);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (p < 0 || e < 0 || null < 0 || dup2(null, 0) < 0 || dup2(p, 3) < 0 || dup2(e, 4) < 0)
        _exit(126);
    execl("/proc/self/exe", "muster-agent", "apply", "--plan-fd", "3", "--event-fd", "4",
          (char *)NULL);
    _exit(127);
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
    if (pid == 0)
        worker_exec(plan_fd, pipefd[1]);
    close(pipefd[1]);
    if (pid < 0) {
        close(pipefd[0]);
        s->worker_next = clock_mono_ms() + RETRY_MIN_MS;
        return;
    }
    s->worker_pid = pid;
    s->wanted = false;
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
