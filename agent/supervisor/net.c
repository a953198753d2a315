/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor's side of the net process: starting it without privilege, and its messages. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/ipc/helper.h"
#include "agent/ipc/paths.h"
#include "agent/supervisor/internal.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/js.h"
#include "common/log.h"
#include "common/proc.h"

#define RESTART_MAX_MS 30000
#define ACK_TIMEOUT_MS 15000

bool sup_net_runs(const struct supervisor *s)
{
    return s->net.pid;
}

void sup_net_send(struct supervisor *s, enum ipc_msg m, json_t *members)
{
    json_t *msg = ipc_make(m, members);

    if (s->net.pid)
        chan_send(&s->net.chan, msg);
    else
        json_decref(msg);
}

void sup_net_info(struct supervisor *s)
{
    sup_net_send(s, IPC_INFO,
                 json_pack("{s:s, s:I, s:I}", "rev", sup_plan_rev(s), "last_seq",
                           (json_int_t)outbox_last(s->outbox), "counter",
                           (json_int_t)sup_plan_counter(s)));
}

static void launch(struct supervisor *s)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        log_warn("cannot start the net process: %s", strerror(errno));
        s->net.next = clock_mono_ms() + 1000;
        return;
    }
    pid_t pid = helper_start(PROC_ARGV(HELPER_NET), pair[1], -1, true);
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        s->net.next = clock_mono_ms() + 1000;
        return;
    }
    s->net.pid = pid;
    s->net.online = false;
    chan_open(&s->net.chan, pair[0]);
    sup_net_info(s);
    sup_state_again(s);
    sup_cluster_send(s);
}

static bool died(struct supervisor *s, pid_t pid, int status)
{
    if (pid != s->net.pid)
        return false;
    uint64_t wait = 500ULL << (s->net.failures < 6 ? s->net.failures : 6);
    s->net.failures++;
    s->net.pid = 0;
    s->net.online = false;
    chan_close(&s->net.chan);
    s->net.next = clock_mono_ms() + (wait < RESTART_MAX_MS ? wait : RESTART_MAX_MS);
    if (sup_cluster_leaves(s)) {
        sup_cluster_left(s);
        return true;
    }
    if (WIFSIGNALED(status))
        log_warn("the net process was killed by signal %d; it starts again", WTERMSIG(status));
    else
        log_warn("the net process ended with %d; it starts again", WEXITSTATUS(status));
    return true;
}

void sup_net_events(struct supervisor *s)
{
    const char *text;

    if (!s->net.online)
        return;
    if (outbox_count(s->outbox) && clock_mono_ms() - s->net.acked_at > ACK_TIMEOUT_MS) {
        outbox_rewind(s->outbox);
        s->net.acked_at = clock_mono_ms();
    }
    while ((text = outbox_next(s->outbox)))
        sup_net_send(s, IPC_EVENT,
                     json_pack("{s:o}", "event", json_loads(text, JSON_DECODE_ANY, NULL)));
}

static void on_bound(struct supervisor *s)
{
    struct err err = {0};

    if (bootstrap_forget(PATH_BOOTSTRAP, &s->boot, &err) < 0)
        log_warn("the bootstrap key could not be erased everywhere: %s", err.msg);
    else
        log_info("enrolled; the bootstrap key is erased");
}

static void on_message(struct supervisor *s, enum ipc_msg m, json_t *msg)
{
    switch (m) {
    case IPC_BOUND:
        on_bound(s);
        break;
    case IPC_ONLINE:
        s->net.online = true;
        s->net.failures = 0;
        s->net.acked_at = clock_mono_ms();
        outbox_rewind(s->outbox);
        sup_state_again(s);
        break;
    case IPC_ACK:
        outbox_ack(s->outbox, js_opt_u64(msg, "seq", 0));
        s->net.acked_at = clock_mono_ms();
        break;
    case IPC_LOOK:
        sup_drift_ask(s, js_opt_u64(msg, "id", 0), js_opt_bool(msg, "repair", true),
                      js_opt_bool(msg, "careful", false));
        break;
    case IPC_PLAN:
        sup_plan_came(s, js_opt_str(msg, "text", ""), js_opt_str(msg, "sig", ""));
        break;
    case IPC_MEASURE:
        sup_measure_take(s, msg);
        break;
    default:
        sup_cluster_message(s, m, msg);
        break;
    }
}

static void take_messages(struct supervisor *s)
{
    bool alive = chan_fill(&s->net.chan), broken = false;
    struct err err = {0};
    enum ipc_msg m;

    for (json_t *msg; s->net.pid && !broken && (msg = chan_next(&s->net.chan, &broken));) {
        if (ipc_decode(msg, IPC_FROM_NET, &m, &err) == 0)
            on_message(s, m, msg);
        else
            broken = true;
        json_decref(msg);
    }
    if (err.msg[0])
        log_warn("from the net process: %s", err.msg);
    if (!alive || broken) {
        sup_net_again(s);
        chan_close(&s->net.chan);
    }
}

void sup_net_again(struct supervisor *s)
{
    if (s->net.pid)
        kill(s->net.pid, SIGKILL); /* reaped through SIGCHLD */
}

static void start(struct supervisor *s)
{
    s->net.chan.fd = -1;
}

static int fd(const struct supervisor *s, short *ret_events)
{
    *ret_events = (short)(POLLIN | (chan_wants_write(&s->net.chan) ? POLLOUT : 0));
    return s->net.pid ? s->net.chan.fd : -1;
}

static void readable(struct supervisor *s, short revents)
{
    if (revents & POLLOUT)
        chan_flush(&s->net.chan);
    if (revents & (POLLIN | POLLHUP | POLLERR))
        take_messages(s);
}

static void tick(struct supervisor *s, uint64_t now)
{
    if (s->has_boot && !s->net.pid && now >= s->net.next)
        launch(s);
    sup_net_events(s);
}

static uint64_t due(const struct supervisor *s, uint64_t now)
{
    (void)now;
    if (s->has_boot && !s->net.pid)
        return s->net.next;
    return s->net.online && outbox_count(s->outbox) ? s->net.acked_at + ACK_TIMEOUT_MS + 1
                                                    : UINT64_MAX;
}

static void stop(struct supervisor *s)
{
    if (s->net.pid)
        kill(s->net.pid, SIGTERM);
}

const struct sup_part sup_net = {start, fd, readable, died, tick, due, stop};
