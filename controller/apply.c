/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/apply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/str.h"

#define IN_FLIGHT_MAX 16
#define SETTLE_PAUSE_MS 400
#define LOOKS_AFTER_ERROR 3
#define LOOK_PAUSE_MS 700
#define LOOKS_FOR_COMPANION 20

/* What is under way for one item. */
struct work {
    struct apply *apply;
    size_t index;
    unsigned looks;      /* listings left to find it after a call that failed */
    struct err call_err; /* why the call failed */
    uint64_t due;        /* when to list again; 0: not waiting */
    char job[64];
};

struct list_slot {
    struct apply *apply;
    enum listing which;
};

struct apply {
    struct cloud *cloud;
    struct store *store;
    const struct spec *spec;
    const char *public_key;
    struct apply_hooks hooks;
    struct inventory inv;
    struct items items;
    struct work *work;
    struct list_slot slots[LISTINGS];
    size_t lists_pending;
    size_t in_flight;
    struct err list_err;
};

struct apply *apply_new(struct cloud *c, struct store *st, const struct spec *s,
                        const char *public_key, const struct apply_hooks *hooks)
{
    struct apply *a = xcalloc(1, sizeof(*a));

    a->cloud = c;
    a->store = st;
    a->spec = s;
    a->public_key = public_key;
    a->hooks = *hooks;
    items_build(s, &a->items);
    a->work = xcalloc(a->items.n, sizeof(*a->work));
    for (size_t i = 0; i < a->items.n; i++)
        a->work[i] = (struct work){.apply = a, .index = i};
    return a;
}

void apply_free(struct apply *a)
{
    if (!a)
        return;
    inventory_free(&a->inv);
    items_free(&a->items);
    free(a->work);
    free(a);
}

struct items *apply_items(struct apply *a)
{
    return &a->items;
}

const struct inventory *apply_inventory(struct apply *a)
{
    return &a->inv;
}

/* ---- listing ---- */

static void start_list(struct apply *a, enum listing l, cloud_done_fn done, void *ctx)
{
    const struct listing_call *lc = listing_call(l);
    _cleanup_(pairs_free) struct pairs p = {0};

    if (lc->param)
        pairs_add(&p, lc->param, lc->value);
    cloud_list(a->cloud, lc->command, lc->member, &p, done, ctx);
}

static void on_listed(void *ctx, const json_t *answer, const struct err *err)
{
    struct list_slot *slot = ctx;
    struct apply *a = slot->apply;

    a->lists_pending--;
    if (!answer) {
        if (!a->list_err.code)
            a->list_err = *err;
        return;
    }
    json_decref(a->inv.list[slot->which]);
    a->inv.list[slot->which] = json_incref((json_t *)answer);
}

void apply_list(struct apply *a)
{
    for (size_t l = 0; l < LISTINGS; l++) {
        a->slots[l] = (struct list_slot){.apply = a, .which = (enum listing)l};
        a->lists_pending++;
        start_list(a, (enum listing)l, on_listed, &a->slots[l]);
    }
}

int apply_listed(struct apply *a, struct err *err)
{
    if (a->lists_pending)
        return 0;
    if (a->list_err.code) {
        *err = a->list_err;
        return -1;
    }
    return 1;
}

/* ---- recognising ---- */

static int recognise_one(struct apply *a, struct item *it, bool adopt, struct err *err)
{
    struct store_resource row = {0};
    int journaled = store_resource_get(a->store, it->name, &row, err);
    int found;

    if (journaled < 0)
        return -1;
    found = item_recognise(it, &a->items, a->spec, &a->inv, row.id, err);
    if (found < 0)
        return -1;
    str_copy(a->work[it - a->items.v].job, sizeof(row.job), row.job);
    if (!found || (row.job[0] && !str_eq(row.state, "done")))
        return 0; /* to be made, or its job is to be asked for */
    if (!journaled && !adopt && !item_ops(it->kind)->shared && item_ops(it->kind)->create &&
        (it->kind == ITEM_GATEWAY || it->kind == ITEM_PRIVATE || it->kind == ITEM_VM ||
         it->kind == ITEM_VOLUME))
        return err_set(err, ERR_SAFETY,
                       "%s '%s' is there already, but not from this deployment's journal; "
                       "'muster up --adopt' takes it over, another deployment name avoids it",
                       item_ops(it->kind)->what, it->label);
    if (!journaled && item_ops(it->kind)->shared) { /* somebody else's: used, not recorded */
        it->state = ITEM_DONE;
        return 0;
    }
    if (item_settled(it, err) == 1) {
        str_copy(row.name, sizeof(row.name), it->name);
        str_copy(row.id, sizeof(row.id), it->id);
        row.job[0] = '\0';
        it->state = ITEM_DONE;
        if (!journaled || !str_eq(row.state, "done")) {
            str_copy(row.state, sizeof(row.state), "done");
            return store_resource_put(a->store, &row, err);
        }
    }
    return 0;
}

int apply_recognise(struct apply *a, bool adopt, struct err *err)
{
    for (size_t i = 0; i < a->items.n; i++)
        if (recognise_one(a, &a->items.v[i], adopt, err) < 0)
            return -1;
    return 0;
}

/* ---- one item's way: call -> job -> settled ---- */

static struct item *item_of(const struct work *w)
{
    return &w->apply->items.v[w->index];
}

static void fail(struct work *w, const struct err *err)
{
    struct item *it = item_of(w);

    it->state = ITEM_FAILED;
    it->err = *err;
    w->apply->in_flight--;
    w->apply->hooks.event(w->apply->hooks.ctx, it, EVENT_FAILED, err->msg);
}

static int journal(struct work *w, const char *state)
{
    struct item *it = item_of(w);
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

static void finish(struct work *w)
{
    struct item *it = item_of(w);

    w->job[0] = '\0';
    if (journal(w, "done") < 0)
        return;
    it->state = ITEM_DONE;
    w->apply->in_flight--;
    w->apply->hooks.event(w->apply->hooks.ctx, it, it->created ? EVENT_CHANGED : EVENT_OK,
                          it->created ? "created" : "is there");
}

static void look_later(struct work *w, unsigned ms)
{
    w->due = clock_mono_ms() + ms;
}

/* After a listing: is it there and usable now? */
static void on_looked(void *ctx, const json_t *answer, const struct err *list_err)
{
    struct work *w = ctx;
    struct apply *a = w->apply;
    struct item *it = item_of(w);
    enum listing l = item_ops(it->kind)->list;
    struct err err = {0};
    int found, settled;

    if (!answer) {
        fail(w, list_err);
        return;
    }
    json_decref(a->inv.list[l]);
    a->inv.list[l] = json_incref((json_t *)answer);
    found = item_recognise(it, &a->items, a->spec, &a->inv, it->id, &err);
    settled = found == 1 ? item_settled(it, &err) : 0;
    if (found < 0 || settled < 0)
        fail(w, &err);
    else if (settled == 1)
        finish(w);
    else if (found == 1)
        look_later(w, SETTLE_PAUSE_MS);
    else if (w->looks && --w->looks)
        look_later(w, LOOK_PAUSE_MS);
    else {
        if (!w->call_err.code)
            err_set(&w->call_err, ERR_CLOUD, "%s: it is not there after it was made", it->name);
        fail(w, &w->call_err);
    }
}

static void look(struct work *w)
{
    w->due = 0;
    start_list(w->apply, item_ops(item_of(w)->kind)->list, on_looked, w);
}

/* A call or a job failed. It may have taken effect all the same: look before giving up. */
static void look_after_error(struct work *w, const struct err *err)
{
    w->call_err = *err;
    err_wrap(&w->call_err, "%s", item_of(w)->name);
    w->looks = LOOKS_AFTER_ERROR;
    look(w);
}

static void on_job(void *ctx, const json_t *answer, const struct err *err)
{
    struct work *w = ctx;

    if (!answer)
        look_after_error(w, err);
    else if (item_of(w)->kind == ITEM_EGRESS || item_of(w)->kind == ITEM_FORWARD)
        finish(w); /* has its id already and nothing more to learn */
    else
        look(w); /* the listed entity has what later steps need: addresses, state */
}

static void on_created(void *ctx, const json_t *answer, const struct err *call_err)
{
    struct work *w = ctx;
    struct item *it = item_of(w);
    struct err err = {0};

    if (!answer) {
        look_after_error(w, call_err);
        return;
    }
    cloud_text(answer, "jobid", w->job, sizeof(w->job));
    if (it->kind == ITEM_ATTACH || it->kind == ITEM_KEYPAIR)
        str_copy(it->id, sizeof(it->id), it->label); /* neither has an id of its own */
    else if (item_take_answer(it, answer, &err) < 0) {
        look_after_error(w, &err);
        return;
    }
    it->created = true;
    if (journal(w, "known") < 0)
        return;
    if (w->job[0])
        cloud_job(w->apply->cloud, w->job, on_job, w);
    else if (it->kind == ITEM_GROUP || it->kind == ITEM_KEYPAIR)
        finish(w);
    else
        look(w);
}

static void on_started(void *ctx, const json_t *answer, const struct err *err)
{
    struct work *w = ctx;

    if (!answer) {
        look_after_error(w, err);
        return;
    }
    cloud_text(answer, "jobid", w->job, sizeof(w->job));
    cloud_job(w->apply->cloud, w->job, on_job, w);
}

/* It is there: a VM that was stopped is started, anything else only needs time. */
static void resume(struct work *w)
{
    struct apply *a = w->apply;
    struct item *it = item_of(w);
    _cleanup_(pairs_free) struct pairs p = {0};

    if (!item_is_stopped(it)) {
        a->hooks.event(a->hooks.ctx, it, EVENT_START, "waiting until it is usable");
        look(w);
        return;
    }
    pairs_add(&p, "id", it->id);
    a->hooks.event(a->hooks.ctx, it, EVENT_START, "was stopped; starting it");
    cloud_call(a->cloud, "startVirtualMachine", &p, on_started, w);
}

static void start(struct apply *a, struct work *w)
{
    struct item *it = item_of(w);
    _cleanup_(pairs_free) struct pairs p = {0};
    _cleanup_free_ char *user_data = NULL;
    struct err err = {0};

    it->state = ITEM_BUSY;
    a->in_flight++;
    if (w->job[0]) { /* an earlier run was waiting for it */
        a->hooks.event(a->hooks.ctx, it, EVENT_START, "waiting for the job of an earlier run");
        cloud_job(a->cloud, w->job, on_job, w);
        return;
    }
    if (it->id[0]) {
        resume(w);
        return;
    }
    if (!item_ops(it->kind)->create) { /* comes with something else */
        w->looks = LOOKS_FOR_COMPANION;
        look(w);
        return;
    }
    if ((it->kind == ITEM_VM && a->hooks.user_data(a->hooks.ctx, it->node, &user_data, &err) < 0) ||
        item_create_params(it, &a->items, a->spec, &a->inv, user_data, a->public_key, &p, &err) <
            0) {
        fail(w, &err);
        return;
    }
    if (journal(w, "sent") < 0)
        return;
    a->hooks.event(a->hooks.ctx, it, EVENT_START, "creating");
    cloud_call(a->cloud, item_ops(it->kind)->create, &p, on_created, w);
}

static bool ready_to_start(const struct apply *a, const struct item *it)
{
    if (it->state != ITEM_WANTED)
        return false;
    for (size_t d = 0; d < it->n_deps; d++)
        if (a->items.v[it->deps[d]].state != ITEM_DONE)
            return false;
    return true;
}

int apply_tick(struct apply *a, struct err *err)
{
    uint64_t now = clock_mono_ms();
    const struct item *failed = NULL;
    bool all = true;

    for (size_t i = 0; i < a->items.n; i++) {
        struct item *it = &a->items.v[i];

        if (it->state == ITEM_FAILED && !failed)
            failed = it;
        if (a->work[i].due && a->work[i].due <= now)
            look(&a->work[i]);
    }
    for (size_t i = 0; i < a->items.n && !failed && a->in_flight < IN_FLIGHT_MAX; i++)
        if (ready_to_start(a, &a->items.v[i]))
            start(a, &a->work[i]);
    for (size_t i = 0; i < a->items.n; i++)
        all = all && a->items.v[i].state == ITEM_DONE;
    if (all)
        return 1;
    if (failed && !a->in_flight) {
        *err = failed->err;
        return -1;
    }
    return 0;
}
