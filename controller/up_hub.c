/* SPDX-License-Identifier: Apache-2.0 */
/* The hub of a run of `up`: the one that runs, over its socket; or, without one, its own. When the
 * one that runs ends, the run goes on with whoever is the hub then. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/js.h"
#include "common/str.h"
#include "controller/enrolment.h"
#include "controller/internal.h"
#include "controller/serve/service.h"

#define HUB_WITHIN_MS 10000 /* one that starts or ends */
#define HUB_AGAIN_MS 50
#define AGAIN_MAX 20 /* times that a hub may end under a run */

static void send_plans(struct up *u)
{
    link_ask(&u->link, REQUEST_UP, json_pack("{s:s}", "file", u->d->digest));
    u->look_id = 0;
}

static int begin_link(struct up *u, struct err *err)
{
    if (!u->followed && store_event_end(u->d->store, &u->after, err) < 0)
        return -1;
    u->followed = true;
    link_ask(&u->link, REQUEST_EVENTS,
             json_pack("{s:I, s:b, s:b}", "after", (json_int_t)u->after, "follow", 1, "states", 1));
    if (u->cloud_done)
        send_plans(u);
    return 0;
}

static int open_own(struct up *u, struct err *err)
{
    const struct hub_config config = {.listen = "*",
                                      .port = u->d->spec.controller_port,
                                      .keys = &u->d->keys,
                                      .sign = &u->d->sign};
    const struct hub_hooks hooks = up_hooks(u);

    if (hub_open(&config, &u->d->spec, u->d->store, &hooks, &u->hub, err) < 0)
        return -1;
    u->look_id = hub_look_id(u->hub);
    hub_serve_file(u->hub, u->package_sha256, u->package);
    if (u->archive.path)
        hub_serve_file(u->hub, u->archive.sha256, u->archive.path);
    return 0;
}

int up_open_hub(struct up *u, struct err *err)
{
    uint64_t end = clock_mono_ms() + HUB_WITHIN_MS;
    struct err ignored;

    for (;;) {
        if (link_open(u->d->state, &u->link, &ignored) == 0)
            return begin_link(u, err);
        u->link.fd = -1;
        u->hub_lock = link_lock(u->d->state, "muster up", err);
        if (u->hub_lock >= 0)
            return open_own(u, err);
        if (err->code != ERR_LOCKED || clock_mono_ms() >= end)
            return -1;
        clock_pause_ms(HUB_AGAIN_MS);
    }
}

void up_close_hub(struct up *u)
{
    hub_close(TAKE(u->hub));
    chan_close(&u->link);
    if (u->hub_lock >= 0)
        close(u->hub_lock);
    u->hub_lock = -1;
}

/* ---- what a hub that runs is given ---- */

static int store_plans(struct up *u, struct err *err)
{
    for (size_t i = 0; i < u->d->spec.n_nodes; i++) {
        _cleanup_json_ json_t *plan = up_plan(u, i);
        _cleanup_json_ json_t *bare = json_deep_copy(plan);

        json_object_clear(json_object_get(bare, "secrets"));
        if (plan && service_store_plan(u->d->store, u->d->spec.nodes[i].name, bare, err) < 0)
            return -1;
    }
    return 0;
}

int up_store_files(struct up *u, struct err *err)
{
    _cleanup_json_ json_t *files = json_array();
    _cleanup_free_ char *package = realpath(u->package, NULL);

    json_array_append_new(files, json_pack("{s:s, s:s}", "sha256", u->package_sha256, "path",
                                           package ? package : u->package));
    if (u->archive.path)
        json_array_append_new(
            files, json_pack("{s:s, s:s}", "sha256", u->archive.sha256, "path", u->archive.path));
    return service_store_files(u->d->store, files, err);
}

int up_give_plans(struct up *u, struct err *err)
{
    if (store_plans(u, err) < 0)
        return -1;
    if (u->link.fd >= 0)
        send_plans(u);
    return 0;
}

int up_forget(struct up *u, size_t node, struct err *err)
{
    if (u->hub)
        hub_forget(u->hub, node);
    /* A connection of its own: on the other one events come in between. */
    return u->link.fd < 0 ? 0 : enrolment_tell(u->d, u->d->spec.nodes[node].name, err);
}

/* ---- what it says ---- */

bool up_has_looked(const struct up *u, const json_t *state)
{
    uint64_t looked = js_opt_u64(state, "looked", 0);

    if (u->hub)
        return hub_has_looked(u->hub, state, u->look_id);
    return u->look_id && looked >= u->look_id && looked <= u->look_latest;
}

static void take_state(struct up *u, const char *node, const json_t *j)
{
    const struct spec *s = &u->d->spec;
    json_t *state = json_object_get(j, "state");

    u->look_latest = js_opt_u64(j, "look", 0);
    for (size_t i = 0; i < s->n_nodes; i++) {
        if (!str_eq(node, s->nodes[i].name))
            continue;
        u->runs[i].away = !js_opt_bool(j, "heard", false);
        if (!u->runs[i].away && json_is_object(state))
            up_hooks(u).state(u, i, state);
    }
}

static bool is_own(const struct up *u, const struct event *ev)
{
    return ev->origin == EVENT_OF_CONTROLLER && ev->seq &&
           u->own[ev->seq % ARRAY_LEN(u->own)] == ev->seq;
}

/* 1: the hub begins again. */
static int take(struct up *u, const json_t *j, struct err *err)
{
    const char *node = js_opt_str(j, "node", NULL), *why = js_opt_str(j, "error", NULL);
    const json_t *event = json_object_get(j, "event");
    struct event ev;

    if (why)
        return err_set(err, ERR_FAILED, "the hub says: %.300s", why);
    if (json_object_get(j, "again"))
        return 1;
    if (node)
        take_state(u, node, j);
    else if (json_object_get(j, "look"))
        u->look_id = js_opt_u64(j, "look", 0);
    if (!event)
        return 0;
    u->after = js_opt_u64(j, "n", u->after);
    if (event_from_json(event, &ev, err) < 0)
        return -1;
    if (!is_own(u, &ev))
        up_hooks(u).event(u, &ev, false);
    return 0;
}

int up_run_hub(struct up *u, struct err *err)
{
    json_t *j = NULL;
    int rc, end = 0;

    if (u->hub)
        return hub_run(u->hub, err);
    while (end == 0 && (rc = link_next(&u->link, &j)) == 1) {
        end = take(u, j, err);
        json_decref(j);
    }
    if (end < 0)
        return -1;
    if (end == 0 && rc == 0)
        return 0;
    if (++u->again > AGAIN_MAX)
        return err_set(err, ERR_LOCKED,
                       "the hub of '%s' ends again and again, or serves another file than %s",
                       u->d->spec.deployment, u->d->file);
    up_close_hub(u);
    clock_pause_ms(HUB_AGAIN_MS);
    return up_open_hub(u, err) < 0 ? -1 : 1;
}

int up_hub_fds(struct up *u, struct http_fd fds[HUB_FDS])
{
    if (!u->hub) {
        fds[0] = (struct http_fd){.fd = u->link.fd};
        return u->link.fd >= 0;
    }
    hub_fds(u->hub, fds);
    return HUB_FDS;
}
