/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cloud/snapshots.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/event.h"
#include "common/js.h"
#include "common/keys.h"
#include "common/str.h"
#include "controller/cloud/dialect.h"
#include "controller/cloud/entity.h"

#define PREFIX "snapshot:" /* of a row: "snapshot:NODE/NAME AT THE CLOUD" */
#define LOOK_MS 100
#define LOOKS_AFTER_LOST 4
#define LOST_MS 700
#define BECAUSE_MAX 200

/* ---- calls, one after another ---- */

struct answer {
    bool done;
    json_t *value; /* NULL: failed */
    struct cloud_failure why;
};

static void on_answer(void *ctx, const json_t *answer, const struct cloud_failure *why)
{
    struct answer *a = ctx;

    a->done = true;
    a->value = json_incref((json_t *)answer);
    if (!answer)
        a->why = *why;
}

static json_t *wait_for(struct reach *r, struct answer *a, struct cloud_failure *why)
{
    while (!a->done)
        http_wait(r->http, NULL, 0, clock_sooner(LOOK_MS, cloud_tick(r->cloud)));
    *why = a->why;
    return a->value;
}

static json_t *call(const struct snapshots *s, const char *command, const struct pairs *p,
                    struct cloud_failure *why)
{
    struct answer a = {0};

    cloud_call(s->reach->cloud, command, p, on_answer, &a);
    return wait_for(s->reach, &a, why);
}

static json_t *job(const struct snapshots *s, const char *id, struct cloud_failure *why)
{
    struct answer a = {0};

    cloud_job(s->reach->cloud, id, on_answer, &a);
    return wait_for(s->reach, &a, why);
}

static const struct snapshot_ops *ops_of(const struct snapshots *s)
{
    return &s->resources->dialect->snapshots;
}

static int list_all(const struct snapshots *s, json_t **ret, struct err *err)
{
    struct answer a = {0};
    struct cloud_failure why;

    cloud_list(s->reach->cloud, ops_of(s)->list, ops_of(s)->member, NULL, on_answer, &a);
    *ret = wait_for(s->reach, &a, &why);
    if (*ret)
        return 0;
    *err = why.err;
    return -1;
}

/* ---- what is ours ---- */

static void on_row(void *ctx, const struct store_resource *row)
{
    if (str_starts(row->name, PREFIX) && strchr(row->name, '/'))
        json_array_append_new(ctx, json_pack("{s:s,s:s,s:s,s:s}", "name", row->name, "id", row->id,
                                             "job", row->job, "state", row->state));
}

/* The rows of the journal; a new array. */
static int journal(const struct snapshots *s, json_t **ret, struct err *err)
{
    *ret = json_array();
    if (store_resources(s->store, on_row, *ret, err) == 0)
        return 0;
    json_decref(TAKE(*ret));
    return -1;
}

static const struct resource *volume_of(const struct resources *resources, const char *id)
{
    for (size_t i = 0; i < resources->n; i++) {
        const struct resource *it = &resources->v[i];

        if (it->kind == RESOURCE_VOLUME && *id && str_eq(it->id, id) &&
            resource_is_ours(it, resources))
            return it;
    }
    return NULL;
}

/* Whether the row is of this entity: by its id, or, when the answer with the id was lost, by the
 * name that was made for it alone, of a volume that is ours. */
static bool is_of_row(const struct resources *resources, const json_t *e, const json_t *row)
{
    const char *id = js_opt_str(row, "id", ""), *name = strchr(js_opt_str(row, "name", "/"), '/');
    char volume[64];

    if (*id)
        return entity_is(e, "id", id);
    entity_text(e, "volumeid", volume, sizeof(volume));
    return name && entity_is(e, "name", name + 1) && volume_of(resources, volume);
}

static const json_t *row_of(const struct resources *resources, const json_t *e, const json_t *rows)
{
    for (size_t i = 0; i < json_array_size(rows); i++)
        if (is_of_row(resources, e, json_array_get(rows, i)))
            return json_array_get(rows, i);
    return NULL;
}

static bool is_tagged(const struct resources *resources, const json_t *e)
{
    char resource[160];

    entity_tag(e, TAG_RESOURCE, resource, sizeof(resource));
    return entity_has_tag(e, TAG_DEPLOYMENT, resources->deployment) &&
           str_starts(resource, "volume:");
}

/* The node in the tag "volume:NODE", else in the row "snapshot:NODE/NAME". */
static void node_of(const json_t *e, const json_t *row, char *ret, size_t cap)
{
    char resource[160];
    const char *name = js_opt_str(row, "name", PREFIX);

    entity_tag(e, TAG_RESOURCE, resource, sizeof(resource));
    str_copy(ret, cap,
             str_starts(resource, "volume:") ? strchr(resource, ':') + 1 : name + strlen(PREFIX));
    ret[strcspn(ret, "/")] = '\0';
}

static json_int_t number_of(const json_t *e, const char *key)
{
    char text[32];
    uint64_t n = 0;

    entity_text(e, key, text, sizeof(text));
    return str_to_u64(text, INT64_MAX, &n) == 0 ? (json_int_t)n : 0;
}

static json_t *shown(const json_t *e, const json_t *row)
{
    static const struct {
        const char *ours, *theirs;
    } texts[] = {{"id", "id"},
                 {"name", "name"},
                 {"volume", "volumeid"},
                 {"created", "created"},
                 {"state", "state"}};
    char text[256];
    json_t *one = json_object();

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        entity_text(e, texts[i].theirs, text, sizeof(text));
        json_object_set_new(one, texts[i].ours, js_string(text));
    }
    node_of(e, row, text, sizeof(text));
    json_object_set_new(one, "node", js_string(text));
    entity_tag(e, TAG_BECAUSE, text, sizeof(text));
    json_object_set_new(one, "because", js_string(text));
    json_object_set_new(one, "size", json_integer(number_of(e, "virtualsize")));
    json_object_set_new(one, "physical", json_integer(number_of(e, "physicalsize")));
    return one;
}

json_t *snapshots_ours(const struct resources *resources, const json_t *listed, const json_t *rows)
{
    json_t *ours = json_array();

    for (size_t i = 0; i < json_array_size(listed); i++) {
        const json_t *e = json_array_get(listed, i);
        const json_t *row = row_of(resources, e, rows);

        if ((row || is_tagged(resources, e)) && !entity_is(e, "state", "Destroyed"))
            json_array_append_new(ours, shown(e, row));
    }
    return ours;
}

int snapshots_list(const struct snapshots *s, json_t **ret, struct err *err)
{
    _cleanup_json_ json_t *listed = NULL;
    _cleanup_json_ json_t *rows = NULL;

    if (list_all(s, &listed, err) < 0 || journal(s, &rows, err) < 0)
        return -1;
    *ret = snapshots_ours(s->resources, listed, rows);
    return 0;
}

/* ---- the journal ---- */

static void say(const struct snapshots *s, const char *node, const char *text)
{
    _cleanup_free_ char *line = str_fmt("%s: %s", node, text);

    if (s->say)
        s->say(line);
}

/* What `muster events` shows. */
static void record(const struct snapshots *s, const char *node, const char *text)
{
    struct event ev = {.ts = clock_wall_ms(), .origin = EVENT_OF_CONTROLLER};
    _cleanup_free_ char *id = str_fmt(PREFIX "%s", node);
    struct err ignored;

    str_copy(ev.node, sizeof(ev.node), node);
    event_fill(&ev, EVENT_NOTE, id, "%s", text);
    store_event_own(s->store, &ev, &ignored);
    say(s, node, text);
}

static void row_node(const struct store_resource *row, char *ret, size_t cap)
{
    str_copy(ret, cap, row->name + strlen(PREFIX));
    ret[strcspn(ret, "/")] = '\0';
}

static int put(const struct snapshots *s, struct store_resource *row, const char *state,
               struct err *err)
{
    str_copy(row->state, sizeof(row->state), state);
    return store_resource_put(s->store, row, err);
}

/* It is whole: from now on it is recognised without this journal, too, unless the cloud takes no
 * tags. */
static int tag(const struct snapshots *s, struct store_resource *row, const char *because,
               struct err *err)
{
    char node[SPEC_NAME_MAX], text[64];
    struct cloud_failure why;
    _cleanup_(pairs_free) struct pairs p = {0};

    row_node(row, node, sizeof(node));
    _cleanup_free_ char *volume = str_fmt("volume:%s", node);
    params_snapshot_tags(s->resources, row->id, volume, because, &p);
    _cleanup_json_ json_t *answer = call(s, "createTags", &p, &why);
    entity_text(answer, "jobid", text, sizeof(text));
    _cleanup_json_ json_t *done = answer && text[0] ? job(s, text, &why) : json_incref(answer);
    if (!done)
        say(s, node, why.err.msg); /* the journal has to do */
    row->job[0] = '\0';
    return put(s, row, done ? "done" : "untagged", err);
}

/* Whether the cloud may still make it: it knows the job by the id that was chosen for it. */
static bool is_under_way(const struct snapshots *s, const struct store_resource *row)
{
    struct cloud_failure why = {0};
    _cleanup_(pairs_free) struct pairs p = {0};

    pairs_add(&p, "jobid", row->job);
    _cleanup_json_ json_t *answer = row->job[0] ? call(s, "queryAsyncJobResult", &p, &why) : NULL;
    return answer ? entity_is(answer, "jobstatus", "0") : why.lost;
}

static const json_t *entity_of_row(const struct snapshots *s, const json_t *listed,
                                   const json_t *row)
{
    for (size_t i = 0; i < json_array_size(listed); i++)
        if (is_of_row(s->resources, json_array_get(listed, i), row))
            return json_array_get(listed, i);
    return NULL;
}

/* What an earlier run began and did not end. */
static int settle(const struct snapshots *s, struct err *err)
{
    _cleanup_json_ json_t *listed = NULL;
    _cleanup_json_ json_t *rows = NULL;

    if (list_all(s, &listed, err) < 0 || journal(s, &rows, err) < 0)
        return -1;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *known = json_array_get(rows, i), *e = entity_of_row(s, listed, known);
        struct store_resource row = {0};
        bool settled = !str_eq(js_opt_str(known, "state", ""), "sent") &&
                       !str_eq(js_opt_str(known, "state", ""), "known");

        str_copy(row.name, sizeof(row.name), js_opt_str(known, "name", ""));
        str_copy(row.job, sizeof(row.job), js_opt_str(known, "job", ""));
        if (!e && !is_under_way(s, &row)) {
            if (store_resource_delete(s->store, row.name, err) < 0)
                return -1;
        } else if (e && !settled) {
            entity_text(e, "id", row.id, sizeof(row.id));
            if (tag(s, &row, NULL, err) < 0)
                return -1;
        }
    }
    return 0;
}

/* ---- create ---- */

/* "saas-fra-20240131T102030Z-0a1b", which nothing else is called. */
static char *new_name(const struct snapshots *s, const char *node)
{
    char stamp[24], uuid[37];
    time_t now = time(NULL);
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
    keys_uuid(uuid);
    return str_fmt("%s-%s-%s-%.4s", s->resources->deployment, node, stamp, uuid);
}

/* The answer was lost: the lists show whether the call had its effect. */
static int find_lost(const struct snapshots *s, struct store_resource *row,
                     const struct cloud_failure *why, struct err *err)
{
    _cleanup_json_ json_t *known = json_pack("{s:s,s:s}", "name", row->name, "id", "");

    for (unsigned i = 0; i < LOOKS_AFTER_LOST; i++) {
        _cleanup_json_ json_t *listed = NULL;

        if (i > 0)
            clock_pause_ms(LOST_MS);
        if (list_all(s, &listed, err) < 0)
            return -1;
        entity_text(entity_of_row(s, listed, known), "id", row->id, sizeof(row->id));
        if (row->id[0])
            return 0;
    }
    *err = why->err;
    return -1;
}

static int begin(const struct snapshots *s, const struct resource *volume,
                 struct store_resource *ret, struct err *err)
{
    const char *node = strchr(volume->name, ':') + 1;
    struct store_resource row = {0};
    struct cloud_failure why;
    struct err ignored;
    _cleanup_(pairs_free) struct pairs p = {0};
    _cleanup_free_ char *name = new_name(s, node);

    snprintf(row.name, sizeof(row.name), PREFIX "%.32s/%s", node, name);
    keys_uuid(row.job);
    params_snapshot(volume->id, name, &p);
    pairs_add(&p, "customjobid", row.job);
    if (put(s, &row, "sent", err) < 0)
        return -1;
    _cleanup_json_ json_t *answer = call(s, ops_of(s)->create, &p, &why);
    if (!answer && !why.lost) {
        store_resource_delete(s->store, row.name, &ignored);
        *err = why.err;
        return -1;
    }
    if (answer) {
        entity_text(answer, "id", row.id, sizeof(row.id));
        entity_text(answer, "jobid", row.job, sizeof(row.job));
    }
    if (!row.id[0] && find_lost(s, &row, &why, err) < 0)
        return -1;
    *ret = row;
    return put(s, ret, "known", err);
}

/* Although its job is not known: a cloud that does not take our ids of jobs, and whose answer was
 * lost. */
static bool is_whole(const struct snapshots *s, const char *id)
{
    _cleanup_json_ json_t *listed = NULL;
    struct err ignored;

    return list_all(s, &listed, &ignored) == 0 &&
           entity_is(entity_find(listed, "id", id), "state", "BackedUp");
}

static int finish(const struct snapshots *s, struct store_resource *row, const char *because,
                  struct err *err)
{
    char node[SPEC_NAME_MAX];
    struct cloud_failure why = {0};
    _cleanup_json_ json_t *done = row->job[0] ? job(s, row->job, &why) : json_object();

    row_node(row, node, sizeof(node));
    if (!done && !is_whole(s, row->id)) {
        *err = why.err;
        return -1;
    }
    if (tag(s, row, because, err) < 0)
        return -1;
    _cleanup_free_ char *text =
        str_fmt("snapshot %s taken%s%s", row->id, because ? ": " : "", because ? because : "");
    record(s, node, text);
    return 0;
}

/* Those of the list whose ids are in the rows that were finished. */
static int made(const struct snapshots *s, const struct store_resource *rows, size_t n,
                json_t **ret, struct err *err)
{
    _cleanup_json_ json_t *all = NULL;

    *ret = json_array();
    if (snapshots_list(s, &all, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        const json_t *one = entity_find(all, "id", rows[i].id);

        if (one && rows[i].id[0])
            json_array_append(*ret, (json_t *)one);
    }
    return 0;
}

static void keep_first(struct err *first, const struct err *now, const char *name)
{
    if (first->code)
        return;
    *first = *now;
    err_wrap(first, "%s", name);
}

int snapshots_create(const struct snapshots *s, const char *node, const char *because, json_t **ret,
                     struct err *err)
{
    size_t n = 0;
    struct err first = {0};
    _cleanup_free_ struct store_resource *rows = xcalloc(s->resources->n, sizeof(*rows));

    *ret = NULL;
    if (because && strlen(because) > BECAUSE_MAX)
        return err_set(err, ERR_USAGE, "--because: at most %d characters", BECAUSE_MAX);
    if (settle(s, err) < 0)
        return -1;
    for (size_t i = 0; i < s->resources->n; i++) {
        const struct resource *it = &s->resources->v[i];
        struct err now = {0};

        if (it->kind != RESOURCE_VOLUME || !resource_is_ours(it, s->resources) ||
            (node && !str_eq(strchr(it->name, ':') + 1, node)))
            continue;
        if (begin(s, it, &rows[n], &now) < 0)
            keep_first(&first, &now, it->name);
        else
            n++;
    }
    if (n == 0 && !first.code)
        return err_set(err, ERR_CLOUD, "the cloud has no data disk of %s; 'muster up' makes it",
                       node ? node : s->resources->deployment);
    size_t done = 0;
    for (size_t i = 0; i < n; i++) {
        struct err now = {0};

        if (finish(s, &rows[i], because, &now) < 0)
            keep_first(&first, &now, strchr(rows[i].name, ':') + 1);
        else
            rows[done++] = rows[i];
    }
    if (made(s, rows, done, ret, err) < 0 && !first.code)
        return -1;
    if (!first.code)
        return 0;
    *err = first;
    return -1;
}

/* ---- delete ---- */

/* The row with that id: 1; 0 when there is none. */
static int row_with_id(const struct snapshots *s, const char *id, struct store_resource *ret,
                       struct err *err)
{
    _cleanup_json_ json_t *rows = NULL;

    if (journal(s, &rows, err) < 0)
        return -1;
    const json_t *row = entity_find(rows, "id", id);
    if (row)
        str_copy(ret->name, sizeof(ret->name), js_opt_str(row, "name", ""));
    return row != NULL;
}

static int remove_it(const struct snapshots *s, const char *id, struct err *err)
{
    char text[64];
    struct cloud_failure why = {0};
    _cleanup_(pairs_free) struct pairs p = {0};
    _cleanup_json_ json_t *all = NULL;

    pairs_add(&p, "id", id);
    _cleanup_json_ json_t *answer = call(s, ops_of(s)->destroy, &p, &why);
    entity_text(answer, "jobid", text, sizeof(text));
    _cleanup_json_ json_t *done = answer && text[0] ? job(s, text, &why) : json_incref(answer);
    if (done)
        return 0;
    if (list_all(s, &all, err) < 0)
        return -1;
    if (!entity_find(all, "id", id)) /* it had its effect all the same */
        return 0;
    *err = why.err;
    return -1;
}

int snapshots_delete(const struct snapshots *s, const char *id, struct err *err)
{
    struct store_resource row = {0};
    _cleanup_json_ json_t *ours = NULL;
    int known = row_with_id(s, id, &row, err);

    if (known < 0 || settle(s, err) < 0 || snapshots_list(s, &ours, err) < 0)
        return -1;
    const json_t *one = entity_find(ours, "id", id);
    if (!one && !known)
        return err_set(err, ERR_SAFETY,
                       "%.40s is no snapshot of %s; 'muster snapshot list' names those", id,
                       s->resources->deployment);
    if (one && remove_it(s, id, err) < 0)
        return -1;
    if (known && store_resource_delete(s->store, row.name, err) < 0)
        return -1;
    _cleanup_free_ char *text = str_fmt("snapshot %s %s", id, one ? "deleted" : "was gone already");
    char node[SPEC_NAME_MAX];
    if (known)
        row_node(&row, node, sizeof(node));
    record(s, known ? node : js_opt_str(one, "node", ""), text);
    return 0;
}
