/* SPDX-License-Identifier: Apache-2.0 */
/* Step `disk`: the volume's disk with our partition and our filesystem on it.
 *
 *   blank --intent--> GPT --> our partition, blank --intent--> mkfs --> ours --> done
 *   ours, and the volume grew --intent--> GPT, partition and kernel stretched --> done (R13)
 *   foreign: refused, unless the file consents to wiping this very volume, once (R7)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/disk/disk.h"
#include "agent/ipc/paths.h"
#include "agent/steps/step.h"
#include "common/cleanup.h"
#include "common/str.h"

#define NODE_WAIT_MS 15000

struct disk {
    const char *volume, *filesystem, *deployment, *wipe;
    uint64_t size;
};

static const struct field fields[] = {
    FIELD(disk, volume, FIELD_UUID),     FIELD(disk, size, FIELD_U64),
    FIELD(disk, filesystem, FIELD_NAME), FIELD(disk, deployment, FIELD_STR),
    FIELD_OPT(disk, wipe, FIELD_UUID),
};

static int disk_parse(const json_t *spec, void **ret, struct err *err)
{
    if (fields_parse(spec, fields, ARRAY_LEN(fields), sizeof(struct disk), ret, err) < 0)
        return -1;
    const struct disk *d = *ret;
    if (strcmp(d->filesystem, "ext4") == 0 || strcmp(d->filesystem, "xfs") == 0)
        return 0;
    free(*ret);
    *ret = NULL;
    return err_set(err, ERR_USAGE, "member 'filesystem' must be ext4 or xfs");
}

struct disk_at_hand {
    struct disk_want want;
    struct disk_place place;
    struct disk_facts facts;
    struct disk_decision decision;
};

/* Finds, looks and decides; `flags` are open's. The descriptor is the caller's. */
static int disk_open(const struct disk *d, struct disk_at_hand *h, int flags, int *ret_fd,
                     struct err *err)
{
    disk_want_fill(&h->want, d->volume, d->filesystem, d->size);
    if (disk_find(&h->want, &h->place, err) < 0 ||
        disk_facts_read(&h->want, &h->place, d->wipe, flags, &h->facts, ret_fd, err) < 0)
        return -1;
    disk_decide(&h->want, &h->facts, &h->decision);
    return 0;
}

static int disk_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    (void)run;
    _cleanup_close_ int fd = -1;
    struct disk_at_hand h = {0};

    if (disk_open(self, &h, O_RDONLY, &fd, err) < 0) {
        if (err->code == ERR_SAFETY)
            return verdict_refused(ret, "%.380s", err->msg);
        return -1;
    }
    if (h.decision.action == DISK_NOTHING)
        return verdict_ok(ret);
    if (h.decision.action == DISK_REFUSE)
        return verdict_refused(ret, "volume %s, %s: %.260s", h.want.volume, h.place.node,
                               h.decision.why);
    return verdict_differs(ret, "%s (%s): %.200s", h.place.node, h.place.how, h.decision.why);
}

static int intent(struct disk_at_hand *h, const char *action, bool consent, struct err *err)
{
    if (disk_journal_intent(PATH_DISK_JOURNAL, &h->want, action, consent, err) < 0)
        return -1;
    if (h->facts.consent && consent && disk_consent_use(PATH_DISK_JOURNAL, h->want.volume, err) < 0)
        return -1;
    h->facts.intent.consent = consent;
    return 0;
}

static int make_table(struct disk_at_hand *h, int fd, struct err *err)
{
    bool consent = h->decision.rule == 7;

    if (intent(h, "table", consent, err) < 0 ||
        disk_write_table(fd, &h->place, &h->want, err) < 0 ||
        disk_classify(fd, h->place.size, &h->want, &h->facts.look, err) < 0)
        return -1;
    /* With consent, what is left of the old data shows inside the new partition. */
    if (h->facts.look.part_size == 0 || (h->facts.look.kind != DISK_TABLE_OURS && !consent))
        return err_set(err, ERR_SAFETY, "%s: %s, after its table was written (R9)", h->place.node,
                       h->facts.look.why);
    /* It may know a partition from before, of another size. */
    return disk_notify_kernel(fd, &h->facts.look, err);
}

/* mkfs opens the partition exclusively, which a descriptor on the whole disk would prevent; so the
 * disk is looked up once more (R15). */
static int make_filesystem(struct disk_at_hand *h, struct run *run, struct err *err)
{
    char node[80];
    struct disk_place again = {0};
    bool consent = h->decision.rule == 7 || h->facts.intent.consent;

    if (intent(h, "mkfs", consent, err) < 0 ||
        disk_partition_node(&h->place, &h->facts.look, NODE_WAIT_MS, node, sizeof(node), err) < 0 ||
        disk_find(&h->want, &again, err) < 0)
        return -1;
    if (again.rdev != h->place.rdev || again.size != h->place.size)
        return err_set(err, ERR_SAFETY, "%s is another disk than a moment ago (R15)",
                       h->place.node);
    if (disk_make_filesystem(node, &h->want, run, err) < 0)
        return -1;
    return disk_journal_done(PATH_DISK_JOURNAL, &h->want, err);
}

static int notify(struct disk_at_hand *h, int fd, struct err *err)
{
    char node[80];

    if (disk_notify_kernel(fd, &h->facts.look, err) < 0 ||
        disk_partition_node(&h->place, &h->facts.look, NODE_WAIT_MS, node, sizeof(node), err) < 0)
        return -1;
    return disk_journal_done(PATH_DISK_JOURNAL, &h->want, err);
}

static int grow(struct disk_at_hand *h, int fd, struct err *err)
{
    if (disk_journal_intent(PATH_DISK_JOURNAL, &h->want, "grow", false, err) < 0 ||
        disk_table_grow(fd, h->place.size, err) < 0 ||
        disk_classify(fd, h->place.size, &h->want, &h->facts.look, err) < 0)
        return err_wrap(err, "%s", h->place.node);
    if (h->facts.look.kind != DISK_OURS)
        return err_set(err, ERR_SAFETY, "%s: %s, after its table was written (R13)", h->place.node,
                       h->facts.look.why);
    return notify(h, fd, err);
}

static int disk_apply(const void *self, struct run *run, struct err *err)
{
    const struct disk *d = self;
    _cleanup_close_ int seen = -1;
    _cleanup_close_ int fd = -1;
    struct disk_at_hand h = {0};

    if (disk_open(d, &h, O_RDONLY, &seen, err) < 0)
        return -1;
    enum disk_action action = h.decision.action;
    /* Ours may be mounted while it grows; before anything is made, nobody else may have it. */
    bool exclusive = action == DISK_PARTITION || action == DISK_FORMAT;
    close(seen);
    seen = -1;
    if (disk_open(d, &h, exclusive ? O_RDWR | O_EXCL : O_RDWR, &fd, err) < 0)
        return -1;
    if (h.decision.action == DISK_REFUSE || h.decision.action != action)
        return err_set(err, ERR_SAFETY, "%s: %.400s", h.place.node, h.decision.why);
    if (action == DISK_NOTHING)
        return 0;
    if (action == DISK_GROW) {
        run_progress(run, "grow %s", h.place.node);
        return grow(&h, fd, err);
    }
    if (action == DISK_TELL)
        return notify(&h, fd, err);
    if (action == DISK_PARTITION) {
        run_progress(run, "partition %s", h.place.node);
        if (make_table(&h, fd, err) < 0)
            return -1;
    } else if (disk_notify_kernel(fd, &h.facts.look, err) < 0) {
        return -1;
    }
    close(fd);
    fd = -1;
    return make_filesystem(&h, run, err);
}

const struct step_ops step_disk = {"disk", disk_parse, disk_check, disk_apply, free, NULL};
