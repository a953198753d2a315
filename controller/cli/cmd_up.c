/* SPDX-License-Identifier: Apache-2.0 */
/* validate, plan, up, destroy: the commands that look at the cloud or change it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/str.h"
#include "common/text.h"
#include "controller/cli/cli.h"
#include "controller/cloud/teardown.h"
#include "controller/up.h"

int cmd_validate(const struct cli *cli, struct err *err)
{
    _cleanup_(deployment_close) struct deployment d = {.lock_fd = -1};
    _cleanup_free_ char *key = NULL;

    if (cli_read(cli, &d, err) < 0 || deployment_package_key(&d, &key, err) < 0)
        return -1;
    if (cli->json)
        text_print(
            stdout,
            "{\"schema\":1,\"deployment\":\"%s\",\"valid\":true,\"zones\":%zu,\"nodes\":%zu}\n",
            d.spec.deployment, d.spec.n_zones, d.spec.n_nodes);
    else
        text_print(stdout, "%s: ok: deployment '%s', %zu zone%s, %zu node%s\n", cli->file,
                   d.spec.deployment, d.spec.n_zones, d.spec.n_zones == 1 ? "" : "s",
                   d.spec.n_nodes, d.spec.n_nodes == 1 ? "" : "s");
    return 0;
}

static const char *mark_of(const char *action)
{
    static const struct {
        const char *action;
        const char *mark;
    } marks[] = {{"create", "+"},  {"change", "~"}, {"replace", "-/+"},
                 {"destroy", "-"}, {"left", "="},   {"refused", "!"}};

    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        if (str_eq(action, marks[i].action))
            return marks[i].mark;
    return NULL;
}

static const char *member(const json_t *e, const char *key)
{
    return js_opt_str(e, key, "");
}

/* Returns how many things `up` would do. */
static unsigned count_changes(const json_t *plan)
{
    unsigned n = 0;

    for (size_t i = 0; i < json_array_size(plan); i++) {
        const char *action = member(json_array_get(plan, i), "action");

        n += mark_of(action) && !str_eq(action, "left");
    }
    return n;
}

static void print_plan(FILE *to, const json_t *plan)
{
    for (size_t i = 0; i < json_array_size(plan); i++) {
        const json_t *e = json_array_get(plan, i);
        const char *mark = mark_of(*member(e, "needs") ? "refused" : member(e, "action"));
        const char *why = member(e, "reason");

        if (mark)
            text_print(to, "  %3s %-21s %s%s%s\n", mark, member(e, "kind"), member(e, "name"),
                       *why ? ": " : "", why);
    }
}

static void print_sum(const struct cli *cli, const json_t *plan, unsigned changes)
{
    static const char *const actions[] = {"create", "change", "replace", "destroy"};
    unsigned counts[ARRAY_LEN(actions)] = {0}, undecided = 0;
    const char *between = "";

    for (size_t i = 0; i < json_array_size(plan); i++)
        for (size_t a = 0; a < ARRAY_LEN(actions); a++)
            counts[a] += str_eq(member(json_array_get(plan, i), "action"), actions[a]);
    for (size_t i = 0; i < json_array_size(plan); i++)
        undecided += *member(json_array_get(plan, i), "needs") ||
                     str_eq(member(json_array_get(plan, i), "action"), "refused");
    if (!changes) {
        text_print(stdout, "nothing to do: all %zu resources are as the file says.\n",
                   json_array_size(plan));
        return;
    }
    for (size_t a = 0; a < ARRAY_LEN(actions); a++)
        if (counts[a]) {
            text_print(stdout, "%s%u to %s", between, counts[a], actions[a]);
            between = ", ";
        }
    if (undecided)
        text_print(stdout, "%s%u for you to decide (!): 'muster up' refuses until then.\n", between,
                   undecided);
    else
        text_print(stdout, ". 'muster up -f %s' does it.\n", cli->file);
}

/* What plan, up and destroy have open. */
struct session {
    struct deployment d;
    struct reach reach;
    struct survey v;
    char *public_key;
    char *private_key;
};

static void session_close(struct session *s)
{
    survey_free(&s->v);
    access_close(&s->reach);
    free(s->public_key);
    free(s->private_key);
    deployment_close(&s->d);
}

/* Reads the file, looks at the cloud. `o` gets the public key. */
static int session_open(const struct cli *cli, bool lock, bool start_local,
                        struct survey_options *o, struct session *ret, struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf missing = {0};
    struct session *s = ret;
    int rc;

    if (cli_read(cli, &s->d, err) < 0 || deployment_open(&s->d, true, err) < 0 ||
        (lock && deployment_lock(&s->d, err) < 0))
        return -1;
    if (!o->destroy && deployment_ssh_key(&s->d, &s->public_key, &s->private_key, err) < 0)
        return -1;
    o->public_key = s->public_key;
    if (access_open(&s->d.spec, start_local, &s->reach, err) < 0)
        return -1;
    rc = survey_run(&s->reach, s->d.store, &s->d.spec, o, &s->v, &missing, err);
    text_print(stderr, "%s", strbuf_str(&missing));
    return rc;
}

int cmd_plan(const struct cli *cli, struct err *err)
{
    _cleanup_(session_close) struct session s = {.d.lock_fd = -1};
    struct survey_options o = {.adopt = cli->adopt, .replace = cli->replace};
    _cleanup_json_ json_t *plan = NULL;
    unsigned changes;

    if (session_open(cli, false, true, &o, &s, err) < 0)
        return -1;
    plan = moves_plan(&s.v.items, &s.d.spec);
    changes = count_changes(plan);
    if (cli->json) {
        _cleanup_json_ json_t *out =
            json_pack("{s:i, s:s, s:i, s:O}", "schema", 1, "deployment", s.d.spec.deployment,
                      "changes", (int)changes, "resources", plan);

        cli_print_json(out, true);
    } else {
        print_plan(stdout, plan);
        print_sum(cli, plan, changes);
    }
    if (changes && cli->detailed_exitcode) {
        err->code = ERR_CHANGES;
        err->msg[0] = '\0';
        return -1;
    }
    return 0;
}

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

static void say_line(const char *line)
{
    text_print(stderr, "%s\n", line);
}

static bool confirmed(const struct cli *cli, const char *question)
{
    char answer[16] = "";

    if (cli->yes)
        return true;
    if (!isatty(0))
        return false;
    text_print(stderr, "%s Type yes: ", question);
    return fgets(answer, sizeof(answer), stdin) && str_eq(str_chomp(answer), "yes");
}

/* Things of our name that we did not make: taken over when the operator says so. */
static void ask_to_adopt(const struct cli *cli, struct survey *v, const struct spec *s)
{
    bool asked = false, yes = false;

    if (!isatty(0) || cli->yes)
        return;
    for (size_t i = 0; i < v->items.n; i++) {
        struct item *it = &v->items.v[i];

        if (it->found != FOUND_BY_NAME || item_move(it, &v->items, s).kind != MOVE_REFUSE)
            continue;
        text_print(stderr, "  %-16s %s (%s) has our name and is not ours\n",
                   item_ops(&v->items, it->kind)->what, it->label, it->id);
        asked = true;
    }
    yes = asked && confirmed(cli, "Take these over?");
    for (size_t i = 0; i < v->items.n; i++)
        v->items.v[i].adopt = v->items.v[i].adopt || yes;
}

/* VMs that go are told before; data disks never go here. */
static int confirm_losses(const struct cli *cli, const struct survey *v, const struct spec *s,
                          struct err *err)
{
    bool any = false;

    for (size_t i = 0; i < v->items.n; i++) {
        const struct item *it = &v->items.v[i];
        struct move m = item_move(it, &v->items, s);

        if (it->kind != ITEM_VM || it->want == WANT_THERE || m.kind != MOVE_DESTROY)
            continue;
        text_print(stderr, "  - VM %s: %s\n", it->label, m.why);
        any = true;
    }
    if (!any || confirmed(cli, "Destroy these VMs?"))
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
    if (!r->created && !r->mended && !r->removed && !r->changed)
        fputs("nothing to create, 0 changed\n", stderr);
    else {
        text_print(stderr, "%u cloud resources created, ", r->created);
        if (r->mended)
            text_print(stderr, "%u changed, ", r->mended);
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
    struct ui *ui; /* NULL until there is something to do */
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

int cmd_up(const struct cli *cli, struct err *err)
{
    _cleanup_(session_close) struct session s = {.d.lock_fd = -1};
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

    if (session_open(cli, true, true, &so, &s, err) < 0)
        return -1;
    o.public_key = s.public_key;
    ask_to_adopt(cli, &s.v, &s.d.spec);
    if (survey_check(&s.v, &s.d.spec, err) < 0 || confirm_losses(cli, &s.v, &s.d.spec, err) < 0)
        return -1;
    rc = up_run(&s.d, &s.reach, &s.v, &o, &r, err);
    ui_free(shown.ui);
    if (rc < 0)
        return -1;
    if (!cli->json)
        print_up(cli, &s.d, &r);
    return 0;
}

int cmd_destroy(const struct cli *cli, struct err *err)
{
    _cleanup_(session_close) struct session s = {.d.lock_fd = -1};
    _cleanup_(strbuf_free) struct strbuf gone = {0};
    _cleanup_(strbuf_free) struct strbuf left = {0};
    struct survey_options o = {.destroy = true, .node = cli->node, .with_data = cli->with_data};
    struct teardown_result r = {0};

    /* without a journal, too: what is ours carries our tags */
    if (session_open(cli, true, false, &o, &s, err) < 0)
        return -1;
    teardown_preview(&s.v, &s.d.spec, &gone, &left);
    if (gone.len && !cli->yes)
        text_print(stderr, "This will be destroyed:\n%s", strbuf_str(&gone));
    if (left.len)
        text_print(stderr, "This stays:\n%s", strbuf_str(&left));
    if (gone.len && !confirmed(cli, "Destroy this?"))
        return err_set(err, ERR_SAFETY, "not confirmed; nothing was destroyed (-y does not ask)");
    if (teardown_run(&s.reach, s.d.store, &s.d.spec, &s.v, say_line, &r, err) < 0)
        return -1;
    text_print(stderr, "%s is down: %u destroyed, %u data disk%s kept\n",
               cli->node ? cli->node : s.d.spec.deployment, r.destroyed, r.data_disks,
               r.data_disks == 1 ? "" : "s");
    if (cli->node)
        return 0;
    if (r.data_disks == 0) { /* nothing refers to the state any more */
        store_close(TAKE(s.d.store));
        return fs_remove_tree(s.d.state, err);
    }
    return store_set(s.d.store, "state", "destroyed", err);
}
