/* SPDX-License-Identifier: Apache-2.0 */
/* Step `disk`: the volume's disk with our partition and our filesystem on it.
 *
 *   blank --intent--> GPT --> our partition, blank --intent--> mkfs --> ours --> done
 *   foreign: refused, unless the file consents to wiping this very volume, once (R7)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/disk.h"
#include "agent/paths.h"
#include "agent/resource.h"
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
    struct disk_look look;
    struct disk_intent intent;
    bool consent;
};

/* Finds and classifies; `flags` are open's. The descriptor is the caller's. */
static int disk_open(const struct disk *d, struct disk_at_hand *h, int flags, int *ret_fd,
                     struct err *err)
{
    disk_want_fill(&h->want, d->volume, d->filesystem, d->size);
    if (disk_find(&h->want, &h->place, err) < 0 ||
        disk_journal_read(PATH_DISK_JOURNAL, &h->want, &h->intent, err) < 0)
        return -1;
    if (h->place.size != d->size)
        return err_set(err, ERR_SAFETY, "%s has %llu bytes, the volume %llu (R6)", h->place.node,
                       (unsigned long long)h->place.size, (unsigned long long)d->size);
    h->consent = d->wipe && strcmp(d->wipe, d->volume) == 0 &&
                 !disk_consent_used(PATH_DISK_JOURNAL, d->volume);
    _cleanup_close_ int fd = open(h->place.node, flags | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "open %s%s", h->place.node,
                         errno == EBUSY ? " (R2: somebody uses it)" : "");
    if (disk_classify(fd, d->size, &h->want, &h->look, err) < 0)
        return err_wrap(err, "%s", h->place.node);
    *ret_fd = fd;
    fd = -1;
    return 0;
}

/* What may be done with a disk that is not finished; "" or why not. */
static const char *disk_refusal(const struct disk_at_hand *h)
{
    switch (h->look.kind) {
    case DISK_BLANK:
    case DISK_TABLE_OURS:
    case DISK_OURS:
        return "";
    case DISK_UNFINISHED:
        return h->intent.pending || h->consent
                   ? ""
                   : "and no unfinished work of ours is on record (R11)";
    case DISK_FOREIGN:
        break;
    }
    if (h->consent || (h->intent.pending && h->intent.consent))
        return "";
    return "only `wipe: <volume>` in the file allows to format it (R7)";
}

static int disk_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    (void)run;
    _cleanup_close_ int fd = -1;
    struct disk_at_hand h = {0};
    if (disk_open(self, &h, O_RDONLY, &fd, err) < 0) {
        if (err->code == ERR_SAFETY)
            return verdict_refused(ret, "%s", err->msg);
        return -1;
    }
    char node[80];
    struct err ignored;
    if (h.look.kind == DISK_OURS &&
        disk_partition_node(&h.place, 0, node, sizeof(node), &ignored) == 0)
        return verdict_ok(ret);
    const char *refusal = disk_refusal(&h);
    if (*refusal)
        return verdict_refused(ret, "%s: %s; %s", h.place.node, h.look.why, refusal);
    return verdict_differs(ret, "%s (%s): %s", h.place.node, h.place.how, h.look.why);
}

static int make_table(const struct disk *d, struct disk_at_hand *h, int fd, struct err *err)
{
    bool consent = h->look.kind == DISK_FOREIGN;
    if (disk_journal_intent(PATH_DISK_JOURNAL, &h->want, "table", consent, err) < 0)
        return -1;
    if (consent && h->consent && disk_consent_use(PATH_DISK_JOURNAL, d->volume, err) < 0)
        return -1;
    h->intent = (struct disk_intent){.pending = true, .consent = consent || h->intent.consent};
    return disk_write_table(fd, &h->place, &h->want, err);
}

static int make_filesystem(struct disk_at_hand *h, struct err *err)
{
    char node[80];
    if (disk_journal_intent(PATH_DISK_JOURNAL, &h->want, "mkfs", h->intent.consent, err) < 0 ||
        disk_partition_node(&h->place, NODE_WAIT_MS, node, sizeof(node), err) < 0 ||
        disk_make_filesystem(node, &h->want, err) < 0)
        return -1;
    return disk_journal_done(PATH_DISK_JOURNAL, &h->want, err);
}

static int disk_apply(const void *self, struct run *run, struct err *err)
{
    const struct disk *d = self;
    _cleanup_close_ int fd = -1;
    struct disk_at_hand h = {0};
    char used[256];
    if (disk_open(d, &h, O_RDWR | O_EXCL, &fd, err) < 0 ||
        disk_used_by(h.place.rdev, NULL, used, sizeof(used), err) < 0)
        return -1;
    if (used[0])
        return err_set(err, ERR_SAFETY, "%s is mounted on %s (R3)", h.place.node, used);
    const char *refusal = disk_refusal(&h);
    if (*refusal)
        return err_set(err, ERR_SAFETY, "%s: %s; %s", h.place.node, h.look.why, refusal);
    if (h.look.kind != DISK_BLANK && h.look.kind != DISK_FOREIGN &&
        disk_tell_kernel(fd, &h.look, err) < 0)
        return -1;
    if (h.look.kind == DISK_OURS) {
        char node[80];
        if (disk_partition_node(&h.place, NODE_WAIT_MS, node, sizeof(node), err) < 0)
            return -1;
        return disk_journal_done(PATH_DISK_JOURNAL, &h.want, err);
    }
    if (h.look.kind == DISK_BLANK || h.look.kind == DISK_FOREIGN) {
        run_progress(run, "partition %s", h.place.node);
        if (make_table(d, &h, fd, err) < 0 || disk_classify(fd, d->size, &h.want, &h.look, err) < 0)
            return -1;
        /* With consent, what is left of the old data shows inside the new partition. */
        if (h.look.part_size == 0 || (h.look.kind != DISK_TABLE_OURS && !h.intent.consent))
            return err_set(err, ERR_SAFETY, "%s: %s, after its table was written (R9)",
                           h.place.node, h.look.why);
    }
    /* mkfs opens the partition exclusively, which this descriptor on the disk would prevent. */
    close(fd);
    fd = -1;
    run_progress(run, "make %s on %s", d->filesystem, h.place.node);
    return make_filesystem(&h, err);
}

const struct resource_ops res_disk = {"disk", disk_parse, disk_check, disk_apply, free};
