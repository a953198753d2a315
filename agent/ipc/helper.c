/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ipc/helper.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/child.h"
#include "common/cleanup.h"
#include "common/log.h"

#define INSTALLED "/usr/libexec"

void helper_path(const char *name, char *ret, size_t cap)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    self[n < 0 ? 0 : n] = '\0';
    char *slash = strrchr(self, '/');
    if (slash) {
        *slash = '\0';
        int len = snprintf(ret, cap, "%s/%s", self, name);
        if (len > 0 && (size_t)len < cap && access(ret, X_OK) == 0)
            return;
    }
    snprintf(ret, cap, INSTALLED "/%s", name);
}

int helper_become(const char *name, int argc, char **argv)
{
    const char *args[64] = {name};
    char path[PATH_MAX];

    for (int i = 0; i < argc && i < 62; i++)
        args[i + 1] = argv[i];
    helper_path(name, path, sizeof(path));
    execv(path, (char *const *)args);
    fprintf(stderr, "muster-agent: cannot execute %s\n", path);
    return ERR_FAILED;
}

pid_t helper_start(const char *const argv[], int a, int b, bool bound)
{
    char path[PATH_MAX];
    _cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct child_fd fds[3] = {{null, 0}};
    size_t n = 1;
    struct err err;
    pid_t pid = -1;

    helper_path(argv[0], path, sizeof(path));
    if (a >= 0)
        fds[n++] = (struct child_fd){a, 3};
    if (b >= 0)
        fds[n++] = (struct child_fd){b, 4};
    const struct child_opts opts = {.path = path, .fds = fds, .n_fds = n, .bound = bound};
    if (child_start(argv, &opts, &pid, &err) < 0)
        log_warn("%s", err.msg);
    return pid;
}
