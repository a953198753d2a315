/* SPDX-License-Identifier: Apache-2.0 */
/* The data disk. R1..R15 are the rules of docs/disks.md: what is not proven to be blank or ours
 * is foreign, and what is foreign is never written to. Sizes and offsets are bytes. */
#ifndef MUSTER_AGENT_DISK_H
#define MUSTER_AGENT_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"

#define DISK_PART_NAME "muster-data"

/* What the disk of a volume carries when it is ours. */
struct disk_want {
    char volume[37];
    char part_uuid[37];
    char fs_uuid[37];
    char filesystem[8]; /* "ext4" or "xfs" */
    uint64_t size;
};
void disk_want_fill(struct disk_want *w, const char *volume, const char *filesystem, uint64_t size);

/* disk_find.c: which disk it is, never by its name (R1). */
struct disk_place {
    char node[64]; /* the device node of the whole disk */
    char how[96];  /* how it was recognised */
    dev_t rdev;
    uint64_t size;
};
/* -1 when no disk or more than one fits; the message names the candidates. */
int disk_find(const struct disk_want *w, struct disk_place *ret, struct err *err);
/* R3: what of this machine sits on the disk (a mount point, swap), or "" when nothing does.
 * Mounts below `own` are not counted; it may be NULL. */
int disk_used_by(dev_t disk, const char *own, char *ret, size_t cap, struct err *err);
/* The node of the disk's first partition; waits up to `wait_ms` for it to appear. */
int disk_partition_node(const struct disk_place *d, unsigned wait_ms, char *ret, size_t cap,
                        struct err *err);

/* disk_classify.c: works on block devices and on image files alike. */
enum disk_kind {
    DISK_BLANK,      /* R5 holds over the whole disk */
    DISK_TABLE_OURS, /* our partition is there and blank */
    DISK_UNFINISHED, /* our partition is there; inside neither blank nor any known format */
    DISK_OURS,       /* our partition with our filesystem */
    DISK_FOREIGN,
};

struct disk_look {
    enum disk_kind kind;
    char why[192];                  /* what was seen, with the number of the rule that decided */
    uint64_t part_start, part_size; /* when there is a partition of ours */
};

const char *disk_kind_name(enum disk_kind kind);
/* -1 only when reading fails; an ambiguous probe is FOREIGN. */
int disk_classify(int fd, uint64_t size, const struct disk_want *w, struct disk_look *ret,
                  struct err *err);

/* The UUID of the filesystem on a device, "" when none is recognised for certain. */
int disk_fs_uuid(const char *node, char *ret, size_t cap, struct err *err);

/* disk_write.c: the only code that writes to a disk. */
int disk_write_table(int fd, const struct disk_place *d, const struct disk_want *w,
                     struct err *err);
/* For a kernel that found no table by itself. */
int disk_tell_kernel(int fd, const struct disk_look *look, struct err *err);
int disk_make_filesystem(const char *node, const struct disk_want *w, struct err *err);

/* disk_journal.c: R11. */
struct disk_intent {
    bool pending; /* an intent without its "done" */
    bool consent; /* it was a consented wipe */
    char action[16];
};
int disk_journal_read(const char *dir, const struct disk_want *w, struct disk_intent *ret,
                      struct err *err);
int disk_journal_intent(const char *dir, const struct disk_want *w, const char *action,
                        bool consent, struct err *err);
int disk_journal_done(const char *dir, const struct disk_want *w, struct err *err);
/* A consent is used once: true when it was used before. */
bool disk_consent_used(const char *dir, const char *volume);
int disk_consent_use(const char *dir, const char *volume, struct err *err);

#endif
