/* SPDX-License-Identifier: Apache-2.0 */
/* up: raises the deployment. */
#include <stdio.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/js.h"
#include "common/proc.h"
#include "common/str.h"
#include "common/text.h"
#include "controller/cli/session.h"
#include "controller/cloud/access.h"
#include "controller/up.h"

#define OUTPUT_MAX_S 10

static void print_urls(struct deployment *d)
{
    _cleanup_json_ json_t *layout = NULL;
    struct err ignored;

    if (deployment_layout(d, &layout, &ignored) < 0)
        return;
    for (size_t i = 0; i < json_array_size(layout); i++) {
        const json_t *n = json_array_get(layout, i);
        const char *url = json_string_value(json_object_get(n, "url"));

        if (url && *url)
            text_print(stdout, "%-8s %s\n", json_string_value(json_object_get(n, "name")), url);
    }
}

/* Things of our name that we did not make: taken over when the operator says so. */
static void ask_to_adopt(const struct cli *cli, struct survey *v, const struct spec *s)
{
    bool asked = false, yes = false;

    if (!isatty(0) || cli->yes)
        return;
    for (size_t i = 0; i < v->resources.n; i++) {
        struct resource *it = &v->resources.v[i];

        if (it->found != FOUND_BY_NAME || resource_move(it, &v->resources, s).kind != MOVE_REFUSE)
            continue;
        text_print(stderr, "  %-16s %s (%s) has our name and is not ours\n",
                   resource_ops(&v->resources, it->kind)->what, it->label, it->id);
        asked = true;
    }
    yes = asked && cli_confirmed(cli, "Take these over?");
    for (size_t i = 0; i < v->resources.n; i++)
        v->resources.v[i].adopt = v->resources.v[i].adopt || yes;
}

/* VMs that go are told before; data disks never go here. */
static int confirm_losses(const struct cli *cli, const struct survey *v, const struct spec *s,
                          struct err *err)
{
    bool any = false;

    for (size_t i = 0; i < v->resources.n; i++) {
        const struct resource *it = &v->resources.v[i];
        struct move m = resource_move(it, &v->resources, s);

        if (it->kind != RESOURCE_VM || it->want == WANT_THERE || m.kind != MOVE_DESTROY)
            continue;
        text_print(stderr, "  - VM %s: %s\n", it->label, m.why);
        any = true;
    }
    if (!any || cli_confirmed(cli, "Destroy these VMs?"))
        return 0;
    return err_set(err, ERR_SAFETY,
                   "VMs that the file does not have any more would be destroyed; nothing was done "
                   "(-y does not ask; their data disks stay)");
}

static void print_up(const struct cli *cli, struct deployment *d, const struct up_result *r)
{
    const char *name = d->spec.deployment;

    if (cli->cloud_only)
        text_print(stderr, "%s: the cloud's part is there: ", name);
    else
        text_print(stderr, "%s is ready: ", name);
    if (!r->created && !r->repaired && !r->removed && !r->changed)
        fputs("nothing to create, 0 changed\n", stderr);
    else {
        text_print(stderr, "%u cloud resources created, ", r->created);
        if (r->repaired)
            text_print(stderr, "%u changed, ", r->repaired);
        if (r->removed)
            text_print(stderr, "%u removed, ", r->removed);
        text_print(stderr, "%u steps changed\n", r->changed);
    }
    if (!cli->cloud_only)
        print_urls(d);
}

/* What is shown meanwhile. */
struct shown {
    const struct cli *cli;
    const struct spec *spec;
    struct ui *ui;                                 /* NULL until there is something to do */
    char node[EVENT_NODE_MAX], step[EVENT_ID_MAX]; /* that failed last; "" for none */
};

static void on_begin(void *ctx)
{
    struct shown *s = ctx;
    enum ui_mode mode = s->cli->json ? UI_JSON : s->cli->mode;

    s->ui = ui_new(mode, mode == UI_JSON ? 1 : 2, s->cli->color, s->spec);
}

static void on_event(void *ctx, const struct event *ev)
{
    struct shown *s = ctx;

    if (s->ui)
        ui_event(s->ui, ev);
    if (ev->kind == EVENT_FAILED && ev->origin == EVENT_OF_AGENT) {
        str_copy(s->node, sizeof(s->node), ev->node);
        str_copy(s->step, sizeof(s->step), ev->id);
    }
}

static void on_state(void *ctx, size_t node, const json_t *state)
{
    struct shown *s = ctx;

    if (s->ui)
        ui_state(s->ui, node, state);
}

static int on_tick(void *ctx)
{
    struct shown *s = ctx;

    return s->ui ? ui_tick(s->ui) : -1;
}

static void print_output_line(void *ctx, const char *line)
{
    (void)ctx;
    text_print(stderr, "  | %s\n", line);
}

/* The last that the programs of the failed step said. */
static void print_output(const struct shown *s)
{
    const struct proc_opts opts = {.on_line = print_output_line, .timeout_s = OUTPUT_MAX_S};
    _cleanup_free_ char *self = access_program("muster");
    struct err ignored; /* the node may not let anybody in */

    if (!self || !s->node[0])
        return;
    text_print(stderr, "muster: what %s of %s said last ('muster logs %s' has more):\n", s->step,
               s->node, s->node);
    proc_run(PROC_ARGV(self, "logs", "-f", s->cli->file, s->node, "--step", s->step, "-n", "50"),
             &opts, NULL, &ignored);
}

int cmd_up(const struct cli *cli, struct err *err)
{
    _cleanup_(cli_session_close) struct cli_session s = {.d.lock_fd = -1};
    _cleanup_(strbuf_free) struct strbuf refused = {0};
    struct survey_options so = {.adopt = cli->adopt, .replace = cli->replace};
    struct shown shown = {.cli = cli, .spec = &s.d.spec};
    struct up_options o = {.package = cli->package,
                           .cloud_only = cli->cloud_only,
                           .progress = {.ctx = &shown,
                                        .begin = on_begin,
                                        .event = on_event,
                                        .state = on_state,
                                        .tick = on_tick}};
    struct up_result r = {0};
    int rc;

    if (cli_session_open(cli, true, true, &so, &s, err) < 0)
        return -1;
    o.public_key = s.public_key;
    ask_to_adopt(cli, &s.v, &s.d.spec);
    rc = survey_check(&s.v, &s.d.spec, &refused, err);
    text_print(stderr, "%s", strbuf_str(&refused));
    if (rc < 0 || confirm_losses(cli, &s.v, &s.d.spec, err) < 0)
        return -1;
    rc = up_run(&s.d, &s.reach, &s.v, &o, &r, err);
    ui_free(shown.ui);
    if (rc < 0 && err->code == ERR_NODE && !cli->json)
        print_output(&shown);
    if (rc < 0)
        return -1;
    if (!cli->json)
        print_up(cli, &s.d, &r);
    return 0;
}
