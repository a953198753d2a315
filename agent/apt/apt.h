/* SPDX-License-Identifier: Apache-2.0 */
/* apt-get and dpkg as programs: what they say (pure), and running them beside other users of apt.
 */
#ifndef MUSTER_AGENT_APT_APT_H
#define MUSTER_AGENT_APT_APT_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/sys/run.h"
#include "common/err.h"

/* --- what they say: say.c, pure --------------------------------------------------------------- */

/* Zero-initialise; then every line of output and of APT::Status-Fd, in the order in which they
 * come.
 */
struct apt_output {
    unsigned packages;             /* to be installed or upgraded; 0: not known */
    unsigned unpacked, configured; /* of them */
    double bytes;                  /* to download; 0: not known */
    struct event_count count;      /* how far `doing` is */
    char doing[224];               /* "download 45 %, 14.0 of 31.2 MB: file 3 of 87" */
    char error[320];               /* the most telling complaint so far, or "" */
    int rank;                      /* how telling */
};

/* True when `doing` changed. */
bool apt_output_line(struct apt_output *s, const char *line);
/* What an operator does about `error`; "" when there is no advice. */
const char *apt_output_advice(const char *error);

/* --- running: apt.c --------------------------------------------------------------------------- */

#define APT_GET "/usr/bin/apt-get"
#define DPKG "/usr/bin/dpkg"

/* Runs argv with progress events; waits for others that hold a lock of apt or dpkg, before it and
 * when they were quicker, at most `lock_timeout_s` seconds altogether. `what` begins the error. */
int apt_run(struct run *run, const char *what, const char *const *argv, unsigned lock_timeout_s,
            struct err *err);

/* --- a repository of its own: repo.c ---------------------------------------------------------- */

struct apt_repo {
    const char *url, *suite, *key; /* url NULL: none is wanted, one of before is taken away */
    const json_t *components;
    char name[64]; /* of its files */
};

/* Reads the member `repository` (NULL: absent) of the step `id`. The texts are borrowed from it. */
int apt_repo_parse(const json_t *spec, const char *id, struct apt_repo *ret, struct err *err);
/* The apt preferences that let its packages win, whatever the versions elsewhere. The caller frees.
 */
char *apt_repo_pin(const struct apt_repo *r);
/* NULL when the machine is in sync with it, else what differs. */
const char *apt_repo_differs(const struct apt_repo *r);
/* Reads its lists, and only when that went well makes it one of the machine's sources. */
int apt_repo_apply(const struct apt_repo *r, struct run *run, unsigned lock_timeout_s,
                   struct err *err);

#endif
