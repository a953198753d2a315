/* SPDX-License-Identifier: Apache-2.0 */
/* The site's part of a plan: PHP, Apache, and the front door before it. */
#include <string.h>

#include "common/cleanup.h"
#include "common/js.h"
#include "common/str.h"
#include "controller/nodes/planner_parts.h"

/* Each front door asks each of its peers for its health every second. */
#define SITE_PEERS_MAX 8

const char *planner_site(const struct planner_input *in, size_t node)
{
    return in->spec->app.site[0] ? in->spec->app.site : in->facts[node].url;
}

/* The other sites, beginning with the one after this in the file, so that the visitors of several
 * nodes that are down do not all go to the same. */
static json_t *peers_of(const struct planner_input *in, size_t node)
{
    const struct spec *s = in->spec;
    json_t *peers = json_array();

    for (size_t i = 1; i < s->n_nodes && json_array_size(peers) < SITE_PEERS_MAX; i++) {
        size_t n = (node + i) % s->n_nodes;

        if (!s->nodes[n].arbitrator)
            add(peers, json_pack("{s:s, s:s}", "name", s->nodes[n].name, "address",
                                 in->facts[n].private_address));
    }
    return peers;
}

/* Whose word the web server takes for the address of a visitor. */
static json_t *proxies_of(const struct planner_input *in)
{
    const struct spec *s = in->spec;
    json_t *proxies = json_array();

    js_push_str(proxies, "127.0.0.1");
    for (size_t n = 0; n < s->n_nodes; n++)
        if (!s->nodes[n].arbitrator && in->facts[n].private_address[0])
            js_push_str(proxies, in->facts[n].private_address);
    return proxies;
}

void planner_add_frontdoor(const struct planner_input *in, size_t node, json_t *resources)
{
    const struct spec *s = in->spec;
    json_t *door;

    if (!s->frontdoor.present)
        return;
    door = json_pack("{s:s, s:s, s:s, s:o}", "type", "frontdoor", "id", "frontdoor:haproxy", "node",
                     s->nodes[node].name, "peers", peers_of(in, node));
    if (s->frontdoor.tls)
        json_object_set_new(
            door, "tls",
            json_pack("{s:s, s:s}", "cert", in->site_cert, "key", "${secret:" CERTS_SITE_KEY "}"));
    add(resources, door);
}

/* Where an address of the site leads into the application; NULL: nowhere. */
static const char *app_prefix(const struct spec *s)
{
    size_t n = strlen(s->web.root);

    return strncmp(s->app.root, s->web.root, n) == 0 && (!s->app.root[n] || s->app.root[n] == '/')
               ? s->app.root + n
               : NULL;
}

json_t *planner_ignored(const struct planner_input *in, const json_t *shared)
{
    const char *path = json_string_value(json_object_get(shared, "path"));
    json_t *ret = json_copy(json_object_get(shared, "ignore")), *e;
    size_t i, n = strlen(path);

    json_array_foreach(in->spec->app.config, i, e)
    {
        const char *file = js_opt_str(e, "path", "");

        if (strncmp(file, path, n) == 0 && file[n] == '/')
            push_unique(ret, file + n + 1);
    }
    return ret;
}

/* The sites that have the same files, of which one may not be here yet. */
static void add_peers(const struct planner_input *in, size_t node, json_t *web)
{
    const struct spec *s = in->spec;
    const char *prefix = app_prefix(s);
    _cleanup_free_ char *key_name = certs_share_key_name(s->nodes[node].name);
    _cleanup_free_ char *key = str_fmt("${secret:%s}", key_name);
    json_t *directories, *f;
    struct strbuf certs = {0};
    size_t i;

    if (!s->app.present || !prefix || !spec_shares_files(s))
        return;
    directories = json_array();
    json_array_foreach(s->app.shared, i, f)
    {
        _cleanup_free_ char *path =
            str_fmt("%s/%s", prefix, json_string_value(json_object_get(f, "path")));

        add(directories, json_pack("{s:s, s:o}", "path", path, "ignore", planner_ignored(in, f)));
    }
    for (size_t n = 0; n < s->n_nodes; n++)
        if (!s->nodes[n].arbitrator)
            strbuf_adds(&certs, in->certs->share[n]);
    json_object_set_new(web, "peers",
                        json_pack("{s:s, s:s, s:o, s:o, s:s, s:s, s:s}", "node",
                                  s->nodes[node].name, "address", in->facts[node].private_address,
                                  "members", peers_of(in, node), "directories", directories,
                                  "certs", strbuf_str(&certs), "cert", in->certs->share[node],
                                  "key", key));
    strbuf_free(&certs);
}

void planner_add_web(const struct planner_input *in, size_t node, json_t *resources)
{
    const struct spec *s = in->spec;
    json_t *settings = s->web.settings ? json_deep_copy(s->web.settings) : json_object();
    json_t *web;

    if (!s->web.present) {
        json_decref(settings);
        return;
    }
    add(resources,
        json_pack("{s:s, s:s, s:o}", "type", "php", "id", "php:settings", "settings", settings));
    web = json_pack("{s:s, s:s, s:s, s:[s], s:s}", "type", "web", "id", "web:apache", "root",
                    s->web.root, "modules", "rewrite", "site", planner_site(in, node));
    if (s->frontdoor.present) {
        js_push_str(json_object_get(web, "modules"), "remoteip");
        json_object_set_new(web, "proxies", proxies_of(in));
    }
    if (s->app.health_path[0])
        json_object_set_new(web, "page", json_string(s->app.health_path));
    if (s->app.health_expect[0])
        json_object_set_new(web, "expect", json_string(s->app.health_expect));
    add_peers(in, node, web);
    add(resources, web);
}
