/* SPDX-License-Identifier: Apache-2.0 */
/* The data disk. R1..R15 are the rules of docs/disks.md: what is not proven to be blank or ours
 * is foreign, and what is foreign is never written to. Sizes and offsets are bytes. */
#ifndef MUSTER_AGENT_DISK_DISK_H
#define MUSTER_AGENT_DISK_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/sys/run.h"
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

/* find.c: which disk it is, never by its name (R1). */
struct disk_place {
    char node[64]; /* the device node of the whole disk */
    char how[96];  /* how it was recognised */
    dev_t rdev;
    uint64_t size;
};
/* -1 when no disk or more than one fits; the message names the candidates. Without a size only a
 * serial or our marks tell. */
int disk_find(const struct disk_want *w, struct disk_place *ret, struct err *err);
/* All whole disks that have a node in /dev; the caller frees. */
size_t disk_list(struct disk_place **ret);

/* use.c: R3 and R2. What of this machine sits on the disk (a mount point, swap), also through
 * device mapper or RAID, or "" when nothing does. */
int disk_used_by(dev_t disk, char *ret, size_t cap, struct err *err);
/* Another device is made of it, or a program has it for itself. */
bool disk_busy(const struct disk_place *d);
bool disk_readonly(const struct disk_place *d);

/* classify.c: works on block devices and on image files alike. */
enum disk_kind {
    DISK_BLANK,      /* R5 holds over the whole disk */
    DISK_TABLE_OURS, /* our partition is there and blank */
    DISK_UNFINISHED, /* our partition is there; inside neither blank nor any known format */
    DISK_OURS,       /* our partition with our filesystem */
    DISK_FOREIGN,
};

struct disk_look {
    enum disk_kind kind;
    unsigned rule;                  /* the rule that decided */
    char why[192];                  /* what was seen, with that number */
    uint64_t part_start, part_size; /* when there is a partition of ours */
};

const char *disk_kind_name(enum disk_kind kind);
/* -1 only when reading fails; an ambiguous probe is FOREIGN. */
int disk_classify(int fd, uint64_t size, const struct disk_want *w, struct disk_look *ret,
                  struct err *err);

/* The UUID of the filesystem on a device, "" when none is recognised for certain. */
int disk_fs_uuid(const char *node, char *ret, size_t cap, struct err *err);

/* The node of the partition that `look` saw (R10: the kernel knows it with that start and size;
 * NULL: the first one, whatever it is). Waits up to `wait_ms` for it. */
int disk_partition_node(const struct disk_place *d, const struct disk_look *look, unsigned wait_ms,
                        char *ret, size_t cap, struct err *err);

/* write.c: the only code that writes to a disk. */
int disk_write_table(int fd, const struct disk_place *d, const struct disk_want *w,
                     struct err *err);
/* For a kernel that found no table by itself, or that knows the partition as it was. */
int disk_notify_kernel(int fd, const struct disk_look *look, struct err *err);
int disk_make_filesystem(const char *node, const struct disk_want *w, struct run *run,
                         struct err *err);
/* Before it is mounted: repairs what can be repaired without a decision; else ERR_SAFETY (R12). */
int disk_check_filesystem(const char *node, const struct disk_want *w, struct err *err);

/* journal.c: R11. */
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

/* gpt.c: a GPT with 128 entries as we write it, in memory. Pure. */
#define GPT_ENTRIES (128 * 128)
struct gpt {
    unsigned char header[512];
    unsigned char entries[GPT_ENTRIES];
};
bool gpt_valid(const struct gpt *g, uint64_t lba, uint64_t sectors);
/* The other copy is where it belongs and the first partition reaches the end of the disk. */
bool gpt_covers(const struct gpt *g, uint64_t sectors, unsigned sector);
/* Stretches the first partition to the end; the header still has to be sealed. */
void gpt_stretch(struct gpt *g, uint64_t sectors, unsigned sector);
/* As the copy at the beginning or at the end of the disk, with checksums. */
void gpt_seal(struct gpt *g, bool at_end, uint64_t sectors, unsigned sector);

/* grow.c: R13, for a disk of ours only. It may be mounted; each step may be killed anywhere.
 */
int disk_table_short(int fd, uint64_t size, bool *ret, struct err *err);
int disk_table_grow(int fd, uint64_t size, struct err *err);
/* The filesystem mounted on `path` leaves room on its partition `node`. */
int disk_fs_short(const char *node, const char *path, const char *filesystem, bool *ret,
                  struct err *err);
int disk_fs_grow(const char *node, const char *path, const char *filesystem, struct err *err);

/* decide.c: what may be done with the volume's disk. Pure. */
enum disk_action {
    DISK_NOTHING,
    DISK_PARTITION, /* and then format */
    DISK_FORMAT,
    DISK_GROW, /* the table; the filesystem follows when it is mounted */
    DISK_TELL, /* the kernel of our partition */
    DISK_REFUSE,
};
struct disk_facts {
    uint64_t size; /* of the device */
    char used[256];
    bool busy, readonly;
    struct disk_look look;
    struct disk_intent intent;
    bool consent;     /* `wipe` names this volume and was not used yet */
    bool table_short; /* see disk_table_short */
    bool known;       /* the kernel knows our partition as the table has it */
};
struct disk_decision {
    enum disk_action action;
    unsigned rule;
    char why[384]; /* one line, with the rule's number */
};
const char *disk_action_name(enum disk_action a);
void disk_decide(const struct disk_want *w, const struct disk_facts *f, struct disk_decision *ret);

/* facts.c: everything that disk_decide asks for. ERR_SAFETY when reading fails (R5). The
 * descriptor, opened with `flags`, is the caller's. */
int disk_facts_read(const struct disk_want *w, const struct disk_place *d, const char *wipe,
                    int flags, struct disk_facts *ret, int *ret_fd, struct err *err);

#endif
