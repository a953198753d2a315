/* SPDX-License-Identifier: Apache-2.0 */
/* start, stop, status, logs, and the verbs of helper processes. */
#include "controller/localvdc/cmd.h"
#include "controller/localvdc/calls/calls.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/str.h"
#include "controller/localvdc/api/job.h"
#include "controller/localvdc/base/spawn.h"
#include "controller/localvdc/base/tool.h"
#include "controller/localvdc/base/vdc.h"
#include "controller/localvdc/machine/compute.h"
#include "controller/localvdc/machine/hold.h"
#include "controller/localvdc/machine/template.h"
#include "controller/localvdc/network/router.h"

#define START_WAIT_MS 30000
#define LATENCY_MAX_MS 3600000

int vdc_cmd_need_root(struct err *err)
{
    if (geteuid() == 0)
        return 0;
    return err_set(err, ERR_FAILED,
                   "the local cloud needs root (it makes networks, mounts and "
                   "containers); run it with sudo");
}

/* What the daemon said last, when it ended at its start. */
static int start_failed(struct err *err)
{
    struct err ignored = {0};
    _cleanup_free_ char *text = NULL;
    const char *last = "see " VDC_LOG;

    if (fs_read(VDC_LOG, 64 * 1024 * 1024, &text, NULL, &ignored) == 0) {
        str_chomp(text);
        const char *line = strrchr(text, '\n');
        last = line ? line + 1 : text;
        if (str_starts(last, "muster-vdc: "))
            last += strlen("muster-vdc: ");
    }
    return err_set(err, ERR_FAILED, "%s", last);
}

static int wait_for_daemon(pid_t pid, struct err *err)
{
    uint64_t end = clock_mono_ms() + START_WAIT_MS;

    while (clock_mono_ms() < end) {
        if (tool_pid(DAEMON_PIDFILE, DAEMON_MARK) == pid)
            return 0;
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return start_failed(err);
        clock_pause_ms(20);
    }
    return err_set(err, ERR_TIMEOUT, "the daemon did not get ready in %d s; see " VDC_LOG,
                   START_WAIT_MS / 1000);
}

/* What the last build said in the end. */
static int template_failed(struct vdb *db, struct err *err)
{
    _cleanup_json_ json_t *jobs = vdb_find(db, "job", "cmd", JOB_TEMPLATE);
    size_t n = json_array_size(jobs);
    const json_t *last = n > 0 ? json_array_get(jobs, n - 1) : NULL;
    const char *text = vdc_str(json_object_get(last, "jobresult"), "errortext");

    return err_set(err, ERR_FAILED, "%s",
                   *text ? text : "the template was not built; see " VDC_LOG);
}

/* Prints the build's progress until the template is there or its jobs have ended without it. */
static int wait_for_template(struct vdb *db, struct err *err)
{
    char now[256], before[256];

    template_progress(before, sizeof(before)); /* may be of an earlier build */
    while (!template_ready(TEMPLATE_BARE)) {
        template_progress(now, sizeof(now));
        if (*now && !str_eq(now, before)) {
            printf("%s\n", now);
            fflush(stdout);
            str_copy(before, sizeof(before), now);
        }
        _cleanup_json_ json_t *open = vdb_find(db, "job", "_open", "yes");
        bool building = false;
        size_t i = 0;
        json_t *job = NULL;
        json_array_foreach(open, i, job)
        {
            building = building || str_eq(vdc_str(job, "cmd"), JOB_TEMPLATE);
        }
        if (!building && !template_ready(TEMPLATE_BARE))
            return template_failed(db, err);
        if (tool_pid(DAEMON_PIDFILE, DAEMON_MARK) == 0)
            return err_set(err, ERR_FAILED, "the daemon ended; see " VDC_LOG);
        clock_pause_ms(200);
    }
    return 0;
}

/* What was given replaces what was given before; the rest stays. */
static int store_config(struct vdb *db, json_t *given, struct err *err)
{
    _cleanup_json_ json_t *known = vdb_get(db, "meta", "config");
    _cleanup_json_ json_t *config = known ? json_incref(known) : json_object();

    if (json_object_size(given) == 0)
        return 0;
    json_object_update(config, given);
    return vdb_put(db, "meta", "config", config, err);
}

int vdc_cmd_start(int argc, char **argv, struct err *err)
{
    static const struct option options[] = {{"no-wait", no_argument, NULL, 'n'},
                                            {"allow", required_argument, NULL, 'a'},
                                            {"job-latency", required_argument, NULL, 'l'},
                                            {0}};
    bool wait = true;
    uint64_t ms = 0;
    _cleanup_json_ json_t *allow = json_array(), *given = json_object();

    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'n')
            wait = false;
        else if (c == 'a')
            json_array_append_new(allow, json_string(optarg));
        else if (c == 'l' && str_to_u64(optarg, LATENCY_MAX_MS, &ms) == 0)
            json_object_set_new(given, "job_latency_ms", json_integer((json_int_t)ms));
        else
            return err_set(err, ERR_USAGE,
                           "start takes --no-wait, --allow HOST and --job-latency MS (at most %d)",
                           LATENCY_MAX_MS);
    }
    if (json_array_size(allow) > 0)
        json_object_set(given, "allow", allow);
    _cleanup_(vdb_close) struct vdb *db = NULL;
    if (vdc_cmd_need_root(err) < 0 || tool_check_all(err) < 0 || vdc_open(true, &db, err) < 0 ||
        store_config(db, given, err) < 0)
        return -1;
    pid_t daemon = tool_pid(DAEMON_PIDFILE, DAEMON_MARK);
    if (daemon > 0 && !template_ready(TEMPLATE_BARE)) { /* an earlier build failed */
        if (job_want(db, JOB_TEMPLATE, "", "", err) < 0)
            return -1;
        kill(daemon, SIGCHLD); /* look for jobs now */
    }
    if (daemon == 0) {
        pid_t pid = -1;

        if (spawn_child((const char *const[]){"serve", NULL}, VDC_LOG, &pid, err) < 0 ||
            wait_for_daemon(pid, err) < 0)
            return -1;
    }
    if (wait && wait_for_template(db, err) < 0)
        return -1;
    printf("The API is at " VDC_ENDPOINT "\n");
    return 0;
}

int vdc_cmd_stop(int argc, char **argv, struct err *err)
{
    (void)argv;
    if (argc != 1)
        return err_set(err, ERR_USAGE, "stop takes no arguments");
    if (vdc_cmd_need_root(err) < 0)
        return -1;
    tool_stop(DAEMON_LOCK, DAEMON_MARK);
    return 0;
}

static json_t *status_json(bool root)
{
    char progress[256];
    pid_t pid = tool_pid(DAEMON_PIDFILE, DAEMON_MARK);

    json_t *s = json_pack("{s:i,s:s,s:s,s:s,s:b}", "schema", 1, "state",
                          pid ? "running" : "stopped", "endpoint", VDC_ENDPOINT, "host_address",
                          VDC_HOST_ADDRESS, "template_ready", template_ready(TEMPLATE_BARE));
    if (pid)
        json_object_set_new(s, "pid", json_integer(pid));
    template_progress(progress, sizeof(progress));
    if ((!template_ready(TEMPLATE_BARE) || template_building()) && *progress)
        json_object_set_new(s, "template_progress", js_string(progress));
    struct err err = {0};
    _cleanup_(vdb_close) struct vdb *db = NULL;
    if (!root || vdc_open(false, &db, &err) < 0)
        return s;
    _cleanup_json_ json_t *keys = vdb_get(db, "meta", "keys");
    json_object_update(s, keys ? keys : json_null());
    static const char *const kinds[] = {"network", "vm", "volume", "snapshot"};
    static const char *const names[] = {"networks", "virtual_machines", "volumes", "snapshots"};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        _cleanup_json_ json_t *all = vdb_list(db, kinds[i]);

        json_object_set_new(s, names[i], json_integer((json_int_t)json_array_size(all)));
    }
    return s;
}

int vdc_cmd_status(int argc, char **argv, struct err *err)
{
    bool json = argc == 2 && str_eq(argv[1], "--json");

    if (argc > 2 || (argc == 2 && !json))
        return err_set(err, ERR_USAGE, "status takes --json only");
    _cleanup_json_ json_t *s = status_json(geteuid() == 0);
    if (json) {
        _cleanup_free_ char *text = json_dumps(s, JSON_COMPACT);

        printf("%s\n", text);
        return 0;
    }
    printf("The local cloud is %s", vdc_str(s, "state"));
    if (json_object_get(s, "pid"))
        printf(", pid %lld, %s", json_integer_value(json_object_get(s, "pid")),
               vdc_str(s, "endpoint"));
    printf("\n");
    if (json_object_get(s, "networks"))
        printf("%lld networks, %lld virtual machines, %lld volumes, %lld snapshots\n",
               json_integer_value(json_object_get(s, "networks")),
               json_integer_value(json_object_get(s, "virtual_machines")),
               json_integer_value(json_object_get(s, "volumes")),
               json_integer_value(json_object_get(s, "snapshots")));
    printf("%s\n", json_is_true(json_object_get(s, "template_ready"))
                       ? "The template " TEMPLATE_NAME " is ready"
                       : "The template " TEMPLATE_NAME " is not built yet");
    if (*vdc_str(s, "template_progress"))
        printf("%s\n", vdc_str(s, "template_progress"));
    return 0;
}

int vdc_cmd_logs(int argc, char **argv, struct err *err)
{
    const char *path = VDC_LOG;

    if (argc == 2 && str_eq(argv[1], "--calls"))
        path = VDC_CALLS;
    else if (argc == 2 && str_eq(argv[1], "--template"))
        path = VDC_TEMPLATE_LOG;
    else if (argc != 1)
        return err_set(err, ERR_USAGE, "logs takes --calls or --template");
    FILE *f = fopen(path, "re");
    if (!f)
        return err_errno(err, errno, "open %s", path);
    char buf[8192];
    for (size_t n; (n = fread(buf, 1, sizeof(buf), f)) > 0;)
        fwrite(buf, 1, n, stdout);
    fclose(f);
    return 0;
}

int vdc_cmd_job(int argc, char **argv, struct err *err)
{
    signal(SIGPIPE, SIG_IGN);
    return argc == 2 ? job_run(&calls_table, argv[1], err)
                     : err_set(err, ERR_USAGE, "job takes an id");
}

int vdc_cmd_metadata(int argc, char **argv, struct err *err)
{
    signal(SIGPIPE, SIG_IGN);
    return argc == 2 ? metadata_run(argv[1], err)
                     : err_set(err, ERR_USAGE, "metadata takes a network's id");
}

/* A job runs this while it copies a volume; its standard input is the job's socket. */
int vdc_cmd_hold(int argc, char **argv, struct err *err)
{
    _cleanup_(vdb_close) struct vdb *db = NULL;

    signal(SIGPIPE, SIG_IGN);
    if (argc != 3)
        return err_set(err, ERR_USAGE, "hold takes the ids of a guest and of a volume");
    return vdc_open(false, &db, err) < 0 ? -1 : hold_run(db, argv[1], argv[2], STDIN_FILENO, err);
}

/* The parent of a process, 0 when it is gone. */
static pid_t parent_of(pid_t pid)
{
    struct err err = {0};
    _cleanup_free_ char *path = str_fmt("/proc/%d/stat", (int)pid), *text = NULL;
    int parent = 0;

    if (fs_read(path, 4096, &text, NULL, &err) < 0)
        return 0;
    const char *p = strrchr(text, ')');
    return p && sscanf(p, ") %*c %d", &parent) == 1 ? parent : 0;
}

/* liblxc runs this before a guest's first program, at each of its starts. */
int vdc_cmd_hook(int argc, char **argv, struct err *err)
{
    const char *text = getenv("LXC_PID");
    uint64_t pid = 0;

    if (argc < 2 || !text || str_to_u64(text, INT32_MAX, &pid) < 0)
        return err_set(err, ERR_USAGE, "hook: called by something other than a container");
    _cleanup_(vdb_close) struct vdb *db = NULL;
    if (vdc_open(false, &db, err) < 0)
        return -1;
    pid_t init = (pid_t)pid;
    return guest_started(db, argv[1], init, parent_of(init), err);
}
