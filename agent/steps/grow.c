/* SPDX-License-Identifier: Apache-2.0 */
/* Step `grow`: the volume's filesystem takes the room that its volume got (R13). The last step of a
 * plan: what cannot grow keeps nothing else from running. */
#include <stdlib.h>
#include <string.h>

#include "agent/disk/disk.h"
#include "agent/steps/step.h"
#include "agent/sys/mnt.h"
#include "common/cleanup.h"
#include "common/str.h"

struct grow {
    const char *volume, *path, *filesystem;
};

static const struct field fields[] = {
    FIELD(grow, volume, FIELD_UUID),
    FIELD(grow, path, FIELD_PATH),
    FIELD(grow, filesystem, FIELD_NAME),
};

static int grow_parse(const json_t *spec, void **ret, struct err *err)
{
    return fields_parse(spec, fields, ARRAY_LEN(fields), sizeof(struct grow), ret, err);
}

/* The partition that is mounted there, which must be ours. */
static int source_of(const struct grow *g, char *ret, size_t cap, struct err *err)
{
    struct disk_want w;
    bool mounted = false;
    char have[64];

    disk_want_fill(&w, g->volume, g->filesystem, 0);
    if (mnt_status(g->path, &mounted, ret, cap, err) < 0)
        return -1;
    if (!mounted)
        return err_set(err, ERR_FAILED, "nothing is mounted on %s (R13)", g->path);
    if (disk_fs_uuid(ret, have, sizeof(have), err) < 0)
        return -1;
    return strcmp(have, w.fs_uuid) == 0
               ? 0
               : err_set(err, ERR_SAFETY, "%s is mounted on %s: another filesystem (R8)", ret,
                         g->path);
}

static int grow_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    (void)run;
    const struct grow *g = self;
    char source[256];
    bool room = false;

    if (source_of(g, source, sizeof(source), err) < 0 ||
        disk_fs_short(source, g->path, g->filesystem, &room, err) < 0)
        return -1;
    return room ? verdict_differs(ret, "the filesystem on %s leaves room on %s (R13)", g->path,
                                  source)
                : verdict_ok(ret);
}

static int grow_apply(const void *self, struct run *run, struct err *err)
{
    const struct grow *g = self;
    char source[256];

    run_progress(run, "grow the filesystem on %s", g->path);
    if (source_of(g, source, sizeof(source), err) < 0)
        return -1;
    return disk_fs_grow(source, g->path, g->filesystem, err);
}

const struct step_ops step_grow = {"grow", grow_parse, grow_check, grow_apply, free, NULL};
