/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot: copies of the data disks, made and kept by the cloud. */
#include <stdio.h>

#include "common/cleanup.h"
#include "common/js.h"
#include "common/str.h"
#include "common/text.h"
#include "controller/cli/session.h"
#include "controller/cloud/snapshots.h"

static void print_line(const char *line)
{
    text_print(stderr, "%s\n", line);
}

static bool is_of_node(const json_t *one, const char *node)
{
    return !node || str_eq(js_opt_str(one, "node", ""), node);
}

static void print_list(const struct cli *cli, const char *deployment, const json_t *all)
{
    _cleanup_json_ json_t *shown = json_array();
    _cleanup_json_ json_t *out = NULL;
    size_t i;
    json_t *one;

    json_array_foreach(all, i, one)
    {
        if (is_of_node(one, cli->node))
            json_array_append(shown, one);
    }
    if (cli->json) {
        out =
            json_pack("{s:i, s:s, s:O}", "schema", 1, "deployment", deployment, "snapshots", shown);
        cli_print_json(out, true);
        return;
    }
    if (json_array_size(shown) > 0)
        text_print(stdout, "%-36s  %-12s %-24s %-10s %6s  %s\n", "ID", "NODE", "CREATED", "STATE",
                   "GIB", "BECAUSE");
    json_array_foreach(shown, i, one)
    {
        text_print(stdout, "%-36s  %-12s %-24s %-10s %6llu  %s\n", js_opt_str(one, "id", ""),
                   js_opt_str(one, "node", ""), js_opt_str(one, "created", ""),
                   js_opt_str(one, "state", ""),
                   (unsigned long long)js_opt_u64(one, "size", 0) >> 30,
                   js_opt_str(one, "because", ""));
    }
}

static int create(const struct cli *cli, const struct cli_session *s, const struct snapshots *of,
                  struct err *err)
{
    _cleanup_json_ json_t *made = NULL;
    int rc = snapshots_create(of, cli->node, cli->because, &made, err);

    if (made && (rc == 0 || json_array_size(made) > 0))
        print_list(cli, s->d.spec.deployment, made);
    return rc;
}

static int list(const struct cli *cli, const struct cli_session *s, const struct snapshots *of,
                struct err *err)
{
    _cleanup_json_ json_t *all = NULL;

    if (snapshots_list(of, &all, err) < 0)
        return -1;
    print_list(cli, s->d.spec.deployment, all);
    return 0;
}

/* What the words and options mean; what does not belong to them is refused. */
static int check(const struct cli *cli, struct err *err)
{
    const char *what = cli->words[0];
    bool creates = str_eq(what, "create"), deletes = str_eq(what, "delete");

    if (!creates && !deletes && !str_eq(what, "list"))
        return err_set(err, ERR_USAGE, "snapshot %.40s: expected create, list or delete", what);
    if (deletes != (cli->n_words == 2))
        return err_set(err, ERR_USAGE, "snapshot %s: expected 'muster snapshot %s'", what,
                       deletes ? "delete ID" : what);
    if ((cli->because && !creates) || (cli->node && deletes))
        return err_set(err, ERR_USAGE, "snapshot %s takes no --%s", what,
                       cli->because ? "because" : "node");
    /* older clouds have numbers */
    if (deletes && !text_is_name(cli->words[1]))
        return err_set(err, ERR_USAGE, "snapshot delete: '%.40s' is no id", cli->words[1]);
    return 0;
}

int cmd_snapshot(const struct cli *cli, struct err *err)
{
    _cleanup_(cli_session_close) struct cli_session s = {.d.lock_fd = -1};
    struct survey_options o = {.facts_only = true};

    if (check(cli, err) < 0)
        return -1;
    if (cli_session_open(cli, !str_eq(cli->words[0], "list"), false, &o, &s, err) < 0)
        return -1;
    if (s.d.spec.cloud == CLOUD_NONE)
        return err_set(err, ERR_USAGE, "snapshot: with cloud: none no cloud makes any");
    const struct snapshots of = {&s.reach, s.d.store, &s.v.resources, print_line};
    if (str_eq(cli->words[0], "create"))
        return create(cli, &s, &of, err);
    if (str_eq(cli->words[0], "list"))
        return list(cli, &s, &of, err);
    return snapshots_delete(&of, cli->words[1], err);
}
