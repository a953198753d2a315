/* SPDX-License-Identifier: Apache-2.0 */
/* `muster-agent apply`: converges a plan. By hand it prints lines; as the supervisor's worker it
 * reads the plan from a descriptor and writes messages to another. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/ipc/cmd.h"
#include "agent/ipc/msg.h"
#include "agent/ipc/paths.h"
#include "agent/sys/output.h"
#include "agent/worker/engine.h"
#include "agent/worker/verbs.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/log.h"
#include "common/str.h"

#define LOCK_MS 3000

/* In one piece, for another process of this run may write, too. The supervisor may be gone: SIGPIPE
 * then ends this worker, which may be killed anywhere. */
static void write_line(int fd, const char *text)
{
    _cleanup_free_ char *line = str_fmt("%s\n", text);

    if (write(fd, line, strlen(line)) != (ssize_t)strlen(line))
        _exit(ERR_FAILED);
}

static void emit_message(void *ctx, const struct event *ev)
{
    _cleanup_json_ json_t *msg =
        ipc_make(IPC_RUN_EVENT, json_pack("{s:o}", "event", event_to_json(ev)));
    _cleanup_free_ char *text = js_text(msg);

    write_line(*(const int *)ctx, text);
}

static void emit_json(void *ctx, const struct event *ev)
{
    _cleanup_free_ char *text = event_text(ev);

    write_line(*(const int *)ctx, text);
}

static void emit_line(void *ctx, const struct event *ev)
{
    (void)ctx;
    printf("%-9s %-28s %s\n", event_kind_name(ev->kind), ev->id, ev->msg);
    fflush(stdout);
}

struct apply_args {
    bool check, json;
    int plan_fd, event_fd;
    const char *file;
};

static int apply_args_read(int argc, char **argv, struct apply_args *a)
{
    static const struct option options[] = {
        {"check", no_argument, NULL, 'c'},
        {"json", no_argument, NULL, 'j'},
        {"plan-fd", required_argument, NULL, 'p'},
        {"event-fd", required_argument, NULL, 'e'},
        {NULL, 0, NULL, 0},
    };
    uint64_t n = 0;

    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'c')
            a->check = true;
        else if (o == 'j')
            a->json = true;
        else if ((o == 'p' || o == 'e') && str_to_u64(optarg, 1023, &n) == 0)
            *(o == 'p' ? &a->plan_fd : &a->event_fd) = (int)n;
        else
            return cmd_usage("apply", "option not understood");
    }
    a->check = a->check || strcmp(argv[0], "check") == 0;
    a->file = argv[optind];
    if (!a->file && a->plan_fd < 0 && strcmp(argv[0], "check") == 0)
        a->file = PATH_PLAN;
    if ((a->file != NULL) == (a->plan_fd >= 0) || (argv[optind] && argv[optind + 1]))
        return cmd_usage("apply", "exactly one PLANFILE is needed");
    return 0;
}

static int plan_read_from(const struct apply_args *a, struct plan **ret, struct err *err)
{
    if (a->file)
        return plan_load(a->file, ret, err);
    _cleanup_free_ char *path = str_fmt("/proc/self/fd/%d", a->plan_fd);
    struct stat st;
    if (fstat(a->plan_fd, &st) < 0)
        return err_errno(err, errno, "--plan-fd %d", a->plan_fd);
    if (plan_load(path, ret, err) < 0)
        return -1;
    (*ret)->inode = st.st_ino;
    return 0;
}

/* What a run that was killed had started may still be ending. */
static int lock_run(struct err *err)
{
    uint64_t deadline = clock_mono_ms() + LOCK_MS;

    for (;;) {
        int fd = fs_lock(PATH_LOCK, false, err);

        if (fd >= 0 || err->code != ERR_LOCKED || clock_mono_ms() >= deadline)
            return fd;
        clock_pause_ms(20);
    }
}

int cmd_apply(int argc, char **argv)
{
    struct apply_args a = {.plan_fd = -1, .event_fd = -1};
    struct engine_result res = {0};
    struct err err = {0};
    _cleanup_(plan_cleanup) struct plan *plan = NULL;
    _cleanup_close_ int lock = -1;
    int out = 1;

    if (apply_args_read(argc, argv, &a) != 0)
        return ERR_USAGE;
    if (plan_read_from(&a, &plan, &err) < 0)
        return cmd_fail(&err);
    if (a.event_fd >= 0)
        out = a.event_fd;
    void (*emit)(void *, const struct event *) = a.event_fd >= 0 ? emit_message
                                                 : a.json        ? emit_json
                                                                 : emit_line;
    if (a.check) {
        if (engine_check(plan, emit, &out, &res, &err) < 0)
            return cmd_fail(&err);
        fprintf(stderr, "%u would change, %u ok", res.changed, res.ok);
        fprintf(stderr, res.unknown ? ", %u unknown\n" : "\n", res.unknown);
        return res.changed ? ERR_CHANGES : res.unknown ? ERR_FAILED : 0;
    }
    if (geteuid() != 0)
        return cmd_usage("apply", "applying a plan needs root; --check does not change anything");
    if (fs_mkdirs(PATH_RUN, 0755, &err) < 0 || fs_mkdirs(PATH_STATE, 0711, &err) < 0)
        return cmd_fail(&err);
    if ((lock = lock_run(&err)) < 0) {
        err_wrap(&err, "another run is at work on this machine");
        return cmd_fail(&err);
    }
    output_open();
    int r = engine_run(plan, emit, &out, &res, &err);
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        log_info("run ended; peak memory %ld kB", usage.ru_maxrss);
    return r < 0 ? cmd_fail(&err) : 0;
}
