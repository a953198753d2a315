/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's programs on this node (PATH_HOOKS): told what happens, asked nothing. */
#include "common/event_hooks.h"

#include "agent/ipc/paths.h"
#include "agent/supervisor/internal.h"

void sup_hooks_event(struct supervisor *s, const struct event *ev)
{
    if (s->hooks.own)
        hooks_event(s->hooks.own, s->has_boot ? s->boot.deployment : "", ev);
}

static void start(struct supervisor *s)
{
    s->hooks.own = hooks_new(PATH_HOOKS);
}

static void tick(struct supervisor *s, uint64_t now)
{
    (void)now;
    hooks_run(s->hooks.own);
}

static uint64_t due(const struct supervisor *s, uint64_t now)
{
    (void)now;
    return hooks_due(s->hooks.own);
}

static void stop(struct supervisor *s)
{
    hooks_free(s->hooks.own);
}

const struct sup_part sup_hooks = {start, NULL, NULL, NULL, tick, due, stop};
