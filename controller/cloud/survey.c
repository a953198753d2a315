/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cloud/survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/sign.h"
#include "common/str.h"
#include "controller/cloud/catalogue.h"
#include "controller/cloud/recognise.h"
#include "controller/cloud/resources.h"

#define LIST_TIMEOUT_MS 120000

/* ---- listing ---- */

struct list_slot {
    struct listing_round *round;
    enum listing which;
};

struct listing_round {
    struct inventory *inv;
    struct list_slot slots[LISTINGS];
    size_t pending;
    struct err err;
};

static void on_listed(void *ctx, const json_t *answer, const struct cloud_failure *why)
{
    struct list_slot *slot = ctx;
    struct listing_round *r = slot->round;

    r->pending--;
    if (!answer) {
        if (!r->err.code)
            r->err = why->err;
        return;
    }
    json_decref(r->inv->list[slot->which]);
    r->inv->list[slot->which] = json_incref((json_t *)answer);
}

/* Lists side by side what the dialect has of [from, to). */
static int list_round(struct reach *reach, const struct dialect *d, enum listing from,
                      enum listing to, struct inventory *inv, struct err *err)
{
    uint64_t end = clock_mono_ms() + LIST_TIMEOUT_MS;
    struct listing_round r = {.inv = inv};

    for (enum listing l = from; l < to; l++) {
        const struct listing_call *lc = listing_call(l);
        _cleanup_(pairs_free) struct pairs p = {0};

        if (!d->lists[l])
            continue;
        if (lc->param)
            pairs_add(&p, lc->param, lc->value);
        r.slots[l] = (struct list_slot){.round = &r, .which = l};
        r.pending++;
        cloud_list(reach->cloud, lc->command, lc->member, &p, on_listed, &r.slots[l]);
    }
    while (r.pending) {
        int due = clock_sooner(1000, cloud_tick(reach->cloud));

        if (clock_mono_ms() > end) /* the caller drops the cloud, and with it what is under way */
            return err_set(err, ERR_TIMEOUT, "the cloud did not answer in %d s",
                           LIST_TIMEOUT_MS / 1000);
        http_wait(reach->http, NULL, 0, due);
    }
    if (r.err.code) {
        *err = r.err;
        return -1;
    }
    return 0;
}

/* ---- what is wanted ---- */

static bool is_of_node(const struct resource *it, const struct spec *s, const char *node)
{
    const char *key = strchr(it->name, ':') + 1;
    size_t n = strlen(node);

    if (it->of_node && it->node != RESOURCE_NO_INDEX)
        return str_eq(s->nodes[it->node].name, node);
    return (it->kind == RESOURCE_VM || it->kind == RESOURCE_VOLUME || it->kind == RESOURCE_ATTACH ||
            it->kind == RESOURCE_FORWARD || it->kind == RESOURCE_FIREWALL) &&
           strncmp(key, node, n) == 0 && (key[n] == '\0' || key[n] == '/');
}

static void set_want(struct resource *it, const struct spec *s, const struct survey_options *o)
{
    if (!o->destroy)
        return;
    if (o->node && !is_of_node(it, s, o->node)) {
        it->foreign = it->foreign || it->want != WANT_THERE; /* not this time */
        return;
    }
    it->want = it->kind == RESOURCE_VOLUME && !o->with_data ? WANT_LEFT : WANT_GONE;
}

static void on_row(void *ctx, const struct store_resource *row)
{
    struct resources *resources = ctx;
    struct resource *it = resources_named(resources, row->name);

    if (!it && !(it = resources_add_gone(resources, row->name, row->id)))
        return;
    it->owned = true;
    it->untaggable = it->tagged = str_eq(row->state, "untagged");
    it->settled = it->untaggable || str_eq(row->state, "done");
    str_copy(it->job, sizeof(it->job), it->settled ? "" : row->job);
    str_copy(it->id, sizeof(it->id), row->id);
}

static int recognise(struct survey *v, const struct spec *s, const struct survey_options *o,
                     struct err *err)
{
    for (size_t i = 0; i < v->resources.n; i++) {
        struct resource *it = &v->resources.v[i];
        char known[64];

        str_copy(known, sizeof(known), it->id);
        set_want(it, s, o);
        it->adopt = o->adopt;
        if (it->kind == RESOURCE_KEYPAIR && it->want == WANT_THERE && o->public_key)
            ssh_fingerprint(o->public_key, it->fingerprint);
        if (resource_recognise(it, &v->resources, s, &v->inv, known, err) < 0)
            return -1;
        if (o->replace && it->kind == RESOURCE_VM && is_of_node(it, s, o->replace))
            str_copy(it->replace, sizeof(it->replace), it->id);
    }
    return 0;
}

static bool creates_something(const struct survey *v, const struct spec *s)
{
    for (size_t i = 0; i < v->resources.n; i++) {
        enum move_kind k = resource_move(&v->resources.v[i], &v->resources, s).kind;

        if (k == MOVE_CREATE || k == MOVE_REPLACE)
            return true;
    }
    return false;
}

static int check_options(const struct spec *s, const struct survey_options *o, struct err *err)
{
    bool known = !o->replace;

    for (size_t n = 0; n < s->n_nodes; n++)
        known = known || str_eq(s->nodes[n].name, o->replace);
    return known ? 0
                 : err_set(err, ERR_USAGE, "--replace %s: the file has no node of that name",
                           o->replace);
}

int survey_run(struct reach *r, struct store *store, const struct spec *s,
               const struct survey_options *o, struct survey *ret, struct strbuf *missing,
               struct err *err)
{
    _cleanup_(survey_free) struct survey v = {0};

    resources_build(s, &v.resources);
    if (s->cloud == CLOUD_NONE) { /* the machines are somebody else's */
        *ret = v;
        v = (struct survey){0};
        return o->replace ? err_set(err, ERR_USAGE, "--replace: cloud: none makes no machines") : 0;
    }
    if (check_options(s, o, err) < 0 || store_resources(store, on_row, &v.resources, err) < 0 ||
        list_round(r, v.resources.dialect, 0, LIST_ZONES, &v.inv, err) < 0 ||
        recognise(&v, s, o, err) < 0)
        return -1;
    resources_add_found(&v.resources, &v.inv);
    for (size_t i = 0; i < v.resources.n; i++)
        set_want(&v.resources.v[i], s, o);
    if (!o->destroy && !o->facts_only && creates_something(&v, s)) {
        if (list_round(r, v.resources.dialect, LIST_ZONES, LISTINGS, &v.inv, err) < 0)
            return -1;
        if (catalogue_check(&v.resources, s, &v.inv, missing) < 0)
            return err_set(err, ERR_USAGE, "the file names what this cloud does not have");
    }
    *ret = v;
    v = (struct survey){0};
    return 0;
}

void survey_free(struct survey *s)
{
    resources_free(&s->resources);
    inventory_free(&s->inv);
}

int survey_check(const struct survey *v, const struct spec *spec, struct strbuf *lines,
                 struct err *err)
{
    unsigned n = 0;

    for (size_t i = 0; i < v->resources.n; i++) {
        const struct resource *it = &v->resources.v[i];
        struct move m = resource_move(it, &v->resources, spec);

        if (m.kind != MOVE_REFUSE)
            continue;
        strbuf_addf(lines, "%s '%s': %s\n", resource_ops(&v->resources, it->kind)->what, it->label,
                    m.why);
        n++;
    }
    if (!n)
        return 0;
    return err_set(err, ERR_SAFETY, "%u resource%s only you can decide about; nothing was done", n,
                   n == 1 ? "" : "s");
}
