/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/apt/apt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/sys/life.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/hook.h"
#include "common/proc.h"
#include "common/str.h"

#define LOOK_EVERY_MS 250
#define TICK_S 5

static const char *const locks[] = {"/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock",
                                    "/var/lib/apt/lists/lock", "/var/cache/apt/archives/lock"};

/* The process that holds one of the locks, or 0. */
static pid_t holder(void)
{
    for (size_t i = 0; i < ARRAY_LEN(locks); i++) {
        struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        _cleanup_close_ int fd = open(locks[i], O_RDONLY | O_CLOEXEC);

        if (fd >= 0 && fcntl(fd, F_GETLK, &l) == 0 && l.l_type != F_UNLCK)
            return l.l_pid;
    }
    return 0;
}

static void name_of(pid_t pid, char *ret, size_t cap)
{
    struct err ignored;
    _cleanup_free_ char *path = str_fmt("/proc/%d/comm", (int)pid);
    _cleanup_free_ char *text = NULL;

    if (fs_read(path, 64, &text, NULL, &ignored) < 0)
        text = xstrdup("another program");
    snprintf(ret, cap, "%s", str_chomp(text));
}

static int wait_for_others(struct run *run, uint64_t until, struct err *err)
{
    for (pid_t pid; (pid = holder()) != 0; clock_pause_ms(LOOK_EVERY_MS)) {
        char name[64];

        name_of(pid, name, sizeof(name));
        if (clock_mono_ms() >= until)
            return err_set(err, ERR_TIMEOUT,
                           "%s (process %d) keeps the package system locked; let it end (type: ps "
                           "-fp %d), then it goes on",
                           name, (int)pid, (int)pid);
        if (run_superseded(run))
            return err_set(err, ERR_FAILED, "a newer plan has come");
        run_progress(run, "waits for %s (process %d), which has the package system locked", name,
                     (int)pid);
    }
    return 0;
}

struct talk {
    struct life life;
    struct apt_output say;
};

static void on_line(void *ctx, const char *line)
{
    struct talk *t = ctx;

    if (!apt_output_line(&t->say, line))
        return;
    t->life.count = t->say.count;
    hook_word(); /* apt goes, too; its dpkg may go on for a while */
    life_print(&t->life, t->say.doing);
}

static void on_tick(void *ctx)
{
    struct talk *t = ctx;

    life_print(&t->life, t->say.doing[0] ? t->say.doing : t->life.what);
}

static int attempt(struct run *run, const char *what, const char *const *argv, struct err *err)
{
    static const char *const env[] = {"DEBIAN_FRONTEND=noninteractive",
                                      "LC_ALL=C.UTF-8",
                                      "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                                      "HOME=/root",
                                      "NEEDRESTART_SUSPEND=1",
                                      NULL};
    struct talk talk = {.life = {.run = run, .what = what}};
    struct proc_opts opts = {.env = env,
                             .on_line = on_line,
                             .on_tick = on_tick,
                             .tick_s = TICK_S,
                             .lines_on_3 = true,
                             .ctx = &talk};

    if (proc_run(argv, &opts, NULL, err) == 0)
        return 0;
    if (talk.say.error[0])
        err_set(err, err->code, "%s%s", talk.say.error, apt_output_advice(talk.say.error));
    return -1;
}

int apt_run(struct run *run, const char *what, const char *const *argv, unsigned lock_timeout_s,
            struct err *err)
{
    uint64_t until = clock_mono_ms() + lock_timeout_s * 1000ULL;

    for (;;) {
        if (wait_for_others(run, until, err) < 0)
            return err_wrap(err, "%s", what);
        if (attempt(run, what, argv, err) == 0)
            return 0;
        /* Somebody was quicker in the moment between the look and the start. */
        if (!strstr(err->msg, " lock") || !holder())
            return err_wrap(err, "%s", what);
    }
}
