/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sys/life.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"

#define QUIET_MS 10000
#define SECTOR 512

void life_text(const char *what, uint64_t done, uint64_t total, char *ret, size_t cap)
{
    static const struct {
        const char *name;
        double bytes;
    } units[] = {{"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}};
    size_t u = 0;

    while (u + 1 < ARRAY_LEN(units) && (double)(total ? total : done) >= units[u + 1].bytes)
        u++;
    double in_unit = (double)done / units[u].bytes;
    int digits = u ? 1 : 0;
    if (done > total) /* a guess: what is copied may grow, or lie closer */
        total = 0;
    if (total)
        snprintf(ret, cap, "%.0f %%, %.*f of %.*f %s: %.160s", 100.0 * (double)done / (double)total,
                 digits, in_unit, digits, (double)total / units[u].bytes, units[u].name, what);
    else
        snprintf(ret, cap, "%.*f %s: %.160s", digits, in_unit, units[u].name, what);
}

static uint64_t sectors_written(dev_t dev)
{
    unsigned long long written = 0;
    struct err ignored;
    _cleanup_free_ char *text = NULL;
    _cleanup_free_ char *path = str_fmt("/sys/dev/block/%u:%u/stat", major(dev), minor(dev));

    if (fs_read(path, 4096, &text, NULL, &ignored) < 0 ||
        sscanf(text, "%*u %*u %*u %*u %*u %*u %llu", &written) != 1)
        return 0;
    return written * SECTOR;
}

uint64_t life_measure(const char *where)
{
    struct stat st;
    struct statvfs fs;

    if (stat(where, &st) < 0)
        return 0;
    if (S_ISBLK(st.st_mode))
        return sectors_written(st.st_rdev);
    if (S_ISDIR(st.st_mode))
        return statvfs(where, &fs) == 0 ? (uint64_t)(fs.f_blocks - fs.f_bfree) * fs.f_frsize : 0;
    return (uint64_t)st.st_size;
}

void life_print(struct life *l, const char *doing)
{
    uint64_t now = clock_mono_ms();

    if (!l->run)
        return;
    if (!l->changed || strcmp(doing, l->said) != 0) {
        snprintf(l->said, sizeof(l->said), "%s", doing);
        l->changed = now;
        run_progress_counted(l->run, &l->count, "%s", doing);
    } else if (now - l->changed >= QUIET_MS) {
        run_progress_counted(l->run, &l->count, "nothing new for %llu s: %s",
                             (unsigned long long)(now - l->changed) / 1000, doing);
    }
}

void life_bytes(struct life *l, uint64_t done)
{
    char doing[sizeof(l->said)];

    l->count = (struct event_count){EVENT_BYTES, done, done > l->total ? 0 : l->total};
    life_text(l->what, done, l->total, doing, sizeof(doing));
    life_print(l, doing);
}

static void look(void *ctx)
{
    struct life *l = ctx;
    uint64_t now = life_measure(l->where);

    life_bytes(l, now > l->from ? now - l->from : 0);
}

static void on_line(void *ctx, const char *line)
{
    (void)line;
    look(ctx);
}

int life_run(struct life *l, const char *const argv[], struct err *err)
{
    const struct proc_opts opts = {.on_tick = look, .on_line = on_line, .tick_s = 1, .ctx = l};

    l->from = life_measure(l->where);
    life_print(l, l->what);
    return proc_run(argv, &opts, NULL, err);
}
