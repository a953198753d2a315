/* SPDX-License-Identifier: Apache-2.0 */
/* nettest: latency and throughput of every ordered pair of nodes, one measurement after another, by
 * the agents, through the hub. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/js.h"
#include "common/text.h"
#include "controller/cli/ask.h"
#include "controller/cli/cli.h"
#include "controller/cli/nettest.h"

struct member { /* a node */
    bool named;
    bool silent;       /* it does not answer */
    char trouble[200]; /* why it is not prepared, or "" */
};

struct test {
    const struct cli *cli;
    struct ask *ask;
    const struct spec *spec;
    struct nettest_report r;
    struct member *members;
};

static int node_index(const struct spec *s, const char *name, size_t *ret)
{
    for (size_t i = 0; i < s->n_nodes; i++) {
        *ret = i;
        if (str_eq(s->nodes[i].name, name))
            return 0;
    }
    return -1;
}

/* Which nodes take part; with a single name all do, in pairs with that one. */
static int chosen(const struct cli *cli, const struct spec *s, struct member *ret, struct err *err)
{
    for (int i = 0; i < cli->n_words; i++) {
        size_t k;

        if (node_index(s, cli->words[i], &k) < 0)
            return err_set(err, ERR_USAGE, "no node '%.40s' in %s", cli->words[i], cli->file);
        ret[k].named = true;
    }
    return s->n_nodes < 2
               ? err_set(err, ERR_USAGE, "%s has one node: there is nothing in between", cli->file)
               : 0;
}

static bool is_asked(const struct cli *cli, const struct member *m, size_t from, size_t to)
{
    if (from == to)
        return false;
    if (cli->n_words == 0)
        return true;
    return cli->n_words == 1 ? m[from].named || m[to].named : m[from].named && m[to].named;
}

/* The answer of the hub; -1 when the whole test is over. */
static int ask(struct test *t, enum nettest_what what, size_t from, const char *to,
               bool public_side, json_t **ret, struct err *err)
{
    struct nettest_order o = {.what = what,
                              .seconds = t->r.seconds,
                              .streams = t->r.streams,
                              .public_side = public_side,
                              .force = t->cli->force};
    const char *name = t->spec->nodes[from].name, *cause, *why;

    str_copy(o.node, sizeof(o.node), to);
    if (!t->cli->json)
        text_print(stderr, "muster: %s%s%s: %s%s\n", name, *to ? " > " : "", to,
                   public_side ? "public " : "", nettest_what_name(what));
    if (ask_measure(t->ask, name, &o, ret, err) < 0)
        return -1;
    cause = js_opt_str(*ret, "cause", "");
    why = js_opt_str(*ret, "why", "");
    if (str_eq(cause, "safety"))
        return err_set(err, ERR_SAFETY, "%s; measure later, or all the same with --force", why);
    if (str_eq(cause, "locked") || str_eq(cause, "usage"))
        return err_set(err, str_eq(cause, "locked") ? ERR_LOCKED : ERR_USAGE, "%s", why);
    return 0;
}

static int prepare(struct test *t, size_t node, struct err *err)
{
    _cleanup_json_ json_t *answer = NULL;

    if (ask(t, NETTEST_PREPARE, node, "", false, &answer, err) < 0)
        return -1;
    if (js_opt_bool(answer, "ok", false))
        return 0;
    t->members[node].silent = str_eq(js_opt_str(answer, "cause", ""), "silent");
    str_copy(t->members[node].trouble, sizeof(t->members[node].trouble),
             js_opt_str(answer, "why", "no answer"));
    return 0;
}

/* Why nothing needs to be tried. */
static const char *known_trouble(const struct test *t, size_t from, size_t to)
{
    const struct member *m = t->members;

    return m[from].silent ? m[from].trouble : m[to].silent ? m[to].trouble : NULL;
}

/* A program that is not there is why: how its installation failed says more. */
static void explain(const struct test *t, size_t from, size_t to, char *why, size_t cap)
{
    const struct member *m = &t->members[t->members[from].trouble[0] ? from : to];

    if (m->trouble[0])
        snprintf(why, cap, "%s", m->trouble);
}

static int measure(struct test *t, size_t from, size_t to, int side, struct err *err)
{
    struct nettest_pair *p = &t->r.pairs[from * t->r.n + to];
    struct nettest_latency_cell *l = &p->latency[side];
    struct nettest_throughput_cell *h = &p->throughput[side];
    _cleanup_json_ json_t *latency = NULL;
    _cleanup_json_ json_t *throughput = NULL;
    const char *trouble = known_trouble(t, from, to), *name = t->spec->nodes[to].name;

    if (trouble) {
        l->state = h->state = NETTEST_FAILED;
        str_copy(l->why, sizeof(l->why), trouble);
        str_copy(h->why, sizeof(h->why), trouble);
        return 0;
    }
    if (ask(t, NETTEST_LATENCY, from, name, side == NETTEST_PUBLIC, &latency, err) < 0)
        return -1;
    nettest_take_latency(latency, l);
    if (l->state == NETTEST_FAILED && !l->l.sent)
        explain(t, from, from, l->why, sizeof(l->why));
    if (ask(t, NETTEST_THROUGHPUT, from, name, side == NETTEST_PUBLIC, &throughput, err) < 0)
        return -1;
    nettest_take_throughput(throughput, h);
    if (h->state == NETTEST_FAILED)
        explain(t, from, to, h->why, sizeof(h->why));
    return 0;
}

static int run(struct test *t, struct err *err)
{
    _cleanup_json_ json_t *all = NULL;
    size_t n = t->r.n;

    if (ask_nodes(t->ask, &all, err) < 0) /* an own hub has found the agents then */
        return -1;
    for (size_t i = 0; i < n; i++) {
        bool takes_part = false;

        for (size_t k = 0; k < n; k++)
            takes_part = takes_part || is_asked(t->cli, t->members, i, k);
        if (takes_part && prepare(t, i, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < n * n; i++)
        for (int side = 0; side < (t->r.public_side ? NETTEST_SIDES : NETTEST_PUBLIC); side++)
            if (is_asked(t->cli, t->members, i / n, i % n) &&
                measure(t, i / n, i % n, side, err) < 0)
                return -1;
    return 0;
}

static bool has_any(const struct nettest_report *r)
{
    for (size_t i = 0; i < r->n * r->n; i++)
        if (r->pairs[i].latency[NETTEST_PRIVATE].state != NETTEST_NOT_ASKED)
            return true;
    return false;
}

static void print(const struct cli *cli, const struct nettest_report *r)
{
    _cleanup_(strbuf_free) struct strbuf text = {0};
    _cleanup_json_ json_t *j = nettest_json(r);

    if (cli->json) {
        cli_print_json(j, true);
        return;
    }
    nettest_render(r, &text);
    text_print(stdout, "%s", strbuf_str(&text));
}

/* Everything that is allocated is one node's, or one pair's. */
static int test_all(struct test *t, struct err *err)
{
    size_t n = t->spec->n_nodes;
    _cleanup_free_ struct member *members = xcalloc(n, sizeof(*members));
    _cleanup_free_ const char **names = xcalloc(n, sizeof(*names));
    _cleanup_free_ struct nettest_pair *pairs = xcalloc(n * n, sizeof(*pairs));
    int rc;

    if (chosen(t->cli, t->spec, members, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        names[i] = t->spec->nodes[i].name;
    t->r.names = names;
    t->r.pairs = pairs;
    t->r.n = n;
    t->members = members;
    rc = run(t, err);
    if (rc == 0 || has_any(&t->r))
        print(t->cli, &t->r);
    if (rc == 0 && !nettest_is_complete(&t->r))
        return err_set(err, ERR_NODE, "not every pair could be measured");
    return rc;
}

int cmd_nettest(const struct cli *cli, struct err *err)
{
    _cleanup_(deployment_close) struct deployment d = {.lock_fd = -1};
    struct ask a;
    int rc;

    if (cli_open(cli, false, &d, err) < 0)
        return -1;
    signal(SIGPIPE, SIG_IGN);
    ask_init(&a, cli->file, d.state, "muster nettest");
    rc = test_all(&(struct test){.cli = cli,
                                 .ask = &a,
                                 .spec = &d.spec,
                                 .r = {.deployment = d.spec.deployment,
                                       .seconds = cli->seconds ? cli->seconds : NETTEST_SECONDS,
                                       .streams = cli->streams ? cli->streams : NETTEST_STREAMS,
                                       .public_side = cli->public_side}},
                  err);
    ask_close(&a);
    return rc;
}
