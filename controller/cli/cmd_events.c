/* SPDX-License-Identifier: Apache-2.0 */
/* events: what has happened, a line each. */
#include <stdio.h>

#include "common/cleanup.h"
#include "common/js.h"
#include "common/str.h"
#include "controller/cli/cli.h"
#include "controller/cli/view.h"

static void print_event(void *ctx, const struct event *ev)
{
    const struct cli *cli = ctx;
    _cleanup_(strbuf_free) struct strbuf line = {0};

    if (cli->json) {
        _cleanup_json_ json_t *j = event_to_json(ev);

        cli_print_json(j, false);
        return;
    }
    view_event_line(ev, &line);
    fputs(strbuf_str(&line), stdout);
}

int cmd_events(const struct cli *cli, struct err *err)
{
    _cleanup_(deployment_close) struct deployment d = {.lock_fd = -1};
    uint64_t after = 0;

    if (cli_open(cli, false, &d, err) < 0)
        return -1;
    return store_events(d.store, &after, print_event, (void *)cli, err);
}
