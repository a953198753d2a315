/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/disk/disk.h"
#include "common/str.h"

const char *disk_action_name(enum disk_action a)
{
    static const char *const names[] = {
        [DISK_NOTHING] = "nothing",      [DISK_PARTITION] = "partition and format",
        [DISK_FORMAT] = "format",        [DISK_GROW] = "grow",
        [DISK_TELL] = "tell the kernel", [DISK_REFUSE] = "refuse",
    };

    return names[a];
}

static void __attribute__((format(printf, 4, 5)))
decide(struct disk_decision *ret, enum disk_action action, unsigned rule, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    ret->action = action;
    ret->rule = rule;
    vsnprintf(ret->why, sizeof(ret->why), fmt, ap);
    str_utf8(ret->why);
    va_end(ap);
}

/* Only an intent to make our own state allows to make it again; one to grow never does. */
static bool half_made(const struct disk_intent *i)
{
    return i->pending && (str_eq(i->action, "table") || str_eq(i->action, "mkfs"));
}

static void decide_ours(const struct disk_facts *f, struct disk_decision *ret)
{
    if (f->table_short)
        decide(ret, DISK_GROW, 13, "the partition table does not cover the disk (R13)");
    else if (!f->known)
        decide(ret, DISK_TELL, 10, "the kernel does not know our partition as it is (R10)");
    else if (f->intent.pending)
        decide(ret, DISK_TELL, 11, "%s, and the journal does not say so yet (R11)", f->look.why);
    else
        decide(ret, DISK_NOTHING, 8, "%s", f->look.why);
}

static void decide_content(const struct disk_facts *f, struct disk_decision *ret)
{
    const char *why = f->look.why;

    switch (f->look.kind) {
    case DISK_BLANK:
        return decide(ret, DISK_PARTITION, 5, "%s", why);
    case DISK_TABLE_OURS:
        return decide(ret, DISK_FORMAT, 8, "%s", why);
    case DISK_OURS:
        return decide_ours(f, ret);
    case DISK_UNFINISHED:
        if (half_made(&f->intent))
            return decide(ret, DISK_FORMAT, 11, "%s: our own unfinished work", why);
        if (f->consent)
            return decide(ret, DISK_FORMAT, 7, "%s; the file allows to wipe it (R7)", why);
        return decide(ret, DISK_REFUSE, 11,
                      "%s; and no unfinished work of ours is on record (R11). When it held data, "
                      "fsck on the node may bring it back",
                      why);
    case DISK_FOREIGN:
        break;
    }
    if (f->consent || (half_made(&f->intent) && f->intent.consent))
        return decide(ret, DISK_PARTITION, 7, "%s; the file allows to wipe it (R7)", why);
    decide(ret, DISK_REFUSE, f->look.rule,
           "%s; only `wipe: <volume>` in the file allows to format it (R7)", why);
}

void disk_decide(const struct disk_want *w, const struct disk_facts *f, struct disk_decision *ret)
{
    bool ours = f->look.kind == DISK_OURS;

    /* Ours and larger: the plan is older than the volume. It grows when a plan says so. */
    if (ours && f->size > w->size && f->known)
        return decide(ret, DISK_NOTHING, 6, "%s; %llu bytes, the plan says %llu (R6)", f->look.why,
                      (unsigned long long)f->size, (unsigned long long)w->size);
    if (f->size != w->size)
        return decide(ret, DISK_REFUSE, 6, "it has %llu bytes, the volume %llu (R6)",
                      (unsigned long long)f->size, (unsigned long long)w->size);
    if (!ours && f->used[0])
        return decide(ret, DISK_REFUSE, 3, "it is in use: %.200s (R3)", f->used);
    if (!ours && f->busy)
        return decide(ret, DISK_REFUSE, 2, "a program or another device has it for itself (R2): %s",
                      f->look.why);
    decide_content(f, ret);
    if (ret->action != DISK_NOTHING && ret->action != DISK_REFUSE && ret->action != DISK_TELL &&
        f->readonly)
        decide(ret, DISK_REFUSE, 2, "it is read-only (R2): %s", f->look.why);
}
