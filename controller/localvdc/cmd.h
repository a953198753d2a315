/* SPDX-License-Identifier: Apache-2.0 */
/* The program's verbs. Each returns 0 or -1 with an error for main to print. */
#ifndef MUSTER_VDC_CMD_H
#define MUSTER_VDC_CMD_H

#include "common/err.h"

#define DAEMON_PIDFILE VDC_DIR "/serve.pid" /* there when it is ready */
#define DAEMON_LOCK VDC_DIR "/lock/daemon"  /* holds its pid from its first moment on */
#define DAEMON_MARK "serve"

int vdc_cmd_serve(int argc, char **argv, struct err *err);
int vdc_cmd_start(int argc, char **argv, struct err *err);
int vdc_cmd_stop(int argc, char **argv, struct err *err);
int vdc_cmd_status(int argc, char **argv, struct err *err);
int vdc_cmd_logs(int argc, char **argv, struct err *err);
int vdc_cmd_destroy(int argc, char **argv, struct err *err);
int vdc_cmd_link(int argc, char **argv, struct err *err);
int vdc_cmd_account(int argc, char **argv, struct err *err);
int vdc_cmd_fault(int argc, char **argv, struct err *err);

/* In processes that the daemon and liblxc start. */
int vdc_cmd_job(int argc, char **argv, struct err *err);
int vdc_cmd_hold(int argc, char **argv, struct err *err);
int vdc_cmd_metadata(int argc, char **argv, struct err *err);
int vdc_cmd_relay(int argc, char **argv, struct err *err);
int vdc_cmd_hook(int argc, char **argv, struct err *err);

int vdc_cmd_need_root(struct err *err);

#endif
