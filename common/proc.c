/* SPDX-License-Identifier: Apache-2.0 */
#include "common/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/child.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/hook.h"

#define OUT_MAX_DEFAULT (1024 * 1024)
#define PIPE_BYTES 65536    /* pipe(7) */
#define LINE_MAX_BYTES 8192 /* a longer one is handed over in pieces */

static void (*sink)(const char *line);

void proc_set_sink(void (*to)(const char *line))
{
    sink = to;
}

struct stream {
    int fd;
    struct strbuf *kept;
    struct strbuf line; /* an unfinished line, for on_line */
    size_t max;
    size_t left; /* bytes that are read of it yet; all that an ended program wrote is in the pipe */
};

/* Input goes through an unlinked file: no deadlock between what we write and what it says. */
static int input_fd(const char *text)
{
    int fd;

    if (!text)
        return open("/dev/null", O_RDONLY | O_CLOEXEC);
    fd = memfd_create("input", MFD_CLOEXEC);
    if (fd < 0)
        return -1;
    for (size_t off = 0, len = strlen(text); off < len;) {
        ssize_t n = write(fd, text + off, len - off);

        if (n < 0) {
            close(fd);
            return -1;
        }
        off += (size_t)n;
    }
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static void emit_line(struct stream *st, const struct proc_opts *o)
{
    if (sink && st->kept && !o->quiet)
        sink(strbuf_str(&st->line));
    if (o->on_line)
        o->on_line(o->ctx, strbuf_str(&st->line));
    strbuf_reset(&st->line);
}

/* Returns false at end of stream. */
static bool stream_read(struct stream *st, const struct proc_opts *o)
{
    char buf[4096];
    ssize_t n = read(st->fd, buf, sizeof(buf) < st->left ? sizeof(buf) : st->left);

    if (n < 0)
        return errno == EINTR || errno == EAGAIN;
    if (n == 0) {
        if (st->line.len)
            emit_line(st, o);
        return false;
    }
    if (st->left != SIZE_MAX)
        st->left -= (size_t)n;
    if (st->kept && st->kept->len < st->max) {
        size_t room = st->max - st->kept->len;

        strbuf_add(st->kept, buf, (size_t)n < room ? (size_t)n : room);
    }
    for (ssize_t i = 0; (o->on_line || sink) && i < n; i++) {
        bool end = buf[i] == '\n';

        if (end || st->line.len == LINE_MAX_BYTES)
            emit_line(st, o);
        if (!end)
            strbuf_add(&st->line, &buf[i], 1);
    }
    return true;
}

/* How long to wait for the streams: not beyond the deadline, nor beyond the next tick. */
static int wait_ms_of(const struct proc_opts *o, uint64_t end)
{
    uint64_t now = clock_mono_ms();
    int wait_ms = o->on_tick ? (int)o->tick_s * 1000 : -1;

    if (end == UINT64_MAX)
        return wait_ms;
    uint64_t left = now >= end ? 0 : end - now;
    int until_end = (int)(left < 60000 ? left : 60000);
    return wait_ms < 0 || until_end < wait_ms ? until_end : wait_ms;
}

#define STREAMS 3

/* One that may go on for ever, whatever it writes meanwhile, is killed: at its deadline, and when
 * its caller gives up. Its streams end with it. */
static void pump_limits(pid_t pid, const struct proc_opts *o, uint64_t *end, struct proc_result *r)
{
    if (clock_mono_ms() >= *end) {
        r->timed_out = true;
        *end = UINT64_MAX;
        kill(-pid, SIGKILL);
    }
    if (o->give_up && *o->give_up)
        kill(-pid, SIGKILL);
}

/* Copies the streams until all end or the deadline passes; then reaps. */
static void pump(pid_t pid, int pidfd, struct stream st[STREAMS], const struct proc_opts *o,
                 struct proc_result *r)
{
    uint64_t end = o->timeout_s ? clock_mono_ms() + o->timeout_s * 1000ull : UINT64_MAX;
    bool exited = false;
    int status = W_EXITCODE(PROC_NOT_STARTED, 0);

    while (!exited || st[0].fd >= 0 || st[1].fd >= 0 || st[2].fd >= 0) {
        struct pollfd p[STREAMS + 1] = {{.fd = st[0].fd, .events = POLLIN},
                                        {.fd = st[1].fd, .events = POLLIN},
                                        {.fd = st[2].fd, .events = POLLIN},
                                        {.fd = exited ? -1 : pidfd, .events = POLLIN}};
        int ready = poll(p, STREAMS + 1, exited ? 0 : wait_ms_of(o, end));

        /* Ended: a grandchild may keep the pipe open, and write; take what is there, then go. */
        if (ready == 0 && exited)
            break;
        if (ready == 0 && o->on_tick && clock_mono_ms() < end)
            o->on_tick(o->ctx);
        for (int i = 0; ready > 0 && i < STREAMS; i++) {
            if (st[i].fd >= 0 && (p[i].revents & (POLLIN | POLLHUP | POLLERR)) &&
                !stream_read(&st[i], o)) {
                close(st[i].fd);
                st[i].fd = -1;
            }
        }
        if (!exited)
            pump_limits(pid, o, &end, r);
        if (!exited && ready > 0 && p[STREAMS].revents) {
            exited = waitpid(pid, &status, 0) == pid || errno == ECHILD;
            for (int i = 0; exited && i < STREAMS; i++)
                st[i].left = PIPE_BYTES;
        }
    }
    for (int i = 0; i < STREAMS; i++) {
        if (st[i].fd >= 0)
            close(st[i].fd);
        strbuf_free(&st[i].line);
    }
    r->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The last line that is not empty, in place. */
static const char *last_line(struct strbuf *b)
{
    char *nl;

    if (!b->s)
        return "";
    str_chomp(b->s);
    nl = strrchr(b->s, '\n');
    return nl ? nl + 1 : b->s;
}

static int describe_failure(const char *program, const struct proc_opts *o, struct proc_result *r,
                            struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf copy = {0};
    const struct strbuf *from = r->errout.len ? &r->errout : &r->out;

    if (r->timed_out)
        return err_set(err, ERR_TIMEOUT, "%s: not finished after %u s", program, o->timeout_s);
    strbuf_adds(&copy, strbuf_str(from));
    return err_set(err, ERR_FAILED, "%s: exit status %d: %.300s", program, r->status,
                   last_line(&copy));
}

enum { OUT, ERR, THIRD, PIPES };

static void close_pair(int pair[2])
{
    for (int i = 0; i < 2; i++) {
        if (pair[i] >= 0)
            close(pair[i]);
        pair[i] = -1;
    }
}

static int open_pipes(int pipes[PIPES][2], bool third)
{
    for (int i = 0; i < (third ? PIPES : THIRD); i++) {
        if (pipe2(pipes[i], O_CLOEXEC) < 0) {
            int saved = errno;

            for (int k = 0; k < i; k++)
                close_pair(pipes[k]);
            errno = saved;
            return -1;
        }
    }
    return 0;
}

/* The child, with the ends of the pipes that are its own. */
static int start(const char *const argv[], const struct proc_opts *o, int in, int pipes[PIPES][2],
                 pid_t *ret_pid, struct err *err)
{
    struct child_fd fds[] = {{in, 0}, {pipes[OUT][1], 1}, {pipes[ERR][1], 2}, {-1, 3}, {-1, 3}};
    size_t n = 3;

    if (o->lines_on_3)
        fds[n++].from = pipes[THIRD][1];
    if (o->pass_fd > 2)
        fds[n++] = (struct child_fd){o->pass_fd, o->pass_fd};
    const struct child_opts opts = {.env = o->env,
                                    .cwd = o->cwd,
                                    .uid = o->uid,
                                    .gid = o->gid,
                                    .fds = fds,
                                    .n_fds = n,
                                    .apart = CHILD_GROUP,
                                    .bound = true};
    return child_start(argv, &opts, ret_pid, err);
}

static void sink_command(const char *const argv[])
{
    _cleanup_(strbuf_free) struct strbuf line = {0};

    for (size_t i = 0; sink && argv[i]; i++)
        strbuf_addf(&line, "%s%s", i ? " " : "$ ", argv[i]);
    if (sink)
        sink(strbuf_str(&line));
}

static void sink_end(const char *program, const struct proc_result *r)
{
    _cleanup_free_ char *line = NULL;

    if (!sink || r->status == 0)
        return;
    line = str_fmt("%s: exit status %d%s", program, r->status, r->timed_out ? ", timed out" : "");
    sink(line);
}

int proc_run(const char *const argv[], const struct proc_opts *opts, struct proc_result *ret,
             struct err *err)
{
    static const struct proc_opts none;
    const struct proc_opts *o = opts ? opts : &none;
    struct proc_result r = {0};
    size_t max = o->out_max ? o->out_max : OUT_MAX_DEFAULT;
    _cleanup_close_ int in = input_fd(o->input);
    _cleanup_close_ int pidfd = -1;
    int pipes[PIPES][2] = {{-1, -1}, {-1, -1}, {-1, -1}}, rc = 0;
    pid_t pid = -1;

    if (ret)
        *ret = (struct proc_result){.status = PROC_NOT_STARTED};
    if (in < 0 || open_pipes(pipes, o->lines_on_3) < 0)
        return err_errno(err, errno, "%s: pipe", argv[0]);
    sink_command(argv);
    rc = start(argv, o, in, pipes, &pid, err);
    if (rc == 0 && (pidfd = (int)syscall(SYS_pidfd_open, pid, 0)) < 0) {
        rc = err_errno(err, errno, "%s: watch it", argv[0]);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    if (rc < 0) {
        for (int i = 0; i < PIPES; i++)
            close_pair(pipes[i]);
        return -1;
    }
    fcntl(pidfd, F_SETFD, FD_CLOEXEC);

    struct stream st[STREAMS] = {{.kept = &r.out, .max = max}, {.kept = &r.errout, .max = max}};

    for (int i = 0; i < PIPES; i++) {
        st[i].fd = pipes[i][0];
        st[i].left = SIZE_MAX;
        if (pipes[i][1] >= 0)
            close(pipes[i][1]);
    }
    hook_point(); /* while the child is at work: it goes, too */
    pump(pid, pidfd, st, o, &r);
    hook_point();
    sink_end(argv[0], &r);
    if (r.status != 0)
        rc = describe_failure(argv[0], o, &r, err);
    if (ret)
        *ret = r;
    else
        proc_result_free(&r);
    return rc;
}

void proc_result_free(struct proc_result *r)
{
    strbuf_free(&r->out);
    strbuf_free(&r->errout);
}

int proc_call(const char *const argv[], struct err *err)
{
    return proc_run(argv, NULL, NULL, err);
}
