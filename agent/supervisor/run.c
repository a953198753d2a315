/* SPDX-License-Identifier: Apache-2.0 */
/* `muster-agent run`: the supervisor's loop.
 *
 *   controller   <--CURVE--> net           <--lines--> supervisor <--lines-- worker (root)
 *   other agents <--CURVE--> (unprivileged,              (root)   |
 *                            coordinator)                         `-- jobs: look, drift,
 *                                                                     position, boot, join,
 *                                                                     stop, abandon, row
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/ipc/cmd.h"
#include "agent/ipc/lean.h"
#include "agent/ipc/paths.h"
#include "agent/ipc/permit.h"
#include "agent/supervisor/internal.h"
#include "agent/supervisor/verbs.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"

#define TICK_MS 1000     /* to see what another process makes */
#define TICK_SOON_MS 100 /* while something is under way */

static void reap(struct supervisor *s)
{
    int status = 0;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid == s->net_pid)
            sup_net_died(s, status);
        else if (pid == s->worker_pid)
            sup_worker_died(s, status);
        for (size_t i = 0; i < JOBS; i++)
            if (pid == s->jobs[i].pid)
                sup_job_died(s, &s->jobs[i], status);
    }
}

static void on_signal(struct supervisor *s, int fd)
{
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            reap(s);
        else if (info.ssi_signo == SIGHUP)
            s->drift_next = 0; /* look for drift now */
        else
            s->stopping = true;
    }
}

/* Once, when the node has come to rest: what it took to come here is given back. */
static void settle(struct supervisor *s)
{
    bool calm = !s->galera || json_is_true(json_object_get(s->coordinator, "calm"));
    bool settled = calm && !s->worker_pid && !s->wanted && strcmp(s->phase, "ready") == 0;
    if (settled && !s->settled) {
        sup_net_tell(s, "lean", NULL);
        lean();
    }
    s->settled = settled;
}

static void tick(struct supervisor *s)
{
    uint64_t now = clock_mono_ms();
    if (s->has_boot && !s->net_pid && now >= s->net_next)
        sup_net_start(s);
    if (s->wanted && !s->worker_pid && now >= s->worker_next)
        sup_worker_start(s);
    sup_cluster_tick(s, now);
    sup_engines_tick(s, now);
    sup_drift_tick(s, now);
    sup_state_tell(s, now);
    sup_net_events(s);
    settle(s);
}

/* Until the next thing that tick does by time. What it could not do just now, in a second. */
static int wait_ms(const struct supervisor *s)
{
    uint64_t now = clock_mono_ms(), due = s->state_sent_at + STATE_EVERY_MS;
    bool idle = !s->worker_pid && !s->wanted;
    if (sup_cluster_eager(s))
        return TICK_SOON_MS;
    if (s->galera && (!s->cluster_told || !fs_exists(GALERA_READY)))
        return TICK_MS;
    struct {
        bool applies;
        uint64_t at;
    } times[] = {
        {s->has_boot && !s->net_pid, s->net_next},
        {s->wanted && !s->worker_pid, s->worker_next},
        {(s->galera || s->health[0]) && !s->jobs[JOB_LOOK].pid, s->look_next},
        {s->engines_fd >= 0 && !s->jobs[JOB_ENGINES].pid, s->engines_next},
        {idle && strcmp(s->phase, "ready") == 0 && !s->jobs[JOB_DRIFT].pid, s->drift_next},
        {s->online && outbox_count(s->outbox), s->acked_at + ACK_PATIENCE_MS + 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(times); i++)
        if (times[i].applies && times[i].at < due)
            due = times[i].at;
    return due > now ? (int)(due - now) : TICK_MS;
}

static void loop(struct supervisor *s, int sigfd)
{
    while (!s->stopping) {
        struct pollfd p[] = {
            {.fd = sigfd, .events = POLLIN},
            {.fd = s->net_pid ? s->net.fd : -1,
             .events = (short)(POLLIN | (chan_wants_write(&s->net) ? POLLOUT : 0))},
            {.fd = s->worker_pid ? s->worker.fd : -1, .events = POLLIN},
            {.fd = s->db_fd, .events = POLLIN},
            {.fd = s->engines_fd, .events = POLLIN},
        };
        poll(p, ARRAY_LEN(p), wait_ms(s));
        if (p[1].revents & POLLOUT)
            chan_flush(&s->net);
        if (p[1].revents & (POLLIN | POLLHUP | POLLERR))
            sup_net_readable(s);
        if (p[2].revents)
            sup_worker_readable(s);
        if (p[3].revents)
            sup_cluster_db_died(s);
        if (p[4].revents)
            sup_engines_readable(s);
        if (p[0].revents)
            on_signal(s, sigfd);
        tick(s);
    }
}

static int prepare(struct supervisor *s, struct err *err)
{
    if (geteuid() != 0)
        return err_set(err, ERR_USAGE, "'run' needs root: it changes packages, disks and services");
    if (fs_mkdirs(PATH_STATE, 0711, err) < 0 || fs_mkdirs(PATH_RUN, 0755, err) < 0 ||
        fs_mkdirs(PATH_CLUSTER, 0700, err) < 0 || outbox_open(PATH_OUTBOX, &s->outbox, err) < 0)
        return -1;
    /* No action of a life before this one may still use its permit. */
    permit_close();
    if (!fs_exists(PATH_BOOTSTRAP)) {
        log_warn("%s is missing: no controller is known; the plan on disk is kept up alone",
                 PATH_BOOTSTRAP);
        return 0;
    }
    if (bootstrap_load(PATH_BOOTSTRAP, &s->boot, err) < 0)
        return -1;
    s->has_boot = true;
    s->bound = !s->boot.has_secret;
    return 0;
}

static void stop(struct supervisor *s)
{
    /* Children of a stopped service would be killed by systemd anyway; jobs may finish. */
    if (s->net_pid)
        kill(s->net_pid, SIGTERM);
    if (s->worker_pid)
        kill(s->worker_pid, SIGTERM);
}

int cmd_run(int argc, char **argv)
{
    (void)argv;
    struct supervisor *s = calloc(1, sizeof(*s));
    struct err err = {0};
    sigset_t set;
    if (argc > 1)
        return cmd_usage("run", "takes no argument");
    if (!s)
        abort();
    s->net.fd = s->worker.fd = s->db_fd = s->engines_fd = -1;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    _cleanup_close_ int sigfd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (prepare(s, &err) < 0)
        return cmd_fail(&err);
    log_info("version " MUSTER_VERSION " starts");
    sup_plan_load(s);
    tick(s);
    loop(s, sigfd);
    stop(s);
    outbox_free(s->outbox);
    free(s);
    return 0;
}
