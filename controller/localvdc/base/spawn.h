/* SPDX-License-Identifier: Apache-2.0 */
/* Processes of the local cloud that outlive the one that starts them. */
#ifndef MUSTER_CONTROLLER_LOCALVDC_BASE_SPAWN_H
#define MUSTER_CONTROLLER_LOCALVDC_BASE_SPAWN_H

#include <sys/types.h>

#include "common/err.h"

/* Runs this program with the arguments (NULL-terminated, without argv[0]) as a child, output to
 * `log` (appended; NULL: /dev/null). The caller waits for *ret_pid. */
int spawn_child(const char *const args[], const char *log, pid_t *ret_pid, struct err *err);
/* As spawn_child; its standard input is the other end of the socket *ret_fd, which the caller
 * closes, and which ends when the child does. */
int spawn_talking(const char *const args[], const char *log, pid_t *ret_pid, int *ret_fd,
                  struct err *err);
/* As a daemon: in a session of its own, child of the machine's init. */
int spawn_daemon(const char *const args[], const char *log, struct err *err);

#endif
