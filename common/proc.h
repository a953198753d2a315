/* SPDX-License-Identifier: Apache-2.0 */
/* Child programs: absolute path, argument vector, no shell, a deadline, bounded output. */
#ifndef MUSTER_PROC_H
#define MUSTER_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "err.h"
#include "str.h"

/* Zero-initialised: inherits the environment, no input, no deadline, 1 MiB of output kept. */
struct proc_opts {
    const char *const *env; /* NULL: the caller's; else the whole environment, NULL-terminated */
    const char *cwd;
    const char *input;  /* text for stdin; NULL: /dev/null */
    unsigned timeout_s; /* 0: none; then SIGKILL to the child's process group */
    size_t out_max;     /* bytes kept of each stream; what is over is dropped */
    uid_t uid;          /* 0: keep */
    gid_t gid;
    int pass_fd; /* > 2: kept open in the child under the same number */
    /* Called for every whole line of stdout or stderr while the child runs. */
    void (*on_line)(void *ctx, const char *line);
    bool quiet;      /* what it says does not go to the sink */
    bool lines_on_3; /* the child's descriptor 3 is one more stream for on_line; nothing is kept */
    void (*on_tick)(void *ctx); /* every tick_s seconds in which nothing came */
    unsigned tick_s;
    const bool *give_up; /* set by one of these: it is killed; NULL: never */
    void *ctx;
};

/* What stands in the place of an exit code when the program could not be started, or how it ended
 * is not known: it said nothing, neither yes nor no. The dynamic linker says the same. */
#define PROC_NOT_STARTED 127

struct proc_result {
    int status; /* exit code, PROC_NOT_STARTED, or 128 + signal */
    bool timed_out;
    struct strbuf out;
    struct strbuf errout;
};

/* Runs argv[0] (an absolute path) and waits. Returns 0 when it exited 0. Otherwise -1 and
 * "<program>: exit status N: <last line it said>". `ret` may be NULL; else it is always set, and
 * the caller calls proc_result_free. */
int proc_run(const char *const argv[], const struct proc_opts *opts, struct proc_result *ret,
             struct err *err);
void proc_result_free(struct proc_result *r);

/* Besides, every command of this process, each line that a child says on stdout or stderr, and how
 * it ended go to `sink`; NULL: to nobody. Children by fork take it along. */
void proc_set_sink(void (*sink)(const char *line));

/* proc_run with neither options nor output wanted. */
int proc_call(const char *const argv[], struct err *err);

#define PROC_ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

#endif
