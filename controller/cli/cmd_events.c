/* SPDX-License-Identifier: Apache-2.0 */
/* events: what has happened, a line each; with --follow also what happens. Reads the store, into
 * which whoever is the hub writes. */
#include <signal.h>
#include <stdio.h>

#include "common/chan.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/js.h"
#include "common/str.h"
#include "common/text.h"
#include "controller/cli/cli.h"
#include "controller/cli/since.h"
#include "controller/cli/view.h"
#include "controller/serve/link.h"

#define FOLLOW_MS 200

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
    (void)sig;
    stop = 1;
}

struct printing {
    bool json;
    unsigned n;
};

static void print_event(void *ctx, const struct event *ev)
{
    struct printing *p = ctx;
    _cleanup_(strbuf_free) struct strbuf line = {0};

    p->n++;
    if (p->json) {
        _cleanup_json_ json_t *j = event_to_json(ev);

        cli_print_json(j, false);
        return;
    }
    view_event_line(ev, true, &line);
    fputs(strbuf_str(&line), stdout);
}

static int read_filter(const struct cli *cli, struct event_filter *ret, struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf known = {0};
    enum event_kind kind;

    *ret = (struct event_filter){.node = cli->node, .kind = cli->kind};
    if (cli->kind && event_kind_find(cli->kind, &kind) < 0) {
        for (int k = 0; k < EVENT_KINDS; k++)
            strbuf_addf(&known, "%s%s", k ? ", " : "", event_kind_name((enum event_kind)k));
        return err_set(err, ERR_USAGE, "--kind %.40s: expected one of %s", cli->kind,
                       strbuf_str(&known));
    }
    return cli->since ? since_parse(cli->since, clock_wall_ms(), &ret->since, err) : 0;
}

static void warn_when_nobody_listens(const struct deployment *d)
{
    struct chan c = {.fd = -1};
    struct err why;

    if (link_open(d->state, &c, &why) < 0)
        text_print(stderr, "muster: no hub is running, so nothing arrives from the nodes until "
                           "'muster serve', 'muster watch' or 'muster up' runs\n");
    chan_close(&c);
}

/* A name that is in the file is right, even when nothing has happened there. */
static int check_node(const struct deployment *d, const char *node, unsigned printed,
                      struct err *err)
{
    for (size_t i = 0; i < d->spec.n_nodes; i++)
        if (str_eq(d->spec.nodes[i].name, node))
            return 0;
    if (printed)
        return 0;
    return err_set(err, ERR_USAGE, "no node '%.60s' is in %s, and no event names it", node,
                   d->file);
}

int cmd_events(const struct cli *cli, struct err *err)
{
    _cleanup_(deployment_close) struct deployment d = {.lock_fd = -1};
    struct printing p = {.json = cli->json};
    struct event_filter filter;
    uint64_t after = 0;

    if (read_filter(cli, &filter, err) < 0 || cli_open(cli, false, &d, err) < 0 ||
        (cli->lines && store_event_tail(d.store, &filter, cli->lines, &after, err) < 0) ||
        store_events_where(d.store, &filter, &after, print_event, &p, err) < 0)
        return -1;
    if (cli->node && check_node(&d, cli->node, p.n, err) < 0)
        return -1;
    if (!cli->follow)
        return 0;
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    warn_when_nobody_listens(&d);
    while (!stop && fflush(stdout) == 0) {
        if (store_events_where(d.store, &filter, &after, print_event, &p, err) < 0)
            return -1;
        clock_pause_ms(FOLLOW_MS);
    }
    return 0;
}
