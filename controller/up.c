/* SPDX-License-Identifier: Apache-2.0 */
/* The story of a deployment: look at the cloud, create what is missing, let the agents in, give
 * each its plan, wait until all say ready, look from outside. */
#include "controller/up.h"

#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/str.h"
#include "controller/access.h"
#include "controller/layout.h"
#include "controller/up_run.h"
#include "controller/verify.h"

#define SILENCE_MS (15 * 60 * 1000) /* nothing at all happened: give up waiting */
#define LIST_TIMEOUT_MS 120000

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
    (void)sig;
    interrupted = 1;
}

static void up_free(struct up *u)
{
    ui_free(u->ui);
    hub_close(u->hub);
    apply_free(u->apply);
    cloud_free(u->cloud);
    http_free(u->http);
    archive_free(&u->archive);
    free(u->public_key);
    free(u->private_key);
    free(u->package);
    free(u->archive_url);
    free(u->facts);
    free(u->runs);
}

/* ---- events of our own ---- */

static int say(struct up *u, const char *node, enum event_kind kind, const char *id,
               const char *msg, struct err *err)
{
    struct event ev = {.ts = clock_wall_ms(), .seq = store_event_next_seq(u->d->store)};

    str_copy(ev.node, sizeof(ev.node), node);
    str_copy(ev.rev, sizeof(ev.rev), "controller");
    event_fill(&ev, kind, id, "%s", msg);
    u->last_event = clock_mono_ms();
    if (store_event_add(u->d->store, &ev, 0, err) < 0)
        return -1;
    if (u->ui)
        ui_event(u->ui, &ev);
    return 0;
}

/* ---- hook of the cloud part ---- */

static void on_item(void *ctx, const struct item *it, enum event_kind kind, const char *msg)
{
    struct up *u = ctx;
    struct err ignored;

    say(u, it->of_node ? u->d->spec.nodes[it->node].name : "", kind, it->name, msg, &ignored);
}

/* ---- steps ---- */

/* The agent's package: as told, or built beside us, or installed. */
static int find_package(struct up *u, struct err *err)
{
    _cleanup_free_ char *self = access_program("muster");
    _cleanup_free_ char *pattern = NULL;
    char *slash = self ? strrchr(self, '/') : NULL;
    glob_t g = {0};

    if (slash)
        *slash = '\0';
    pattern = str_fmt("%s/../pkg/muster-agent*.deb", self ? self : "");
    if (u->options->package)
        u->package = xstrdup(u->options->package);
    else if (glob(pattern, 0, NULL, &g) == 0)
        u->package = xstrdup(g.gl_pathv[g.gl_pathc - 1]);
    else
        u->package = xstrdup("/usr/share/muster/muster-agent.deb");
    globfree(&g);
    if (keys_sha256_file(u->package, u->package_sha256, err) < 0)
        return err_wrap(err, "the agent's package is not there ('./dev build' makes it, "
                             "--agent-package names another)");
    return 0;
}

static int open_cloud(struct up *u, bool start_local, struct err *err)
{
    struct cloud_access access = {0};
    int rc = access_find(&u->d->spec, start_local, &access, u->host, err);

    if (rc == 0) {
        u->http = http_new();
        u->cloud = cloud_new(u->http, &access);
    }
    keys_wipe(&access, sizeof(access));
    return rc;
}

static int look(struct up *u, struct err *err)
{
    uint64_t end = clock_mono_ms() + LIST_TIMEOUT_MS;
    _cleanup_(strbuf_free) struct strbuf missing = {0};
    int rc;

    apply_list(u->apply);
    while ((rc = apply_listed(u->apply, err)) == 0) {
        int due = cloud_tick(u->cloud);

        if (clock_mono_ms() > end)
            return err_set(err, ERR_TIMEOUT, "the cloud did not answer in %d s",
                           LIST_TIMEOUT_MS / 1000);
        http_wait(u->http, NULL, 0, due < 0 || due > 1000 ? 1000 : due);
    }
    if (rc < 0)
        return -1;
    if (items_check_catalogue(&u->d->spec, apply_inventory(u->apply), &missing) < 0) {
        fputs(strbuf_str(&missing), stderr);
        return err_set(err, ERR_USAGE, "%s names what this cloud does not have", u->d->file);
    }
    return apply_recognise(u->apply, u->options && u->options->adopt, err);
}

static int cloud_is_done(struct up *u, struct err *err)
{
    _cleanup_json_ json_t *layout = NULL;
    _cleanup_free_ char *text = NULL;

    layout_facts(&u->d->spec, apply_items(u->apply), u->facts);
    layout = layout_json(&u->d->spec, apply_items(u->apply), u->facts);
    text = js_text(layout);
    u->cloud_done = true;
    return store_set(u->d->store, "layout", text, err);
}

/* Nothing to create, every node has its plan and said so: only the outside look is left. */
static bool nothing_to_do(struct up *u)
{
    const struct items *items = apply_items(u->apply);

    for (size_t i = 0; i < items->n; i++)
        if (items->v[i].state != ITEM_DONE)
            return false;
    for (size_t i = 0; i < u->d->spec.n_nodes; i++) {
        _cleanup_json_ json_t *plan = NULL;
        _cleanup_json_ json_t *state = NULL;
        _cleanup_json_ json_t *facts = NULL;
        struct err ignored;

        if (store_node_report(u->d->store, u->d->spec.nodes[i].name, &state, &facts, &ignored) < 0)
            return false;
        plan = up_plan(u, i);
        if (!plan || !layout_state_ready(&u->d->spec, state, js_opt_str(plan, "rev", "")))
            return false;
    }
    return true;
}

static int verify(struct up *u, unsigned tries, struct err *err)
{
    const struct spec *s = &u->d->spec;
    struct verify_result *results = xcalloc(s->n_nodes, sizeof(*results));
    const char **urls = xcalloc(s->n_nodes, sizeof(*urls));
    int rc = -1;

    for (size_t i = 0; i < s->n_nodes; i++)
        urls[i] = u->facts[i].url;
    for (unsigned t = 0; t < tries && rc < 0; t++) {
        if (verify_sites(u->http, s, urls, 10, results))
            rc = 0;
        else if (t + 1 < tries)
            http_wait(u->http, NULL, 0, 1000);
    }
    for (size_t i = 0; rc < 0 && i < s->n_nodes; i++)
        if (results[i].why[0]) {
            err_set(err, ERR_NODE, "%s: %s (%s)", s->nodes[i].name, results[i].why, urls[i]);
            break;
        }
    free(urls);
    free(results);
    return rc;
}

static int loop(struct up *u, struct err *err)
{
    bool ready = false;

    while (!ready) {
        struct http_fd fds[HUB_FDS];
        int due = cloud_tick(u->cloud), wait_ms = 200, rc;

        if (!u->cloud_done) {
            rc = apply_tick(u->apply, err);
            if (rc < 0 || (rc == 1 && cloud_is_done(u, err) < 0))
                return -1;
        }
        if (hub_run(u->hub, err) < 0 || up_check_nodes(u, &ready, err) < 0)
            return -1;
        if (interrupted)
            return err_set(err, ERR_INTERRUPTED,
                           "detached; the agents go on. 'muster up -f %s' attaches again",
                           u->d->file);
        if (clock_mono_ms() - u->last_event > SILENCE_MS)
            return err_set(err, ERR_TIMEOUT,
                           "nothing has happened for %d minutes; 'muster "
                           "events' shows what was last",
                           SILENCE_MS / 60000);
        rc = ui_tick(u->ui);
        if (rc >= 0 && rc < wait_ms)
            wait_ms = rc;
        if (due >= 0 && due < wait_ms)
            wait_ms = due;
        hub_fds(u->hub, fds);
        http_wait(u->http, fds, HUB_FDS, wait_ms);
    }
    return 0;
}

static void set_signals(void)
{
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int prepare(struct up *u, struct err *err)
{
    const struct apply_hooks hooks = {.ctx = u, .user_data = up_user_data, .event = on_item};
    const struct spec *s = &u->d->spec;

    u->facts = xcalloc(s->n_nodes, sizeof(*u->facts));
    u->runs = xcalloc(s->n_nodes, sizeof(*u->runs));
    if (deployment_ssh_key(u->d, &u->public_key, &u->private_key, err) < 0 ||
        deployment_archive(u->d, &u->archive, err) < 0 || find_package(u, err) < 0 ||
        open_cloud(u, true, err) < 0)
        return -1;
    u->archive_url = u->archive.path ? str_fmt("http://%s:%u/blob/%s", u->host,
                                               s->controller_port + 2u, u->archive.sha256)
                                     : xstrdup(s->app.url);
    u->apply = apply_new(u->cloud, u->d->store, s, u->public_key, &hooks);
    return look(u, err);
}

int up_run(struct deployment *d, const struct up_options *o, struct up_result *ret, struct err *err)
{
    _cleanup_(up_free) struct up u = {.d = d, .options = o, .last_event = clock_mono_ms()};
    struct err ignored;
    int rc;

    set_signals();
    if (prepare(&u, err) < 0)
        return -1;
    bool settled = true;
    for (size_t i = 0; i < apply_items(u.apply)->n; i++)
        settled = settled && apply_items(u.apply)->v[i].state == ITEM_DONE;
    if (settled && cloud_is_done(&u, err) < 0)
        return -1;
    *ret = (struct up_result){0};
    if (settled && nothing_to_do(&u) && verify(&u, 1, &ignored) == 0)
        return store_set(d->store, "state", "ready", err);
    u.ui = ui_new(o->mode, o->mode == UI_JSON ? 1 : 2, o->color, &d->spec);
    if (up_open_hub(&u, err) < 0 || store_set(d->store, "state", "raising", err) < 0 ||
        say(&u, "", EVENT_START, "up", "raising", err) < 0)
        return -1;
    for (size_t i = 0; i < apply_items(u.apply)->n; i++)
        if (apply_items(u.apply)->v[i].state == ITEM_DONE)
            on_item(&u, &apply_items(u.apply)->v[i], EVENT_OK, "is there");
    rc = loop(&u, err);
    if (rc == 0)
        rc = verify(&u, 60, err);
    say(&u, "", rc == 0 ? EVENT_DONE : EVENT_ABORTED, "up", rc == 0 ? "ready" : err->msg, &ignored);
    for (size_t i = 0; i < apply_items(u.apply)->n; i++)
        ret->created += apply_items(u.apply)->v[i].created;
    for (size_t i = 0; i < d->spec.n_nodes; i++)
        ret->changed += u.runs[i].changed;
    if (rc == 0)
        return store_set(d->store, "state", "ready", err);
    store_set(d->store, "state", err->code == ERR_INTERRUPTED ? "raising" : "failed", &ignored);
    return -1;
}

int up_look(struct deployment *d, bool start_local, struct items *ret, struct err *err)
{
    _cleanup_(up_free) struct up u = {.d = d, .last_event = clock_mono_ms()};
    const struct apply_hooks hooks = {.ctx = &u, .event = on_item};
    const struct up_options adopt = {.adopt = true};
    struct items *items;

    u.options = &adopt;
    if (open_cloud(&u, start_local, err) < 0)
        return -1;
    u.apply = apply_new(u.cloud, d->store, &d->spec, "", &hooks);
    if (look(&u, err) < 0)
        return -1;
    items = apply_items(u.apply);
    *ret = *items;
    *items = (struct items){0};
    return 0;
}

int up_layout(struct deployment *d, json_t **ret, struct err *err)
{
    _cleanup_free_ char *text = NULL;

    *ret = NULL;
    if (store_get(d->store, "layout", &text, err) < 0)
        return -1;
    return text ? js_parse(text, strlen(text), ret, err) : 0;
}
