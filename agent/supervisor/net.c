/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor's side of the net process: starting it without privilege, and its messages. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
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

void sup_net_tell(struct supervisor *s, const char *m, json_t *members)
{
    if (!members)
        members = json_object();
    json_object_set_new(members, "m", json_string(m));
    if (s->net_pid)
        chan_send(&s->net, members);
    else
        json_decref(members);
}

static void tell_info(struct supervisor *s)
{
    sup_net_tell(
        s, "info",
        json_pack("{s:s, s:I}", "rev", s->rev, "last_seq", (json_int_t)outbox_last(s->outbox)));
}

void sup_net_start(struct supervisor *s)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        log_warn("cannot start the net process: %s", strerror(errno));
        s->net_next = clock_mono_ms() + 1000;
        return;
    }
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(0);
        helper_exec(PROC_ARGV(HELPER_NET), pair[1], -1);
    }
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        s->net_next = clock_mono_ms() + 1000;
        return;
    }
    s->net_pid = pid;
    s->online = false;
    chan_open(&s->net, pair[0]);
    tell_info(s);
    free(s->state_text);
    s->state_text = NULL;
    sup_cluster_tell(s);
}

void sup_net_died(struct supervisor *s, int status)
{
    uint64_t wait = 500ULL << (s->net_failures < 6 ? s->net_failures : 6);
    s->net_failures++;
    s->net_pid = 0;
    s->online = false;
    chan_close(&s->net);
    s->net_next = clock_mono_ms() + (wait < RESTART_MAX_MS ? wait : RESTART_MAX_MS);
    if (WIFSIGNALED(status))
        log_warn("the net process was killed by signal %d; it starts again", WTERMSIG(status));
    else
        log_warn("the net process ended with %d; it starts again", WEXITSTATUS(status));
}

void sup_net_events(struct supervisor *s)
{
    const char *text;
    if (!s->online)
        return;
    if (outbox_count(s->outbox) && clock_mono_ms() - s->acked_at > ACK_PATIENCE_MS) {
        outbox_rewind(s->outbox);
        s->acked_at = clock_mono_ms();
    }
    while ((text = outbox_next(s->outbox)))
        sup_net_tell(s, "event",
                     json_pack("{s:o}", "event", json_loads(text, JSON_DECODE_ANY, NULL)));
}

static void on_message(struct supervisor *s, json_t *msg)
{
    const char *m = js_opt_str(msg, "m", "");
    struct err err = {0};
    if (strcmp(m, "bound") == 0) {
        s->bound = true;
        if (bootstrap_forget(PATH_BOOTSTRAP, &s->boot, &err) < 0)
            log_warn("the bootstrap key could not be erased everywhere: %s", err.msg);
        else
            log_info("enrolled; the bootstrap key is erased");
    } else if (strcmp(m, "online") == 0) {
        s->online = true;
        s->net_failures = 0;
        s->acked_at = clock_mono_ms();
        outbox_rewind(s->outbox);
        free(s->state_text);
        s->state_text = NULL;
    } else if (strcmp(m, "offline") == 0) {
        s->online = false;
    } else if (strcmp(m, "ack") == 0) {
        outbox_ack(s->outbox, js_opt_u64(msg, "seq", 0));
        s->acked_at = clock_mono_ms();
    } else if (strcmp(m, "look") == 0) {
        sup_drift_ask(s, js_opt_u64(msg, "id", 0));
    } else if (strcmp(m, "plan") == 0) {
        sup_plan_take(s, json_object_get(msg, "plan"));
        tell_info(s);
    } else {
        sup_cluster_message(s, m, msg);
    }
}

void sup_net_readable(struct supervisor *s)
{
    bool alive = chan_fill(&s->net), broken = false;
    for (json_t *msg; (msg = chan_next(&s->net, &broken)) && s->net_pid;) {
        on_message(s, msg);
        json_decref(msg);
    }
    if (!alive || broken) {
        kill(s->net_pid, SIGKILL); /* reaped through SIGCHLD */
        chan_close(&s->net);
    }
}
