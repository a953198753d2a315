/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ipc/helper.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define INSTALLED "/usr/libexec"

void helper_path(const char *name, char *ret, size_t cap)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[n < 0 ? 0 : n] = '\0';
    char *slash = strrchr(self, '/');
    if (slash) {
        *slash = '\0';
        snprintf(ret, cap, "%s/%s", self, name);
        if (access(ret, X_OK) == 0)
            return;
    }
    snprintf(ret, cap, INSTALLED "/%s", name);
}

void helper_exec(const char *const argv[], int a, int b)
{
    char path[PATH_MAX];
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    /* Out of the way of 3 and 4 first; dup2 then leaves them open over exec. */
    int p = a < 0 ? -1 : fcntl(a, F_DUPFD_CLOEXEC, 10);
    int q = b < 0 ? -1 : fcntl(b, F_DUPFD_CLOEXEC, 10);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if ((a >= 0 && p < 0) || (b >= 0 && q < 0) || null < 0 || dup2(null, 0) < 0 ||
        (p >= 0 && dup2(p, 3) < 0) || (q >= 0 && dup2(q, 4) < 0))
        _exit(126);
    helper_path(argv[0], path, sizeof(path));
    execv(path, (char *const *)argv);
    _exit(127);
}
