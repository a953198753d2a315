/* SPDX-License-Identifier: Apache-2.0 */
/* The story of a node: it gets its private network, its packages, its data disk and the settings of
 * the database that lives there. While the agents bring the cluster up, the web server is made.
 * When the database is there, so are its accounts, and the application is installed. A disk that
 * became larger is used to its end. */
#include "controller/nodes/planner.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/js.h"
#include "common/keys.h"
#include "common/ports.h"
#include "common/str.h"
#include "controller/nodes/device.h"
#include "controller/nodes/planner_parts.h"
#include "controller/nodes/secrets.h"

static void add_route(const struct planner_input *in, size_t node, json_t *resources)
{
    const struct spec *s = in->spec;
    const struct spec_zone *zone = &s->zones[s->nodes[node].zone];
    _cleanup_free_ char *address = NULL;
    json_t *to = json_array();
    char via[16];

    if (!zone->has_private) {
        json_decref(to);
        return;
    }
    for (size_t z = 0; z < s->n_zones; z++)
        if (s->zones[z].has_private && &s->zones[z] != zone)
            js_push_str(to, s->zones[z].private.text);
    if (s->cloud == CLOUD_NONE && !json_array_size(to)) { /* the address is there already */
        json_decref(to);
        return;
    }
    cidr_host(&zone->private, 1, via);
    address = str_fmt("%s/%u", in->facts[node].private_address, zone->private.net.len);
    add(resources,
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "type", "route", "id", "route:private", "mac",
                  in->facts[node].private_mac, "address", address, "via", via, "to", to));
}

static void add_packages(const struct planner_input *in, size_t node, json_t *resources)
{
    const struct spec *s = in->spec;
    json_t *names = json_array(), *package;

    if (s->nodes[node].disk.present)
        push_unique(names, str_eq(s->database.filesystem, "xfs") ? "xfsprogs" : "e2fsprogs");
    if (s->nodes[node].arbitrator) {
        push_unique(names, "galera-arbitrator-4");
    } else if (s->database.present) {
        push_unique(names, "mariadb-server");
        push_unique(names, "mariadb-backup");
        push_unique(names, "galera-4");
        push_unique(names, "socat");
        push_unique(names, "rsync"); /* a first join */
        push_unique(names, "stunnel4");
        push_unique(names, "openssl"); /* the transfers' scripts look at the certificates */
    }
    if (s->web.present && !s->nodes[node].arbitrator) {
        push_unique(names, "apache2");
        push_unique(names, "libapache2-mod-php");
        push_unique(names, "php-cli");
        push_unique(names, "php-mysql"); /* the health page asks the database */
        for (size_t i = 0; i < json_array_size(s->web.php); i++) {
            _cleanup_free_ char *name =
                str_fmt("php-%s", json_string_value(json_array_get(s->web.php, i)));

            push_unique(names, name);
        }
    }
    if (spec_shares_files(s) && !s->nodes[node].arbitrator)
        push_unique(names, "syncthing");
    if (s->backup.present && !s->nodes[node].arbitrator)
        push_unique(names, "zstd");
    if (s->frontdoor.present && !s->nodes[node].arbitrator)
        push_unique(names, "haproxy");
    if (s->app.present && in->archive_zip && !s->nodes[node].arbitrator)
        push_unique(names, "unzip");
    if (s->app.present && str_starts(in->archive_url, "https:") && !s->nodes[node].arbitrator)
        push_unique(names, "ca-certificates");
    if (!json_array_size(names)) {
        json_decref(names);
        return;
    }
    package = json_pack("{s:s, s:s, s:o}", "type", "package", "id", "package:all", "names", names);
    if (s->packages.repository)
        json_object_set_new(package, "repository",
                            json_pack("{s:s, s:s, s:O, s:s}", "url", s->packages.url, "suite",
                                      s->packages.suite, "components", s->packages.components,
                                      "key", in->package_key));
    if (s->packages.lock_timeout != PACKAGES_LOCK_TIMEOUT_S)
        json_object_set_new(package, "lock_timeout", json_integer(s->packages.lock_timeout));
    add(resources, package);
}

/* The tools of ext4 are on every machine: such a disk is made while the packages come. */
static void add_disk(const struct planner_input *in, size_t node, json_t *resources)
{
    const struct spec *s = in->spec;
    const struct spec_disk *d = &s->nodes[node].disk;
    const char *volume = in->facts[node].volume;
    bool ahead = str_eq(s->database.filesystem, "ext4");
    json_t *disk;

    if (!d->present)
        return;
    disk = json_pack("{s:s, s:s, s:b, s:s, s:I, s:s, s:s}", "type", "disk", "id", "disk:data",
                     "ahead", ahead, "volume", volume, "size", (json_int_t)d->size, "filesystem",
                     s->database.filesystem, "deployment", s->deployment);
    if (d->wipe[0])
        json_object_set_new(disk, "wipe", json_string(d->wipe));
    add(resources, disk);
    add(resources,
        json_pack("{s:s, s:s, s:b, s:s, s:s, s:s, s:s}", "type", "mount", "id", "mount:data",
                  "ahead", ahead, "volume", volume, "path", s->database.mount, "filesystem",
                  s->database.filesystem, "deployment", s->deployment));
}

/* What a member and an arbitrator have in common. */
static json_t *group_step(const struct planner_input *in, size_t node, const char *type)
{
    const struct spec *s = in->spec;
    _cleanup_free_ char *id = str_fmt("%s:%s", type, s->database.cluster);
    _cleanup_free_ char *key_name = certs_key_name(s->nodes[node].name);
    _cleanup_free_ char *key = str_fmt("${secret:%s}", key_name);
    json_t *members = json_array();

    for (size_t n = 0; n < s->n_nodes; n++)
        if (!s->nodes[n].arbitrator)
            add(members, json_pack("{s:s, s:s}", "name", s->nodes[n].name, "address",
                                   in->facts[n].private_address));
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:i, s:i, s:O, s:{s:s, s:s, s:s}}", "type",
                     type, "id", id, "cluster", s->database.cluster, "node", s->nodes[node].name,
                     "address", in->facts[node].private_address, "members", members, "segment",
                     (int)s->nodes[node].zone, "weight", (int)s->nodes[node].weight, "settings",
                     s->database.settings, "tls", "ca", in->certs->ca, "cert", in->certs->of[node],
                     "key", key);
}

static void add_database(const struct planner_input *in, size_t node, json_t *resources)
{
    const struct spec *s = in->spec;
    _cleanup_free_ char *datadir = str_fmt("%s/mysql", s->database.mount);
    json_t *galera;

    if (!s->database.present)
        return;
    add(resources,
        json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "datadir", "id", "datadir:mariadb", "path",
                  datadir, "mount", s->database.mount, "service", "mariadb"));
    galera = group_step(in, node, "galera");
    json_object_set_new(galera, "datadir", json_string(datadir));
    json_object_set_new(galera, "mount", json_string(s->database.mount));
    add(resources, galera);
}

/* What has to wait for the database. */
static void add_synced(const struct planner_input *in, json_t *resources)
{
    const struct spec *s = in->spec;
    _cleanup_free_ char *id = str_fmt("synced:%s", s->database.cluster);

    if (!s->database.present)
        return;
    add(resources, json_pack("{s:s, s:s, s:s, s:s}", "type", "synced", "id", id, "cluster",
                             s->database.cluster, "mount", s->database.mount));
}

/* ${db.name} and the like; secrets stay references, now in the plan's form. */
static char *expand(const struct planner_input *in, size_t node, const char *text)
{
    const struct spec *s = in->spec;
    _cleanup_free_ char *password = str_fmt("${secret:db_%s}", s->app.database);
    const struct {
        const char *name;
        const char *value;
    } vars[] = {
        {"${db.name}", s->app.database},
        {"${db.user}", s->app.database},
        {"${db.password}", password},
        {"${db.host}", "localhost"},
        {"${site.url}", planner_site(in, node)},
        {"${node}", s->nodes[node].name},
        {"${deployment}", s->deployment},
        {"${secret.", "${secret:app_"},
    };
    struct strbuf out = {0};

    while (*text) {
        bool replaced = false;

        for (size_t i = 0; *text == '$' && i < ARRAY_LEN(vars); i++)
            if (str_starts(text, vars[i].name)) {
                strbuf_adds(&out, vars[i].value);
                text += strlen(vars[i].name);
                replaced = true;
                break;
            }
        if (!replaced)
            strbuf_add(&out, text++, 1);
    }
    return out.s ? out.s : xstrdup("");
}

/* A copy of any value with all its texts expanded. */
static json_t *expand_value(const struct planner_input *in, size_t node, const json_t *v)
{
    json_t *copy, *inner;
    const char *key;

    if (json_is_string(v)) {
        _cleanup_free_ char *text = expand(in, node, json_string_value(v));

        return json_string(text);
    }
    if (json_is_array(v)) {
        copy = json_array();
        for (size_t i = 0; i < json_array_size(v); i++)
            add(copy, expand_value(in, node, json_array_get(v, i)));
        return copy;
    }
    if (json_is_object(v)) {
        copy = json_object();
        json_object_foreach((json_t *)v, key, inner)
            json_object_set_new(copy, key, expand_value(in, node, inner));
        return copy;
    }
    return json_deep_copy(v);
}

static json_t *array_or_empty(const struct planner_input *in, size_t node, const json_t *arr)
{
    return arr ? expand_value(in, node, arr) : json_array();
}

/* On the data disk, so that what a site writes stays when its machine is replaced. */
static char *app_home(const struct spec *s)
{
    return str_fmt("%s/muster-app/%s", s->database.mount, s->app.name);
}

static json_t *sessions_step(const struct spec *s, const char *password)
{
    _cleanup_free_ char *id = str_fmt("sessions:%s", s->app.name);
    json_t *step = json_pack("{s:s, s:s, s:s}", "type", "sessions", "id", id, "root", s->app.root);

    if (s->app.sessions) {
        json_object_set_new(step, "database", json_string(s->app.database));
        json_object_set_new(step, "user", json_string(s->app.database));
        json_object_set_new(step, "password", json_string(password));
    }
    return step;
}

static void add_app(const struct planner_input *in, size_t node, json_t *resources)
{
    const struct spec *s = in->spec;
    const struct spec_app *a = &s->app;
    _cleanup_free_ char *sql_id = str_fmt("sql:%s", a->database);
    _cleanup_free_ char *app_id = str_fmt("app:%s", a->name);
    _cleanup_free_ char *archive_id = str_fmt("archive:%s", a->name);
    _cleanup_free_ char *home = app_home(s);
    _cleanup_free_ char *password = str_fmt("${secret:db_%s}", a->database);

    if (!a->present)
        return;
    add(resources,
        json_pack("{s:s, s:s, s:b, s:s, s:s, s:s}", "type", "archive", "id", archive_id, "ahead",
                  !str_starts(in->archive_url, "https:") /* that needs a package */, "url",
                  in->archive_url, "sha256", in->archive_sha256, "root", a->root));
    add(resources, json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "sql", "id", sql_id, "database",
                             a->database, "user", a->database, "password", password));
    add(resources, sessions_step(s, password));
    add(resources,
        json_pack("{s:s, s:s, s:s, s:{s:s, s:s}, s:s, s:i, s:o, s:o, s:o, s:b, s:s, s:s, s:s}",
                  "type", "app", "id", app_id, "name", a->name, "archive", "url", in->archive_url,
                  "sha256", in->archive_sha256, "root", a->root, "strip", (int)a->strip, "writable",
                  array_or_empty(in, node, a->writable), "config",
                  array_or_empty(in, node, a->config), "install",
                  array_or_empty(in, node, a->install), "installer", node == spec_first_data(s),
                  "database", a->database, "site", planner_site(in, node), "home", home));
}

static int add_share(const struct planner_input *in, size_t node, json_t *resources,
                     struct err *err)
{
    const struct spec *s = in->spec;
    _cleanup_free_ char *id = str_fmt("share:%s", s->app.name);
    _cleanup_free_ char *key_name = certs_share_key_name(s->nodes[node].name);
    _cleanup_free_ char *key = str_fmt("${secret:%s}", key_name);
    json_t *directories = json_array(), *members = json_array();
    _cleanup_free_ char *home = app_home(s);
    json_t *step = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o}", "type", "share", "id", id,
                             "app", s->app.name, "node", s->nodes[node].name, "home", home,
                             "directories", directories, "members", members);
    char device[DEVICE_ID_SIZE];
    size_t i;
    json_t *f;
    int r = 0;

    add(resources, step);
    if (!spec_shares_files(s))
        return 0;
    json_array_foreach(s->app.shared, i, f)
        add(directories, json_pack("{s:O, s:o}", "path", json_object_get(f, "path"), "ignore",
                                   planner_ignored(in, f)));
    for (size_t n = 0; n < s->n_nodes && r == 0; n++) {
        if (s->nodes[n].arbitrator)
            continue;
        r = device_id(in->certs->share[n], device, err);
        if (r == 0)
            add(members, json_pack("{s:s, s:s, s:s}", "name", s->nodes[n].name, "address",
                                   in->facts[n].private_address, "device", device));
    }
    json_object_set_new(step, "cert", json_string(in->certs->share[node]));
    json_object_set_new(step, "key", json_string(key));
    return r;
}

static void add_backup(const struct planner_input *in, size_t node, json_t *resources)
{
    const struct spec *s = in->spec;
    _cleanup_free_ char *datadir = str_fmt("%s/mysql", s->database.mount);
    json_t *apps = json_array(), *members = json_array(), *step;

    if (s->backup.present) {
        if (s->app.present)
            js_push_str(apps, s->app.name);
        for (size_t n = 0; n < s->n_nodes; n++)
            if (!s->nodes[n].arbitrator)
                js_push_str(members, s->nodes[n].name);
        step = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:O, s:O, s:i, s:i, s:i, s:s}", "type",
                         "backup", "id", "backup", "node", s->nodes[node].name, "deployment",
                         s->deployment, "mount", s->database.mount, "datadir", datadir, "apps",
                         apps, "members", members, "every", (int)s->backup.every, "offset",
                         (int)s->backup.offset, "keep", (int)s->backup.keep, "key",
                         "${secret:" SECRETS_BACKUP_KEY "}");
        if (s->backup.put)
            json_object_set(step, "put", s->backup.put);
        if (s->backup.get)
            json_object_set(step, "get", s->backup.get);
        add(resources, step);
    }
    json_decref(apps);
    json_decref(members);
}

static void add_growth(const struct planner_input *in, size_t node, json_t *resources)
{
    const struct spec *s = in->spec;

    if (s->nodes[node].disk.present)
        add(resources, json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "grow", "id", "grow:data",
                                 "volume", in->facts[node].volume, "path", s->database.mount,
                                 "filesystem", s->database.filesystem));
}

int planner_compile(const struct planner_input *in, size_t node, json_t **ret, struct err *err)
{
    const struct spec *s = in->spec;
    _cleanup_json_ json_t *resources = json_array();
    _cleanup_json_ json_t *plan = NULL;
    _cleanup_free_ char *text = NULL;
    char digest[SHA256_HEX_SIZE];

    if (s->nodes[node].disk.present && !in->facts[node].volume[0])
        return err_set(err, ERR_FAILED, "%s: the data disk has no id yet", s->nodes[node].name);
    add_route(in, node, resources);
    add_packages(in, node, resources);
    if (s->nodes[node].arbitrator) {
        add(resources, group_step(in, node, "arbitrator"));
    } else {
        add_disk(in, node, resources);
        add_database(in, node, resources);
        planner_add_web(in, node, resources);
        planner_add_frontdoor(in, node, resources);
        add_synced(in, resources);
        add_app(in, node, resources);
        if (s->app.present && add_share(in, node, resources, err) < 0)
            return -1;
        add_backup(in, node, resources);
        add_growth(in, node, resources);
    }
    add(resources, json_pack("{s:s, s:s}", "type", "agent", "id", "agent"));
    plan = json_pack("{s:i, s:s, s:s, s:O}", "version", 1, "deployment", s->deployment, "node",
                     s->nodes[node].name, "resources", resources);
    text = js_text(plan);
    keys_sha256(text, strlen(text), digest);
    digest[16] = '\0';
    json_object_set_new(plan, "rev", json_string(digest));
    json_object_set_new(plan, "secrets", json_object());
    *ret = TAKE(plan);
    return 0;
}

/* The names after `open`, which ends with '}'. */
static void collect(const char *text, const char *open, json_t *names)
{
    while ((text = strstr(text, open))) {
        const char *end = strchr(text += strlen(open), '}');
        _cleanup_free_ char *name = end ? strndup(text, (size_t)(end - text)) : NULL;

        if (!end)
            return;
        push_unique(names, name);
    }
}

json_t *planner_secret_names(const json_t *plan)
{
    _cleanup_free_ char *text = js_text(json_object_get(plan, "resources"));
    json_t *names = json_array();

    collect(text, "${secret:", names);
    return names;
}

json_t *planner_app_secret_names(const struct spec *s)
{
    _cleanup_free_ char *config = js_text(s->app.config), *install = js_text(s->app.install);
    json_t *names = json_array();

    collect(config, "${secret.", names);
    collect(install, "${secret.", names);
    return names;
}

char *planner_app_secret(const char *name)
{
    return str_fmt("app_%s", name);
}

/* The port of its public address that leads to its part of a network test; 0: none does. */
static int nettest_port(const struct spec *s, const struct spec_node *n)
{
    for (size_t p = 0; p < n->n_ports; p++)
        if (n->ports[p].private_port == PORT_NETTEST)
            return n->ports[p].public_port;
    return s->cloud == CLOUD_NONE ? PORT_NETTEST : 0; /* nobody is in between */
}

char *planner_roster(const struct planner_input *in, const char *const keys[], uint64_t epoch)
{
    const struct spec *s = in->spec;
    json_t *members = json_array();
    _cleanup_json_ json_t *roster =
        json_pack("{s:i, s:s, s:I, s:o}", "v", 1, "deployment", s->deployment, "epoch",
                  (json_int_t)epoch, "members", members);

    for (size_t n = 0; n < s->n_nodes; n++) {
        if (!keys[n] || !keys[n][0])
            return NULL;
        add(members,
            json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:s, s:s, s:i}", "name", s->nodes[n].name,
                      "key", keys[n], "address", in->facts[n].private_address, "port", PORT_PEER,
                      "weight", (int)s->nodes[n].weight, "segment", (int)s->nodes[n].zone, "role",
                      s->nodes[n].arbitrator ? "arbitrator" : "data", "public",
                      in->facts[n].public_address, "nettest", nettest_port(s, &s->nodes[n])));
    }
    return js_text(roster);
}
