/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/worker/engine.h"

#include "agent/sys/output.h"
#include "agent/sys/svc.h"
#include "agent/worker/ahead.h"
#include "common/clock.h"

/* One step: check, and only when it differs apply and check again. 1: changed, 0: in sync. */
static int engine_step(const struct step *st, struct run *run, struct ahead *ahead,
                       struct err *err);

static int engine_step_ahead(const struct step *st, struct run *run, struct err *err)
{
    struct ahead none = {.started = true};

    return engine_step(st, run, &none, err);
}

static int engine_step(const struct step *st, struct run *run, struct ahead *ahead, struct err *err)
{
    struct verdict v = {0};

    if (st->ops->check(st->self, run, &v, err) < 0)
        return err_wrap(err, "%s: check", st->id);
    if (v.kind == VERDICT_OK) {
        run_emit(run, EVENT_OK, "in sync%s%s", v.why[0] ? "; " : "", v.why);
        return 0;
    }
    if (v.kind == VERDICT_DIFFERS) {
        ahead_start(ahead, run, engine_step_ahead);
        run_emit(run, EVENT_START, "%s", v.why);
        output_step(st->id);
        int rc = st->ops->apply(st->self, run, err);
        output_step(NULL);
        if (rc < 0 || st->ops->check(st->self, run, &v, err) < 0)
            return err_wrap(err, "%s", st->id);
        if (v.kind == VERDICT_OK) {
            run_emit(run, EVENT_CHANGED, "done");
            return 1;
        }
        if (v.kind == VERDICT_DIFFERS)
            return err_set(err, ERR_NODE, "%s: did not converge: %s", st->id, v.why);
    }
    return err_set(err, ERR_SAFETY, "%s: refused: %s", st->id, v.why);
}

/* What the checks of this pass look at, so that one call asks for all of it. */
static void expect_units(const struct plan *plan)
{
    const char *unit;

    svc_expect_none();
    for (size_t i = 0; i < plan->n_steps; i++) {
        const struct step *st = &plan->steps[i];

        for (size_t k = 0; st->ops->unit && (unit = st->ops->unit(st->self, k)); k++)
            svc_expect(unit);
    }
}

int engine_run(const struct plan *plan, void (*emit)(void *ctx, const struct event *ev), void *ctx,
               struct engine_result *ret, struct err *err)
{
    struct run run = plan_run(plan);

    run.emit = emit;
    run.ctx = ctx;
    run.started = clock_mono_ms();
    struct run whole = run;
    struct ahead ahead = {.plan = plan};
    int r = 0;
    *ret = (struct engine_result){0};

    expect_units(plan);
    run_emit_counted(&whole,
                     &(struct event){.kind = EVENT_PLAN, .count = {EVENT_STEPS, 0, plan->n_steps}},
                     "%zu steps", plan->n_steps);
    for (size_t i = 0; i < plan->n_steps && r >= 0; i++) {
        const struct step *st = &plan->steps[i];

        run.id = st->id;
        run.started = clock_mono_ms();
        r = st->ahead ? ahead_did(&ahead, i) : -1;
        if (r < 0)
            r = engine_step(st, &run, &ahead, err);
        ret->changed += r == 1;
        ret->ok += r == 0;
    }
    ahead_end(&ahead);
    if (r < 0) {
        run_emit(&run, err->code == ERR_SAFETY ? EVENT_REFUSED : EVENT_FAILED, "%s", err->msg);
        run_emit(&whole, EVENT_ABORTED, "%s", err->msg);
        return -1;
    }
    run_emit_counted(&whole,
                     &(struct event){.kind = EVENT_DONE, .changed = ret->changed, .ok = ret->ok},
                     "%u changed, %u ok", ret->changed, ret->ok);
    return 0;
}

int engine_check(const struct plan *plan, void (*emit)(void *ctx, const struct event *ev),
                 void *ctx, struct engine_result *ret, struct err *err)
{
    struct run run = plan_run(plan);

    run.emit = emit;
    run.ctx = ctx;
    run.plan_inode = 0; /* a look is not superseded */
    bool refused = false;
    *ret = (struct engine_result){0};
    expect_units(plan);
    for (size_t i = 0; i < plan->n_steps; i++) {
        struct verdict v = {0};
        struct err why = {0};

        run.id = plan->steps[i].id;
        run.started = clock_mono_ms();
        bool known = plan->steps[i].ops->check(plan->steps[i].self, &run, &v, &why) == 0;
        if (!known && ret->changed) /* it may need what an earlier one makes */
            verdict_differs(&v, "cannot be checked yet: %s", why.msg);
        else if (!known)
            verdict_differs(&v, "unknown: %s", why.msg);
        if (v.kind == VERDICT_OK)
            ret->ok++;
        else if (!known && !ret->changed)
            ret->unknown++;
        else
            ret->changed++;
        if (v.kind == VERDICT_REFUSED && !refused) {
            refused = true;
            err_set(err, ERR_SAFETY, "%s: refused: %s", run.id, v.why);
        }
        run_emit(&run,
                 v.kind == VERDICT_OK        ? EVENT_OK
                 : v.kind == VERDICT_REFUSED ? EVENT_REFUSED
                                             : EVENT_NOTE,
                 "%s%s%s", v.kind == VERDICT_OK ? "in sync" : "",
                 v.kind == VERDICT_OK && v.why[0] ? "; " : "", v.why);
    }
    return refused ? -1 : 0;
}
