/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/localvdc/base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "controller/localvdc/base/tool.h"
#include "controller/localvdc/base/vdc.h"

#define ARGS_MAX 8

static void become(const char *self, const char *const args[], const char *log)
{
    const char *argv[ARGS_MAX + 2] = {"muster-vdc"};

    for (size_t i = 0; i < ARGS_MAX && args[i]; i++)
        argv[i + 1] = args[i];
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int in = open("/dev/null", O_RDWR);
    int out = log ? open(log, O_WRONLY | O_CREAT | O_APPEND, 0600) : in;
    if (in < 0 || out < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
        _exit(127);
    close_range(3, ~0U, 0);
    if (chdir("/") < 0)
        _exit(127);
    umask(022);
    execve(self, (char *const *)argv, (char *const *)tool_env);
    _exit(127);
}

static int spawn(const char *const args[], const char *log, int daemon, pid_t *ret_pid,
                 struct err *err)
{
    char self[PATH_MAX];

    if (vdc_self(self, sizeof(self), err) < 0)
        return -1;
    pid_t pid = fork();
    if (pid < 0)
        return err_errno(err, errno, "fork");
    if (pid == 0) {
        setsid();
        pid_t own = daemon ? fork() : 0;
        if (own != 0)
            _exit(own < 0 ? errno : 0);
        become(self, args, log);
    }
    *ret_pid = pid;
    return 0;
}

int spawn_child(const char *const args[], const char *log, pid_t *ret_pid, struct err *err)
{
    return spawn(args, log, 0, ret_pid, err);
}

int spawn_daemon(const char *const args[], const char *log, struct err *err)
{
    pid_t pid = -1;

    if (spawn(args, log, 1, &pid, err) < 0)
        return -1;
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return WEXITSTATUS(status) ? err_errno(err, WEXITSTATUS(status), "fork") : 0;
}
