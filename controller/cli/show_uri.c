/* SPDX-License-Identifier: Apache-2.0 */
/* show uri: where the sites, their health and the databases are reached, and what a load balancer
 * of one's own is told. From what the last `up` knew: asks nobody. */
#include <stdio.h>

#include "common/cleanup.h"
#include "common/js.h"
#include "common/ports.h"
#include "common/str.h"
#include "common/text.h"
#include "controller/cli/cli.h"

static json_t *uris(const struct spec *s, const json_t *layout)
{
    json_t *sites = json_array(), *health = json_array();
    _cleanup_(strbuf_free) struct strbuf hosts = {0};

    for (size_t i = 0; i < json_array_size(layout); i++) {
        const json_t *n = json_array_get(layout, i);
        const char *name = js_opt_str(n, "name", ""), *url = js_opt_str(n, "url", ""),
                   *address = js_opt_str(n, "private_ip", "");
        _cleanup_free_ char *asked = str_fmt("http://%s:%d/", address, PORT_HEALTH);

        if (*url)
            json_array_append_new(sites, json_pack("{s:s, s:s}", "node", name, "uri", url));
        if (!*address)
            continue;
        json_array_append_new(health, json_pack("{s:s, s:s}", "node", name, "uri", asked));
        if (i >= s->n_nodes || !s->nodes[i].arbitrator)
            strbuf_addf(&hosts, "%s%s:%d", hosts.len ? "," : "", address, PORT_DATABASE);
    }
    _cleanup_free_ char *dsn =
        str_fmt("mariadb://%s/%s", strbuf_str(&hosts), s->app.present ? s->app.database : "");
    return json_pack("{s:i, s:s, s:o, s:o, s:s?}", "schema", 1, "deployment", s->deployment,
                     "sites", sites, "health", health, "database",
                     s->database.present && hosts.len ? dsn : NULL);
}

static void print_list(const char *title, const json_t *list)
{
    size_t i;
    json_t *v;

    if (json_array_size(list))
        text_print(stdout, "%s\n", title);
    json_array_foreach(list, i, v)
    {
        text_print(stdout, "  %-8s %s\n", js_opt_str(v, "node", ""), js_opt_str(v, "uri", ""));
    }
}

/* For a balancer in the private networks; each node's own front door needs none. */
static void print_balancer(const struct spec *s, const json_t *layout)
{
    const int port = s->frontdoor.present ? PORT_SITE : PORT_HTTP;

    text_print(stdout,
               "a HAProxy of your own, in the private networks\n"
               "  backend %s\n"
               "      option httpchk GET /\n"
               "      http-check disable-on-404\n"
               "      http-check expect status 200\n"
               "      default-server check port %d inter 1s fall 2 rise 2\n",
               s->deployment, PORT_HEALTH);
    for (size_t i = 0; i < json_array_size(layout) && i < s->n_nodes; i++)
        if (!s->nodes[i].arbitrator)
            text_print(stdout, "      server %s %s:%d\n", s->nodes[i].name,
                       js_opt_str(json_array_get(layout, i), "private_ip", ""), port);
}

int cmd_show_uri(const struct cli *cli, struct err *err)
{
    _cleanup_(deployment_close) struct deployment d = {.lock_fd = -1};
    _cleanup_json_ json_t *layout = NULL, *all = NULL;

    if (cli_open(cli, false, &d, err) < 0 || deployment_layout(&d, &layout, err) < 0)
        return -1;
    if (!layout)
        return err_set(err, ERR_USAGE, "nothing is there yet; type: muster up -f %s", d.file);
    all = uris(&d.spec, layout);
    if (cli->json) {
        cli_print_json(all, true);
        return 0;
    }
    print_list("sites", json_object_get(all, "sites"));
    print_list("health (200 serve, 404 finish, 503 not), in the private networks",
               json_object_get(all, "health"));
    if (json_is_string(json_object_get(all, "database")))
        text_print(stdout, "database, in the private networks, by an account of your own\n  %s\n",
                   js_opt_str(all, "database", ""));
    if (d.spec.web.present)
        print_balancer(&d.spec, layout);
    return 0;
}
