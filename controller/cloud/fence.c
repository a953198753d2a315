/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cloud/fence.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/str.h"
#include "controller/cloud/entity.h"

#define FENCE_MAX_MS 180000

struct waited {
    bool done;
    json_t *answer; /* NULL: it failed */
    struct err err;
};

static void on_answer(void *ctx, const json_t *answer, const struct cloud_failure *why)
{
    struct waited *w = ctx;

    w->done = true;
    w->answer = json_incref((json_t *)answer);
    if (!answer)
        w->err = why->err;
}

/* The answer of the call that was started with on_answer, a new reference. */
static int wait_for(struct reach *r, struct waited *w, uint64_t end, json_t **ret, struct err *err)
{
    while (!w->done) {
        if (clock_mono_ms() > end) /* the caller drops the cloud, and with it what is under way */
            return err_set(err, ERR_TIMEOUT, "the cloud did not answer in %d s",
                           FENCE_MAX_MS / 1000);
        http_wait(r->http, NULL, 0, clock_sooner(1000, cloud_tick(r->cloud)));
    }
    *ret = w->answer;
    if (!w->answer)
        *err = w->err;
    return w->answer ? 0 : -1;
}

static int stop(struct reach *r, const char *id, uint64_t end, struct err *err)
{
    _cleanup_(pairs_free) struct pairs p = {0};
    _cleanup_json_ json_t *answer = NULL, *result = NULL;
    struct waited called = {0}, ended = {0};
    char job[64];

    pairs_add(&p, "id", id);
    pairs_add(&p, "forced", "true");
    cloud_call(r->cloud, "stopVirtualMachine", &p, on_answer, &called);
    if (wait_for(r, &called, end, &answer, err) < 0)
        return -1;
    entity_text(answer, "jobid", job, sizeof(job));
    if (!job[0])
        return err_set(err, ERR_CLOUD, "stopVirtualMachine: the answer has no job");
    cloud_job(r->cloud, job, on_answer, &ended);
    return wait_for(r, &ended, end, &result, err);
}

/* `state`: 32 bytes. */
static int state_of(struct reach *r, const char *id, uint64_t end, char *state, struct err *err)
{
    _cleanup_(pairs_free) struct pairs p = {0};
    _cleanup_json_ json_t *list = NULL;
    struct waited listed = {0};

    pairs_add(&p, "id", id);
    cloud_list(r->cloud, "listVirtualMachines", "virtualmachine", &p, on_answer, &listed);
    if (wait_for(r, &listed, end, &list, err) < 0)
        return -1;
    entity_text(entity_find(list, "id", id), "state", state, 32);
    return 0;
}

int fence_node(struct reach *r, struct store *store, const struct spec *s, const char *node,
               struct err *err)
{
    const struct survey_options o = {.facts_only = true};
    _cleanup_(survey_free) struct survey v = {0};
    _cleanup_(strbuf_free) struct strbuf missing = {0}; /* nothing is created: none */
    _cleanup_free_ char *name = str_fmt("vm:%s", node);
    uint64_t end = clock_mono_ms() + FENCE_MAX_MS;
    char state[32] = "";

    if (s->cloud == CLOUD_NONE)
        return err_set(err, ERR_USAGE,
                       "cloud: none: no cloud can stop %s; do it by hand, and "
                       "leave --fence out",
                       node);
    if (survey_run(r, store, s, &o, &v, &missing, err) < 0)
        return -1;
    const struct resource *vm = resources_named(&v.resources, name);
    if (!vm || !vm->entity || !vm->id[0])
        return err_set(err, ERR_SAFETY,
                       "the cloud lists no VM of %s: that does not say that it is off (another "
                       "account, another zone); when you know it, leave --fence out",
                       node);
    if (!entity_is(vm->entity, "state", "Stopped") && stop(r, vm->id, end, err) < 0)
        return err_wrap(err, "the VM of %s may run", node);
    if (state_of(r, vm->id, end, state, err) < 0)
        return err_wrap(err, "the VM of %s may run", node);
    return str_eq(state, "Stopped")
               ? 0
               : err_set(err, ERR_SAFETY, "the VM of %s may run: the cloud says that it is '%s'",
                         node, state);
}
