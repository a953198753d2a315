/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sys/run.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/ipc/paths.h"
#include "common/clock.h"
#include "common/keys.h"
#include "common/str.h"

#define PROGRESS_EVERY_MS 1000
#define SECRET_OPEN "${secret:"

static void emit_with(struct run *run, const struct event *with, const char *fmt, va_list ap)
{
    struct event ev = *with;
    char msg[EVENT_MSG_MAX];

    ev.ts = clock_wall_ms();
    ev.ms = clock_mono_ms() - run->started;
    vsnprintf(msg, sizeof(msg), fmt, ap);
    event_fill(&ev, with->kind, run->id ? run->id : "", "%s", msg);
    snprintf(ev.node, sizeof(ev.node), "%s", run->node);
    snprintf(ev.rev, sizeof(ev.rev), "%s", run->rev);
    run->emit(run->ctx, &ev);
}

void run_emit(struct run *run, enum event_kind kind, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    emit_with(run, &(struct event){.kind = kind}, fmt, ap);
    va_end(ap);
}

void run_emit_counted(struct run *run, const struct event *with, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    emit_with(run, with, fmt, ap);
    va_end(ap);
}

static bool may_speak(struct run *run)
{
    uint64_t now = clock_mono_ms();

    if (run->spoke && now - run->spoke < PROGRESS_EVERY_MS)
        return false;
    run->spoke = now;
    return true;
}

void run_progress(struct run *run, const char *fmt, ...)
{
    va_list ap;

    if (!may_speak(run))
        return;
    va_start(ap, fmt);
    emit_with(run, &(struct event){.kind = EVENT_PROGRESS}, fmt, ap);
    va_end(ap);
}

void run_progress_counted(struct run *run, const struct event_count *count, const char *fmt, ...)
{
    struct event_count seen = *count;
    va_list ap;

    if (!may_speak(run))
        return;
    if (seen.done > seen.total) /* more has come than was announced: the total is not known */
        seen.total = 0;
    va_start(ap, fmt);
    emit_with(run, &(struct event){.kind = EVENT_PROGRESS, .count = seen}, fmt, ap);
    va_end(ap);
}

bool run_superseded(const struct run *run)
{
    struct stat st;

    return run->plan_inode && stat(PATH_PLAN, &st) == 0 && st.st_ino != run->plan_inode;
}

int run_expand(const struct run *run, const char *text, char **ret, struct err *err)
{
    struct strbuf out = {0};
    const char *at;

    while ((at = strstr(text, SECRET_OPEN))) {
        char name[64];
        const char *from = at + strlen(SECRET_OPEN), *end = strchr(from, '}');

        if (!end || (size_t)(end - from) >= sizeof(name)) {
            keys_wipe(out.s, out.len);
            strbuf_free(&out);
            return err_set(err, ERR_USAGE, "'%s' without a name and '}'", SECRET_OPEN);
        }
        memcpy(name, from, (size_t)(end - from));
        name[end - from] = '\0';
        const char *value = json_string_value(json_object_get(run->secrets, name));
        if (!value) {
            keys_wipe(out.s, out.len);
            strbuf_free(&out);
            return err_set(err, ERR_USAGE, "secret '%s' is not in the plan", name);
        }
        strbuf_add(&out, text, (size_t)(at - text));
        strbuf_adds(&out, value);
        text = end + 1;
    }
    strbuf_adds(&out, text);
    *ret = out.s ? out.s : xstrdup("");
    return 0;
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
