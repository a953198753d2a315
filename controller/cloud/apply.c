/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cloud/apply.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/str.h"
#include "controller/cloud/internal.h"

#define IN_FLIGHT_MAX 64

/* What was listed before a dependency changed says nothing any more. */
static bool is_stale(const struct apply *a, const struct item *it)
{
    const struct items *items = &a->survey->items;
    bool moved = false;

    for (size_t d = 0; d < it->n_deps; d++)
        moved = moved || items->v[it->deps[d]].created || items->v[it->deps[d]].destroyed;
    return moved && (it->found != FOUND_NOT || it->kind == ITEM_FIREWALL ||
                     !item_ops(items, it->kind)->create);
}

/* What goes, goes in phases, and before anything comes. */
static int removal_phase(const struct apply *a)
{
    int phase = TEARDOWN_PHASES;

    for (size_t i = 0; i < a->survey->items.n; i++) {
        const struct item *it = &a->survey->items.v[i];
        int p = item_ops(&a->survey->items, it->kind)->phase;

        if (it->want != WANT_THERE && it->state != ITEM_DONE && p < phase)
            phase = p;
    }
    return phase;
}

static bool ready_to_start(const struct apply *a, const struct item *it, int phase)
{
    const struct items *items = &a->survey->items;

    if (it->state != ITEM_PENDING)
        return false;
    if (it->want != WANT_THERE)
        return item_ops(items, it->kind)->phase == phase;
    if (phase < TEARDOWN_PHASES)
        return false;
    for (size_t d = 0; d < it->n_deps; d++)
        if (!items->v[it->deps[d]].usable)
            return false;
    return true;
}

/* Items that need nothing, with all that they depend on: done without a call. */
static void skip_settled(struct apply *a)
{
    for (size_t i = 0; i < a->survey->items.n; i++) {
        struct item *it = &a->survey->items.v[i];
        struct move m = item_move(it, &a->survey->items, a->spec);
        bool done = m.kind == MOVE_NONE || m.kind == MOVE_LEAVE;
        struct err ignored;

        for (size_t d = 0; d < it->n_deps && it->want == WANT_THERE; d++)
            done = done && a->survey->items.v[it->deps[d]].state == ITEM_DONE;
        if (a->options.removals_only && it->want == WANT_THERE)
            it->state = ITEM_DONE;
        else if (done && !it->job[0] && item_settle(a, it, &ignored) == 0)
            it->state = ITEM_DONE;
        it->usable = it->state == ITEM_DONE;
    }
}

struct apply *apply_new(struct cloud *c, struct store *st, const struct spec *s, struct survey *v,
                        const struct apply_options *o, const struct apply_hooks *hooks)
{
    struct apply *a = xcalloc(1, sizeof(*a));

    a->cloud = c;
    a->store = st;
    a->spec = s;
    a->survey = v;
    a->options = *o;
    a->hooks = *hooks;
    a->work = xcalloc(v->items.n, sizeof(*a->work));
    for (size_t i = 0; i < v->items.n; i++)
        a->work[i] = (struct work){.apply = a, .index = i};
    skip_settled(a);
    return a;
}

void apply_free(struct apply *a)
{
    if (!a)
        return;
    free(a->work);
    free(a);
}

int apply_tick(struct apply *a, struct err *err)
{
    struct items *items = &a->survey->items;
    uint64_t now = clock_mono_ms();
    const struct item *failed = NULL;
    bool all = true;
    int phase;

    for (size_t i = 0; i < items->n; i++) {
        if (items->v[i].state == ITEM_FAILED && !failed)
            failed = &items->v[i];
        if (a->work[i].due && a->work[i].due <= now)
            item_look(&a->work[i]);
    }
    phase = removal_phase(a);
    for (size_t i = 0; i < items->n && !failed && a->in_flight < IN_FLIGHT_MAX; i++)
        if (ready_to_start(a, &items->v[i], phase))
            item_start(&a->work[i], is_stale(a, &items->v[i]));
    for (size_t i = 0; i < items->n; i++)
        all = all && items->v[i].state == ITEM_DONE;
    if (all)
        return 1;
    if (failed && !a->in_flight) {
        *err = failed->err;
        return -1;
    }
    return 0;
}
