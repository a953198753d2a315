/* SPDX-License-Identifier: Apache-2.0 */
/* What a step may say and ask while it runs (declared in resource.h). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/paths.h"
#include "agent/plan.h"
#include "common/clock.h"
#include "common/keys.h"

#define PROGRESS_EVERY_MS 1000

static void run_say(struct run *run, enum event_kind kind, const char *fmt, va_list ap)
{
    struct event ev = {.ts = clock_wall_ms(), .ms = clock_mono_ms() - run->started};
    char msg[EVENT_MSG_MAX];
    vsnprintf(msg, sizeof(msg), fmt, ap);
    event_fill(&ev, kind, run->id ? run->id : "", "%s", msg);
    snprintf(ev.node, sizeof(ev.node), "%s", run->plan->node);
    snprintf(ev.rev, sizeof(ev.rev), "%s", run->plan->rev);
    run->emit(run->ctx, &ev);
}

void run_emit(struct run *run, enum event_kind kind, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    run_say(run, kind, fmt, ap);
    va_end(ap);
}

void run_progress(struct run *run, const char *fmt, ...)
{
    uint64_t now = clock_mono_ms();
    if (run->spoke && now - run->spoke < PROGRESS_EVERY_MS)
        return;
    run->spoke = now;
    va_list ap;
    va_start(ap, fmt);
    run_say(run, EVENT_PROGRESS, fmt, ap);
    va_end(ap);
}

bool run_superseded(const struct run *run)
{
    struct stat st;
    return run->plan_inode && stat(PATH_PLAN, &st) == 0 && st.st_ino != run->plan_inode;
}

int run_expand(const struct run *run, const char *text, char **ret, struct err *err)
{
    return plan_expand(run->plan, text, ret, err);
}

void secret_free(char *s)
{
    if (s)
        keys_wipe(s, strlen(s));
    free(s);
}

void secret_cleanup(char **s)
{
    secret_free(*s);
}
