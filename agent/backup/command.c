/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's own commands that take a backup elsewhere, and fetch it from there. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/backup/internal.h"
#include "common/child.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"

#define SILENT_MS (10 * 60 * 1000)

extern char **environ;

struct command {
    const char **argv, **env;
    char *name;
};

static void command_cleanup(struct command *c)
{
    free(c->argv);
    free(c->env);
    free(c->name);
}

static void command_fill(struct command *c, const json_t *words, const char *name)
{
    size_t n = 0, i;
    json_t *w;

    while (environ[n])
        n++;
    c->argv = xcalloc(json_array_size(words) + 1, sizeof(*c->argv));
    c->env = xcalloc(n + 2, sizeof(*c->env));
    c->name = str_fmt("MUSTER_BACKUP=%s", name);
    memcpy(c->env, environ, n * sizeof(*c->env));
    c->env[n] = c->name;
    json_array_foreach(words, i, w) c->argv[i] = json_string_value(w);
}

static int finish(pid_t pid, const char *program, struct err *err)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return err_set(err, ERR_FAILED, "%s: exit status %d", program,
                   WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/* From one to the other; whoever makes no progress for long is given up. */
static int pass(int from, int to, int watched, short events, const struct backup_work *w,
                const char *phase, struct err *err)
{
    static char buf[65536];
    uint64_t sum = 0;

    for (;;) {
        struct pollfd p = {.fd = watched, .events = events};
        int ready = poll(&p, 1, SILENT_MS);

        if (ready == 0)
            return err_set(err, ERR_TIMEOUT, "it made no progress for %d minutes",
                           SILENT_MS / 60000);
        ssize_t n = read(from, buf, events == POLLOUT ? 4096 : sizeof(buf));
        if (n <= 0)
            return n == 0 ? 0 : err_errno(err, errno, "read");
        /* A pipe that is ready takes this much in one piece (PIPE_BUF). */
        if (write(to, buf, (size_t)n) != n)
            return err_errno(err, errno, "it took no more");
        sum += (uint64_t)n;
        if (sum % (1 << 20) < 4096)
            backup_say(w, phase, sum);
    }
}

static int run(const struct backup_work *w, const json_t *words, const char *name, int file,
               bool put, struct err *err)
{
    _cleanup_(command_cleanup) struct command c = {0};
    _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int pipes[2];
    pid_t pid = -1;

    command_fill(&c, words, name);
    if (null < 0 || pipe2(pipes, O_CLOEXEC) < 0)
        return err_errno(err, errno, "%s", c.argv[0]);
    signal(SIGPIPE, SIG_IGN);
    const struct child_fd fds[] = {
        {put ? pipes[0] : null, 0}, {put ? null : pipes[1], 1}, {null, 2}};
    const struct child_opts opts = {
        .env = c.env, .fds = fds, .n_fds = ARRAY_LEN(fds), .bound = true, .apart = CHILD_GROUP};
    int r = child_start(c.argv, &opts, &pid, err);
    close(pipes[put ? 0 : 1]);
    if (r < 0) {
        close(pipes[put ? 1 : 0]);
        return -1;
    }
    r = put ? pass(file, pipes[1], pipes[1], POLLOUT, w, "has it taken elsewhere", err)
            : pass(pipes[0], file, pipes[0], POLLIN, w, "has it fetched", err);
    close(pipes[put ? 1 : 0]);
    if (r < 0)
        kill(-pid, SIGKILL);
    struct err why = {0};
    int ended = finish(pid, c.argv[0], r < 0 ? &why : err);
    return r < 0 ? err_wrap(err, "%s", c.argv[0]) : ended;
}

int backup_put(const struct backup_work *w, const char *name, struct err *err)
{
    _cleanup_free_ char *path = backup_path(w->conf, name);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (!w->conf->put)
        return 0;
    return fd < 0 ? err_errno(err, errno, "%s", path) : run(w, w->conf->put, name, fd, true, err);
}

int backup_get(const struct backup_work *w, const char *name, struct err *err)
{
    _cleanup_free_ char *path = backup_path(w->conf, name);
    _cleanup_free_ char *part = str_fmt("%s/" BACKUP_DIRECTORY "/.%s.part", w->conf->mount, name);
    _cleanup_close_ int fd = -1;
    struct backup_head h;

    if (!w->conf->get)
        return err_set(err, ERR_USAGE,
                       "there is no backup '%s' on this node; 'muster backup list' names those "
                       "that are there",
                       name);
    fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(err, errno, "%s", part);
    int r = run(w, w->conf->get, name, fd, false, err);
    if (r == 0)
        r = backup_head_read(part, &h, err);
    if (r == 0 && !str_eq(h.name, name))
        r = err_set(err, ERR_SAFETY, "what was fetched is %s", h.name);
    if (r == 0 && (fsync(fd) < 0 || rename(part, path) < 0))
        r = err_errno(err, errno, "%s", path);
    if (r < 0)
        unlink(part);
    return r < 0 ? -1 : fs_sync_parent(path, err);
}
