/* SPDX-License-Identifier: Apache-2.0 */
/* watch: the picture that `up` shows, from the first event on and for ever. It follows the hub;
 * when there is none it is the hub itself, and while `up` is, it reads the store. */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/js.h"
#include "common/str.h"
#include "controller/cli/cli.h"
#include "controller/own_hub.h"
#include "controller/serve/link.h"

#define POLL_MS 100
#define FIND_MS 1000
#define ASK_MS 10000

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
    (void)sig;
    stop = 1;
}

struct watching {
    const struct cli *cli;
    struct deployment d;
    struct ui *ui;
    uint64_t after;
    struct chan link;
    struct own_hub own;
    uint64_t find, ask; /* monotonic: when a hub is looked for, when all nodes are asked */
    uint64_t *seen;     /* one per node, ms since 1970 */
};

/* They are known when the cloud part of an `up` is done. */
static void show_addresses(struct watching *w)
{
    _cleanup_json_ json_t *layout = NULL;
    struct err ignored;

    if (deployment_layout(&w->d, &layout, &ignored) < 0)
        return;
    for (size_t i = 0; i < w->d.spec.n_nodes; i++)
        ui_address(w->ui, i, js_opt_str(json_array_get(layout, i), "public_ip", ""));
}

/* The picture begins again, from the first event on. */
static void open_picture(struct watching *w)
{
    ui_free(w->ui);
    free(w->seen);
    w->after = 0;
    w->seen = xcalloc(w->d.spec.n_nodes, sizeof(*w->seen));
    w->ui = ui_new(w->cli->json ? UI_JSON : w->cli->mode, 1, w->cli->color, &w->d.spec);
    show_addresses(w);
}

/* Somebody may have changed the file, and works with the new one. */
static void read_again(struct watching *w)
{
    _cleanup_(strbuf_free) struct strbuf problems = {0};
    struct deployment d = {.lock_fd = -1};
    struct err ignored;

    if (deployment_read(w->cli->file, &d, &problems, &ignored) < 0)
        return; /* it is being edited */
    if (str_eq(d.digest, w->d.digest) || deployment_open(&d, false, &ignored) < 0) {
        deployment_close(&d);
        return;
    }
    deployment_close(&w->d);
    w->d = d;
    open_picture(w);
}

static void on_event(void *ctx, const struct event *ev)
{
    struct watching *w = ctx;

    ui_event(w->ui, ev);
}

static void states(struct watching *w)
{
    for (size_t i = 0; i < w->d.spec.n_nodes; i++) {
        _cleanup_json_ json_t *state = NULL;
        _cleanup_json_ json_t *facts = NULL;
        struct store_node node = {0};
        struct err ignored;

        if (store_node_report(w->d.store, w->d.spec.nodes[i].name, &state, &facts, &ignored) == 0 &&
            store_node_get(w->d.store, w->d.spec.nodes[i].name, &node, &ignored) >= 0 && state)
            ui_state_heard(w->ui, i, cli_is_fresh(node.seen) ? state : NULL, node.seen);
    }
}

/* There is a hub, or this becomes it. */
static void find_hub(struct watching *w)
{
    struct err ignored;
    uint64_t now = clock_mono_ms();

    if (w->link.fd >= 0 || now < w->find)
        return;
    w->find = now + FIND_MS;
    own_hub_close(&w->own);
    read_again(w);
    if (link_open(w->d.state, &w->link, &ignored) < 0) {
        _cleanup_(strbuf_free) struct strbuf problems = {0};

        if (own_hub_open(w->cli->file, "muster watch", OWN_HUB_SERVES, &w->own, &problems,
                         &ignored) < 0 ||
            link_open(w->d.state, &w->link, &ignored) < 0) {
            w->link.fd = -1;
            return;
        }
    }
    link_ask(&w->link, REQUEST_EVENTS,
             json_pack("{s:I, s:b, s:b}", "after", (json_int_t)w->after, "follow", 1, "states", 1));
    w->ask = 0;
}

static void take(struct watching *w, const json_t *j)
{
    const json_t *event = json_object_get(j, "event");
    const char *node = js_opt_str(j, "node", NULL);
    struct event ev;
    struct err ignored;

    if (event && event_from_json(event, &ev, &ignored) == 0) {
        w->after = js_opt_u64(j, "n", w->after);
        ui_event(w->ui, &ev);
    }
    for (size_t i = 0; node && i < w->d.spec.n_nodes; i++)
        if (str_eq(node, w->d.spec.nodes[i].name)) {
            w->seen[i] = js_opt_bool(j, "heard", false) ? js_opt_u64(j, "seen", 0) : 0;
            ui_state_heard(w->ui, i, w->seen[i] ? json_object_get(j, "state") : NULL,
                           js_opt_u64(j, "seen", 0));
        }
}

static void follow(struct watching *w)
{
    json_t *j = NULL;
    int rc;

    if (clock_mono_ms() >= w->ask) {
        link_ask(&w->link, REQUEST_STATE, json_pack("{s:i}", "wait_ms", 0));
        w->ask = clock_mono_ms() + ASK_MS;
        show_addresses(w);
    }
    while ((rc = link_next(&w->link, &j)) == 1) {
        take(w, j);
        json_decref(j);
    }
    for (size_t i = 0; i < w->d.spec.n_nodes; i++) {
        if (w->seen[i] && !cli_is_fresh(w->seen[i])) {
            ui_state_heard(w->ui, i, NULL, w->seen[i]);
            w->seen[i] = 0;
        }
    }
    if (rc < 0)
        chan_close(&w->link);
}

static int turn(struct watching *w, struct err *err)
{
    struct pollfd p = {.fd = w->link.fd, .events = POLLIN};
    int due = clock_sooner(POLL_MS, ui_tick(w->ui)), rc = 0;
    struct err ignored;

    find_hub(w);
    if (w->own.service) {
        service_run(w->own.service, due, &ignored); /* a locked store: the next time */
        if (service_is_gone(w->own.service) || service_is_outdated(w->own.service))
            chan_close(&w->link);
    } else if (w->link.fd >= 0) {
        poll(&p, 1, due);
    }
    if (w->link.fd >= 0) {
        follow(w);
        return 0;
    }
    rc = store_events(w->d.store, &w->after, on_event, w, err);
    states(w);
    clock_pause_ms((unsigned)due);
    return rc;
}

int cmd_watch(const struct cli *cli, struct err *err)
{
    struct watching w = {
        .cli = cli, .d.lock_fd = -1, .link.fd = -1, .own = {.d.lock_fd = -1, .lock_fd = -1}};
    int rc = 0;

    if (cli_open(cli, false, &w.d, err) < 0)
        return -1;
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    signal(SIGPIPE, SIG_IGN);
    open_picture(&w);
    while (rc == 0 && !stop && !ui_is_closed(w.ui))
        rc = turn(&w, err);
    ui_free(w.ui);
    chan_close(&w.link);
    own_hub_close(&w.own);
    free(w.seen);
    deployment_close(&w.d);
    return rc;
}
