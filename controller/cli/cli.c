/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cli/cli.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/js.h"
#include "common/keys.h"
#include "common/nettest.h"
#include "common/str.h"
#include "common/text.h"
#include "controller/nodes/hub.h"

#define LINES_MAX 1000000

static const struct {
    unsigned bit; /* 0: every verb takes it */
    struct option option;
    const char *text;
} options[] = {
    {OPT_FILE,
     {"file", required_argument, NULL, 'f'},
     "-f, --file FILE       the deployment file (muster.yaml)"},
    {0, {"directory", required_argument, NULL, 'C'}, "-C, --directory DIR   change there first"},
    {OPT_JSON, {"json", no_argument, NULL, 'j'}, "    --json            machine-readable output"},
    {OPT_PROGRESS,
     {"progress", required_argument, NULL, 'p'},
     "    --progress MODE   auto, tty, plain, json or quiet"},
    {OPT_PROGRESS,
     {"color", required_argument, NULL, 'c'},
     "    --color WHEN      auto, always or never"},
    {OPT_YES, {"yes", no_argument, NULL, 'y'}, "-y, --yes             do not ask"},
    {OPT_ADOPT,
     {"adopt", no_argument, NULL, 'a'},
     "    --adopt           take over resources that have our names"},
    {OPT_REPLACE,
     {"replace", required_argument, NULL, 'r'},
     "    --replace NODE    recreate the node's VM; its data disk stays"},
    {OPT_CLOUD_ONLY,
     {"cloud-only", no_argument, NULL, 'l'},
     "    --cloud-only      end when the cloud's resources are there"},
    {OPT_PACKAGE,
     {"agent-package", required_argument, NULL, 'P'},
     "    --agent-package FILE  the agent's .deb"},
    {OPT_WITH_DATA,
     {"with-data", no_argument, NULL, 'w'},
     "    --with-data       destroy the data disks, too"},
    {OPT_NODE, {"node", required_argument, NULL, 'N'}, "    --node NODE       only this node"},
    {OPT_EVENTS | OPT_LOGS,
     {"lines", required_argument, NULL, 'n'},
     "-n, --lines N         only the last N"},
    {OPT_EVENTS,
     {"since", required_argument, NULL, 's'},
     "    --since TIME      only from then on: 10m, 2h, 14:05, 2026-01-31, '2026-01-31 14:05'"},
    {OPT_EVENTS,
     {"kind", required_argument, NULL, 'k'},
     "    --kind KIND       only these, such as failed"},
    {OPT_LOGS,
     {"step", required_argument, NULL, 'S'},
     "    --step STEP       only of that step, such as package:all, or of a type"},
    {OPT_EVENTS | OPT_LOGS,
     {"follow", no_argument, NULL, 'F'},
     "    --follow          and then those that come, until interrupted"},
    {OPT_EXITCODE,
     {"detailed-exitcode", no_argument, NULL, 'x'},
     "    --detailed-exitcode  exit 10 when there are changes"},
    {OPT_WATCH,
     {"watch", no_argument, NULL, 'W'},
     "    --watch           again every 2 s, until interrupted"},
    {OPT_BECAUSE,
     {"because", required_argument, NULL, 'b'},
     "    --because TEXT    the reason; kept in the history"},
    {OPT_RECOVER,
     {"from", required_argument, NULL, 'R'},
     "    --from NODE       recover: the node that is told"},
    {OPT_RECOVER,
     {"without", required_argument, NULL, 'O'},
     "    --without NODE    recover: the node whose data is given up"},
    {OPT_RECOVER,
     {"confirm", required_argument, NULL, 'i'},
     "    --confirm NODE    recover, release: the node that is given up, instead of typing it"},
    {OPT_RECOVER,
     {"fence", no_argument, NULL, 'q'},
     "    --fence           recover: the cloud stops the VM of the other one before"},
    {OPT_RECOVER,
     {"keep", no_argument, NULL, 'K'},
     "    --keep            release: its data stays, since the other one was released"},
    {OPT_ALLOW_OUTAGE,
     {"allow-outage", no_argument, NULL, 'A'},
     "    --allow-outage    also when no other node serves"},
    {OPT_ROLLING,
     {"rolling", no_argument, NULL, 'G'},
     "    --rolling         all nodes, one after another"},
    {OPT_NETTEST,
     {"seconds", required_argument, NULL, 't'},
     "    --seconds N       of each measurement: 1 to 60 (10)"},
    {OPT_NETTEST,
     {"streams", required_argument, NULL, 'm'},
     "    --streams P       TCP connections side by side: 1 to 64 (10)"},
    {OPT_NETTEST,
     {"public", no_argument, NULL, 'u'},
     "    --public          also to the public address of the other one's gateway"},
    {OPT_NETTEST,
     {"force", no_argument, NULL, 'Z'},
     "    --force           also while a state transfer is, or may be, under way"},
    {OPT_FAILOVER,
     {"to", required_argument, NULL, 'e'},
     "    --to NODE         the node that gets all visitors"},
    {OPT_FAILOVER,
     {"back", no_argument, NULL, 'B'},
     "    --back            every node gets its own visitors again"},
    {OPT_BACKUP,
     {"output", required_argument, NULL, 'o'},
     "-o, --output FILE     fetch: where the backup goes on this machine"},
    {OPT_RESTORE,
     {"key", required_argument, NULL, 'Q'},
     "    --key FILE        of another deployment's backup: what 'muster backup key' printed "
     "there"},
    {0, {"help", no_argument, NULL, 'h'}, "-h, --help            this text"},
};

static void print_verb_help(const struct verb *v)
{
    printf("Usage: muster %s%s%s [OPTIONS]\n%s%s%s\n\nOptions:\n", v->name, *v->operands ? " " : "",
           v->operands, v->summary, v->alias ? "\nAlso called: " : "", v->alias ? v->alias : "");
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (!options[i].bit || (v->options & options[i].bit))
            printf("  %s\n", options[i].text);
}

static void print_help(FILE *to, const struct verb *verbs)
{
    fputs("muster raises a multi-zone SaaS stack from one file and keeps it standing.\n\n"
          "Usage: muster COMMAND [OPTIONS]\n\nCommands:\n",
          to);
    for (const struct verb *v = verbs; v->name; v++)
        fprintf(to, "  %-10s %s\n", v->name, v->summary);
    fputs("\n'muster COMMAND --help' explains one. Exit codes: 0 ok, 1 failed, 2 usage or file,\n"
          "3 credentials, 4 cloud, 5 a node, 6 timeout, 7 refused for safety, 8 locked,\n"
          "10 changes pending, 130 interrupted.\n",
          to);
}

static const struct verb *find_verb(const struct verb *verbs, const char *name)
{
    for (const struct verb *v = verbs; v->name; v++)
        if (str_eq(v->name, name) || str_eq(v->alias, name))
            return v;
    return NULL;
}

static int unknown_verb(const struct verb *verbs, const char *name, struct err *err)
{
    const char *best = NULL;
    size_t best_distance = 3;

    for (const struct verb *v = verbs; v->name; v++)
        if (str_distance(name, v->name) < best_distance) {
            best = v->name;
            best_distance = str_distance(name, v->name);
        }
    return err_set(err, ERR_USAGE, "unknown command '%s'%s%s%s; 'muster help' lists them", name,
                   best ? ", did you mean '" : "", best ? best : "", best ? "'?" : "");
}

static int take_number(const char *option, const char *arg, unsigned max, unsigned *ret,
                       struct err *err)
{
    uint64_t n = 0;

    if (str_to_u64(arg, max, &n) < 0 || n == 0)
        return err_set(err, ERR_USAGE, "%s %.20s: expected a number from 1 to %u", option, arg,
                       max);
    *ret = (unsigned)n;
    return 0;
}

static int take_option(struct cli *cli, int c, const char *arg, struct err *err)
{
    switch (c) {
    case 'f':
        cli->file = arg;
        return 0;
    case 'C':
        return chdir(arg) == 0 ? 0 : err_set(err, ERR_USAGE, "-C %s: no such directory", arg);
    case 'j':
        cli->json = true;
        return 0;
    case 'p':
        if (ui_mode_parse(arg, &cli->mode) == 0)
            return 0;
        return err_set(err, ERR_USAGE, "--progress %s: expected auto, tty, plain, json or quiet",
                       arg);
    case 'c':
        cli->color = str_eq(arg, "always") ? 1 : str_eq(arg, "never") ? 0 : -1;
        if (cli->color >= 0 || str_eq(arg, "auto"))
            return 0;
        return err_set(err, ERR_USAGE, "--color %s: expected auto, always or never", arg);
    case 'y':
        cli->yes = true;
        return 0;
    case 'a':
        cli->adopt = true;
        return 0;
    case 'r':
        cli->replace = arg;
        return 0;
    case 'N':
        cli->node = arg;
        return 0;
    case 's':
        cli->since = arg;
        return 0;
    case 'S':
        cli->step = arg;
        return 0;
    case 'k':
        cli->kind = arg;
        return 0;
    case 'W':
        cli->watch = true;
        return 0;
    case 'F':
        cli->follow = true;
        return 0;
    case 'b':
        cli->because = arg;
        return 0;
    case 'R':
        cli->from = arg;
        return 0;
    case 'O':
        cli->without = arg;
        return 0;
    case 'i':
        cli->confirm = arg;
        return 0;
    case 'q':
        cli->fence = true;
        return 0;
    case 'K':
        cli->keep = true;
        return 0;
    case 'A':
        cli->allow_outage = true;
        return 0;
    case 'G':
        cli->rolling = true;
        return 0;
    case 'e':
        cli->to = arg;
        return 0;
    case 'B':
        cli->back = true;
        return 0;
    case 'n':
        return take_number("-n", arg, LINES_MAX, &cli->lines, err);
    case 't':
        return take_number("--seconds", arg, NETTEST_SECONDS_MAX, &cli->seconds, err);
    case 'm':
        return take_number("--streams", arg, NETTEST_STREAMS_MAX, &cli->streams, err);
    case 'u':
        cli->public_side = true;
        return 0;
    case 'Z':
        cli->force = true;
        return 0;
    case 'l':
        cli->cloud_only = true;
        return 0;
    case 'o':
        cli->output = arg;
        return 0;
    case 'Q':
        cli->key = arg;
        return 0;
    case 'P':
        cli->package = arg;
        return 0;
    case 'w':
        cli->with_data = true;
        return 0;
    case 'x':
        cli->detailed_exitcode = true;
        return 0;
    default:
        return -1;
    }
}

/* 1: help was printed. */
static int parse(const struct verb *v, int argc, char **argv, struct cli *cli, struct err *err)
{
    struct option allowed[ARRAY_LEN(options) + 1] = {0};
    char shorts[2 * ARRAY_LEN(options) + 3] = "+:";
    size_t n = 0;
    int c;

    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if (options[i].bit && !(v->options & options[i].bit))
            continue;
        allowed[n++] = options[i].option;
        if (options[i].text[0] == '-') {
            char s[2] = {(char)options[i].option.val, '\0'};

            strcat(shorts, s);
            if (options[i].option.has_arg)
                strcat(shorts, ":");
        }
    }
    if (!(v->options & OPT_REST))
        memmove(shorts, shorts + 1, strlen(shorts)); /* without the "+" */
    opterr = 0;
    while ((c = getopt_long(argc, argv, shorts, allowed, NULL)) != -1) {
        if (c == 'h') {
            print_verb_help(v);
            return 1;
        }
        if (c == '?' || c == ':')
            return err_set(err, ERR_USAGE, "%s: %s '%s'; 'muster %s --help' explains", v->name,
                           c == ':' ? "a value is missing after" : "unknown option",
                           argv[optind - 1], v->name);
        if (take_option(cli, c, optarg, err) < 0)
            return -1;
    }
    cli->words = argv + optind;
    cli->n_words = argc - optind;
    if (cli->n_words < v->min_words || cli->n_words > v->max_words)
        return err_set(err, ERR_USAGE, "%s: expected 'muster %s %s'", v->name, v->name,
                       *v->operands ? v->operands : "[OPTIONS]");
    return 0;
}

int cli_main(const struct verb *verbs, int argc, char **argv)
{
    struct cli cli = {.verbs = verbs, .file = "muster.yaml", .color = -1};
    struct err err = {0};
    const struct verb *v;
    int rc;

    if (argc < 2) {
        print_help(stderr, verbs);
        return ERR_USAGE;
    }
    if (str_eq(argv[1], "--help") || str_eq(argv[1], "-h")) {
        print_help(stdout, verbs);
        return 0;
    }
    v = find_verb(verbs, str_eq(argv[1], "--version") ? "version" : argv[1]);
    if (!v)
        rc = unknown_verb(verbs, argv[1], &err);
    else if ((rc = parse(v, argc - 1, argv + 1, &cli, &err)) == 0 && (rc = keys_init(&err)) == 0)
        rc = v->run(&cli, &err);
    if (rc >= 0) /* 1: help was asked for */
        return 0;
    if (err.msg[0])
        text_print(stderr, "muster: %s\n", err.msg);
    return err.code ? err.code : ERR_FAILED;
}

int cli_read(const struct cli *cli, struct deployment *ret, struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf problems = {0};
    int rc = deployment_read(cli->file, ret, &problems, err);

    text_print(stderr, "%s", strbuf_str(&problems));
    return rc;
}

int cli_open(const struct cli *cli, bool lock, struct deployment *ret, struct err *err)
{
    if (cli_read(cli, ret, err) < 0)
        return -1;
    if (deployment_open(ret, lock, err) < 0 || (lock && deployment_lock(ret, err) < 0)) {
        deployment_close(ret);
        return -1;
    }
    return 0;
}

bool cli_is_fresh(uint64_t seen)
{
    uint64_t now = clock_wall_ms();

    return seen && (now < seen || now - seen <= HUB_FRESH_MS);
}

void cli_print_json(const json_t *value, bool lines)
{
    _cleanup_free_ char *text = json_dumps(
        value, JSON_ENSURE_ASCII | (lines ? JSON_INDENT(2) : JSON_COMPACT | JSON_SORT_KEYS));

    puts(text);
}

int cmd_help(const struct cli *cli, struct err *err)
{
    const struct verb *v = cli->n_words ? find_verb(cli->verbs, cli->words[0]) : NULL;

    if (cli->n_words && !v)
        return unknown_verb(cli->verbs, cli->words[0], err);
    if (v)
        print_verb_help(v);
    else
        print_help(stdout, cli->verbs);
    return 0;
}

int cmd_version(const struct cli *cli, struct err *err)
{
    (void)cli;
    (void)err;
    puts("muster " MUSTER_VERSION);
    return 0;
}
