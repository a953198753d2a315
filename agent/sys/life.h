/* SPDX-License-Identifier: Apache-2.0 */
/* Long work shows that it lives: how much of it is done, or for how long nothing new was. */
#ifndef MUSTER_AGENT_SYS_LIFE_H
#define MUSTER_AGENT_SYS_LIFE_H

#include <stddef.h>
#include <stdint.h>

#include "agent/sys/run.h"
#include "common/err.h"

struct life {
    struct run *run;  /* NULL: nobody listens */
    const char *what; /* "copy /a to /b" */
    /* What grows: a file; a directory, for what its filesystem holds; a block device, for what was
     * written to it. */
    const char *where;
    uint64_t total; /* bytes; 0: not known */

    struct event_count count; /* goes with what is told; life_bytes sets it */
    uint64_t from;            /* what was there before */
    char said[256];
    uint64_t changed; /* when `said` became what it is (clock_mono_ms); 0: not begun */
};

/* Tells `doing`; when it stays the same for long, tells that. */
void life_print(struct life *l, const char *doing);
/* The same of `done` bytes. */
void life_bytes(struct life *l, uint64_t done);
/* proc_call that looks at `where` each second. */
int life_run(struct life *l, const char *const argv[], struct err *err);

/* "31 %, 1.2 of 3.9 GB: copy", "812 kB: download". Pure. */
void life_text(const char *what, uint64_t done, uint64_t total, char *ret, size_t cap);
/* What `where` holds by now; 0 when it is not there. */
uint64_t life_measure(const char *where);

#endif
