/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the sections of the file into struct spec. The rules between sections are in
 * check.c; the reading of single values in read.c. */
#include "controller/spec/spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/keys.h"
#include "common/ports.h"
#include "common/text.h"
#include "common/visit.h"
#include "controller/spec/internal.h"

#define STOCK_NETWORK_OFFERING "DefaultIsolatedNetworkOfferingWithSourceNatService"
#define WEIGHT_MAX 255 /* of Galera */
#define STOCK_TIER_OFFERING "DefaultIsolatedNetworkOfferingForVpcNetworks"

static const char *const cloud_names[CLOUD_KINDS] = {
    [CLOUD_LOCAL] = "local",
    [CLOUD_VDC] = "vdc",
    [CLOUD_CLOUDSTACK] = "cloudstack",
    [CLOUD_NONE] = "none",
};

static const struct {
    const char *compute;
    const char *hypervisor;
} computes[] = {{"lxc", "LXC"}, {"qemu", "KVM"}, {"simulator", "Simulator"}};

/* cloud.local */
static void read_local(struct reading *r, struct spec *s, const json_t *v)
{
    static const char *const keys[] = {"dialect", "compute", NULL};
    char dialect[16] = "vdc", compute[16] = "";

    if (!read_known(r, "cloud.local", v, keys))
        return;
    read_text(r, "cloud.local", v, "dialect", "vdc", dialect, sizeof(dialect));
    read_text(r, "cloud.local", v, "compute", "", compute, sizeof(compute));
    s->stock = str_eq(dialect, "cloudstack");
    if (!s->stock && !str_eq(dialect, "vdc"))
        problem(r, "cloud.local.dialect", "expected vdc or cloudstack");
    for (size_t i = 0; i < ARRAY_LEN(computes); i++)
        if (str_eq(compute, computes[i].compute))
            str_copy(s->hypervisor, sizeof(s->hypervisor), computes[i].hypervisor);
    if (compute[0] && !s->hypervisor[0])
        problem(r, "cloud.local.compute", "expected lxc, qemu or simulator");
}

/* `cloud: local` or `cloud: {vdc: {profile: NAME, region: Europe}}`. */
static void read_cloud(struct reading *r, struct spec *s, const json_t *root)
{
    static const char *const remote_keys[] = {"profile", "region", NULL};
    const json_t *v = json_object_get(root, "cloud"), *inner = NULL;
    const char *name = json_string_value(v);

    if (json_is_object(v) && json_object_size(v) == 1) {
        name = json_object_iter_key(json_object_iter((json_t *)v));
        inner = json_object_get(v, name);
    }
    for (s->cloud = 0; s->cloud < CLOUD_KINDS; s->cloud++)
        if (str_eq(name, cloud_names[s->cloud]))
            break;
    if (s->cloud == CLOUD_KINDS) {
        s->cloud = CLOUD_LOCAL;
        problem(r, "cloud", "%s, expected local, vdc, cloudstack or none",
                v ? "unknown cloud" : "missing");
        return;
    }
    s->stock = s->cloud == CLOUD_CLOUDSTACK;
    if (inner && s->cloud == CLOUD_LOCAL) {
        read_local(r, s, inner);
    } else if (inner) {
        _cleanup_free_ char *path = str_fmt("cloud.%s", name);

        if (!read_known(r, path, inner, remote_keys))
            return;
        read_name(r, path, inner, "profile", "", s->profile, sizeof(s->profile));
        read_text(r, path, inner, "region", "", s->region, sizeof(s->region));
        if (s->region[0] && s->cloud != CLOUD_VDC)
            problem_at(r, path, "region", "only a VDC has regions");
    }
}

static void read_controller(struct reading *r, struct spec *s, const json_t *root)
{
    const json_t *v = json_object_get(root, "controller");

    s->controller_port = PORT_CONTROLLER;
    if (!v || !read_known(r, "controller", v, (const char *const[]){"address", "port", NULL}))
        return;
    read_text(r, "controller", v, "address", "", s->controller_address,
              sizeof(s->controller_address));
    s->controller_port = (uint16_t)read_number(r, "controller", v, "port", PORT_CONTROLLER, 1024,
                                               PORT_MAX - (PORT_OFFSETS - 1));
}

static void read_gateway(struct reading *r, const struct spec *s, struct spec_zone *z,
                         const char *path, const json_t *v)
{
    static const char *const keys[] = {"cidr", "egress", "offering", NULL};
    const json_t *egress;

    if (!read_known(r, path, v, keys))
        return;
    read_cidr(r, path, v, "cidr", &z->gateway);
    egress = json_object_get(v, "egress");
    z->egress_all = json_is_array(egress) && json_array_size(egress) == 1 &&
                    str_eq(json_string_value(json_array_get(egress, 0)), "all");
    if (egress && !z->egress_all && (!json_is_array(egress) || json_array_size(egress) != 0))
        problem_at(r, path, "egress", "expected [all] or []");
    if (!s->stock && json_object_get(v, "offering"))
        problem_at(r, path, "offering", "only stock CloudStack has network offerings");
    read_text(r, path, v, "offering", s->stock ? STOCK_NETWORK_OFFERING : "", z->gateway_offering,
              sizeof(z->gateway_offering));
}

/* The VDC joins networks through a group; stock CloudStack has a network that is there already, or
 * a tier of a VPC. */
static void read_private(struct reading *r, const struct spec *s, struct spec_zone *z,
                         const char *path, const json_t *v)
{
    static const char *const vdc_keys[] = {"cidr", "group", NULL};
    static const char *const stock_keys[] = {"cidr", "network", "vpc", "offering", NULL};

    if (!read_known(r, path, v, s->stock ? stock_keys : vdc_keys))
        return;
    z->has_private = true;
    read_cidr(r, path, v, "cidr", &z->private);
    if (!s->stock) {
        read_text(r, path, v, "group", "Default", z->group, sizeof(z->group));
        return;
    }
    read_text(r, path, v, "network", "", z->network, sizeof(z->network));
    read_text(r, path, v, "vpc", "", z->vpc, sizeof(z->vpc));
    read_text(r, path, v, "offering", STOCK_TIER_OFFERING, z->private_offering,
              sizeof(z->private_offering));
    if (!z->network[0] == !z->vpc[0])
        problem(r, path,
                "expected one of network (the name of one that is there and joins the zones) and "
                "vpc (the id of a VPC to make a tier in)");
}

static void read_zone(struct reading *r, const struct spec *s, struct spec_zone *z,
                      const char *path, const json_t *v)
{
    static const char *const keys[] = {"name", "gateway", "private", NULL};
    _cleanup_free_ char *gw_path = str_fmt("%s.gateway", path);
    _cleanup_free_ char *pr_path = str_fmt("%s.private", path);
    const json_t *gw, *pr;

    if (!read_known(r, path, v, keys))
        return;
    read_text(r, path, v, "name", NULL, z->name, sizeof(z->name));
    gw = json_object_get(v, "gateway");
    if (gw)
        read_gateway(r, s, z, gw_path, gw);
    else if (s->cloud != CLOUD_NONE)
        problem(r, path, "gateway: missing, expected {cidr: a.b.c.d/len, egress: [all]}");
    pr = json_object_get(v, "private");
    if (pr)
        read_private(r, s, z, pr_path, pr);
}

static void read_zones(struct reading *r, struct spec *s, const json_t *root)
{
    const json_t *arr = read_list(r, root, "zones", 64);

    s->zones = xcalloc(json_array_size(arr), sizeof(*s->zones));
    for (size_t i = 0; i < json_array_size(arr); i++) {
        _cleanup_free_ char *path = str_fmt("zones[%zu]", i);

        read_zone(r, s, &s->zones[s->n_zones++], path, json_array_get(arr, i));
    }
}

static void read_ports(struct reading *r, struct spec_node *n, const char *path, json_t *v)
{
    _cleanup_free_ char *inner = str_fmt("%s.ports", path);
    const char *key;
    json_t *val;

    if (!v)
        return;
    if (!json_is_object(v)) {
        problem(r, inner, "expected {PUBLIC: PRIVATE, …}, such as {52200: 22, 80: 80}");
        return;
    }
    n->ports = xcalloc(json_object_size(v), sizeof(*n->ports));
    json_object_foreach(v, key, val)
    {
        uint64_t pub = 0;

        if (str_to_u64(key, PORT_MAX, &pub) < 0 || pub == 0 || !json_is_integer(val) ||
            json_integer_value(val) < 1 || json_integer_value(val) > PORT_MAX) {
            problem_at(r, inner, key, "a port is a number from 1 to " PORT_TEXT(PORT_MAX));
            continue;
        }
        n->ports[n->n_ports++] = (struct spec_port){
            .public_port = (uint16_t)pub, .private_port = (uint16_t)json_integer_value(val)};
    }
}

static void read_disk(struct reading *r, struct spec_node *n, const char *path, const json_t *v,
                      bool none)
{
    static const char *const keys[] = {"size", "offering", "wipe", NULL};
    _cleanup_free_ char *inner = str_fmt("%s.datadisk", path);

    if (!v || !read_known(r, inner, v, keys))
        return;
    n->disk.present = true;
    n->disk.size = read_size(r, inner, v, "size");
    read_text(r, inner, v, "offering", none ? "" : NULL, n->disk.offering,
              sizeof(n->disk.offering));
    read_text(r, inner, v, "wipe", "", n->disk.wipe, sizeof(n->disk.wipe));
}

/* Machines that nobody makes need neither template nor offering. */
static const char *default_of(const struct reading *r, const struct spec *s, const json_t *defaults,
                              const char *key)
{
    const char *text = as_written(r, "defaults", key, json_object_get(defaults, key));

    return text || s->cloud != CLOUD_NONE ? text : "";
}

static void read_node_entry(struct reading *r, struct spec *s, struct spec_node *n,
                            const char *path, const json_t *v, const json_t *defaults)
{
    static const char *const keys[] = {"name",  "zone",    "template", "offering", "datadisk",
                                       "ports", "address", "weight",   "role",     NULL};
    char zone[SPEC_LABEL_MAX] = "", role[SPEC_NAME_MAX] = "";

    if (!read_known(r, path, v, keys))
        return;
    read_name(r, path, v, "name", NULL, n->name, sizeof(n->name));
    read_text(r, path, v, "zone", NULL, zone, sizeof(zone));
    for (n->zone = 0; n->zone < s->n_zones; n->zone++)
        if (str_eq(zone, s->zones[n->zone].name))
            break;
    if (n->zone == s->n_zones) {
        n->zone = 0;
        if (zone[0])
            problem_at(r, path, "zone", "'%s' is not one of the file's zones", zone);
    }
    read_text(r, path, v, "template", default_of(r, s, defaults, "template"), n->template,
              sizeof(n->template));
    read_text(r, path, v, "offering", default_of(r, s, defaults, "offering"), n->offering,
              sizeof(n->offering));
    read_disk(r, n, path, json_object_get(v, "datadisk"), s->cloud == CLOUD_NONE);
    read_text(r, path, v, "address", "", n->address, sizeof(n->address));
    if (n->address[0] && s->cloud != CLOUD_NONE)
        problem_at(r, path, "address", "only for cloud: none; a cloud gives its own");
    n->weight = (unsigned)read_number(r, path, v, "weight", 1, 1, WEIGHT_MAX);
    read_text(r, path, v, "role", "data", role, sizeof(role));
    n->arbitrator = str_eq(role, "arbitrator");
    if (!n->arbitrator && !str_eq(role, "data"))
        problem_at(r, path, "role", "expected data or arbitrator");
    read_ports(r, n, path, json_object_get(v, "ports"));
}

static void read_nodes(struct reading *r, struct spec *s, const json_t *root)
{
    const json_t *defaults = json_object_get(root, "defaults");
    const json_t *arr = read_list(r, root, "nodes", 10000);

    s->nodes = xcalloc(json_array_size(arr), sizeof(*s->nodes));
    for (size_t i = 0; i < json_array_size(arr); i++) {
        _cleanup_free_ char *path = str_fmt("nodes[%zu]", i);

        read_node_entry(r, s, &s->nodes[s->n_nodes++], path, json_array_get(arr, i), defaults);
    }
}

static void read_defaults(struct reading *r, struct spec *s, const json_t *root)
{
    static const char *const keys[] = {"template", "offering", "keypair", "user", NULL};
    const json_t *v = json_object_get(root, "defaults"), *key;

    snprintf(s->keypair, sizeof(s->keypair), "%s-key", s->deployment);
    str_copy(s->user, sizeof(s->user), "debian");
    if (!v || !read_known(r, "defaults", v, keys))
        return;
    read_name(r, "defaults", v, "user", "debian", s->user, sizeof(s->user));
    key = json_object_get(v, "keypair");
    if (key &&
        read_known(r, "defaults.keypair", key, (const char *const[]){"name", "public_key", NULL})) {
        read_text(r, "defaults.keypair", key, "name", NULL, s->keypair, sizeof(s->keypair));
        read_text(r, "defaults.keypair", key, "public_key", "", s->public_key,
                  sizeof(s->public_key));
    }
}

static void read_web(struct reading *r, struct spec *s, const json_t *root)
{
    static const char *const keys[] = {"php", "settings", "root", NULL};
    const json_t *v = json_object_get(root, "web");

    if (!v || !read_known(r, "web", v, keys))
        return;
    s->web.present = true;
    s->web.php = read_names(r, "web", v, "php");
    if (json_object_get(v, "settings"))
        s->web.settings = read_values(r, "web.settings", json_object_get(v, "settings"), true);
    read_path(r, "web", v, "root", "/var/www/html", s->web.root, sizeof(s->web.root));
}

static void read_archive(struct reading *r, struct spec_app *a, const json_t *v)
{
    static const char *const keys[] = {"url", "path", "sha256", NULL};

    if (!v) {
        problem(r, "app", "archive: missing, expected {url: …, sha256: …} or {path: …}");
        return;
    }
    if (!read_known(r, "app.archive", v, keys))
        return;
    read_text(r, "app.archive", v, "url", "", a->url, sizeof(a->url));
    read_text(r, "app.archive", v, "path", "", a->path, sizeof(a->path));
    read_text(r, "app.archive", v, "sha256", "", a->sha256, sizeof(a->sha256));
    if (!a->url[0] == !a->path[0])
        problem(r, "app.archive", "expected one of url and path");
    if (a->url[0] && !str_starts(a->url, "https://") && !str_starts(a->url, "http://"))
        problem_at(r, "app.archive", "url", "expected https://… or http://…");
    if (text_url_has_login(a->url))
        problem_at(
            r, "app.archive", "url",
            "holds a name or a password, which would be seen on the nodes; fetch the archive "
            "and say {path: FILE}");
    if (a->url[0] && !keys_sha256_valid(a->sha256))
        problem_at(r, "app.archive", "sha256",
                   "expected the archive's SHA-256, 64 lower-case hex digits");
}

static bool is_site(const char *url)
{
    const char *host = str_starts(url, "http://")    ? url + strlen("http://")
                       : str_starts(url, "https://") ? url + strlen("https://")
                                                     : "";

    return *host &&
           host[strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                             "0123456789.:-/_")] == '\0' &&
           host[0] != '/' && !str_ends(host, "/");
}

/* The application's account and schema have this name. */
static void check_database_name(struct reading *r, const struct spec_app *a, bool own)
{
    static const char *const taken[] = {"root",    "mysql", "sys",   "public",
                                        "mariadb", "test",  "muster"};
    bool server = str_starts(a->database, "muster-") || str_eq(a->database, "www-data") ||
                  str_eq(a->database, "debian-sys-maint");

    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        server = server || str_eq(a->database, taken[i]);
    if (server)
        problem_at(r, "app", own ? "database" : "name",
                   "'%s' is an account or a schema of the server itself; choose another%s",
                   a->database, own ? "" : ", or say database: NAME");
}

static void read_health(struct reading *r, struct spec_app *a, const json_t *v)
{
    static const char *const keys[] = {"path", "expect", NULL};

    if (!v || !read_known(r, "app.health", v, keys))
        return;
    read_text(r, "app.health", v, "path", "/", a->health_path, sizeof(a->health_path));
    read_text(r, "app.health", v, "expect", "", a->health_expect, sizeof(a->health_expect));
    if (!visit_path_valid(a->health_path))
        problem_at(r, "app.health", "path", "expected a path of the site, such as /about");
}

static void read_sessions(struct reading *r, struct spec_app *a, const json_t *v)
{
    const json_t *sessions = json_object_get(v, "sessions");

    a->sessions = str_eq(json_string_value(sessions), "database");
    if (sessions && !a->sessions)
        problem_at(r, "app", "sessions",
                   "expected database; without this key they are as PHP and the application have "
                   "them");
}

static void read_app(struct reading *r, struct spec *s, const json_t *root)
{
    static const char *const keys[] = {"name",  "archive",  "database", "root",
                                       "strip", "writable", "config",   "install",
                                       "url",   "health",   "sessions", NULL};
    const json_t *v = json_object_get(root, "app");
    struct spec_app *a = &s->app;

    if (!v || !read_known(r, "app", v, keys))
        return;
    a->present = true;
    read_name(r, "app", v, "name", NULL, a->name, sizeof(a->name));
    read_archive(r, a, json_object_get(v, "archive"));
    read_name(r, "app", v, "database", a->name, a->database, sizeof(a->database));
    check_database_name(r, a, json_object_get(v, "database"));
    read_path(r, "app", v, "root", "/var/www/html", a->root, sizeof(a->root));
    read_text(r, "app", v, "url", "", a->site, sizeof(a->site));
    if (a->site[0] && !is_site(a->site))
        problem_at(r, "app", "url",
                   "expected how visitors call the site, such as https://www.example.org, without "
                   "'/' at the end");
    read_health(r, a, json_object_get(v, "health"));
    a->strip = (unsigned)read_number(r, "app", v, "strip", 0, 0, 8);
    read_writable(r, a, v);
    read_sessions(r, a, v);
    a->config = read_config_files(r, "app.config", json_object_get(v, "config"));
    a->install = read_install_steps(r, "app.install", json_object_get(v, "install"));
}

static void read_drift(struct reading *r, struct spec *s, const json_t *root)
{
    char text[SPEC_NAME_MAX];

    read_text(r, "", root, "drift", "report", text, sizeof(text));
    s->drift_repair = str_eq(text, "repair");
    if (!s->drift_repair && !str_eq(text, "report"))
        problem_at(r, "", "drift", "expected report or repair");
}

int spec_parse(const char *name, const struct yaml_doc *doc, struct spec *ret,
               struct spec_problems *problems)
{
    static const char *const keys[] = {"deployment", "cloud",     "controller", "defaults", "zones",
                                       "nodes",      "packages",  "database",   "web",      "app",
                                       "drift",      "frontdoor", "backup",     NULL};
    struct reading r = {.name = name, .doc = doc, .problems = problems};
    struct spec s = {0};

    if (read_known(&r, "", doc->root, keys)) {
        read_name(&r, "", doc->root, "deployment", NULL, s.deployment, sizeof(s.deployment));
        read_cloud(&r, &s, doc->root);
        read_controller(&r, &s, doc->root);
        read_defaults(&r, &s, doc->root);
        read_zones(&r, &s, doc->root);
        read_nodes(&r, &s, doc->root);
        read_packages(&r, &s, doc->root);
        read_database(&r, &s, doc->root);
        read_web(&r, &s, doc->root);
        read_frontdoor(&r, &s, doc->root);
        read_backup(&r, &s, doc->root);
        read_app(&r, &s, doc->root);
        read_drift(&r, &s, doc->root);
    }
    if (problems->count == 0)
        spec_check(&r, &s);
    if (problems->count) {
        spec_free(&s);
        return -1;
    }
    *ret = s;
    return 0;
}

void spec_free(struct spec *s)
{
    for (size_t i = 0; i < s->n_nodes; i++)
        free(s->nodes[i].ports);
    free(s->nodes);
    free(s->zones);
    json_decref(s->packages.components);
    free(s->packages.key);
    json_decref(s->database.settings);
    json_decref(s->web.php);
    json_decref(s->web.settings);
    json_decref(s->backup.put);
    json_decref(s->backup.get);
    json_decref(s->app.writable);
    json_decref(s->app.shared);
    json_decref(s->app.config);
    json_decref(s->app.install);
    *s = (struct spec){0};
}

void spec_problems_free(struct spec_problems *p)
{
    strbuf_free(&p->text);
    p->count = 0;
}
