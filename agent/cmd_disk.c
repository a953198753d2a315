/* SPDX-License-Identifier: Apache-2.0 */
/* `muster-agent disk --explain`: what is on the data disk, and which rule decides (R14). */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/cmd.h"
#include "agent/disk.h"
#include "agent/paths.h"
#include "agent/plan.h"
#include "common/cleanup.h"
#include "common/str.h"

static int explain(const struct disk_want *w, struct err *err)
{
    struct disk_place place;
    struct disk_look look;
    struct disk_intent intent;
    char used[256];
    printf("volume      %s, %llu bytes, to be %s\n", w->volume, (unsigned long long)w->size,
           w->filesystem);
    if (disk_find(w, &place, err) < 0)
        return -1;
    printf("disk        %s, found by %s (R1)\n", place.node, place.how);
    printf("size        %llu bytes: %s (R6)\n", (unsigned long long)place.size,
           place.size == w->size ? "the volume's" : "NOT the volume's, refused");
    if (disk_used_by(place.rdev, NULL, used, sizeof(used), err) == 0)
        printf("mounted on  %s (R3)\n", used[0] ? used : "nothing");
    _cleanup_close_ int fd = open(place.node, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "open %s", place.node);
    if (disk_classify(fd, place.size, w, &look, err) < 0)
        return -1;
    printf("content     %s: %s\n", disk_kind_name(look.kind), look.why);
    if (disk_journal_read(PATH_DISK_JOURNAL, w, &intent, err) == 0)
        printf("journal     %s%s (R11)\n", intent.pending ? "unfinished: " : "nothing unfinished",
               intent.action);
    printf("consent     %s (R7)\n",
           disk_consent_used(PATH_DISK_JOURNAL, w->volume) ? "used before" : "not used yet");
    return 0;
}

static int want_from_plan(const char *path, struct disk_want *w, struct err *err)
{
    _cleanup_(plan_cleanup) struct plan *p = NULL;
    if (plan_load(path, &p, err) < 0)
        return -1;
    const json_t *d = plan_find(p, "disk");
    if (!d)
        return err_set(err, ERR_USAGE, "%s has no step of type disk", path);
    disk_want_fill(w, json_string_value(json_object_get(d, "volume")),
                   json_string_value(json_object_get(d, "filesystem")),
                   (uint64_t)json_integer_value(json_object_get(d, "size")));
    return 0;
}

int cmd_disk(int argc, char **argv)
{
    static const struct option options[] = {
        {"explain", no_argument, NULL, 'x'},
        {"volume", required_argument, NULL, 'v'},
        {"size", required_argument, NULL, 's'},
        {NULL, 0, NULL, 0},
    };
    struct disk_want w = {0};
    struct err err = {0};
    const char *volume = NULL;
    uint64_t size = 0;
    bool asked = false;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'x')
            asked = true;
        else if (o == 'v' && strlen(optarg) == 36)
            volume = optarg;
        else if (o != 's' || str_to_u64(optarg, UINT64_MAX, &size) < 0)
            return cmd_usage("disk", "option not understood");
    }
    if (!asked || (optind < argc) == (volume != NULL))
        return cmd_usage("disk", "needs --explain and a PLANFILE, or --volume and --size");
    if (volume)
        disk_want_fill(&w, volume, "ext4", size);
    else if (want_from_plan(argv[optind], &w, &err) < 0)
        return cmd_fail(&err);
    return explain(&w, &err) < 0 ? cmd_fail(&err) : 0;
}
