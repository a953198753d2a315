/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/serve/service.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/event_hooks.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/str.h"
#include "controller/nodes/layout.h"
#include "controller/nodes/roster.h"
#include "controller/nodes/secrets.h"
#include "controller/serve/internal.h"

#define GONE_EVERY_MS 1000
#define EVENT_ID_AGENT "agent"

int service_store_plan(struct store *st, const char *node, const json_t *plan, struct err *err)
{
    _cleanup_free_ char *key = str_fmt("plan:%s", node);
    _cleanup_free_ char *text = js_text(plan);
    _cleanup_free_ char *old = NULL;

    if (store_get(st, key, &old, err) < 0)
        return -1;
    return old && str_eq(old, text) ? 0 : store_set(st, key, text, err);
}

int service_store_files(struct store *st, const json_t *files, struct err *err)
{
    _cleanup_free_ char *text = js_text(files);
    _cleanup_free_ char *old = NULL;

    if (store_get(st, "files", &old, err) < 0)
        return -1;
    return old && str_eq(old, text) ? 0 : store_set(st, "files", text, err);
}

/* ---- hooks of the hub ---- */

/* A plan that is not there, or not whole, is null: it is not looked for again until an `up`. */
static json_t *stored_plan(struct service *s, const char *node)
{
    _cleanup_free_ char *key = str_fmt("plan:%s", node);
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *plan = NULL;
    struct err err;

    if (store_get(s->config.store, key, &text, &err) < 0)
        return NULL; /* the next time */
    if (!text || js_parse(text, strlen(text), &plan, &err) < 0)
        return json_null();
    return secrets_fill(s->config.store, plan, &err) < 0 ? NULL : TAKE(plan);
}

static json_t *plan_of(void *ctx, size_t node)
{
    struct service *s = ctx;

    if (s->config.only_looks)
        return NULL;
    if (!s->plans[node])
        s->plans[node] = stored_plan(s, s->config.spec->nodes[node].name);
    return json_is_object(s->plans[node]) ? json_incref(s->plans[node]) : NULL;
}

static char *roster_of(void *ctx, uint64_t epoch)
{
    struct service *s = ctx;
    const struct spec *spec = s->config.spec;
    const struct planner_input in = {.spec = spec, .facts = s->facts};

    if (!spec->database.present)
        return NULL;
    for (size_t i = 0; i < spec->n_nodes; i++)
        if (!s->facts[i].private_address[0])
            return NULL;
    return roster_text(s->config.store, &in, epoch);
}

/* Clients read events from the store. */
static void on_event(void *ctx, const struct event *ev, bool past)
{
    struct service *s = ctx;

    if (s->hooks && !past)
        hooks_event(s->hooks, s->config.spec->deployment, ev);
}

int service_own_event(struct service *s, struct event *ev, struct err *err)
{
    if (store_event_own(s->config.store, ev, err) < 0)
        return -1;
    on_event(s, ev, false);
    return 0;
}

/* Of a node that was heard by this hub. */
static int emit_silence(struct service *s, struct err *err)
{
    for (size_t i = 0; i < s->config.spec->n_nodes; i++) {
        struct event ev = {.ts = clock_wall_ms(), .origin = EVENT_OF_CONTROLLER};
        bool silent = !service_hears(s, i);

        if (silent == s->silent[i] || s->config.only_looks || !hub_node(s->hub, i).heard)
            continue;
        str_copy(ev.node, sizeof(ev.node), s->config.spec->nodes[i].name);
        event_fill(&ev, EVENT_NOTE, EVENT_ID_AGENT, "%s",
                   silent ? "has not been heard for 30 s" : "is heard again");
        if (service_own_event(s, &ev, err) < 0)
            return -1;
        s->silent[i] = silent;
    }
    return 0;
}

static void on_state(void *ctx, size_t node, const json_t *state)
{
    struct service *s = ctx;
    bool new_drift =
        !json_equal(json_object_get(s->states[node], "drift"), json_object_get(state, "drift"));

    json_decref(s->states[node]);
    s->states[node] = json_incref((json_t *)state);
    if (!s->reports && new_drift && json_array_size(json_object_get(state, "drift")))
        hub_look_at(s->hub, node, HUB_LOOK_CAREFUL);
    socket_state(s, node);
}

static void on_measured(void *ctx, size_t node, const json_t *said)
{
    measure_said(ctx, node, said);
}

/* ---- what the last `up` left ---- */

static int read_layout(struct service *s, struct err *err)
{
    const struct spec *spec = s->config.spec;
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *layout = NULL;

    if (store_get(s->config.store, "layout", &text, err) < 0)
        return -1;
    if (text && js_parse(text, strlen(text), &layout, err) < 0)
        return -1;
    for (size_t i = 0; i < spec->n_nodes; i++) {
        s->facts[i] = (struct node_facts){0};
        for (size_t k = 0; k < json_array_size(layout); k++) {
            const json_t *at = json_array_get(layout, k);

            if (!str_eq(js_opt_str(at, "name", ""), spec->nodes[i].name))
                continue;
            str_copy(s->facts[i].private_address, sizeof(s->facts[i].private_address),
                     js_opt_str(at, "private_ip", ""));
            layout_public(js_opt_str(at, "public_ip", ""), s->facts[i].public_address);
        }
    }
    return 0;
}

static int read_files(struct service *s, struct err *err)
{
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *files = NULL;

    if (store_get(s->config.store, "files", &text, err) < 0)
        return -1;
    if (text && js_parse(text, strlen(text), &files, err) < 0)
        return -1;
    hub_serve_no_file(s->hub);
    for (size_t i = 0; i < json_array_size(files); i++)
        hub_serve_file(s->hub, js_opt_str(json_array_get(files, i), "sha256", ""),
                       js_opt_str(json_array_get(files, i), "path", ""));
    return 0;
}

int service_reload(struct service *s, struct err *err)
{
    for (size_t i = 0; i < s->config.spec->n_nodes; i++)
        json_decref(TAKE(s->plans[i]));
    if (read_layout(s, err) < 0 || read_files(s, err) < 0)
        return -1;
    hub_plans_changed(s->hub);
    return 0;
}

/* ---- start and run ---- */

int service_open(const struct service_config *config, struct service **ret, struct err *err)
{
    const struct hub_hooks hooks = {.plan = plan_of,
                                    .roster = roster_of,
                                    .event = on_event,
                                    .state = on_state,
                                    .measured = on_measured,
                                    .ctx = xcalloc(1, sizeof(struct service))};
    const bool reports = config->only_looks || !config->spec->drift_repair;
    const struct hub_config hub = {.listen = "*",
                                   .port = config->spec->controller_port,
                                   .keys = config->keys,
                                   .sign = config->sign,
                                   .service = true,
                                   .first = reports ? HUB_LOOK_TELLS : HUB_LOOK_CAREFUL};
    struct service *s = hooks.ctx;
    struct stat st = {0};

    s->config = *config;
    s->reports = reports;
    s->listener = -1;
    s->started = clock_mono_ms();
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        s->clients[i].chan.fd = -1;
    s->plans = xcalloc(config->spec->n_nodes, sizeof(*s->plans));
    s->states = xcalloc(config->spec->n_nodes, sizeof(*s->states));
    s->facts = xcalloc(config->spec->n_nodes, sizeof(*s->facts));
    s->silent = xcalloc(config->spec->n_nodes, sizeof(*s->silent));
    s->hooks = config->hooks ? hooks_new(config->hooks) : NULL;
    if (stat(config->state, &st) == 0)
        s->inode = st.st_ino;
    if (hub_open(&hub, config->spec, config->store, &hooks, &s->hub, err) < 0 ||
        service_reload(s, err) < 0 || socket_open(s, err) < 0) {
        service_close(s);
        return -1;
    }
    *ret = s;
    return 0;
}

void service_close(struct service *s)
{
    if (!s)
        return;
    fence_close(s);
    dns_close(s);
    socket_close(s);
    hub_close(s->hub);
    for (size_t i = 0; i < s->config.spec->n_nodes; i++) {
        json_decref(s->plans[i]);
        json_decref(s->states[i]);
    }
    free(s->plans);
    free(s->states);
    free(s->facts);
    free(s->silent);
    hooks_free(s->hooks);
    free(s);
}

static int look_after(struct service *s, struct err *err)
{
    uint64_t now = clock_mono_ms();
    struct stat st;

    if (now - s->looked >= GONE_EVERY_MS) {
        s->looked = now;
        s->gone = stat(s->config.state, &st) < 0 || st.st_ino != s->inode;
        if (!s->gone && (emit_silence(s, err) < 0 || fence_run(s, err) < 0))
            return -1;
        if (!s->gone)
            dns_run(s);
    }
    if (s->hooks)
        hooks_run(s->hooks);
    return 0;
}

int service_run(struct service *s, int timeout_ms, struct err *err)
{
    struct pollfd p[SERVICE_FDS];
    struct http_fd fds[HUB_FDS];
    size_t n = HUB_FDS;
    int rc, more;

    hub_fds(s->hub, fds);
    for (size_t i = 0; i < HUB_FDS; i++)
        p[i] = (struct pollfd){.fd = fds[i].fd, .events = POLLIN};
    n += socket_fds(s, p + n);
    timeout_ms = clock_sooner(timeout_ms, hub_due_ms(s->hub));
    timeout_ms = clock_sooner(timeout_ms, socket_due_ms(s));
    poll(p, n, s->more ? 0 : clock_sooner(timeout_ms, GONE_EVERY_MS));
    more = hub_run(s->hub, err);
    s->more = more > 0;
    rc = more < 0 ? -1 : look_after(s, err);
    return rc < 0 ? -1 : socket_run(s, err);
}

bool service_is_outdated(const struct service *s)
{
    return s->outdated;
}

bool service_is_gone(const struct service *s)
{
    return s->gone;
}

size_t service_connected(const struct service *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->config.spec->n_nodes; i++)
        n += service_hears(s, i);
    return n;
}

bool service_hears(const struct service *s, size_t node)
{
    struct hub_node n = hub_node(s->hub, node);

    return n.heard && clock_wall_ms() < n.seen + HUB_FRESH_MS;
}
