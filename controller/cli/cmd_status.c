/* SPDX-License-Identifier: Apache-2.0 */
/* status: each node and site as it is now. Every agent is asked; of one that does not answer the
 * last state is shown with its age, never in place of what is. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/js.h"
#include "common/proto.h"
#include "common/str.h"
#include "common/text.h"
#include "controller/cli/ask.h"
#include "controller/cli/backup_view.h"
#include "controller/cli/cli.h"
#include "controller/cli/view.h"
#include "controller/cloud/access.h"
#include "controller/nodes/layout.h"
#include "controller/nodes/verify.h"

#define AGAIN_MS 2000

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
    (void)sig;
    stop = 1;
}

/* The names of "a, b" one by one. */
static json_t *names_of(const char *text)
{
    json_t *arr = json_array();

    for (size_t n; *text; text += n + strspn(text + n, ", ")) {
        n = strcspn(text, ", ");
        _cleanup_free_ char *name = str_fmt("%.*s", (int)n, text);
        js_push_str(arr, name);
    }
    return arr;
}

/* One node: what was seen of it now, and what it said. */
struct look {
    const struct verify_result *seen; /* by its site, now */
    const struct view_row *row;       /* by its events */
    uint64_t said_at;                 /* ms since 1970; 0: never */
    json_t *said;                     /* its last state, or NULL */
    const json_t *now;                /* the same when it may be taken for what is, else NULL */
    bool asked;                       /* by this command */
    bool answered;                    /* it was asked for this, and has looked */
    char trouble[VISIT_WHY_MAX];      /* by its state now; "" none is known */
};

/* What is stored of the agent; then, when the agents could be asked, what the hub said. */
static void hear(struct deployment *d, const json_t *answer, const char *name, struct look *l)
{
    _cleanup_json_ json_t *facts = NULL;
    struct store_node node = {0};
    const json_t *nodes = json_object_get(answer, "nodes"), *n;
    struct err ignored;
    size_t i;

    store_node_report(d->store, name, &l->said, &facts, &ignored);
    store_node_get(d->store, name, &node, &ignored);
    l->said_at = node.seen;
    l->asked = answer != NULL;
    if (!answer) {
        l->now = cli_is_fresh(node.seen) ? l->said : NULL;
        return;
    }
    json_array_foreach((json_t *)nodes, i, n)
    {
        json_t *state = json_object_get(n, "state");

        if (!str_eq(js_opt_str(n, "name", ""), name) || !json_is_object(state))
            continue;
        json_decref(l->said);
        l->said = json_incref(state);
        l->said_at = js_opt_u64(n, "seen", l->said_at);
        l->answered = js_opt_bool(n, "checked", false);
        /* One that is at work has no time to look, and says what it does. */
        if (l->answered || (js_opt_bool(n, "heard", false) && proto_phase_of(state) != PHASE_READY))
            l->now = l->said;
    }
}

static const char *state_of(const struct look *l, const char **ret_why)
{
    enum proto_phase phase = proto_phase_of(l->now);

    *ret_why = l->seen->why;
    const char *failure = l->row->failure;

    if (!*failure && l->row->state == ROW_FAILED)
        failure = l->row->msg; /* at the cloud */
    if (*failure && (l->now ? phase != PHASE_READY : !l->said_at)) {
        *ret_why = failure; /* why a site does not answer, its agent knows better */
        return "failed";
    }
    if (l->now && phase == PHASE_READY && !l->seen->has_url && l->trouble[0]) {
        *ret_why = l->trouble;
        return "degraded";
    }
    if (!l->seen->has_url || (l->now && phase != PHASE_READY && l->seen->site))
        return proto_phase_name(phase);
    if (!l->seen->why[0] && l->asked && !l->now) {
        *ret_why = "its site answers, its agent does not: nothing is known of the rest";
        return "degraded";
    }
    if (!l->seen->why[0] && !l->now) {
        *ret_why = "its site answers; its agent was not asked";
        return "unknown";
    }
    if (!l->seen->why[0] && l->trouble[0]) {
        *ret_why = l->trouble;
        return "degraded";
    }
    if (!l->seen->why[0])
        return "ready";
    return l->seen->site == 0 ? "unreachable" : "degraded";
}

/* The number when it is known now, else null. */
static json_t *number(bool known, uint64_t n)
{
    return known ? json_integer((json_int_t)n) : json_null();
}

static json_t *db_of(const struct spec *s, const struct look *l)
{
    const json_t *db = json_object_get(l->now, "db");
    const char *unknown = s->database.present ? "unknown" : "";
    const char *goal = l->row->arbitrator ? ARBITRATOR : s->database.present ? "Synced" : NULL;
    bool sees = db && !l->row->arbitrator; /* garbd does not say what it is part of */

    return json_pack("{s:s, s:s*, s:o, s:o, s:o, s:s*}", "state", js_opt_str(db, "state", unknown),
                     "goal", goal, "cluster_size", number(sees, js_opt_u64(db, "cluster_size", 0)),
                     "epoch", number(db, js_opt_u64(db, "epoch", 0)), "epoch_row",
                     db ? json_boolean(js_opt_bool(db, "epoch_row", false)) : json_null(),
                     "restart_pending", js_opt_str(db, "pending", NULL));
}

static json_t *drift_of(const struct look *l)
{
    char drift[256];

    layout_drift(l->now, drift, sizeof(drift));
    return l->now ? names_of(drift) : json_null();
}

/* Of the directories that all nodes share; null when there are none, or it is not known now. */
static json_t *share_of(const struct look *l)
{
    json_t *share = json_object_get(l->now, "share");

    return json_is_object(share) ? json_incref(share) : json_null();
}

/* What an old state said; null when there is none, or it is not old. */
static json_t *last_known(const struct look *l)
{
    char drift[256];

    if (!l->said || l->now)
        return json_null();
    layout_drift(l->said, drift, sizeof(drift));
    return json_pack("{s:s, s:s, s:o}", "state", proto_phase_name(proto_phase_of(l->said)), "db",
                     js_opt_str(json_object_get(l->said, "db"), "state", ""), "drift",
                     names_of(drift));
}

static json_t *node_status(struct deployment *d, const json_t *answer, const json_t *place,
                           const struct verify_result *seen, const struct view_row *row)
{
    const char *name = js_opt_str(place, "name", "");
    struct look l = {.seen = seen, .row = row};
    uint64_t now = clock_wall_ms();
    const char *state, *why;
    json_t *ret;

    hear(d, answer, name, &l);
    layout_trouble(&d->spec, l.now, l.trouble, sizeof(l.trouble));
    state = state_of(&l, &why);
    ret = json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:s, s:s, s:s, s:o, s:o, s:I, s:b, s:I, s:o, s:o, s:o, s:o}",
        "name", name, "zone", js_opt_str(place, "zone", ""), "state", state, "goal", "ready", "why",
        js_string(why), "public_ip", js_opt_str(place, "public_ip", ""), "private_ip",
        js_opt_str(place, "private_ip", ""), "url", js_opt_str(place, "url", ""), "db",
        db_of(&d->spec, &l), "drift", drift_of(&l), "site", (json_int_t)seen->site, "answered",
        l.answered, "seen", (json_int_t)l.said_at, "age_s",
        number(l.said_at, now > l.said_at ? (now - l.said_at) / 1000 : 0), "last_known",
        last_known(&l), "share", share_of(&l), "backup", backup_view_of(l.now));
    json_decref(l.said);
    return ret;
}

static void on_past_event(void *ctx, const struct event *ev)
{
    view_event(ctx, ev);
}

/* Asks every site from here, now, and joins it with what the agents say. */
static json_t *all_status(struct deployment *d, const json_t *answer, const json_t *layout)
{
    const struct spec *s = &d->spec;
    struct verify_result *seen = xcalloc(s->n_nodes, sizeof(*seen));
    const char **urls = xcalloc(s->n_nodes, sizeof(*urls));
    struct http *h = http_new();
    json_t *arr = json_array();
    struct view view;
    struct err ignored;
    uint64_t after = 0;

    for (size_t i = 0; i < s->n_nodes; i++)
        urls[i] = js_opt_str(json_array_get(layout, i), "url", "");
    verify_sites(h, s, urls, 5, seen);
    view_init(&view, s);
    store_events(d->store, &after, on_past_event, &view, &ignored);
    for (size_t i = 0; i < s->n_nodes && i < json_array_size(layout); i++)
        json_array_append_new(
            arr, node_status(d, answer, json_array_get(layout, i), &seen[i], &view.rows[i]));
    view_free(&view);
    http_free(h);
    free(urls);
    free(seen);
    return arr;
}

static const char *sum_state(const char *recorded, const json_t *nodes)
{
    bool all = json_array_size(nodes) > 0, unknown = false, bad = false;

    for (size_t i = 0; i < json_array_size(nodes); i++) {
        const char *state = js_opt_str(json_array_get(nodes, i), "state", "");

        all = all && str_eq(state, "ready");
        unknown = unknown || str_eq(state, "unknown");
        bad = bad || !(str_eq(state, "ready") || str_eq(state, "unknown"));
    }
    if (all)
        return "ready";
    return !str_eq(recorded, "ready") ? recorded : unknown && !bad ? "unknown" : "degraded";
}

static void print_drift(const json_t *ids)
{
    if (!json_array_size(ids))
        return;
    text_print(stdout, "  %-8s differs from its plan:", "");
    for (size_t i = 0; i < json_array_size(ids); i++)
        text_print(stdout, " %s", json_string_value(json_array_get(ids, i)));
    puts("; 'muster up' repairs it");
}

static void print_pending(const json_t *n)
{
    const char *what = js_opt_str(json_object_get(n, "db"), "restart_pending", "");

    if (*what)
        text_print(stdout, "  %-8s restart pending: %s; 'muster restart %s', or '--rolling'\n", "",
                   what, js_opt_str(n, "name", ""));
}

/* Only what is not as it will be. */
static void print_share(const json_t *n)
{
    const json_t *share = json_object_get(n, "share"), *p;
    struct strbuf b = {0};
    size_t i;

    if (!json_is_object(share))
        return;
    if (js_opt_u64(share, "needs", 0))
        strbuf_addf(&b, "; %llu to come or to go",
                    (unsigned long long)js_opt_u64(share, "needs", 0));
    json_array_foreach(json_object_get(share, "peers"), i, p)
    {
        if (js_opt_bool(p, "connected", false) && js_opt_u64(p, "needs", 0))
            strbuf_addf(&b, "; %llu on the way to %s",
                        (unsigned long long)js_opt_u64(p, "needs", 0), js_opt_str(p, "name", "?"));
    }
    if (js_opt_u64(share, "conflicts", 0))
        strbuf_addf(&b, "; %llu changed in two places: both are kept",
                    (unsigned long long)js_opt_u64(share, "conflicts", 0));
    if (b.len)
        text_print(stdout, "  %-8s %llu shared files%s\n", "",
                   (unsigned long long)js_opt_u64(share, "files", 0), b.s);
    strbuf_free(&b);
}

/* The age of what the agent said, and, when that is long ago, what it was. */
static void print_word(const json_t *n)
{
    const json_t *old = json_object_get(n, "last_known");
    char age[CLOCK_AGE_MAX];

    clock_age(js_opt_u64(n, "seen", 0), clock_wall_ms(), age);
    text_print(stdout, "  agent: %s", js_opt_bool(n, "answered", false) ? "answers" : age);
    if (json_is_object(old))
        text_print(stdout, " (then %s%s%s)", js_opt_str(old, "state", ""),
                   *js_opt_str(old, "db", "") ? ", " : "", js_opt_str(old, "db", ""));
}

/* "Joining -> Synced"; the goal alone where it is reached. */
static void state_and_goal(const json_t *j, char ret[64])
{
    const char *state = js_opt_str(j, "state", ""), *goal = js_opt_str(j, "goal", "");

    snprintf(ret, 64, "%.24s%s%.24s", state, *goal && !str_eq(state, goal) ? " -> " : "",
             str_eq(state, goal) ? "" : goal);
}

static void print_node(const json_t *n, size_t of)
{
    const json_t *db = json_object_get(n, "db");
    const json_t *size = json_object_get(db, "cluster_size");
    const char *why = js_opt_str(n, "why", "");
    char count[48] = "", state[64], database[64];

    if (json_is_integer(size))
        snprintf(count, sizeof(count), "%llu of %zu", (unsigned long long)json_integer_value(size),
                 of);
    else if (!str_eq(js_opt_str(db, "goal", ""), ARBITRATOR))
        snprintf(count, sizeof(count), "? of %zu", of);
    state_and_goal(n, state);
    state_and_goal(db, database);
    text_print(stdout, "  %-8s %-18s %-12s %-16s %-10s %s  %s", js_opt_str(n, "name", ""),
               js_opt_str(n, "zone", ""), state, js_opt_str(n, "public_ip", ""), database, count,
               js_opt_str(n, "url", ""));
    print_word(n);
    text_print(stdout, "%s%s\n", *why ? "  " : "", why);
    print_drift(json_object_get(n, "drift"));
    print_pending(n);
    print_share(n);
}

static void print_status(const json_t *all, bool again)
{
    const json_t *nodes = json_object_get(all, "nodes");
    const char *why = js_opt_str(all, "not_asked", "");

    if (again && isatty(STDOUT_FILENO))
        fputs("\033[H\033[2J", stdout);
    text_print(stdout, "%s: %s\n", js_opt_str(all, "deployment", ""), js_opt_str(all, "state", ""));
    for (size_t i = 0; i < json_array_size(nodes); i++)
        print_node(json_array_get(nodes, i), json_array_size(nodes));
    _cleanup_(strbuf_free) struct strbuf backups = {0};
    backup_view_render(nodes, clock_wall_ms(), &backups);
    text_print(stdout, "%s", strbuf_str(&backups));
    if (*why)
        text_print(stdout, "  the agents were not asked: %s\n", why);
}

static int look(struct deployment *d, struct ask *ask, json_t **ret, struct err *err)
{
    _cleanup_json_ json_t *layout = NULL;
    _cleanup_json_ json_t *answer = NULL;
    _cleanup_free_ char *recorded = NULL;
    struct err why = {0};
    json_t *nodes;

    if (deployment_layout(d, &layout, err) < 0 || store_get(d->store, "state", &recorded, err) < 0)
        return -1;
    ask_nodes(ask, &answer, &why);
    nodes = all_status(d, answer, layout);
    *ret = json_pack("{s:i, s:s, s:s, s:o, s:o}", "schema", 1, "deployment", d->spec.deployment,
                     "state", sum_state(recorded ? recorded : "raising", nodes), "not_asked",
                     answer ? json_null() : js_string(why.msg), "nodes", nodes);
    return 0;
}

int cmd_status(const struct cli *cli, struct err *err)
{
    _cleanup_(deployment_close) struct deployment d = {.lock_fd = -1};
    struct cloud_access access;
    struct ask ask;
    char host[64];
    int rc = 0;

    if (cli_open(cli, false, &d, err) < 0)
        return -1;
    /* When the local cloud is down its addresses lead elsewhere: ask nobody. */
    if (d.spec.cloud == CLOUD_LOCAL && access_find(&d.spec, false, &access, host, err) < 0)
        return -1;
    signal(SIGPIPE, SIG_IGN);
    if (cli->watch) {
        signal(SIGINT, on_signal);
        signal(SIGTERM, on_signal);
    }
    ask_init(&ask, cli->file, d.state, "muster status");
    do {
        _cleanup_json_ json_t *all = NULL;

        rc = look(&d, &ask, &all, err);
        if (rc == 0 && cli->json)
            cli_print_json(all, !cli->watch);
        else if (rc == 0)
            print_status(all, cli->watch);
        if (rc < 0 || fflush(stdout) != 0 || !cli->watch)
            break;
        clock_pause_ms(AGAIN_MS);
    } while (!stop);
    ask_close(&ask);
    return rc;
}
