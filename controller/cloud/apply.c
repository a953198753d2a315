/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cloud/apply.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/str.h"
#include "controller/cloud/internal.h"

#define IN_FLIGHT_MAX 64

/* What was listed before a dependency changed says nothing any more. */
static bool is_stale(const struct apply *a, const struct resource *it)
{
    const struct resources *resources = &a->survey->resources;
    bool moved = false;

    for (size_t d = 0; d < it->n_deps; d++)
        moved = moved || resources->v[it->deps[d]].created || resources->v[it->deps[d]].destroyed;
    return moved && (it->found != FOUND_NOT || it->kind == RESOURCE_FIREWALL ||
                     !resource_ops(resources, it->kind)->create);
}

/* What goes, goes in phases, and before anything comes. */
static int removal_phase(const struct apply *a)
{
    int phase = TEARDOWN_PHASES;

    for (size_t i = 0; i < a->survey->resources.n; i++) {
        const struct resource *it = &a->survey->resources.v[i];
        int p = resource_ops(&a->survey->resources, it->kind)->phase;

        if (it->want != WANT_THERE && it->state != RESOURCE_DONE && p < phase)
            phase = p;
    }
    return phase;
}

static bool ready_to_start(const struct apply *a, const struct resource *it, int phase)
{
    const struct resources *resources = &a->survey->resources;

    if (it->state != RESOURCE_PENDING)
        return false;
    if (it->want != WANT_THERE)
        return resource_ops(resources, it->kind)->phase == phase;
    if (phase < TEARDOWN_PHASES)
        return false;
    for (size_t d = 0; d < it->n_deps; d++)
        if (!resources->v[it->deps[d]].usable)
            return false;
    return true;
}

/* Items that need nothing, with all that they depend on: done without a call. */
static void skip_settled(struct apply *a)
{
    for (size_t i = 0; i < a->survey->resources.n; i++) {
        struct resource *it = &a->survey->resources.v[i];
        struct move m = resource_move(it, &a->survey->resources, a->spec);
        bool done = m.kind == MOVE_NONE || m.kind == MOVE_LEAVE;
        struct err ignored;

        for (size_t d = 0; d < it->n_deps && it->want == WANT_THERE; d++)
            done = done && a->survey->resources.v[it->deps[d]].state == RESOURCE_DONE;
        if (a->options.removals_only && it->want == WANT_THERE)
            it->state = RESOURCE_DONE;
        else if (done && !it->job[0] && resource_settle(a, it, &ignored) == 0)
            it->state = RESOURCE_DONE;
        it->usable = it->state == RESOURCE_DONE;
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
    a->work = xcalloc(v->resources.n, sizeof(*a->work));
    for (size_t i = 0; i < v->resources.n; i++)
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
    struct resources *resources = &a->survey->resources;
    uint64_t now = clock_mono_ms();
    const struct resource *failed = NULL;
    bool all = true;
    int phase;

    for (size_t i = 0; i < resources->n; i++) {
        if (resources->v[i].state == RESOURCE_FAILED && !failed)
            failed = &resources->v[i];
        if (a->work[i].due && a->work[i].due <= now)
            resource_look(&a->work[i]);
    }
    phase = removal_phase(a);
    for (size_t i = 0; i < resources->n && !failed && a->in_flight < IN_FLIGHT_MAX; i++)
        if (ready_to_start(a, &resources->v[i], phase))
            resource_start(&a->work[i], is_stale(a, &resources->v[i]));
    for (size_t i = 0; i < resources->n; i++)
        all = all && resources->v[i].state == RESOURCE_DONE;
    if (all)
        return 1;
    if (failed && !a->in_flight) {
        *err = failed->err;
        return -1;
    }
    return 0;
}
