/* SPDX-License-Identifier: Apache-2.0 */
/* systemd's services, through systemctl. `unit` is a name with or without ".service". */
#ifndef MUSTER_AGENT_SYS_SVC_H
#define MUSTER_AGENT_SYS_SVC_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct svc_state {
    bool exists;
    bool enabled; /* starts at boot; static and generated units count as enabled */
    bool active;  /* active or reloading */
    bool busy;    /* activating or deactivating */
    bool failed;
    bool masked;     /* nothing starts it, whatever wants it */
    int main_pid;    /* 0: none */
    int64_t changed; /* when its state changed last, which a reload does, too; 0: not known */
};

int svc_status(const char *unit, struct svc_state *ret, struct err *err);
/* The same, and `enabled` and `masked` are as on the disk, whatever systemd has read of it. */
int svc_status_boot(const char *unit, struct svc_state *ret, struct err *err);
/* As svc_status_boot, for checks that follow each other: all units that were named with svc_expect
 * since svc_expect_none are asked about at once. What is older than a second, or than a change
 * through this file, is asked again. */
int svc_status_soon(const char *unit, struct svc_state *ret, struct err *err);
void svc_expect_none(void);
void svc_expect(const char *unit);
void svc_forget(void);
int svc_do(const char *verb, const char *unit, struct err *err); /* e.g. "start" */
int svc_daemon_reload(struct err *err);

/* --- whether what was loaded is what lies on the disk. Times are microseconds since 1970. --- */

/* When systemd read all units last; 0: it does not say. */
int svc_units_loaded(int64_t *ret, struct err *err);
/* Somebody changed `path` (content, mode, owner, a link's target, a directory's names) after
 * `loaded`. What is not there, and a time that is not known or lies ahead, is no change. */
bool svc_changed_after(const char *path, int64_t loaded);
/* "Fri 2026-11-27 10:25:30.123456 UTC", as systemd says it; 0: none. Pure. */
int64_t svc_time(const char *text);

/* A configuration file was written: `unit` must be reloaded. Kept on disk, so that a crash
 * between the write and the reload does not lose it. */
int svc_notify_note(const char *unit, struct err *err);
bool svc_notify_pending(const char *unit);
/* Reloads the unit when it runs, and forgets the note. */
int svc_notify_serve(const char *unit, struct err *err);
/* Forgets the note: the unit was just started or restarted. */
int svc_notify_drop(const char *unit, struct err *err);

#endif
