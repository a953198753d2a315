/* SPDX-License-Identifier: Apache-2.0 */
#include "common/child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"

extern char **environ;

enum stage { STAGE_APART, STAGE_DIRECTORY, STAGE_USER, STAGE_FDS, STAGE_EXEC, STAGES };

static const char *const stage_text[STAGES] = {
    [STAGE_APART] = " in a session of its own",
    [STAGE_DIRECTORY] = " in its directory",
    [STAGE_USER] = " as another user",
    [STAGE_FDS] = " with its descriptors",
    [STAGE_EXEC] = "",
};

struct failure {
    int stage, code;
};

struct start {
    const char *what; /* for errors */
    const char *const *argv;
    void (*fn)(void *ctx); /* NULL: execute argv */
    void *ctx;
    const struct child_opts *opts;
    pid_t parent;
    int report[2]; /* one struct failure, or nothing before it is closed */
};

/* --- in the child: only what signal-safety(7) lists ------------------------------------------ */

static void __attribute__((noreturn)) fail(const struct start *s, enum stage stage)
{
    const struct failure f = {(int)stage, errno};
    ssize_t ignored = write(s->report[1], &f, sizeof(f));

    (void)ignored; /* nobody is there to hear of it */
    _exit(127);
}

static void move_apart(const struct start *s)
{
    enum child_apart apart = s->opts->apart;

    if (apart == CHILD_GROUP && setpgid(0, 0) < 0)
        fail(s, STAGE_APART);
    if (apart >= CHILD_SESSION && setsid() < 0)
        fail(s, STAGE_APART);
    pid_t pid = apart == CHILD_DAEMON ? fork() : 0;
    if (pid < 0)
        fail(s, STAGE_APART);
    if (pid > 0)
        _exit(0);
}

static void become_user(const struct start *s)
{
    const struct child_opts *o = s->opts;

    if (o->gid && (setgroups(0, NULL) < 0 || setgid(o->gid) < 0))
        fail(s, STAGE_USER);
    if (o->uid && setuid(o->uid) < 0)
        fail(s, STAGE_USER);
}

/* After become_user: a change of user clears it. */
static void bind_to_parent(const struct start *s)
{
    if (!s->opts->bound)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != s->parent) /* it ended before that line */
        _exit(127);
}

/* First all out of the way of each other; dup2 leaves those that are meant open over exec. */
static void take_fds(struct start *s)
{
    const struct child_opts *o = s->opts;
    int high[CHILD_FDS_MAX];
    int report = fcntl(s->report[1], F_DUPFD_CLOEXEC, CHILD_FD_HIGH);

    if (report < 0 || o->n_fds > CHILD_FDS_MAX)
        fail(s, STAGE_FDS);
    s->report[1] = report;
    for (size_t i = 0; i < o->n_fds; i++) {
        high[i] = fcntl(o->fds[i].from, F_DUPFD_CLOEXEC, CHILD_FD_HIGH);
        if (high[i] < 0)
            fail(s, STAGE_FDS);
    }
    /* What a library opened. A kernel before 5.11 refuses; all that is ours is O_CLOEXEC. */
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    for (size_t i = 0; i < o->n_fds; i++)
        if (dup2(high[i], o->fds[i].to) < 0)
            fail(s, STAGE_FDS);
}

static void __attribute__((noreturn)) child_main(struct start *s)
{
    const struct child_opts *o = s->opts;
    sigset_t none;

    move_apart(s);
    if (o->cwd && chdir(o->cwd) < 0)
        fail(s, STAGE_DIRECTORY);
    become_user(s);
    bind_to_parent(s);
    if (s->fn) {
        close(s->report[0]);
        close(s->report[1]);
        s->fn(s->ctx);
        _exit(0);
    }
    take_fds(s);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    execve(o->path ? o->path : s->argv[0], (char *const *)s->argv,
           o->env ? (char *const *)o->env : environ);
    fail(s, STAGE_EXEC);
}

/* --- in the parent --------------------------------------------------------------------------- */

static bool failed(int fd, struct failure *ret)
{
    ssize_t n;

    do
        n = read(fd, ret, sizeof(*ret));
    while (n < 0 && errno == EINTR);
    return n == sizeof(*ret);
}

static void reap(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

static int start(struct start *s, pid_t *ret_pid, struct err *err)
{
    bool daemon = s->opts->apart == CHILD_DAEMON;
    struct failure f;

    if (pipe2(s->report, O_CLOEXEC) < 0)
        return err_errno(err, errno, "%s could not be started", s->what);
    s->parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        child_main(s);
    if (pid < 0)
        f = (struct failure){STAGE_EXEC, errno};
    close(s->report[1]);
    bool none = pid < 0 || failed(s->report[0], &f);
    close(s->report[0]);
    if (pid > 0 && (none || daemon))
        reap(pid);
    if (none)
        return err_errno(err, f.code, "%s could not be started%s", s->what, stage_text[f.stage]);
    if (!daemon)
        *ret_pid = pid;
    return 0;
}

int child_start(const char *const argv[], const struct child_opts *opts, pid_t *ret_pid,
                struct err *err)
{
    struct start s = {.what = opts->path ? opts->path : argv[0], .argv = argv, .opts = opts};

    if (s.what[0] != '/')
        return err_set(err, ERR_FAILED, "%s: not an absolute path", s.what);
    return start(&s, ret_pid, err);
}

int child_call(void (*fn)(void *ctx), void *ctx, const char *what, const struct child_opts *opts,
               pid_t *ret_pid, struct err *err)
{
    struct start s = {.what = what, .fn = fn, .ctx = ctx, .opts = opts};

    return start(&s, ret_pid, err);
}

bool child_works(pid_t *pid, uint64_t end, int *ret_status)
{
    pid_t ended = waitpid(*pid, ret_status, WNOHANG);

    if (ended == 0) {
        if (clock_mono_ms() > end)
            kill(-*pid, SIGKILL);
        return true;
    }
    if (ended < 0)
        *ret_status = -1;
    *pid = 0;
    return false;
}
