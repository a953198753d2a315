/* SPDX-License-Identifier: Apache-2.0 */
/* `muster-agent disk --explain`: every disk, what was seen on it, which rule decides, and what a
 * run would do (R14). */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/disk/disk.h"
#include "agent/ipc/cmd.h"
#include "agent/ipc/paths.h"
#include "agent/worker/plan.h"
#include "agent/worker/verbs.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/str.h"

struct disk_args {
    bool explain, json;
    struct disk_want want; /* without a volume: none is wanted */
    char wipe[37];
};

static json_t *row(const struct disk_args *a, const struct disk_place *d,
                   const struct disk_place *chosen)
{
    const struct disk_want *w = &a->want;
    struct disk_facts f = {0};
    struct disk_decision dec = {.action = DISK_NOTHING, .rule = 1};
    struct err err = {0};
    _cleanup_close_ int fd = -1;
    bool ours = chosen && chosen->rdev == d->rdev;
    const char *would = "nothing";

    if (disk_facts_read(w, d, ours ? a->wipe : NULL, O_RDONLY, &f, &fd, &err) < 0) {
        snprintf(dec.why, sizeof(dec.why), "%.380s", err.msg);
        dec.rule = err.code == ERR_SAFETY ? 5 : 2;
        would = ours ? "refuse" : would;
    } else if (ours) {
        disk_decide(w, &f, &dec);
        would = disk_action_name(dec.action);
    } else if (f.used[0]) {
        dec.rule = 3;
        snprintf(dec.why, sizeof(dec.why), "in use: %.250s (R3)", f.used);
    } else {
        snprintf(dec.why, sizeof(dec.why), "%s; not the volume's disk (R1)", f.look.why);
    }
    return json_pack("{s:s, s:I, s:o, s:s, s:o, s:i, s:s, s:b}", "disk", d->node, "bytes",
                     (json_int_t)d->size, "used", js_string(f.used), "content",
                     fd < 0 ? "unreadable" : disk_kind_name(f.look.kind), "seen",
                     js_string(dec.why), "rule", (int)dec.rule, "would", would, "volume", ours);
}

static json_t *volume_of(const struct disk_args *a, const struct disk_place *chosen,
                         const struct err *why, struct err *err)
{
    const struct disk_want *w = &a->want;
    struct disk_intent intent = {0};

    if (!w->volume[0])
        return json_null();
    if (disk_journal_read(PATH_DISK_JOURNAL, w, &intent, err) < 0)
        return NULL;
    return json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:b, s:b}", "id", w->volume, "bytes",
                     (json_int_t)w->size, "filesystem", w->filesystem, "found_by",
                     chosen ? chosen->how : "", "problem", why->msg, "unfinished", intent.action,
                     "wipe", a->wipe[0] != '\0', "wipe_used",
                     disk_consent_used(PATH_DISK_JOURNAL, w->volume));
}

static void print_table(const json_t *all)
{
    const json_t *v = json_object_get(all, "volume");
    size_t i;
    json_t *d;

    if (json_is_null(v))
        printf("volume   none: no plan names one (R1)\n");
    else {
        printf("volume   %s, %llu bytes, to be %s\n", js_opt_str(v, "id", ""),
               (unsigned long long)js_opt_u64(v, "bytes", 0), js_opt_str(v, "filesystem", ""));
        printf("found    %s (R1)\n", *js_opt_str(v, "problem", "") ? js_opt_str(v, "problem", "")
                                                                   : js_opt_str(v, "found_by", ""));
        printf("journal  %s%s (R11)\n",
               *js_opt_str(v, "unfinished", "") ? "unfinished: " : "nothing unfinished",
               js_opt_str(v, "unfinished", ""));
        printf("wipe     %s (R7)\n", js_opt_bool(v, "wipe_used", false) ? "allowed, and used"
                                     : js_opt_bool(v, "wipe", false)    ? "allowed, not used yet"
                                                                        : "not allowed");
    }
    printf("\n  %-14s %16s  %-25s %-4s %-21s %s\n", "DISK", "BYTES", "CONTENT", "RULE", "WOULD",
           "SEEN");
    json_array_foreach(json_object_get(all, "disks"), i, d)
    {
        char rule[16];

        snprintf(rule, sizeof(rule), "R%u", (unsigned)js_opt_u64(d, "rule", 0));
        printf("%c %-14s %16llu  %-25s %-4s %-21s %s\n",
               js_opt_bool(d, "volume", false) ? '*' : ' ', js_opt_str(d, "disk", ""),
               (unsigned long long)js_opt_u64(d, "bytes", 0), js_opt_str(d, "content", ""), rule,
               js_opt_str(d, "would", ""), js_opt_str(d, "seen", ""));
    }
}

/* 0, or ERR_SAFETY when the volume's disk would be refused. */
static int explain(const struct disk_args *a, struct err *err)
{
    struct disk_place chosen = {0};
    struct err why = {0};
    _cleanup_free_ struct disk_place *disks = NULL;
    size_t n = disk_list(&disks);
    bool wanted = a->want.volume[0], found = wanted && disk_find(&a->want, &chosen, &why) == 0;
    bool refused = wanted && !found;
    json_t *rows = json_array();

    for (size_t i = 0; i < n; i++) {
        json_t *r = row(a, &disks[i], found ? &chosen : NULL);

        refused = refused || str_eq(js_opt_str(r, "would", ""), "refuse");
        json_array_append_new(rows, r);
    }
    json_t *volume = volume_of(a, found ? &chosen : NULL, &why, err);
    if (!volume) {
        json_decref(rows);
        return -1;
    }
    _cleanup_json_ json_t *all =
        json_pack("{s:i, s:o, s:o}", "schema", 1, "volume", volume, "disks", rows);
    _cleanup_free_ char *text = a->json ? js_text(all) : NULL;
    if (text)
        puts(text);
    else
        print_table(all);
    return refused ? ERR_SAFETY : 0;
}

static int want_from_plan(const char *path, struct disk_args *a, struct err *err)
{
    _cleanup_(plan_cleanup) struct plan *p = NULL;

    if (plan_load(path, &p, err) < 0)
        return -1;
    const json_t *d = plan_find(p, "disk");
    if (!d)
        return 0;
    disk_want_fill(&a->want, js_opt_str(d, "volume", ""), js_opt_str(d, "filesystem", ""),
                   js_opt_u64(d, "size", 0));
    str_copy(a->wipe, sizeof(a->wipe), js_opt_str(d, "wipe", ""));
    return 0;
}

int cmd_disk(int argc, char **argv)
{
    static const struct option options[] = {
        {"explain", no_argument, NULL, 'x'},
        {"json", no_argument, NULL, 'j'},
        {"volume", required_argument, NULL, 'v'},
        {"size", required_argument, NULL, 's'},
        {NULL, 0, NULL, 0},
    };
    struct disk_args a = {0};
    struct err err = {0};
    const char *volume = NULL, *plan = NULL;
    uint64_t size = 0;

    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'x')
            a.explain = true;
        else if (o == 'j')
            a.json = true;
        else if (o == 'v' && strlen(optarg) == 36)
            volume = optarg;
        else if (o != 's' || str_to_u64(optarg, INT64_MAX, &size) < 0)
            return cmd_usage("disk", "option not understood");
    }
    plan = optind < argc ? argv[optind] : fs_exists(PATH_PLAN) ? PATH_PLAN : NULL;
    if (!a.explain || optind + 1 < argc || (volume && optind < argc))
        return cmd_usage("disk", "needs --explain, and at most one PLANFILE or --volume");
    if (volume)
        disk_want_fill(&a.want, volume, "ext4", size);
    else if (plan && want_from_plan(plan, &a, &err) < 0)
        return cmd_fail(&err);
    int r = explain(&a, &err);
    return r < 0 ? cmd_fail(&err) : r;
}
