/* SPDX-License-Identifier: Apache-2.0 */
/* The programs that the local cloud runs, found in a fixed list of directories. */
#ifndef MUSTER_CONTROLLER_LOCALVDC_BASE_TOOL_H
#define MUSTER_CONTROLLER_LOCALVDC_BASE_TOOL_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/err.h"

#define TOOL_ARGS_MAX 32

/* The absolute path of a tool; when missing, the error names the package that holds it. */
int tool_find(const char *name, char *ret, size_t cap, struct err *err);
/* Every tool that is needed, at once. */
int tool_check_all(struct err *err);
/* Runs it with a clean environment, at most a minute; `input` may be NULL. */
int tool_run(const char *name, const char *const args[], const char *input, struct err *err);
#define TOOL(name, err, ...) tool_run((name), (const char *const[]){__VA_ARGS__, NULL}, NULL, (err))

extern const char *const tool_env[];

/* Whether the process of that pid file lives and its command line holds `mark`; its pid or 0. */
pid_t tool_pid(const char *pidfile, const char *mark);
/* SIGTERM, then SIGKILL when it does not go; a process that is not ours is left alone. */
void tool_stop(const char *pidfile, const char *mark);

/* Start time of a process in clock ticks since boot, 0 when it is not there or dead: with the pid
 * it names a process for ever. */
unsigned long long tool_starttime(pid_t pid);
/* The namespace of that kind ("pid", "mnt") that a process is in, 0 when it is gone. */
ino_t tool_namespace(pid_t pid, const char *kind);

#endif
