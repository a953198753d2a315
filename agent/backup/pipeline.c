/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/backup/internal.h"
#include "common/child.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"

#define SAID_MAX (64 * 1024 * 1024)

static const char *const zstd[] = {"/usr/bin/zstd", "-q", "-c", NULL};
static const char *const unzstd[] = {"/usr/bin/zstd", "-q", "-d", "-c", NULL};
static const char *const gzip[] = {"/usr/bin/gzip", "-c", NULL};
static const char *const gunzip[] = {"/usr/bin/gzip", "-d", "-c", NULL};

const char *const *pipeline_compress(const char *how)
{
    return str_eq(how, "zstd") ? zstd : gzip;
}

const char *const *pipeline_decompress(const char *how)
{
    return str_eq(how, "zstd") ? unzstd : gunzip;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static int start_one(struct pipeline *p, int i, const char *const argv[], int in, int out,
                     struct err *err)
{
    _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    p->program[i] = argv[0];
    p->said[i] = memfd_create("said", MFD_CLOEXEC);
    if (null < 0 || p->said[i] < 0)
        return err_errno(err, errno, "%s", argv[0]);
    const struct child_fd fds[] = {
        {in >= 0 ? in : null, 0}, {out >= 0 ? out : null, 1}, {p->said[i], 2}};
    const struct child_opts opts = {.fds = fds, .n_fds = ARRAY_LEN(fds), .bound = true};
    return child_start(argv, &opts, &p->pid[i], err);
}

static int start(const char *const a[], const char *const b[], bool reads, struct pipeline *p,
                 struct err *err)
{
    int middle[2] = {-1, -1}, ours[2] = {-1, -1};
    int r = 0;

    *p = (struct pipeline){.said = {-1, -1}, .fd = -1};
    signal(SIGPIPE, SIG_IGN);
    if (pipe2(middle, O_CLOEXEC) < 0 || pipe2(ours, O_CLOEXEC) < 0)
        r = err_errno(err, errno, "pipe");
    if (r == 0)
        r = start_one(p, 0, a, reads ? -1 : ours[0], middle[1], err);
    if (r == 0)
        r = start_one(p, 1, b, middle[0], reads ? ours[1] : -1, err);
    close_fd(&middle[0]);
    close_fd(&middle[1]);
    p->fd = reads ? ours[0] : ours[1];
    ours[reads ? 0 : 1] = -1;
    close_fd(&ours[reads ? 1 : 0]);
    if (r < 0)
        pipeline_abort(p);
    return r;
}

int pipeline_read(const char *const a[], const char *const b[], struct pipeline *ret,
                  struct err *err)
{
    return start(a, b, true, ret, err);
}

int pipeline_write(const char *const a[], const char *const b[], struct pipeline *ret,
                   struct err *err)
{
    return start(a, b, false, ret, err);
}

char *pipeline_said(const struct pipeline *p, int which)
{
    _cleanup_free_ char *path = str_fmt("/proc/self/fd/%d", p->said[which]);
    struct err ignored;
    char *text = NULL;

    return fs_read(path, SAID_MAX, &text, NULL, &ignored) == 0 ? text : xstrdup("");
}

static int reap(pid_t *pid)
{
    int status = 0;

    if (!*pid)
        return 0;
    while (waitpid(*pid, &status, 0) < 0 && errno == EINTR)
        continue;
    *pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int complain(const struct pipeline *p, int which, int status, struct err *err)
{
    _cleanup_free_ char *said = pipeline_said(p, which);
    char *last = strrchr(str_chomp(said), '\n');

    return err_set(err, ERR_FAILED, "%s: exit status %d: %.300s", p->program[which], status,
                   str_utf8(last ? last + 1 : said));
}

/* One that ended because the other had is not the one that failed. */
int pipeline_end(struct pipeline *p, struct err *err)
{
    int status[2];

    close_fd(&p->fd);
    for (int i = 0; i < 2; i++)
        status[i] = reap(&p->pid[i]);
    if (status[0] == p->tolerated)
        status[0] = 0;
    int which = status[0] && status[0] != 128 + SIGPIPE ? 0 : status[1] ? 1 : 0;
    int r = status[which] ? complain(p, which, status[which], err) : 0;
    pipeline_abort(p);
    return r;
}

void pipeline_abort(struct pipeline *p)
{
    close_fd(&p->fd);
    for (int i = 0; i < 2; i++) {
        if (p->pid[i])
            kill(p->pid[i], SIGKILL);
        reap(&p->pid[i]);
        close_fd(&p->said[i]);
    }
}
