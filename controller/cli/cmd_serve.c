/* SPDX-License-Identifier: Apache-2.0 */
/* serve: the hub of a deployment, for ever. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "controller/cli/cli.h"
#include "controller/own_hub.h"
#include "controller/serve/notify.h"

#define AGAIN_MS 1000
#define TROUBLE_MS 200

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
    (void)sig;
    stop = 1;
}

/* Once, until it is another one. */
static void print_once(char said[512], const char *text)
{
    if (strcmp(said, text) == 0)
        return;
    str_copy(said, 512, text);
    notify_send("STATUS=%s", text);
    log_info("%s", text);
}

/* Until it is to end, or to begin again with another file or state directory. */
static void run(struct own_hub *h, char said[512])
{
    while (!stop && !service_is_gone(h->service) && !service_is_outdated(h->service)) {
        char text[512];
        struct err err;

        if (service_run(h->service, AGAIN_MS, &err) < 0) {
            log_warn("%s; trying again", err.msg);
            clock_pause_ms(TROUBLE_MS);
        }
        snprintf(text, sizeof(text), "%s: %zu of %zu nodes speak", h->d.spec.deployment,
                 service_connected(h->service), h->d.spec.n_nodes);
        print_once(said, text);
    }
}

int cmd_serve(const struct cli *cli, struct err *err)
{
    char said[512] = "";
    bool ready = false;

    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    signal(SIGPIPE, SIG_IGN);
    log_open("muster serve");
    while (!stop) {
        _cleanup_(own_hub_close) struct own_hub h = {.d.lock_fd = -1, .lock_fd = -1};
        _cleanup_(strbuf_free) struct strbuf problems = {0};
        int rc = own_hub_open(cli->file, "muster serve", OWN_HUB_SERVES, &h, &problems, err);

        if (rc < 0 && !ready && err->code == ERR_USAGE) {
            text_print(stderr, "%s", strbuf_str(&problems));
            return -1;
        }
        if (rc < 0 && err->code == ERR_LOCKED && strstr(err->msg, "muster serve"))
            return -1;
        if (!ready)
            notify_send("READY=1");
        ready = true;
        if (rc == 0) {
            run(&h, said);
            continue;
        }
        print_once(said, err->msg);
        clock_pause_ms(AGAIN_MS);
    }
    notify_send("STOPPING=1");
    log_info("ends");
    return 0;
}
