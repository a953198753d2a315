/* SPDX-License-Identifier: Apache-2.0 */
/* validate, plan, up, destroy: the commands that look at the cloud or change it. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"
#include "controller/cli.h"
#include "controller/destroy.h"
#include "controller/up.h"

int cmd_validate(const struct cli *cli, struct err *err)
{
    _cleanup_(deployment_close) struct deployment d = {.lock_fd = -1};

    if (deployment_read(cli->file, &d, err) < 0)
        return -1;
    if (cli->json)
        printf("{\"schema\":1,\"deployment\":\"%s\",\"valid\":true,\"zones\":%zu,\"nodes\":%zu}\n",
               d.spec.deployment, d.spec.n_zones, d.spec.n_nodes);
    else
        printf("%s: ok: deployment '%s', %zu zone%s, %zu node%s\n", cli->file, d.spec.deployment,
               d.spec.n_zones, d.spec.n_zones == 1 ? "" : "s", d.spec.n_nodes,
               d.spec.n_nodes == 1 ? "" : "s");
    return 0;
}

static void print_plan_json(const struct deployment *d, const struct items *items)
{
    _cleanup_json_ json_t *arr = json_array();
    _cleanup_json_ json_t *out = NULL;
    _cleanup_free_ char *text = NULL;

    for (size_t i = 0; i < items->n; i++)
        json_array_append_new(
            arr,
            json_pack("{s:s, s:s, s:s}", "resource", items->v[i].name, "name", items->v[i].label,
                      "action",
                      items->v[i].state == ITEM_DONE || items->v[i].id[0] ? "none" : "create"));
    out = json_pack("{s:i, s:s, s:O}", "schema", 1, "deployment", d->spec.deployment, "resources",
                    arr);
    text = json_dumps(out, JSON_INDENT(2));
    puts(text);
}

int cmd_plan(const struct cli *cli, struct err *err)
{
    _cleanup_(deployment_close) struct deployment d = {.lock_fd = -1};
    _cleanup_(items_free) struct items items = {0};
    unsigned create = 0, known = 0;

    if (deployment_read(cli->file, &d, err) < 0 || deployment_open(&d, true, err) < 0 ||
        up_look(&d, true, &items, err) < 0)
        return -1;
    for (size_t i = 0; i < items.n; i++) {
        bool there = items.v[i].id[0];

        create += !there && item_ops(items.v[i].kind)->create;
        known += there;
        if (!cli->json && !there && item_ops(items.v[i].kind)->create)
            printf("  + %-22s %s\n", item_ops(items.v[i].kind)->what, items.v[i].label);
    }
    if (cli->json)
        print_plan_json(&d, &items);
    else if (create)
        printf("%u to create, %u there already. 'muster up -f %s' does it.\n", create, known,
               cli->file);
    else
        printf("nothing to create: all %zu resources are there.\n", items.n);
    if (create && cli->detailed_exitcode) {
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

    if (up_layout(d, &layout, &ignored) < 0)
        return;
    for (size_t i = 0; i < json_array_size(layout); i++) {
        const json_t *n = json_array_get(layout, i);
        const char *url = json_string_value(json_object_get(n, "url"));

        if (url && *url)
            printf("%-8s %s\n", json_string_value(json_object_get(n, "name")), url);
    }
}

int cmd_up(const struct cli *cli, struct err *err)
{
    _cleanup_(deployment_close) struct deployment d = {.lock_fd = -1};
    const struct up_options o = {.adopt = cli->adopt,
                                 .package = cli->package,
                                 .mode = cli->json ? UI_JSON : cli->mode,
                                 .color = cli->color};
    struct up_result r = {0};

    if (cli_open(cli, true, &d, err) < 0 || up_run(&d, &o, &r, err) < 0)
        return -1;
    if (cli->json)
        return 0;
    if (r.created || r.changed)
        fprintf(stderr, "%s is ready: %u cloud resources created, %u steps changed\n",
                d.spec.deployment, r.created, r.changed);
    else
        fprintf(stderr, "%s is ready: nothing to create, 0 changed\n", d.spec.deployment);
    print_urls(&d);
    return 0;
}

static void say_line(const char *line)
{
    fprintf(stderr, "%s\n", line);
}

static bool confirmed(const struct cli *cli)
{
    char answer[16] = "";

    if (cli->yes)
        return true;
    if (!isatty(0))
        return false;
    fputs("Destroy this? Type yes: ", stderr);
    return fgets(answer, sizeof(answer), stdin) && str_eq(str_chomp(answer), "yes");
}

int cmd_destroy(const struct cli *cli, struct err *err)
{
    _cleanup_(deployment_close) struct deployment d = {.lock_fd = -1};
    _cleanup_(items_free) struct items items = {0};
    _cleanup_(strbuf_free) struct strbuf gone = {0};
    _cleanup_(strbuf_free) struct strbuf left = {0};
    struct destroy_result r = {0};

    if (deployment_read(cli->file, &d, err) < 0 || deployment_open(&d, false, err) < 0 ||
        deployment_lock(&d, err) < 0 || up_look(&d, false, &items, err) < 0)
        return -1;
    destroy_preview(&items, cli->with_data, &gone, &left);
    if (gone.len && !cli->yes)
        fprintf(stderr, "This will be destroyed:\n%s", strbuf_str(&gone));
    if (left.len)
        fprintf(stderr, "This stays:\n%s", strbuf_str(&left));
    if (gone.len && !confirmed(cli))
        return err_set(err, ERR_SAFETY, "not confirmed; nothing was destroyed (-y does not ask)");
    if (destroy_run(&d, &items, cli->with_data, say_line, &r, err) < 0)
        return -1;
    fprintf(stderr, "%s is down: %u destroyed, %u data disk%s kept\n", d.spec.deployment,
            r.destroyed, r.left, r.left == 1 ? "" : "s");
    if (r.left == 0) { /* nothing refers to the state any more */
        store_close(TAKE(d.store));
        return fs_remove_tree(d.state, err);
    }
    return 0;
}
