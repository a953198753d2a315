/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/ipc/paths.h"
#include "agent/ipc/trim.h"
#include "agent/net/internal.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/log.h"
#include "common/ports.h"
#include "common/proto.h"
#include "common/str.h"

#define FDS_MAX 64
#define ADDRESS_SPACE_MAX (1024UL * 1024 * 1024)

void net_send(struct net *n, enum ipc_msg m, json_t *members)
{
    chan_send(&n->sup, ipc_make(m, members));
}

static int drop_privilege(struct err *err)
{
    const struct passwd *pw = getpwnam(AGENT_USER);

    if (!pw)
        return err_set(err, ERR_FAILED,
                       "system user " AGENT_USER " is missing; the package makes it: "
                       "dpkg-reconfigure muster-agent");
    if (fs_mkdirs(PATH_NET, 0700, err) < 0)
        return -1;
    if (chown(PATH_NET, pw->pw_uid, pw->pw_gid) < 0 || chmod(PATH_NET, 0700) < 0)
        return err_errno(err, errno, "give %s to " AGENT_USER, PATH_NET);
    if (setgroups(0, NULL) < 0 || setgid(pw->pw_gid) < 0 || setuid(pw->pw_uid) < 0)
        return err_errno(err, errno, "become " AGENT_USER);
    if (setuid(0) == 0)
        return err_set(err, ERR_FAILED, "privilege could not be dropped");
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* setuid cleared it */
    return 0;
}

/* What strangers can make it take, and that what it held does not end up in a file. */
static void limit_itself(void)
{
    const struct rlimit none = {0};

    setrlimit(RLIMIT_CORE, &none);
#ifndef __SANITIZE_ADDRESS__ /* whose map is larger */
    const struct rlimit space = {ADDRESS_SPACE_MAX, ADDRESS_SPACE_MAX};

    setrlimit(RLIMIT_AS, &space);
#endif
}

static void close_others(int keep)
{
    /* The fork inherited the supervisor's descriptors; none is of use here. */
    if (keep > 3)
        close_range(3, (unsigned)keep - 1, 0);
    close_range((unsigned)keep + 1, ~0U, 0);
}

static bool allow(void *ctx, const char *domain, const char *address, const uint8_t key[KEY_SIZE],
                  char ret_user[ZSOCK_USER_MAX])
{
    (void)address; /* a member may sit behind another address of the same link */
    return strcmp(domain, PROTO_DOMAIN_PEER) == 0 && net_cluster_allow(ctx, key, ret_user);
}

static void from_supervisor(struct net *n, enum ipc_msg m, json_t *msg)
{
    json_t *event = json_object_get(msg, "event");
    uint64_t seq = js_opt_u64(event, "seq", 0);

    switch (m) {
    case IPC_INFO:
        str_copy(n->rev, sizeof(n->rev), js_opt_str(msg, "rev", ""));
        n->last_seq = js_opt_u64(msg, "last_seq", 0);
        n->counter = js_opt_u64(msg, "counter", 0);
        break;
    case IPC_EVENT:
        n->last_seq = seq > n->last_seq ? seq : n->last_seq;
        net_ctrl_send_event(n, event);
        break;
    case IPC_STATE:
        net_ctrl_send_state(n, json_object_get(msg, "state"));
        net_health_state(n, json_object_get(msg, "state"));
        break;
    case IPC_MEASURED:
        net_ctrl_send_measured(n, msg);
        break;
    case IPC_TRIM:
        trim_memory();
        break;
    default:
        net_cluster_message(n, m, msg);
        break;
    }
}

static bool serve_supervisor(struct net *n)
{
    bool broken = false, alive = chan_fill(&n->sup);
    struct err err = {0};
    enum ipc_msg m;

    for (json_t *msg; !broken && (msg = chan_next(&n->sup, &broken));) {
        if (ipc_decode(msg, IPC_TO_NET, &m, &err) == 0)
            from_supervisor(n, m, msg);
        else
            broken = true;
        json_decref(msg);
    }
    if (err.msg[0])
        log_warn("from the supervisor: %s", err.msg);
    return alive && !broken;
}

/* With nothing due by time, only what comes in wakes this process. */
static int wait_ms(struct net *n)
{
    uint64_t now = clock_mono_ms(), due = net_ctrl_due(n), cluster = net_cluster_due(n),
             health = net_health_due(n);

    if (cluster < due)
        due = cluster;
    if (health < due)
        due = health;
    if (due == UINT64_MAX)
        return -1;
    return due > now ? (int)(due - now) : 0;
}

static void loop(struct net *n)
{
    for (;;) {
        int fds[FDS_MAX];
        struct pollfd p[FDS_MAX] = {{0}};
        int k = 0;

        fds[k++] = n->sup.fd;
        fds[k++] = zap_fd(n->zap);
        if (n->enrol || n->main) {
            struct zsock *s = n->enrol ? n->enrol : n->main;

            fds[k++] = zsock_fd(s);
            fds[k++] = zsock_monitor_fd(s); /* poll passes over -1 */
        }
        k += net_cluster_fds(n, fds + k, FDS_MAX - k);
        k += net_health_fds(n, fds + k, FDS_MAX - k);
        for (int i = 0; i < k; i++)
            p[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
        if (chan_wants_write(&n->sup))
            p[0].events |= POLLOUT;
        poll(p, (nfds_t)k, wait_ms(n));
        chan_flush(&n->sup);
        if (p[0].revents && !serve_supervisor(n))
            return;
        uint64_t now = clock_mono_ms();
        zap_serve(n->zap);
        net_ctrl_serve(n, now);
        net_cluster_serve(n, now);
        net_health_serve(n, now);
        zap_serve(n->zap); /* edge-triggered: nothing may be left behind */
        if (net_cluster_left(n))
            return;
    }
}

static int open_all(struct net *n, struct err *err)
{
    limit_itself();
    if (drop_privilege(err) < 0 ||
        keys_curve_load_or_new(PATH_NET "/curve.key", &n->own, err) < 0 ||
        keys_curve_load_or_new(PATH_NET "/seal.key", &n->seal, err) < 0)
        return -1;
    n->z = zctx_new();
    n->zap = zap_new(n->z, allow, n, err);
    net_health_open(n, PORT_HEALTH, PORT_HEALTH_CHECK);
    return n->zap ? net_ctrl_open(n, err) : -1;
}

int net_main(struct bootstrap *boot, int fd)
{
    struct net n = {.boot = boot};
    struct err err = {0};
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_IGN);
    log_open("muster-agent[net]");
    close_others(fd);
    chan_open(&n.sup, fd);
    if (open_all(&n, &err) < 0) {
        log_warn("%s", err.msg);
        return ERR_FAILED;
    }
    loop(&n);
    net_health_close(&n);
    net_cluster_close(&n);
    net_ctrl_close(&n);
    zap_free(n.zap);
    zctx_free(n.z);
    keys_wipe(&n.own, sizeof(n.own));
    keys_wipe(&n.seal, sizeof(n.seal));
    return 0;
}
