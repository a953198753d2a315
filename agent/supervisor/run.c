/* SPDX-License-Identifier: Apache-2.0 */
/* `muster-agent run`: the supervisor's loop.
 *
 *   controller   <--CURVE--> net           <--lines--> supervisor <--lines-- worker (root)
 *   other agents <--CURVE--> (unprivileged,              (root)   |
 *                            coordinator)                         `-- jobs: look, drift,
 *                                                                     position, boot, join,
 *                                                                     stop, abandon, row,
 *                                                                     measure
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
#include "agent/ipc/paths.h"
#include "agent/ipc/permit.h"
#include "agent/ipc/trim.h"
#include "agent/supervisor/identity.h"
#include "agent/supervisor/internal.h"
#include "agent/supervisor/verbs.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"

/* What a part could not do when it was due it tries again after: the loop must not spin. */
#define LATE_MS 1000

/* In the order in which each is asked; the state is told last. */
static const struct sup_part *const parts[] = {
    &sup_net,    &sup_cluster, &sup_watch,   &sup_engines,     &sup_drift,
    &sup_worker, &sup_hooks,   &sup_measure, &sup_backup_part, &sup_state,
};

static void reap(struct supervisor *s)
{
    int status = 0;

    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (size_t i = 0; i < ARRAY_LEN(parts); i++)
            if (parts[i]->died && parts[i]->died(s, pid, status))
                break;
}

/* False: stop. */
static bool on_signal(struct supervisor *s, int fd)
{
    struct signalfd_siginfo info;
    bool go_on = true;

    while (read(fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            reap(s);
        else if (info.ssi_signo == SIGHUP)
            sup_drift_now(s);
        else if (info.ssi_signo != SIGUSR1) /* an operator asks: seen in the ticks that follow */
            go_on = false;
    }
    return go_on;
}

/* Once, when the node has become idle: what it took to come here is given back. */
static bool settle(struct supervisor *s, bool settled)
{
    bool now = sup_cluster_stable(s) && sup_worker_ready(s);

    if (now && !settled) {
        sup_net_send(s, IPC_TRIM, NULL);
        trim_memory();
    }
    return now;
}

static void tick(struct supervisor *s)
{
    uint64_t now = clock_mono_ms();

    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (parts[i]->tick)
            parts[i]->tick(s, now);
}

static int wait_ms(const struct supervisor *s)
{
    uint64_t now = clock_mono_ms(), due = UINT64_MAX;

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        uint64_t at = parts[i]->due(s, now);

        if (at <= now)
            at = now + LATE_MS;
        due = at < due ? at : due;
    }
    return (int)(due - now);
}

static void loop(struct supervisor *s, int sigfd)
{
    struct pollfd p[ARRAY_LEN(parts) + 1] = {0};
    bool settled = false;

    for (bool end = false; !end || sup_cluster_leaves(s); settled = settle(s, settled)) {
        for (size_t i = 0; i < ARRAY_LEN(parts); i++)
            p[i].fd = parts[i]->fd ? parts[i]->fd(s, &p[i].events) : -1;
        p[ARRAY_LEN(parts)] = (struct pollfd){.fd = sigfd, .events = POLLIN};
        poll(p, ARRAY_LEN(p), wait_ms(s));
        for (size_t i = 0; i < ARRAY_LEN(parts); i++)
            if (p[i].fd >= 0 && p[i].revents)
                parts[i]->readable(s, p[i].revents);
        if (p[ARRAY_LEN(parts)].revents && !on_signal(s, sigfd)) {
            end = true;
            sup_cluster_leave(s);
        }
        tick(s);
    }
}

static int own_state(struct supervisor *s, struct err *err)
{
    _cleanup_free_ char *aside = NULL;
    struct machine now;

    machine_look(&now);
    if (identity_settle(PATH_STATE, s->has_boot ? &s->boot : NULL, &now, &aside, err) < 0)
        return -1;
    if (aside)
        log_warn("the state of another machine was here; it is in %s now, and this one enrols as "
                 "node %s",
                 aside, s->boot.node);
    return 0;
}

static int prepare(struct supervisor *s, struct err *err)
{
    if (geteuid() != 0)
        return err_set(err, ERR_USAGE, "'run' needs root: it changes packages, disks and services");
    if (fs_mkdirs(PATH_STATE, 0711, err) < 0 || fs_mkdirs(PATH_RUN, 0755, err) < 0)
        return -1;
    /* No action of a life before this one may still use its permit. */
    permit_close();
    s->has_boot = fs_exists(PATH_BOOTSTRAP);
    if (!s->has_boot)
        log_warn("%s is missing: no controller is known; the plan on disk is kept up alone",
                 PATH_BOOTSTRAP);
    else if (bootstrap_load(PATH_BOOTSTRAP, &s->boot, err) < 0)
        return -1;
    if (own_state(s, err) < 0)
        return -1;
    return fs_mkdirs(PATH_CLUSTER, 0700, err) < 0 ? -1 : outbox_open(PATH_OUTBOX, &s->outbox, err);
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
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    _cleanup_close_ int sigfd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (prepare(s, &err) < 0) {
        int code = cmd_fail(&err);

        /* What only an operator can decide is said once, not at every restart by systemd. */
        for (struct pollfd p = {.fd = sigfd, .events = POLLIN}; code == ERR_SAFETY && !p.revents;)
            poll(&p, 1, -1);
        return code;
    }
    log_info("version " MUSTER_VERSION " starts");
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (parts[i]->start)
            parts[i]->start(s);
    tick(s);
    loop(s, sigfd);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (parts[i]->stop)
            parts[i]->stop(s);
    outbox_free(s->outbox);
    free(s);
    return 0;
}
