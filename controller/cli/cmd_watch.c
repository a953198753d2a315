/* SPDX-License-Identifier: Apache-2.0 */
/* watch: the picture that `up` shows, from the store. */
#include <signal.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/js.h"
#include "common/str.h"
#include "controller/cli/cli.h"

#define POLL_MS 100

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
    (void)sig;
    stop = 1;
}

struct watching {
    struct ui *ui;
    bool ended;
};

static void on_event(void *ctx, const struct event *ev)
{
    struct watching *w = ctx;

    if (ev->origin == EVENT_OF_CONTROLLER && str_eq(ev->id, EVENT_ID_UP))
        w->ended = ev->kind != EVENT_START;
    ui_event(w->ui, ev);
}

static void states(struct deployment *d, struct ui *ui)
{
    for (size_t i = 0; i < d->spec.n_nodes; i++) {
        _cleanup_json_ json_t *state = NULL;
        _cleanup_json_ json_t *facts = NULL;
        struct err ignored;

        struct store_node node = {0};

        if (store_node_report(d->store, d->spec.nodes[i].name, &state, &facts, &ignored) == 0 &&
            store_node_get(d->store, d->spec.nodes[i].name, &node, &ignored) >= 0 && state)
            ui_state(ui, i, cli_is_fresh(&node) ? state : NULL);
    }
}

int cmd_watch(const struct cli *cli, struct err *err)
{
    _cleanup_(deployment_close) struct deployment d = {.lock_fd = -1};
    struct watching w = {0};
    uint64_t after = 0;
    int rc = 0;

    if (cli_open(cli, false, &d, err) < 0)
        return -1;
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    w.ui = ui_new(cli->json ? UI_JSON : cli->mode, 1, cli->color, &d.spec);
    while (rc == 0 && !stop) {
        rc = store_events(d.store, &after, on_event, &w, err);
        states(&d, w.ui);
        if (w.ended)
            break;
        clock_pause_ms((unsigned)clock_sooner(POLL_MS, ui_tick(w.ui)));
    }
    ui_free(w.ui);
    return rc;
}
