/* SPDX-License-Identifier: Apache-2.0 */
/* cluster, maintenance, failover, restart: the agents decide among themselves, so an agent is
 * asked, over ssh: it works without a hub. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/js.h"
#include "common/proc.h"
#include "common/str.h"
#include "controller/cli/cli.h"
#include "controller/cli/session.h"
#include "controller/cli/ssh.h"
#include "controller/cloud/fence.h"

#define WORDS_MAX 16
#define LOOK_MAX_S 60

struct command {
    const char *words[WORDS_MAX];
    char *owned[4];
    size_t n, n_owned;
};

static void command_cleanup(struct command *c)
{
    for (size_t i = 0; i < c->n_owned; i++)
        free(c->owned[i]);
}

static void add(struct command *c, const char *word)
{
    c->words[c->n++] = word;
}

/* An option with its text, when there is one. */
static void add_text(struct command *c, const char *option, const char *text)
{
    if (!text)
        return;
    add(c, option);
    c->owned[c->n_owned] = ssh_quote(text);
    add(c, c->owned[c->n_owned++]);
}

static void begin(struct command *c, const char *verb)
{
    add(c, "sudo");
    add(c, "muster-agent");
    add(c, verb);
}

static bool is_node(const struct spec *s, const char *name)
{
    for (size_t i = 0; i < s->n_nodes; i++)
        if (str_eq(s->nodes[i].name, name))
            return true;
    return false;
}

static bool is_site(const struct spec *s, const char *name)
{
    for (size_t i = 0; i < s->n_nodes; i++)
        if (str_eq(s->nodes[i].name, name))
            return !s->nodes[i].arbitrator;
    return false;
}

/* The first member that can be reached says what it knows of all. */
static int ask_any(struct deployment *d, const struct command *c, struct err *err)
{
    for (size_t i = 0; i < d->spec.n_nodes; i++) {
        if (d->spec.nodes[i].arbitrator)
            continue;
        int code = ssh_run(d, d->spec.nodes[i].name, c->words, c->n, err);

        if (code < 0)
            return -1;
        if (code != SSH_UNREACHABLE)
            return code ? err_set(err, (enum err_code)code, "%s: see above", d->spec.nodes[i].name)
                        : 0;
        fprintf(stderr, "muster: %s cannot be reached by ssh\n", d->spec.nodes[i].name);
    }
    return err_set(err, ERR_NODE, "no node can be reached by ssh; nothing is known of the cluster");
}

static int ask_one(struct deployment *d, const char *node, const struct command *c, struct err *err)
{
    return ssh_agent(d, node, c->words, c->n, err);
}

static int check(const struct cli *cli, bool looks, bool recover, struct err *err)
{
    const char *verb = cli->words[0];

    if (recover && (!cli->from || !cli->without))
        return err_set(err, ERR_USAGE,
                       "recover: name who is told and who is given up: muster cluster recover "
                       "--from NODE --without NODE --because TEXT");
    if (!recover && (cli->from || cli->without || cli->fence))
        return err_set(err, ERR_USAGE, "--from, --without and --fence belong to 'cluster recover'");
    if (!looks && !recover && cli->n_words < 2)
        return err_set(err, ERR_USAGE, "name the node: muster cluster %s NODE", verb);
    if (!str_eq(verb, "release") && cli->keep)
        return err_set(err, ERR_USAGE, "--keep belongs to 'cluster release'");
    return 0;
}

/* What that node's coordinator is at; 32 bytes. */
static int coordinator_of(struct deployment *d, const char *node, char *ret, struct err *err)
{
    static const char *const words[] = {"sudo", "muster-agent", "status", "--json"};
    const struct proc_opts opts = {.timeout_s = LOOK_MAX_S, .quiet = true};
    _cleanup_(proc_result_free) struct proc_result said = {0};
    _cleanup_json_ json_t *state = NULL;
    char **argv = NULL;

    if (ssh_command(d, node, words, ARRAY_LEN(words), &argv, err) < 0)
        return -1;
    int r = proc_run((const char *const *)argv, &opts, &said, err);
    ssh_free(argv);
    if (r < 0 || js_parse(strbuf_str(&said.out), said.out.len, &state, err) < 0)
        return err_wrap(err, "%s cannot be asked; nothing was done", node);
    str_copy(ret, 32, js_opt_str(json_object_get(state, "coordinator"), "state", ""));
    return *ret ? 0
                : err_set(err, ERR_NODE,
                          "%s does not say what its coordinator is at; nothing was done", node);
}

/* The one that is given up is stopped at the cloud, and is known to be: it acknowledges nothing any
 * more. Not when the other one serves, or could not be told. */
static int fence(const struct cli *cli, struct deployment *d, struct err *err)
{
    _cleanup_(access_close) struct reach reach = {0};
    _cleanup_free_ char *question = str_fmt("Stop the VM of %s?", cli->without);
    char state[32];

    if (!is_node(&d->spec, cli->without) || str_eq(cli->from, cli->without))
        return err_set(err, ERR_USAGE, "--without %s: the other node of %s", cli->without, d->file);
    if (coordinator_of(d, cli->from, state, err) < 0)
        return -1;
    if (str_eq(state, "primary"))
        return err_set(err, ERR_USAGE, "%s serves: there is nothing to recover; nothing was done",
                       cli->from);
    if (!str_eq(cli->confirm, cli->without) && !cli_confirmed(cli, question))
        return err_set(err, ERR_SAFETY,
                       "not confirmed; nothing was done (--confirm %s does not ask)", cli->without);
    if (access_open(&d->spec, false, &reach, err) < 0 ||
        fence_node(&reach, d->store, &d->spec, cli->without, err) < 0)
        return -1;
    printf("The cloud says that the VM of %s is Stopped.\n", cli->without);
    return 0;
}

int cmd_cluster(const struct cli *cli, struct err *err)
{
    static const char *const verbs[] = {"status", "explain", "history", "recover",
                                        "hold",   "resume",  "release", NULL};
    _cleanup_(deployment_close) struct deployment d = {.lock_fd = -1};
    _cleanup_(command_cleanup) struct command c = {0};
    _cleanup_(strbuf_free) struct strbuf because = {0};
    const char *verb = cli->words[0], *node;
    size_t i = 0;

    while (verbs[i] && !str_eq(verbs[i], verb))
        i++;
    if (!verbs[i])
        return err_set(err, ERR_USAGE,
                       "cluster: status, explain, history, recover, hold, resume or release");
    bool looks = i < 3, recover = str_eq(verb, "recover"), release = str_eq(verb, "release");
    if (check(cli, looks, recover, err) < 0 || cli_open(cli, false, &d, err) < 0)
        return -1;
    node = recover ? cli->from : cli->n_words > 1 ? cli->words[1] : NULL;
    if (node && !is_node(&d.spec, node))
        return err_set(err, ERR_USAGE, "no node '%s' in %s", node, d.file);
    if (cli->fence && fence(cli, &d, err) < 0)
        return -1;
    if (cli->fence)
        strbuf_addf(&because, "its VM was stopped%s%s", cli->because ? ": " : "",
                    cli->because ? cli->because : "");
    begin(&c, "cluster");
    add(&c, verb);
    if (release)
        add(&c, node);
    if (looks && cli->json)
        add(&c, "--json");
    if (cli->keep)
        add(&c, "--keep");
    add_text(&c, "--without", recover ? cli->without : NULL);
    add_text(&c, "--confirm", cli->fence ? cli->without : recover || release ? cli->confirm : NULL);
    add_text(&c, "--because", looks ? NULL : cli->fence ? strbuf_str(&because) : cli->because);
    return node ? ask_one(&d, node, &c, err) : ask_any(&d, &c, err);
}

int cmd_maintenance(const struct cli *cli, struct err *err)
{
    _cleanup_(deployment_close) struct deployment d = {.lock_fd = -1};
    _cleanup_(command_cleanup) struct command c = {0};

    if (cli->n_words > 1 && !str_eq(cli->words[1], "on") && !str_eq(cli->words[1], "off"))
        return err_set(err, ERR_USAGE, "maintenance %s: on or off", cli->words[0]);
    if (cli_open(cli, false, &d, err) < 0)
        return -1;
    begin(&c, "maintenance");
    if (cli->n_words > 1)
        add(&c, cli->words[1]);
    if (cli->allow_outage)
        add(&c, "--allow-outage");
    add_text(&c, "--because", cli->because);
    return ask_one(&d, cli->words[0], &c, err);
}

/* Of all nodes with a site but `except`. What cannot be reached keeps its visitors, and is said. */
static int drain_all(struct deployment *d, const char *except, const struct command *c,
                     struct err *err)
{
    bool failed = false;

    for (size_t i = 0; i < d->spec.n_nodes; i++) {
        const struct spec_node *n = &d->spec.nodes[i];
        struct err one = {0};

        if (n->arbitrator || str_eq(n->name, except))
            continue;
        printf("%s:\n", n->name);
        fflush(stdout);
        if (ask_one(d, n->name, c, &one) == 0)
            continue;
        fprintf(stderr, "muster: %s\n", one.msg);
        if (!failed)
            *err = one;
        failed = true;
    }
    return failed ? -1 : 0;
}

int cmd_failover(const struct cli *cli, struct err *err)
{
    _cleanup_(deployment_close) struct deployment d = {.lock_fd = -1};
    _cleanup_(command_cleanup) struct command on = {0}, off = {0};

    if (cli->back == (cli->to != NULL))
        return err_set(err, ERR_USAGE, "failover: --to NODE, or --back");
    if (cli_open(cli, false, &d, err) < 0)
        return -1;
    if (!d.spec.frontdoor.present)
        return err_set(err, ERR_USAGE,
                       "%s has no section frontdoor: each node has its own visitors", d.file);
    begin(&off, "drain");
    add(&off, "off");
    if (cli->back)
        return drain_all(&d, NULL, &off, err);
    if (!is_site(&d.spec, cli->to))
        return err_set(err, ERR_USAGE, "no node '%s' with a site in %s", cli->to, d.file);
    printf("%s:\n", cli->to);
    fflush(stdout);
    if (ask_one(&d, cli->to, &off, err) < 0)
        return -1;
    begin(&on, "drain");
    add(&on, "on");
    add(&on, "--to");
    add(&on, cli->to);
    if (cli->allow_outage)
        add(&on, "--allow-outage");
    add_text(&on, "--because", cli->because ? cli->because : "failover");
    return drain_all(&d, cli->to, &on, err);
}

int cmd_restart(const struct cli *cli, struct err *err)
{
    _cleanup_(deployment_close) struct deployment d = {.lock_fd = -1};
    _cleanup_(command_cleanup) struct command c = {0};

    if (cli->rolling == (cli->n_words > 0))
        return err_set(err, ERR_USAGE, "restart: name a node, or --rolling for all of them");
    if (cli_open(cli, false, &d, err) < 0)
        return -1;
    begin(&c, "cluster");
    add(&c, "restart");
    if (cli->allow_outage)
        add(&c, "--allow-outage");
    if (cli->n_words)
        return ask_one(&d, cli->words[0], &c, err);
    /* The one before is Synced again when its command has ended well. */
    for (size_t i = 0; i < d.spec.n_nodes; i++) {
        if (d.spec.nodes[i].arbitrator)
            continue;
        printf("%s:\n", d.spec.nodes[i].name);
        if (ask_one(&d, d.spec.nodes[i].name, &c, err) < 0)
            return -1;
    }
    return 0;
}
