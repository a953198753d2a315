/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cloud/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/keys.h"
#include "common/str.h"
#include "controller/cloud/dialect.h"
#include "controller/cloud/entity.h"
#include "controller/cloud/recognise.h"

#define MOVES_MAX 16 /* of one resource in one run: more means that it goes in circles */
#define WAIT_MS 400
#define LOOKS_AFTER_LOST 3 /* listings before an answer that was lost counts as never sent */
#define LOOK_AGAIN_MS 700
#define SENDS_MAX 3
#define BUSY_TRIES 24 /* a network is busy until its VM is expunged */
#define BUSY_MS 500
#define COMPANION_LOOKS 40

static struct resource *resource_of(const struct work *w)
{
    return &w->apply->survey->resources.v[w->index];
}

static const struct resource_ops *ops_of(const struct work *w)
{
    return resource_ops(&w->apply->survey->resources, resource_of(w)->kind);
}

static struct request request_of(const struct apply *a)
{
    return (struct request){.resources = &a->survey->resources,
                            .spec = a->spec,
                            .inv = &a->survey->inv,
                            .public_key = a->options.public_key};
}

static void emit(struct work *w, enum event_kind kind, const char *msg)
{
    w->apply->hooks.event(w->apply->hooks.ctx, resource_of(w), kind, msg);
}

static bool is_tagging(const struct work *w)
{
    return w->move.kind == MOVE_CHANGE && str_eq(w->move.call, "createTags");
}

static void fail(struct work *w, const struct err *err)
{
    struct resource *it = resource_of(w);

    it->state = RESOURCE_FAILED;
    it->err = *err;
    w->apply->in_flight--;
    emit(w, EVENT_FAILED, err->msg);
}

static int journal(struct work *w, const char *state)
{
    struct resource *it = resource_of(w);
    struct store_resource row = {0};
    struct err err;

    str_copy(row.name, sizeof(row.name), it->name);
    str_copy(row.id, sizeof(row.id), it->id);
    str_copy(row.job, sizeof(row.job), w->job);
    str_copy(row.state, sizeof(row.state), state);
    if (store_resource_put(w->apply->store, &row, &err) == 0)
        return 0;
    fail(w, &err);
    return -1;
}

/* Whether the journal has to say something else about an resource that needs no more moves. */
int resource_settle(struct apply *a, struct resource *it, struct err *err)
{
    struct store_resource row = {0};
    bool ours =
        !it->foreign && (it->owned || !resource_ops(&a->survey->resources, it->kind)->shared);

    if (it->want != WANT_THERE)
        return it->owned && it->want == WANT_GONE && it->found == FOUND_NOT
                   ? store_resource_delete(a->store, it->name, err)
                   : 0;
    if (!ours ||
        (it->settled && it->owned && it->found == FOUND_BY_ID && !it->created && !it->tagged))
        return 0;
    str_copy(row.name, sizeof(row.name), it->name);
    str_copy(row.id, sizeof(row.id), it->id);
    str_copy(row.state, sizeof(row.state), it->untaggable ? "untagged" : "done");
    it->owned = it->settled = true;
    return store_resource_put(a->store, &row, err);
}

static void finish(struct work *w)
{
    struct resource *it = resource_of(w);
    struct err err;

    if (resource_settle(w->apply, it, &err) < 0) {
        fail(w, &err);
        return;
    }
    it->state = RESOURCE_DONE;
    it->usable = true;
    w->apply->in_flight--;
    if (it->destroyed && it->want == WANT_GONE)
        emit(w, EVENT_CHANGED, "destroyed");
    else if (it->created)
        emit(w, EVENT_CHANGED, "created");
    else if (it->changed)
        emit(w, EVENT_CHANGED, w->did);
    else
        emit(w, EVENT_OK, "is there");
}

static void look_later(struct work *w, unsigned ms)
{
    w->due = clock_mono_ms() + ms;
}

static void make_move(struct work *w);

/* ---- looking ---- */

/* CloudStack's codes for "not now". A removal is refused with the general one, too, while something
 * still holds the thing. */
static bool is_busy(int code, bool removes)
{
    return code == 534 || code == 536 || (removes && (code == 530 || code == 537));
}

/* A call failed, and the resource was looked at since: had it an effect all the same, is it worth
 * another try, or is that the end? */
static void after_failure(struct work *w)
{
    struct move now = resource_move(resource_of(w), &w->apply->survey->resources, w->apply->spec);
    bool same = now.kind == w->move.kind && now.call == w->move.call;
    bool broken = w->sends && w->move.kind == MOVE_CREATE && now.kind == MOVE_REPLACE;
    bool removes = w->move.kind == MOVE_DESTROY || w->move.kind == MOVE_REPLACE;
    bool busy = is_busy(w->failure.code, removes);

    if (!same && !broken) {
        w->failure = (struct cloud_failure){0};
        make_move(w);
    } else if (w->failure.lost && w->looks && --w->looks) {
        look_later(w, LOOK_AGAIN_MS);
    } else if (w->failure.lost && w->sends < SENDS_MAX && !broken) {
        w->failure = (struct cloud_failure){0};
        make_move(w);
    } else if (busy && !broken && w->busy++ < BUSY_TRIES) {
        w->failure = (struct cloud_failure){0};
        look_later(w, BUSY_MS);
    } else if (removes && ops_of(w)->stays && !busy) {
        resource_of(w)->want = WANT_LEFT;
        emit(w, EVENT_NOTE, "left: the cloud does not destroy it");
        finish(w);
    } else {
        fail(w, &w->failure.err);
    }
}

static void on_looked(void *ctx, const json_t *answer, const struct cloud_failure *why)
{
    struct work *w = ctx;
    struct resource *it = resource_of(w);
    struct inventory inv = w->apply->survey->inv;
    _cleanup_json_ json_t *nothing = json_array();
    char known[64];
    struct err err;

    if (!answer && !(it->id[0] && why->code == 431)) { /* so servers say that an id is unknown */
        fail(w, &why->err);
        return;
    }
    str_copy(known, sizeof(known), it->id);
    inv.list[ops_of(w)->list] = answer ? (json_t *)answer : nothing;
    if (resource_recognise(it, &w->apply->survey->resources, w->apply->spec, &inv, known, &err) < 0)
        fail(w, &err);
    else if (w->failure.err.code)
        after_failure(w);
    else
        make_move(w);
}

void resource_look(struct work *w)
{
    const struct resource *it = resource_of(w);
    const struct listing_call *lc = listing_call(ops_of(w)->list);
    _cleanup_(pairs_free) struct pairs p = {0};
    const char *id = it->kind == RESOURCE_ATTACH
                         ? resource_dep_id(&w->apply->survey->resources, it, RESOURCE_VOLUME)
                         : it->id;

    w->due = 0;
    if (lc->param)
        pairs_add(&p, lc->param, lc->value);
    if (id[0])
        pairs_add(&p, it->kind == RESOURCE_KEYPAIR ? "name" : "id", id);
    cloud_list(w->apply->cloud, lc->command, lc->member, &p, on_looked, w);
}

/* ---- calls and their jobs ---- */

static void call_failed(struct work *w, const struct cloud_failure *why)
{
    w->failure = *why;
    w->job[0] = '\0';
    err_wrap(&w->failure.err, "%s", resource_of(w)->name);
    if (is_tagging(w) && !why->lost) {
        w->failure = (struct cloud_failure){0};
        resource_of(w)->tagged = resource_of(w)->untaggable = true; /* the journal has to do */
        emit(w, EVENT_NOTE, why->err.msg);
        make_move(w);
        return;
    }
    if (why->code == 531 && !w->no_expunge && str_eq(w->move.call, "destroyVirtualMachine")) {
        w->failure = (struct cloud_failure){0};
        w->no_expunge = true;
        make_move(w);
        return;
    }
    w->looks = why->lost ? LOOKS_AFTER_LOST : 1;
    resource_look(w);
}

static void effect_is_there(struct work *w)
{
    struct resource *it = resource_of(w);

    w->job[0] = '\0';
    if (w->move.kind == MOVE_DESTROY || w->move.kind == MOVE_REPLACE) {
        it->destroyed = true;
        if (it->kind == RESOURCE_VM) {
            resource_look(w); /* it may take its time to be expunged */
            return;
        }
        it->found = FOUND_NOT;
        it->id[0] = '\0';
        make_move(w);
    } else if (is_tagging(w)) {
        it->tagged = true;
        make_move(w);
    } else {
        resource_look(w);
    }
}

/* A job's result has the entity as it is now; where it has not, a listing has. */
static bool take_result(struct work *w, const json_t *result)
{
    struct resource *it = resource_of(w);
    const json_t *e = json_object_iter_value(json_object_iter((json_t *)result));
    struct inventory inv = w->apply->survey->inv;
    _cleanup_json_ json_t *one = json_array();
    char known[64];
    struct err ignored;

    if (!json_is_object(e) || it->kind == RESOURCE_ATTACH || !entity_is(e, "id", it->id))
        return false;
    str_copy(known, sizeof(known), it->id);
    json_array_append(one, (json_t *)e);
    inv.list[ops_of(w)->list] = one;
    return resource_recognise(it, &w->apply->survey->resources, w->apply->spec, &inv, known,
                              &ignored) == 0 &&
           it->found != FOUND_NOT;
}

static void on_job(void *ctx, const json_t *answer, const struct cloud_failure *why)
{
    struct work *w = ctx;

    if (!answer)
        call_failed(w, why);
    else if (w->move.kind == MOVE_CREATE && take_result(w, answer)) {
        w->job[0] = '\0';
        make_move(w);
    } else
        effect_is_there(w);
}

static void wait_for_job(struct work *w)
{
    cloud_job(w->apply->cloud, w->job, on_job, w);
}

/* The job of an earlier run. One that failed, that the cloud has forgotten or that never began is
 * as an answer that was lost. */
static void on_old_job(void *ctx, const json_t *answer, const struct cloud_failure *why)
{
    struct work *w = ctx;

    w->job[0] = '\0';
    if (!answer) {
        w->move = (struct move){.kind = MOVE_CREATE};
        w->failure = *why;
        w->failure.lost = true;
        w->looks = LOOKS_AFTER_LOST;
    }
    resource_look(w);
}

static void on_created(void *ctx, const json_t *answer, const struct cloud_failure *why)
{
    struct work *w = ctx;
    struct resource *it = resource_of(w);
    struct cloud_failure none = {.lost = true};

    if (!answer) {
        call_failed(w, why);
        return;
    }
    w->job[0] = '\0';
    entity_text(answer, "jobid", w->job, sizeof(w->job));
    if (resource_take_answer(it, &w->apply->survey->resources, answer, &none.err) < 0) {
        call_failed(w, &none);
        return;
    }
    it->created = true;
    if (journal(w, "known") < 0)
        return;
    if (w->job[0])
        wait_for_job(w);
    else
        resource_look(w);
}

static void on_changed(void *ctx, const json_t *answer, const struct cloud_failure *why)
{
    struct work *w = ctx;

    if (!answer) {
        call_failed(w, why);
        return;
    }
    resource_of(w)->changed = resource_of(w)->changed || !is_tagging(w);
    entity_text(answer, "jobid", w->job, sizeof(w->job));
    if (w->job[0])
        wait_for_job(w);
    else
        effect_is_there(w);
}

/* ---- moves ---- */

static void create(struct work *w)
{
    struct apply *a = w->apply;
    struct resource *it = resource_of(w);
    struct request m = request_of(a);
    _cleanup_(pairs_free) struct pairs p = {0};
    _cleanup_free_ char *user_data = NULL;
    struct err err = {0};

    if (it->kind == RESOURCE_VM &&
        a->hooks.user_data(a->hooks.ctx, it->node, &user_data, &err) < 0) {
        fail(w, &err);
        return;
    }
    m.user_data = user_data;
    if (ops_of(w)->params(&m, it, &p, &err) < 0) {
        fail(w, &err);
        return;
    }
    /* under this id the job can be asked for when the answer is lost; where the cloud does not
     * take it, the listing tells */
    keys_uuid(w->job);
    pairs_add(&p, "customjobid", w->job);
    it->id[0] = '\0';
    it->owned = true;
    it->settled = false;
    if (journal(w, "sent") < 0)
        return;
    w->sends++;
    emit(w, EVENT_START, it->destroyed ? "recreating" : "creating");
    cloud_call(a->cloud, ops_of(w)->create, &p, on_created, w);
}

static void change(struct work *w)
{
    struct apply *a = w->apply;
    struct resource *it = resource_of(w);
    struct request m = request_of(a);
    _cleanup_(pairs_free) struct pairs p = {0};

    if (str_eq(w->move.call, "createTags"))
        params_tags(&a->survey->resources, it, &p);
    else if (str_eq(w->move.call, "resizeVolume"))
        params_grow(&m, it, &p);
    else
        pairs_add(&p, "id", it->id);
    if (!it->created && !is_tagging(w)) {
        emit(w, EVENT_START, w->move.why);
        str_copy(w->did, sizeof(w->did), w->move.why);
    }
    w->sends++;
    cloud_call(a->cloud, w->move.call, &p, on_changed, w);
}

/* Members of a group that go on without it must learn that it leaves: to destroy a VM takes its
 * power away, and what is left may have no quorum. */
static bool leaves_others(const struct work *w)
{
    const struct resource *it = resource_of(w);
    bool of_file = it->zone != RESOURCE_NO_INDEX;

    return it->kind == RESOURCE_VM && entity_is(it->entity, "state", "Running") &&
           (w->move.kind == MOVE_REPLACE || !of_file);
}

static void on_stopped(void *ctx, const json_t *answer, const struct cloud_failure *why)
{
    struct work *w = ctx;

    w->job[0] = '\0';
    if (!answer) /* it goes all the same, as one whose power is lost */
        emit(w, EVENT_NOTE, why->err.msg);
    resource_look(w);
}

static void on_stopping(void *ctx, const json_t *answer, const struct cloud_failure *why)
{
    struct work *w = ctx;

    if (answer)
        entity_text(answer, "jobid", w->job, sizeof(w->job));
    if (answer && w->job[0])
        cloud_job(w->apply->cloud, w->job, on_stopped, w);
    else
        on_stopped(w, answer, why);
}

static void destroy(struct work *w)
{
    _cleanup_(pairs_free) struct pairs p = {0};

    if (!w->stops && leaves_others(w)) {
        w->stops = true;
        pairs_add(&p, "id", resource_of(w)->id);
        emit(w, EVENT_START, "stopping it in order");
        cloud_call(w->apply->cloud, "stopVirtualMachine", &p, on_stopping, w);
        return;
    }
    params_destroy(resource_of(w), !w->no_expunge, &p);
    emit(w, EVENT_START, w->move.why[0] ? w->move.why : "destroying");
    w->sends++;
    cloud_call(w->apply->cloud, w->move.call, &p, on_changed, w);
}

static void give_up(struct work *w, int code)
{
    struct err err;

    err_set(&err, code, "%s: %s", resource_of(w)->name,
            w->move.why[0] ? w->move.why : "does not become what the file says");
    fail(w, &err);
}

static void make_move(struct work *w)
{
    struct move now = resource_move(resource_of(w), &w->apply->survey->resources, w->apply->spec);

    if (now.kind != w->move.kind || now.call != w->move.call)
        w->sends = 0;
    w->move = now;
    resource_of(w)->usable = is_tagging(w);
    switch (w->move.kind) {
    case MOVE_NONE:
    case MOVE_LEAVE:
    case MOVE_KINDS:
        finish(w);
        return;
    case MOVE_WAIT:
        if (resource_of(w)->found == FOUND_NOT && w->looks++ >= COMPANION_LOOKS)
            give_up(w, ERR_TIMEOUT);
        else
            look_later(w, WAIT_MS);
        return;
    case MOVE_REFUSE:
        give_up(w, ERR_SAFETY);
        return;
    default:
        break;
    }
    if (w->moves++ >= MOVES_MAX)
        give_up(w, ERR_CLOUD);
    else if (w->move.kind == MOVE_CREATE)
        create(w);
    else if (w->move.kind == MOVE_CHANGE)
        change(w);
    else
        destroy(w);
}

void resource_start(struct work *w, bool stale)
{
    struct resource *it = resource_of(w);

    it->state = RESOURCE_BUSY;
    w->apply->in_flight++;
    if (it->job[0]) {
        emit(w, EVENT_START, "waiting for the job of an earlier run");
        str_copy(w->job, sizeof(w->job), it->job);
        cloud_job(w->apply->cloud, w->job, on_old_job, w);
    } else if (stale) {
        resource_look(w);
    } else {
        make_move(w);
    }
}
