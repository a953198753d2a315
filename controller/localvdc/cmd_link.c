/* SPDX-License-Identifier: Apache-2.0 */
/* The verb "link": shows and changes the links between zones. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/str.h"
#include "controller/localvdc/base/vdc.h"
#include "controller/localvdc/base/zones.h"
#include "controller/localvdc/cmd.h"
#include "controller/localvdc/network/link.h"
#include "controller/localvdc/network/relay.h"

/* What the command line changes; members that were not given leave a direction as it is. */
struct change {
    const char *rtt, *rate, *loss;
    bool cut, one_way, restore;
};

static int change_one(struct vdb *db, const struct change *c, const json_t *from, const json_t *to,
                      struct err *err)
{
    char id[80];
    const char *a = vdc_str(from, "name"), *b = vdc_str(to, "name");

    relay_link_id(from, to, id);
    struct link_set set = c->restore ? link_default(a, b) : relay_link(db, from, to);
    uint64_t rtt = 0;
    if (c->rtt && link_parse_time(c->rtt, &rtt, err) < 0)
        return -1;
    if (c->rtt)
        set.delay_ns = rtt / 2;
    if ((c->rate && link_parse_rate(c->rate, &set.rate, err) < 0) ||
        (c->loss && link_parse_loss(c->loss, &set.loss_ppm, err) < 0))
        return -1;
    set.cut = set.cut || c->cut;
    if (c->restore && !c->rtt && !c->rate && !c->loss && !c->cut)
        return vdb_del(db, "link", id, err);
    _cleanup_json_ json_t *doc = link_to_doc(a, b, &set);
    return vdb_put(db, "link", id, doc, err);
}

static bool joined(const json_t *networks, const json_t *a, const json_t *b)
{
    size_t i = 0, k = 0;
    json_t *x = NULL, *y = NULL;

    json_array_foreach(networks, i, x)
    {
        json_array_foreach(networks, k, y)
        {
            if (*vdc_str(x, "dcgid") && str_eq(vdc_str(x, "dcgid"), vdc_str(y, "dcgid")) &&
                str_eq(vdc_str(x, "zoneid"), vdc_str(a, "id")) &&
                str_eq(vdc_str(y, "zoneid"), vdc_str(b, "id")))
                return true;
        }
    }
    return false;
}

static bool changed(struct vdb *db, const json_t *from, const json_t *to)
{
    char id[80];

    relay_link_id(from, to, id);
    _cleanup_json_ json_t *doc = vdb_get(db, "link", id);
    return doc != NULL;
}

static json_t *direction_json(struct vdb *db, const json_t *from, const json_t *to,
                              const struct relay_count *count)
{
    struct link_set s = relay_link(db, from, to);
    char rate[24];

    link_rate_text(s.rate, rate);
    return json_pack("{s:f,s:s,s:I,s:f,s:b,s:I,s:I,s:I}", "delay_ms", (double)s.delay_ns / 1e6,
                     "rate", rate, "rate_bits", (json_int_t)s.rate, "loss_percent",
                     (double)s.loss_ppm / 1e4, "cut", s.cut, "bytes", (json_int_t)count->bytes,
                     "frames", (json_int_t)count->frames, "lost", (json_int_t)count->lost);
}

/* All pairs of zones. */
static json_t *links_json(struct vdb *db)
{
    static struct relay_counts counts;
    _cleanup_json_ json_t *zones = zones_list(), *networks = vdb_list(db, "network");
    json_t *links = json_array();

    relay_read_counts(db, &counts);
    for (size_t i = 0; i < json_array_size(zones); i++) {
        for (size_t k = i + 1; k < json_array_size(zones); k++) {
            const json_t *a = json_array_get(zones, i), *b = json_array_get(zones, k);
            struct link_set forth = relay_link(db, a, b), back = relay_link(db, b, a);

            json_array_append_new(links,
                                  json_pack("{s:s,s:s,s:f,s:b,s:b,s:o,s:o}", "a",
                                            vdc_str(a, "name"), "b", vdc_str(b, "name"), "rtt_ms",
                                            (double)(forth.delay_ns + back.delay_ns) / 1e6,
                                            "in_use", joined(networks, a, b), "changed",
                                            changed(db, a, b) || changed(db, b, a), "forth",
                                            direction_json(db, a, b, &counts.of[i][k]), "back",
                                            direction_json(db, b, a, &counts.of[k][i])));
        }
    }
    return links;
}

static const char *state_of(const json_t *forth, const json_t *back)
{
    bool f = json_is_true(json_object_get(forth, "cut"));
    bool b = json_is_true(json_object_get(back, "cut"));

    return f && b ? "cut" : (f ? "cut ->" : (b ? "cut <-" : "up"));
}

static double number(const json_t *doc, const char *key)
{
    return json_number_value(json_object_get(doc, key));
}

static void print_links(const json_t *links)
{
    size_t i = 0, hidden = 0;
    json_t *one = NULL;

    json_array_foreach(links, i, one)
    {
        const json_t *forth = json_object_get(one, "forth"), *back = json_object_get(one, "back");

        if (!json_is_true(json_object_get(one, "in_use")) &&
            !json_is_true(json_object_get(one, "changed"))) {
            hidden++;
            continue;
        }
        _cleanup_free_ char *pair = str_fmt("%s - %s", vdc_str(one, "a"), vdc_str(one, "b"));
        printf("%-34s %s, rtt %.2f ms\n", pair, state_of(forth, back), number(one, "rtt_ms"));
        for (int way = 0; way < 2; way++) {
            const json_t *d = way ? back : forth;

            printf("  %s %.3f ms, rate %s, loss %g %%: %.1f MB, %.0f frames, %.0f lost\n",
                   way ? "<-" : "->", number(d, "delay_ms"), vdc_str(d, "rate"),
                   number(d, "loss_percent"), number(d, "bytes") / 1e6, number(d, "frames"),
                   number(d, "lost"));
        }
    }
    if (hidden > 0)
        printf("%zu other pairs of zones carry nothing and are as they were; --json lists them\n",
               hidden);
}

static int show(struct vdb *db, bool json, struct err *err)
{
    _cleanup_json_ json_t *links = links_json(db);

    if (!json) {
        print_links(links);
        return 0;
    }
    _cleanup_json_ json_t *all = json_pack("{s:i,s:O}", "schema", 1, "links", links);
    _cleanup_free_ char *text = json_dumps(all, JSON_COMPACT | JSON_REAL_PRECISION(9));
    return puts(text) < 0 ? err_set(err, ERR_FAILED, "write to stdout") : 0;
}

static int change(struct vdb *db, const struct change *c, char **names, struct err *err)
{
    _cleanup_json_ json_t *zones = zones_list();
    const json_t *a = link_zone(zones, names[0], err);
    const json_t *b = a ? link_zone(zones, names[1], err) : NULL;

    if (!b)
        return -1;
    if (a == b)
        return err_set(err, ERR_USAGE, "%s and %s are the same zone; a link joins two", names[0],
                       names[1]);
    if (vdb_begin(db, err) < 0)
        return -1;
    if (change_one(db, c, a, b, err) < 0 || (!c->one_way && change_one(db, c, b, a, err) < 0)) {
        vdb_rollback(db);
        return -1;
    }
    if (vdb_commit(db, err) < 0)
        return -1;
    relay_reload_all(db);
    return 0;
}

int vdc_cmd_link(int argc, char **argv, struct err *err)
{
    static const struct option options[] = {
        {"rtt", required_argument, NULL, 't'},  {"rate", required_argument, NULL, 'r'},
        {"loss", required_argument, NULL, 'l'}, {"cut", no_argument, NULL, 'c'},
        {"one-way", no_argument, NULL, 'o'},    {"restore", no_argument, NULL, 'b'},
        {"json", no_argument, NULL, 'j'},       {0}};
    static const char usage[] = "link takes 'list [--json]', or two zones and any of --rtt TIME, "
                                "--rate RATE, --loss PERCENT, --cut, --one-way, --restore";
    struct change c = {0};
    bool json = false, any = false;

    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case 't':
            c.rtt = optarg;
            break;
        case 'r':
            c.rate = optarg;
            break;
        case 'l':
            c.loss = optarg;
            break;
        case 'c':
            c.cut = true;
            break;
        case 'o':
            c.one_way = true;
            break;
        case 'b':
            c.restore = true;
            break;
        case 'j':
            json = true;
            break;
        default:
            return err_set(err, ERR_USAGE, "%s", usage);
        }
        any = any || o != 'j';
    }
    int n = argc - optind;
    bool list = n == 0 || (n == 1 && str_eq(argv[optind], "list"));
    bool changes = c.rtt || c.rate || c.loss || c.cut || c.restore;
    if ((list && any) || (!list && (n != 2 || json || !changes)))
        return err_set(err, ERR_USAGE, "%s", usage);
    _cleanup_(vdb_close) struct vdb *db = NULL;
    if (vdc_cmd_need_root(err) < 0 || vdc_open(false, &db, err) < 0)
        return -1;
    return list ? show(db, json, err) : change(db, &c, argv + optind, err);
}

int vdc_cmd_relay(int argc, char **argv, struct err *err)
{
    signal(SIGPIPE, SIG_IGN);
    return argc == 2 ? relay_run(argv[1], err) : err_set(err, ERR_USAGE, "relay takes a group");
}
