/* SPDX-License-Identifier: Apache-2.0 */
/* Children of this process: the one place that forks. Both functions return when the child has
 * executed its program, or calls its function; what went wrong before that is the caller's error
 * ("X could not be started: …"), and no child is left. The caller waits for *ret_pid. */
#ifndef MUSTER_COMMON_CHILD_H
#define MUSTER_COMMON_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"

#define CHILD_FDS_MAX 8

struct child_fd {
    int from; /* here */
    int to;   /* there: below CHILD_FD_HIGH, or the same as `from` */
};

#define CHILD_FD_HIGH 10

enum child_apart {
    CHILD_WITH_US,
    CHILD_GROUP,   /* a process group of its own, to be killed as one */
    CHILD_SESSION, /* and a session */
    CHILD_DAEMON,  /* and the machine's init for a parent; *ret_pid is not set, nobody waits */
};

/* Zero-initialised: a child like its parent. */
struct child_opts {
    const char *path;       /* of the program; NULL: argv[0] */
    const char *const *env; /* NULL: the caller's; else the whole environment, NULL-terminated */
    const char *cwd;        /* NULL: the caller's */
    const struct child_fd *fds;
    size_t n_fds;
    uid_t uid; /* 0: keep */
    gid_t gid; /* 0: keep; else the other groups go, too */
    enum child_apart apart;
    bool bound; /* killed when this process ends, also when that was before it began */
};

/* Starts a program by its absolute path, signals as a program expects them. Of our descriptors it
 * has 0, 1, 2 and those that `fds` names. */
int child_start(const char *const argv[], const struct child_opts *opts, pid_t *ret_pid,
                struct err *err);

/* Calls `fn` in a child, which ends with status 0 when it returns. `what` names it in errors; of
 * the options, path, env and fds do not count. In a process with threads (libzmq's) `fn` may only
 * do what signal-safety(7) lists: a lock that one of them held stays held in the child. */
int child_call(void (*fn)(void *ctx), void *ctx, const char *what, const struct child_opts *opts,
               pid_t *ret_pid, struct err *err);

/* Whether a child in a group of its own is still at work; after `end` (clock_mono_ms) the group is
 * killed. When it is not, *pid is 0 and *ret_status as waitpid has it, or -1: how it ended is not
 * known. */
bool child_works(pid_t *pid, uint64_t end, int *ret_status);

#endif
