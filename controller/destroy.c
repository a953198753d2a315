/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/destroy.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/str.h"
#include "controller/access.h"

#define TRIES 20 /* a network is busy until its VM is expunged */
#define RETRY_MS 500

/* One phase starts when the one before has ended. Kinds of no phase go with something else. */
static const struct {
    enum item_kind kind;
    int phase;
} phases[] = {
    {ITEM_VM, 0},      {ITEM_FORWARD, 1}, {ITEM_EGRESS, 1},  {ITEM_VOLUME, 1},
    {ITEM_GATEWAY, 2}, {ITEM_PRIVATE, 2}, {ITEM_KEYPAIR, 3},
};
#define PHASES 4

struct target {
    struct teardown *down;
    struct item *item;
    unsigned tries;
    uint64_t due;
    bool busy;
    bool done;
};

struct teardown {
    struct deployment *d;
    struct cloud *cloud;
    struct target *targets;
    size_t n;
    struct err err;
    void (*say)(const char *line);
    struct destroy_result result;
};

static int phase_of(const struct item *it, bool with_data)
{
    if (it->state != ITEM_DONE && !it->id[0])
        return -1; /* not there */
    if (it->kind == ITEM_VOLUME && !with_data)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(phases); i++)
        if (phases[i].kind == it->kind)
            return phases[i].phase;
    return -1;
}

void destroy_preview(const struct items *items, bool with_data, struct strbuf *gone,
                     struct strbuf *left)
{
    for (size_t i = 0; i < items->n; i++) {
        const struct item *it = &items->v[i];

        if (phase_of(it, with_data) >= 0)
            strbuf_addf(gone, "  %-16s %s\n", item_ops(it->kind)->what, it->label);
        else if (it->id[0] && (it->kind == ITEM_VOLUME || it->kind == ITEM_GROUP))
            strbuf_addf(left, "  %-16s %s%s\n", item_ops(it->kind)->what, it->label,
                        it->kind == ITEM_VOLUME ? "  (--with-data destroys it)" : "");
    }
}

static void finished(struct target *t)
{
    _cleanup_free_ char *line =
        str_fmt("destroyed %s %s", item_ops(t->item->kind)->what, t->item->label);

    t->busy = false;
    t->done = true;
    t->down->result.destroyed++;
    t->down->say(line);
    if (store_resource_delete(t->down->d->store, t->item->name, &t->down->err) == 0 &&
        t->item->kind == ITEM_VM)
        store_node_delete(t->down->d->store, t->down->d->spec.nodes[t->item->node].name,
                          &t->down->err);
}

/* Gone already is what was wanted; busy passes; anything else is told after some tries. */
static void failed(struct target *t, const struct err *err)
{
    t->busy = false;
    if (strstr(err->msg, "does not exist") || strstr(err->msg, "Unable to find")) {
        finished(t);
        return;
    }
    if (t->tries++ < TRIES) {
        t->due = clock_mono_ms() + RETRY_MS;
        return;
    }
    t->done = true;
    if (!t->down->err.code) {
        t->down->err = *err;
        err_wrap(&t->down->err, "%s", t->item->name);
    }
}

static void on_job(void *ctx, const json_t *answer, const struct err *err)
{
    if (answer)
        finished(ctx);
    else
        failed(ctx, err);
}

static void on_call(void *ctx, const json_t *answer, const struct err *err)
{
    struct target *t = ctx;
    char job[64];

    if (!answer) {
        failed(t, err);
        return;
    }
    cloud_text(answer, "jobid", job, sizeof(job));
    if (job[0])
        cloud_job(t->down->cloud, job, on_job, t);
    else
        finished(t);
}

static void start(struct target *t)
{
    _cleanup_(pairs_free) struct pairs p = {0};

    pairs_add(&p, t->item->kind == ITEM_KEYPAIR ? "name" : "id", t->item->id);
    if (t->item->kind == ITEM_VM)
        pairs_add(&p, "expunge", "true");
    t->busy = true;
    cloud_call(t->down->cloud, item_ops(t->item->kind)->destroy, &p, on_call, t);
}

/* A key pair that was there before us stays. */
static bool ours(struct teardown *down, const struct item *it)
{
    struct store_resource row;

    return !item_ops(it->kind)->shared ||
           store_resource_get(down->d->store, it->name, &row, &down->err) == 1;
}

static int run_phase(struct teardown *down, struct http *h, struct items *items, int phase,
                     bool with_data)
{
    bool pending = true;

    down->n = 0;
    for (size_t i = 0; i < items->n; i++)
        if (phase_of(&items->v[i], with_data) == phase && ours(down, &items->v[i]))
            down->targets[down->n++] = (struct target){.down = down, .item = &items->v[i]};
    while (pending) {
        uint64_t now = clock_mono_ms();
        int due;

        pending = false;
        for (size_t i = 0; i < down->n; i++) {
            struct target *t = &down->targets[i];

            if (!t->done && !t->busy && t->due <= now)
                start(t);
            pending = pending || !t->done;
        }
        due = cloud_tick(down->cloud);
        if (pending)
            http_wait(h, NULL, 0, due < 0 || due > 100 ? 100 : due);
    }
    return down->err.code ? -1 : 0;
}

int destroy_run(struct deployment *d, struct items *items, bool with_data,
                void (*say)(const char *line), struct destroy_result *ret, struct err *err)
{
    struct cloud_access access = {0};
    struct teardown down = {.d = d, .say = say};
    struct http *h;
    char host[64];
    int rc = 0;

    if (access_find(&d->spec, false, &access, host, err) < 0)
        return -1;
    h = http_new();
    down.cloud = cloud_new(h, &access);
    down.targets = xcalloc(items->n, sizeof(*down.targets));
    keys_wipe(&access, sizeof(access));
    for (int phase = 0; phase < PHASES && rc == 0; phase++)
        rc = run_phase(&down, h, items, phase, with_data);
    for (size_t i = 0; i < items->n; i++)
        down.result.left += items->v[i].id[0] && !with_data && items->v[i].kind == ITEM_VOLUME;
    free(down.targets);
    cloud_free(down.cloud);
    http_free(h);
    if (rc < 0) {
        *err = down.err;
        return -1;
    }
    for (size_t i = 0; i < items->n; i++) /* what went with something else */
        if (items->v[i].kind != ITEM_VOLUME &&
            store_resource_delete(d->store, items->v[i].name, err) < 0)
            return -1;
    *ret = down.result;
    return store_set(d->store, "state", "destroyed", err);
}
