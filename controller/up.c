/* SPDX-License-Identifier: Apache-2.0 */
/* The story of a deployment: look at the cloud, create what is missing, let the agents in, give
 * each its plan, wait until all say ready, look from outside. */
#include "controller/up.h"

#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/keys.h"
#include "common/ports.h"
#include "common/str.h"
#include "controller/cloud/access.h"
#include "controller/internal.h"
#include "controller/nodes/layout.h"
#include "controller/nodes/verify.h"

/* Between two looks at the time limits and for a signal, which may come just before the wait. */
#define LOOK_MS 200
#define SILENCE_MS (15 * 60 * 1000) /* nothing at all happened: give up waiting */

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
    (void)sig;
    interrupted = 1;
}

static void up_free(struct up *u)
{
    up_close_hub(u);
    apply_free(u->apply);
    archive_free(&u->archive);
    free(u->package);
    free(u->archive_url);
    free(u->package_key);
    free(u->site_cert);
    certs_free(&u->certs);
    up_drop_plans(u);
    free(u->plans);
    free(u->facts);
    free(u->runs);
}

/* ---- events of our own ---- */

int up_emit(struct up *u, const char *node, enum event_kind kind, const char *id, const char *msg,
            struct err *err)
{
    struct event ev = {.ts = clock_wall_ms(), .origin = EVENT_OF_CONTROLLER};

    str_copy(ev.node, sizeof(ev.node), node);
    event_fill(&ev, kind, id, "%s", msg);
    u->last_event = clock_mono_ms();
    if (store_event_own(u->d->store, &ev, err) < 0)
        return -1;
    u->own[ev.seq % ARRAY_LEN(u->own)] = ev.seq;
    up_show_event(u, &ev);
    return 0;
}

/* ---- hook of the cloud part ---- */

static void on_resource(void *ctx, const struct resource *it, enum event_kind kind, const char *msg)
{
    struct up *u = ctx;
    struct err ignored;

    up_emit(u, it->of_node ? u->d->spec.nodes[it->node].name : "", kind, it->name, msg, &ignored);
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
        u->package = str_fmt("%s/../share/muster/muster-agent.deb", self ? self : "/usr/bin");
    globfree(&g);
    if (keys_sha256_file(u->package, u->package_sha256, err) < 0)
        return err_wrap(err, "the agent's package is not there ('./dev build' makes it, "
                             "--agent-package names another)");
    return 0;
}

static int cloud_is_done(struct up *u, struct err *err)
{
    _cleanup_json_ json_t *layout = NULL;
    _cleanup_free_ char *text = NULL;

    up_drop_plans(u);
    if (u->d->spec.cloud == CLOUD_NONE) {
        u->cloud_done = true;
        up_none_known(u);
        return up_expect_nodes(u, err) < 0 || up_none_layout(u, err) < 0 ? -1
                                                                         : up_give_plans(u, err);
    }
    layout_facts(&u->d->spec, &u->survey->resources, u->facts);
    layout = layout_json(&u->d->spec, &u->survey->resources, u->facts);
    text = js_text(layout);
    u->cloud_done = true;
    if (up_expect_nodes(u, err) < 0 || store_set(u->d->store, "layout", text, err) < 0)
        return -1;
    return up_give_plans(u, err);
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
        if (verify_sites(u->reach->http, s, urls, 10, results))
            rc = 0;
        else if (t + 1 < tries)
            http_wait(u->reach->http, NULL, 0, 1000);
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
    const struct up_progress *progress = &u->options->progress;
    bool ready = false, erasing = false;

    while (!ready) {
        struct http_fd fds[HUB_FDS];
        int due = clock_sooner(LOOK_MS, cloud_tick(u->reach->cloud)), rc, more = 0;

        if (!u->cloud_done) {
            rc = apply_tick(u->apply, err);
            if (rc < 0 || (rc == 1 && cloud_is_done(u, err) < 0))
                return -1;
        }
        if (u->options->cloud_only)
            ready = u->cloud_done;
        else if ((more = up_run_hub(u, err)) < 0 || up_check_nodes(u, &ready, err) < 0 ||
                 up_erase_user_data(u, &erasing, err) < 0)
            return -1;
        ready = ready && !erasing;
        if (interrupted)
            return err_set(err, ERR_INTERRUPTED,
                           "detached; the agents go on. 'muster up -f %s' attaches again",
                           u->d->file);
        if (clock_mono_ms() - u->last_event > SILENCE_MS)
            return err_set(err, ERR_TIMEOUT,
                           "nothing has happened for %d minutes; 'muster "
                           "events' shows what was last",
                           SILENCE_MS / 60000);
        if (progress->tick)
            due = clock_sooner(due, progress->tick(progress->ctx));
        if (u->hub)
            due = clock_sooner(due, hub_due_ms(u->hub));
        http_wait(u->reach->http, fds, (size_t)up_hub_fds(u, fds), ready || more ? 0 : due);
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

/* The certificate that visitors see goes with the plans, its key from the store. */
static int site_cert(struct up *u, struct err *err)
{
    char *key = NULL;
    int r;

    if (u->d->spec.frontdoor.tls == FRONTDOOR_SELF_SIGNED)
        return certs_site_own(u->d->store, &u->d->spec, (uint64_t)time(NULL), &u->site_cert, err);
    r = deployment_frontdoor(u->d, &u->site_cert, &key, err);
    if (!key)
        return r;
    r = certs_site_given(u->d->store, key, err);
    keys_wipe(key, strlen(key));
    free(key);
    return r;
}

static int prepare(struct up *u, struct err *err)
{
    const struct apply_hooks hooks = {.ctx = u, .user_data = up_user_data, .event = on_resource};
    const struct spec *s = &u->d->spec;

    u->facts = xcalloc(s->n_nodes, sizeof(*u->facts));
    u->plans = xcalloc(s->n_nodes, sizeof(*u->plans));
    u->runs = xcalloc(s->n_nodes, sizeof(*u->runs));
    if (deployment_archive(u->d, &u->archive, err) < 0 ||
        deployment_package_key(u->d, &u->package_key, err) < 0 || find_package(u, err) < 0 ||
        certs_get(u->d->store, s, (uint64_t)time(NULL), &u->certs, err) < 0 ||
        site_cert(u, err) < 0)
        return -1;
    u->archive_url = u->archive.path ? str_fmt("http://%s:%u/blob/%s", u->reach->host,
                                               s->controller_port + PORT_BLOB, u->archive.sha256)
                                     : xstrdup(s->app.url);
    if (up_store_files(u, err) < 0)
        return -1;
    u->apply = apply_new(u->reach->cloud, u->d->store, s, u->survey,
                         &(struct apply_options){.public_key = u->options->public_key}, &hooks);
    return 0;
}

static bool cloud_is_settled(const struct up *u)
{
    for (size_t i = 0; i < u->survey->resources.n; i++)
        if (u->survey->resources.v[i].state != RESOURCE_DONE)
            return false;
    return true;
}

static void sum_up(const struct up *u, struct up_result *ret)
{
    *ret = (struct up_result){0};
    for (size_t i = 0; i < u->survey->resources.n; i++) {
        const struct resource *it = &u->survey->resources.v[i];

        ret->created += it->created;
        ret->removed += it->want != WANT_THERE && it->destroyed;
        ret->repaired += it->want == WANT_THERE && !it->created && it->changed;
    }
    for (size_t i = 0; i < u->d->spec.n_nodes; i++)
        ret->changed += u->runs[i].changed;
}

/* What was ready stays so for `status` while its nodes only look. */
static int begin(struct up *u, struct err *err)
{
    const struct resources *resources = &u->survey->resources;
    struct store *st = u->d->store;
    _cleanup_free_ char *recorded = NULL;
    bool looks;

    if (store_get(st, "state", &recorded, err) < 0)
        return -1;
    looks = u->cloud_done && str_eq(recorded, "ready");
    if (store_begin(st, err) < 0)
        return -1;
    if ((!looks && store_set(st, "state", "raising", err) < 0) ||
        up_emit(u, "", EVENT_START, EVENT_ID_UP, looks ? "asks every node" : "raising", err) < 0) {
        store_rollback(st);
        return -1;
    }
    for (size_t i = 0; i < resources->n; i++)
        if (resources->v[i].state == RESOURCE_DONE && resources->v[i].want == WANT_THERE)
            on_resource(u, &resources->v[i], EVENT_OK, "is there");
    return store_commit(st, err);
}

int up_run(struct deployment *d, struct reach *r, struct survey *v, const struct up_options *o,
           struct up_result *ret, struct err *err)
{
    _cleanup_(up_free) struct up u = {.d = d,
                                      .reach = r,
                                      .survey = v,
                                      .options = o,
                                      .hub_lock = -1,
                                      .link.fd = -1,
                                      .last_event = clock_mono_ms()};
    struct err ignored;
    int rc;

    set_signals();
    if (prepare(&u, err) < 0 || (cloud_is_settled(&u) && cloud_is_done(&u, err) < 0))
        return -1;
    sum_up(&u, ret);
    if (u.cloud_done && o->cloud_only)
        return 0;
    if (o->progress.begin)
        o->progress.begin(o->progress.ctx);
    if ((!o->cloud_only && up_open_hub(&u, err) < 0) || begin(&u, err) < 0)
        return -1;
    rc = loop(&u, err);
    if (rc == 0 && !o->cloud_only)
        rc = verify(&u, 60, err);
    up_emit(&u, "", rc == 0 ? EVENT_DONE : EVENT_ABORTED, EVENT_ID_UP,
            rc < 0 ? err->msg : (o->cloud_only ? "the cloud part is done" : "ready"), &ignored);
    sum_up(&u, ret);
    if (rc == 0)
        return o->cloud_only ? 0 : store_set(d->store, "state", "ready", err);
    store_set(d->store, "state", err->code == ERR_INTERRUPTED ? "raising" : "failed", &ignored);
    return -1;
}
