/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon: one thread that answers calls, starts jobs and follows the kernel's disk events. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/httpd.h"
#include "common/log.h"
#include "common/str.h"
#include "controller/localvdc/api/account.h"
#include "controller/localvdc/api/api.h"
#include "controller/localvdc/api/job.h"
#include "controller/localvdc/base/tool.h"
#include "controller/localvdc/calls/calls.h"
#include "controller/localvdc/cmd.h"
#include "controller/localvdc/machine/compute.h"
#include "controller/localvdc/machine/disk.h"
#include "controller/localvdc/machine/template.h"
#include "controller/localvdc/network/host.h"
#include "controller/localvdc/network/netns.h"
#include "controller/localvdc/network/router.h"
#include "controller/localvdc/network/sources.h"

#define BODY_MAX (2 * 1024 * 1024) /* user data may be 1 MiB of base64, and is URL-encoded */
#define WATCH_MS 5000              /* between two looks at the routers */
#define LOCK_MS 1000
#define FORGET_MS 600000 /* between two looks for old jobs */

struct daemon {
    struct vdb *db;
    struct api_server api;
    struct httpd *httpd;
    struct jobs *jobs;
    int events;  /* the kernel's device events */
    int signals; /* SIGCHLD, SIGTERM, SIGINT */
    bool ending;
};

static void want_job(struct vdb *db, const char *cmd, const char *key, const char *id)
{
    struct err err = {0};

    if (job_want(db, cmd, key, id, &err) < 0)
        log_warn("%s: %s", cmd, err.msg);
}

static void watch_routers(struct daemon *d)
{
    _cleanup_json_ json_t *networks = vdb_list(d->db, "network");
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(networks, i, one)
    {
        if (router_wanted(one) && !router_alive(one))
            want_job(d->db, JOB_PROVISION, "networkid", vdc_str(one, "id"));
    }
}

static void sync_guests(struct daemon *d)
{
    _cleanup_json_ json_t *vms = vdb_list(d->db, "vm");
    size_t i = 0;
    json_t *vm = NULL;

    json_array_foreach(vms, i, vm)
    {
        struct err err = {0};
        const char *id = vdc_str(vm, "id");
        pid_t init = guest_init(id);

        if (init > 0 && disk_sync_guest(d->db, id, init, &err) < 0)
            log_warn("disks of %s: %s", vdc_str(vm, "name"), err.msg);
    }
}

/* Without our bridge the machine has lost everything that was running: it was restarted (a
 * container's host keeps its boot id) or somebody swept it. What ran then is told from what was
 * stopped since by the boot in its document. */
static int note_restart(struct daemon *d, struct err *err)
{
    if (link_exists(VDC_PUBLIC_BRIDGE))
        return 0;
    _cleanup_json_ json_t *vms = vdb_list(d->db, "vm");
    size_t i = 0;
    json_t *vm = NULL;
    json_array_foreach(vms, i, vm)
    {
        if (str_eq(vdc_str(vm, "state"), "Running") &&
            vdb_patch(d->db, "vm", vdc_str(vm, "id"), json_pack("{s:s}", "_boot", "gone"), err) !=
                0)
            return -1;
    }
    return 0;
}

/* Guests that ran when the machine went down are started again. */
static void resume_guests(struct daemon *d)
{
    char boot[40];

    vdc_boot_id(boot);
    _cleanup_json_ json_t *vms = vdb_list(d->db, "vm");
    size_t i = 0;
    json_t *vm = NULL;
    json_array_foreach(vms, i, vm)
    {
        if (str_eq(vdc_str(vm, "state"), "Running") && !compute_of(vm)->record_only &&
            !str_eq(vdc_str(vm, "_boot"), boot))
            want_job(d->db, JOB_RESUME, "id", vdc_str(vm, "id"));
    }
}

static void on_event(struct daemon *d)
{
    int loop = -1;
    bool any = false;

    while ((loop = disk_events_next(d->events)) != -1)
        any = true;
    if (any)
        sync_guests(d);
}

static void on_signal(struct daemon *d)
{
    struct signalfd_siginfo si;

    while (read(d->signals, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
        if (si.ssi_signo != SIGCHLD)
            d->ending = true;
    }
}

static void forget_jobs(struct daemon *d)
{
    struct err err = {0};

    if (jobs_expire(d->db, time(NULL), &err) < 0)
        log_warn("old jobs: %s", err.msg);
}

static void loop(struct daemon *d)
{
    uint64_t next = clock_mono_ms() + WATCH_MS, forget = 0;

    jobs_tick(d->jobs);
    while (!d->ending) {
        struct pollfd fds[] = {{.fd = httpd_fd(d->httpd), .events = POLLIN},
                               {.fd = d->events, .events = POLLIN},
                               {.fd = d->signals, .events = POLLIN}};
        uint64_t now = clock_mono_ms();
        int due = next > now ? (int)(next - now) : 0;

        due = clock_sooner(due, httpd_due_ms(d->httpd));
        due = clock_sooner(due, jobs_due_ms(d->jobs));
        if (poll(fds, ARRAY_LEN(fds), due) < 0 && errno != EINTR)
            return;
        if (fds[1].revents)
            on_event(d);
        if (fds[2].revents)
            on_signal(d);
        httpd_run(d->httpd);
        if (clock_mono_ms() >= next) {
            watch_routers(d);
            next = clock_mono_ms() + WATCH_MS;
        }
        if (clock_mono_ms() >= forget) {
            forget_jobs(d);
            snapshot_sweep(d->db);
            forget = clock_mono_ms() + FORGET_MS;
        }
        jobs_tick(d->jobs);
    }
}

static int listen_api(struct daemon *d, struct err *err)
{
    if (httpd_open(VDC_ADDRESS, VDC_PORT, BODY_MAX, api_serve, &d->api, &d->httpd, err) == 0)
        return 0;
    if (errno == EADDRINUSE)
        return err_set(err, ERR_FAILED,
                       "port %d of " VDC_ADDRESS " is taken by another program; end it ('ss -ltnp "
                       "sport = %d' names it) and start again",
                       VDC_PORT, VDC_PORT);
    return -1;
}

static int open_signals(struct err *err)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? err_errno(err, errno, "signalfd") : fd;
}

static void daemon_free(struct daemon *d)
{
    httpd_close(d->httpd);
    jobs_free(d->jobs);
    vdb_close(&d->db);
    if (d->events >= 0)
        close(d->events);
    if (d->signals >= 0)
        close(d->signals);
}

static int read_settings(struct daemon *d, struct err *err)
{
    _cleanup_(outside_free) struct outside o = {0};

    if (outside_read(d->db, &o, err) < 0)
        return -1;
    d->api.vdc_roots = o.vdc_roots;
    return 0;
}

static int write_pid(struct err *err)
{
    char pid[16];
    int n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());

    return fs_write_atomic(DAEMON_PIDFILE, pid, (size_t)n, 0644, err);
}

/* One that was killed lets go of its lock a moment after its process is seen no more. */
static int lock_alone(struct err *err)
{
    int lock = -1;

    for (uint64_t end = clock_mono_ms() + LOCK_MS;;) {
        *err = (struct err){0};
        lock = fs_lock(DAEMON_LOCK, false, err);
        if (lock >= 0 || err->code != ERR_LOCKED)
            return lock;
        if (clock_mono_ms() >= end)
            return err_set(err, ERR_LOCKED, "the local cloud runs already");
        clock_pause_ms(10);
    }
}

int vdc_cmd_serve(int argc, char **argv, struct err *err)
{
    (void)argv;
    if (argc != 1)
        return err_set(err, ERR_USAGE, "serve takes no arguments");
    _cleanup_(daemon_free) struct daemon d = {.events = -1, .signals = -1};
    if (vdc_cmd_need_root(err) < 0 || tool_check_all(err) < 0 || vdc_open(true, &d.db, err) < 0)
        return -1;
    _cleanup_close_ int lock = lock_alone(err);
    if (lock < 0)
        return -1;
    if (ftruncate(lock, 0) < 0 || dprintf(lock, "%d\n", (int)getpid()) < 0)
        return err_errno(err, errno, "write " DAEMON_LOCK);
    d.jobs = jobs_new(d.db);
    d.api = (struct api_server){.db = d.db, .table = &calls_table, .calls = VDC_CALLS};
    if (read_settings(&d, err) < 0 || account_ensure(d.db, err) < 0 || listen_api(&d, err) < 0 ||
        note_restart(&d, err) < 0 || host_ensure(d.db, err) < 0)
        return -1;
    if ((d.events = disk_events_open(err)) < 0 || (d.signals = open_signals(err)) < 0)
        return -1;
    if (!template_ready(TEMPLATE_BARE))
        want_job(d.db, JOB_TEMPLATE, "", "");
    snapshot_sweep(d.db);
    watch_routers(&d);
    resume_guests(&d);
    sync_guests(&d);
    if (write_pid(err) < 0)
        return -1;
    log_info("the API is at " VDC_ENDPOINT);
    loop(&d);
    unlink(DAEMON_PIDFILE);
    log_info("ends; guests and routers go on");
    return 0;
}
