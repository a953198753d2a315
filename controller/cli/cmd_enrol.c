/* SPDX-License-Identifier: Apache-2.0 */
/* enrol, revoke: which keys speak for a node. */
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/js.h"
#include "common/keys.h"
#include "common/proc.h"
#include "common/str.h"
#include "common/text.h"
#include "controller/cli/cli.h"
#include "controller/cli/session.h"
#include "controller/cli/ssh.h"
#include "controller/cloud/access.h"
#include "controller/enrolment.h"
#include "controller/nodes/planner.h"

#define ENROL_MAX_S 60

static int check_node(const struct deployment *d, const char *name, struct err *err)
{
    for (size_t i = 0; i < d->spec.n_nodes; i++)
        if (str_eq(d->spec.nodes[i].name, name))
            return 0;
    return err_set(err, ERR_USAGE, "no node '%s' in %s", name, d->file);
}

/* What the node was told, and so must be taken for known. */
static int print_secrets(struct deployment *d, const char *node, struct err *err)
{
    _cleanup_free_ char *key = str_fmt("plan:%s", node);
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *plan = NULL, *names = NULL;

    if (store_get(d->store, key, &text, err) < 0 ||
        (text && js_parse(text, strlen(text), &plan, err) < 0))
        return -1;
    names = plan ? planner_secret_names(plan) : json_array();
    text_print(stdout,
               "%s is not let in any more: not by the controller, and not by the members of "
               "the database that are connected to it.\n",
               node);
    if (json_array_size(names))
        text_print(stdout, "It knows these secrets, which are as they were:\n");
    for (size_t i = 0; i < json_array_size(names); i++)
        text_print(stdout, "  %s\n", json_string_value(json_array_get(names, i)));
    text_print(stdout,
               "Its database is a member until its VM is stopped: stop it now if it is not yours "
               "any more.\n'muster up --replace %s' makes a new one, 'muster enrol reset %s' lets "
               "this one in again with new keys.\n",
               node, node);
    return 0;
}

int cmd_revoke(const struct cli *cli, struct err *err)
{
    _cleanup_(deployment_close) struct deployment d = {.lock_fd = -1};
    const char *node = cli->words[0];
    _cleanup_free_ char *question =
        str_fmt("The agent of %s is not let in any more, at once.", node);
    struct store_node n = {0};
    int r;

    if (cli_open(cli, true, &d, err) < 0 || check_node(&d, node, err) < 0 ||
        (r = store_node_get(d.store, node, &n, err)) < 0)
        return -1;
    if (r == 0)
        return err_set(err, ERR_USAGE, "node '%s' was never made; there is no key of it", node);
    if (!cli_confirmed(cli, question))
        return err_set(err, ERR_SAFETY, "not confirmed; nothing was done (-y does not ask)");
    if (enrolment_revoke(d.store, node, err) < 0)
        return -1;
    if (enrolment_tell(&d, node, err) < 0)
        return err_wrap(err, "it is recorded, but the hub that runs has not said that it knows; "
                             "type it again");
    return print_secrets(&d, node, err);
}

/* Its agent takes it from standard input, so that it is in no argument. */
static int hand_over(struct deployment *d, const char *node, const char *text, struct err *err)
{
    static const char *const words[] = {"sudo", "muster-agent", "enrol"};
    const struct proc_opts opts = {.input = text, .timeout_s = ENROL_MAX_S, .quiet = true};
    _cleanup_(proc_result_free) struct proc_result said = {0};
    char **argv = NULL;

    if (ssh_command(d, node, words, ARRAY_LEN(words), &argv, err) < 0)
        return -1;
    int r = proc_run((const char *const *)argv, &opts, &said, err);
    ssh_free(argv);
    if (r == 0) {
        text_print(stdout, "%s", strbuf_str(&said.out));
        return 0;
    }
    err->code = ERR_NODE;
    return err_wrap(err,
                    "%s did not take its new one-time key, and is not let in now; type this "
                    "again, or 'muster up --replace %s'",
                    node, node);
}

int cmd_enrol(const struct cli *cli, struct err *err)
{
    _cleanup_(deployment_close) struct deployment d = {.lock_fd = -1};
    _cleanup_(access_close) struct reach reach = {0};
    const char *node = cli->words[1];
    char secret[KEY_HEX_SIZE];
    struct enrolment_keys hex;
    struct userdata data;
    uint64_t expires;
    char *text;

    if (!str_eq(cli->words[0], "reset"))
        return err_set(err, ERR_USAGE, "enrol: reset NODE");
    if (cli_open(cli, true, &d, err) < 0 || check_node(&d, node, err) < 0 ||
        access_open(&d.spec, false, &reach, err) < 0)
        return -1;
    _cleanup_free_ char *question =
        str_fmt("The keys of %s are void from now on; it makes new ones.", node);
    if (!cli_confirmed(cli, question))
        return err_set(err, ERR_SAFETY, "not confirmed; nothing was done (-y does not ask)");
    if (enrolment_key(d.store, node, ENROL_TTL_S, secret, &expires, err) < 0)
        return -1;
    data = enrolment_data(&d, node, reach.host, secret, expires, &hex);
    text = userdata_bootstrap(&data);
    keys_wipe(secret, sizeof(secret));
    if (!text)
        return err_set(err, ERR_FAILED, "user-data of node '%s': a value is not UTF-8", node);
    int r = enrolment_tell(&d, node, err);
    if (r == 0)
        r = hand_over(&d, node, text, err);
    keys_wipe(text, strlen(text));
    free(text);
    return r;
}
