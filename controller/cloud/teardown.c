/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cloud/teardown.h"

#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/str.h"
#include "controller/cloud/apply.h"

#define LOOK_MS 100

struct teardown {
    struct store *store;
    struct survey *survey;
    void (*say)(const char *line);
    struct teardown_result result;
};

void teardown_preview(const struct survey *v, const struct spec *s, struct strbuf *gone,
                      struct strbuf *left)
{
    for (size_t i = 0; i < v->resources.n; i++) {
        const struct resource *it = &v->resources.v[i];
        const char *what = resource_ops(&v->resources, it->kind)->what;
        struct move m = resource_move(it, &v->resources, s);

        if (it->want == WANT_THERE)
            continue;
        if (m.kind == MOVE_DESTROY)
            strbuf_addf(gone, "  %-16s %s\n", what, it->label);
        else if (m.kind == MOVE_LEAVE)
            strbuf_addf(left, "  %-16s %s  (%s)\n", what, it->label, m.why);
    }
}

/* The node's name of "vm:NAME"; what was known of its agent goes with the VM. */
static void forget_node(struct teardown *t, const struct resource *it)
{
    struct err ignored;

    if (it->kind == RESOURCE_VM)
        store_node_delete(t->store, strchr(it->name, ':') + 1, &ignored);
}

static void on_event(void *ctx, const struct resource *it, enum event_kind kind, const char *msg)
{
    struct teardown *t = ctx;
    _cleanup_free_ char *line = NULL;

    if (kind == EVENT_CHANGED && it->destroyed) {
        forget_node(t, it);
        t->result.destroyed++;
    } else if (kind != EVENT_NOTE && kind != EVENT_FAILED) {
        return;
    }
    line =
        str_fmt("%s %s: %s", resource_ops(&t->survey->resources, it->kind)->what, it->label, msg);
    t->say(line);
}

static int work(struct reach *r, struct apply *a, struct err *err)
{
    int rc;

    while ((rc = apply_tick(a, err)) == 0) {
        http_wait(r->http, NULL, 0, clock_sooner(LOOK_MS, cloud_tick(r->cloud)));
    }
    return rc < 0 ? -1 : 0;
}

int teardown_run(struct reach *r, struct store *store, const struct spec *s, struct survey *v,
                 void (*say)(const char *line), struct teardown_result *ret, struct err *err)
{
    struct teardown t = {.store = store, .survey = v, .say = say};
    const struct apply_hooks hooks = {.ctx = &t, .event = on_event};
    const struct apply_options o = {.removals_only = true};
    struct apply *a = apply_new(r->cloud, store, s, v, &o, &hooks);
    int rc = work(r, a, err);

    apply_free(a);
    for (size_t i = 0; i < v->resources.n; i++)
        t.result.data_disks +=
            v->resources.v[i].kind == RESOURCE_VOLUME && v->resources.v[i].found != FOUND_NOT;
    *ret = t.result;
    return rc;
}
