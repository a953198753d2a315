/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/localvdc/base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/child.h"
#include "common/cleanup.h"
#include "controller/localvdc/base/tool.h"
#include "controller/localvdc/base/vdc.h"

#define ARGS_MAX 8

/* `in`: its standard input, -1: /dev/null. */
static int spawn(const char *const args[], const char *log, int in, enum child_apart apart,
                 pid_t *ret_pid, struct err *err)
{
    const char *argv[ARGS_MAX + 2] = {"muster-vdc"};
    char self[PATH_MAX];
    _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    _cleanup_close_ int file =
        log ? open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    int out = log ? file : null;

    if (null < 0 || out < 0)
        return err_errno(err, errno, "open %s", log ? log : "/dev/null");
    if (vdc_self(self, sizeof(self), err) < 0)
        return -1;
    for (size_t i = 0; i < ARGS_MAX && args[i]; i++)
        argv[i + 1] = args[i];
    const struct child_fd fds[] = {{in < 0 ? null : in, 0}, {out, 1}, {out, 2}};
    const struct child_opts opts = {.path = self,
                                    .env = tool_env,
                                    .cwd = "/",
                                    .fds = fds,
                                    .n_fds = ARRAY_LEN(fds),
                                    .apart = apart};
    mode_t before = umask(022); /* the child's, too */
    int r = child_start(argv, &opts, ret_pid, err);
    umask(before);
    return r;
}

int spawn_child(const char *const args[], const char *log, pid_t *ret_pid, struct err *err)
{
    return spawn(args, log, -1, CHILD_SESSION, ret_pid, err);
}

int spawn_talking(const char *const args[], const char *log, pid_t *ret_pid, int *ret_fd,
                  struct err *err)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_errno(err, errno, "socketpair");
    int r = spawn(args, log, pair[1], CHILD_SESSION, ret_pid, err);
    close(pair[1]);
    if (r < 0)
        close(pair[0]);
    else
        *ret_fd = pair[0];
    return r;
}

int spawn_daemon(const char *const args[], const char *log, struct err *err)
{
    return spawn(args, log, -1, CHILD_DAEMON, NULL, err);
}
