/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/supervisor/outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"

#define SEQ_BLOCK 1000 /* numbers reserved on disk at a time */
#define LOG_MAX (1024 * 1024)

struct item {
    uint64_t seq;
    char *text;
};

struct outbox {
    char *log_path, *seq_path;
    int fd;
    size_t log_size;
    bool behind; /* events that are kept are missing in the log: it is to be written again */
    uint64_t last, reserved;
    struct item items[OUTBOX_MAX]; /* oldest first; rising seq */
    size_t n;
    size_t sent; /* items[0..sent) are under way */
};

static void drop_oldest(struct outbox *o, size_t k)
{
    for (size_t i = 0; i < k; i++)
        free(o->items[i].text);
    memmove(o->items, o->items + k, (o->n - k) * sizeof(*o->items));
    o->n -= k;
    o->sent = o->sent > k ? o->sent - k : 0;
}

static void keep(struct outbox *o, uint64_t seq, char *text)
{
    if (o->n == OUTBOX_MAX)
        drop_oldest(o, 1);
    o->items[o->n++] = (struct item){seq, text};
    o->last = seq;
}

static int load_log(struct outbox *o, struct err *err)
{
    _cleanup_free_ char *text = NULL;
    char *save = NULL;
    struct event ev;
    struct err ignored;

    if (fs_read(o->log_path, 4 * LOG_MAX, &text, NULL, err) < 0)
        return errno == ENOENT ? 0 : -1;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        if (event_parse(line, strlen(line), &ev, &ignored) == 0 && ev.seq > o->last)
            keep(o, ev.seq, xstrdup(line));
    return 0;
}

static int load_seq(struct outbox *o, struct err *err)
{
    _cleanup_free_ char *text = NULL;

    if (fs_read(o->seq_path, 64, &text, NULL, err) < 0)
        return errno == ENOENT ? 0 : -1;
    if (str_to_u64(str_chomp(text), UINT64_MAX, &o->reserved) < 0)
        return err_set(err, ERR_FAILED, "%s: not a number", o->seq_path);
    if (o->reserved > o->last)
        o->last = o->reserved;
    return 0;
}

static int reopen(struct outbox *o, int flags, struct err *err)
{
    if (o->fd >= 0)
        close(o->fd);
    o->fd = open(o->log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | flags, 0600);
    if (o->fd < 0)
        return err_errno(err, errno, "open %s", o->log_path);
    off_t size = lseek(o->fd, 0, SEEK_END);
    o->log_size = size > 0 ? (size_t)size : 0;
    o->behind = false;
    return 0;
}

/* The log again with only what is kept. */
static int compact(struct outbox *o, struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf all = {0};

    if (o->n == 0)
        return reopen(o, O_TRUNC, err);
    for (size_t i = 0; i < o->n; i++)
        strbuf_addf(&all, "%s\n", o->items[i].text);
    if (fs_write_atomic(o->log_path, all.s, all.len, 0600, err) < 0)
        return -1;
    return reopen(o, 0, err);
}

int outbox_open(const char *dir, struct outbox **ret, struct err *err)
{
    struct outbox *o = xcalloc(1, sizeof(*o));

    o->fd = -1;
    o->log_path = str_fmt("%s/events", dir);
    o->seq_path = str_fmt("%s/seq", dir);
    if (fs_mkdirs(dir, 0700, err) < 0 || load_log(o, err) < 0 || load_seq(o, err) < 0 ||
        compact(o, err) < 0) {
        outbox_free(o);
        return err_wrap(err, "event outbox");
    }
    *ret = o;
    return 0;
}

void outbox_free(struct outbox *o)
{
    if (!o)
        return;
    drop_oldest(o, o->n);
    if (o->fd >= 0)
        close(o->fd);
    free(o->log_path);
    free(o->seq_path);
    free(o);
}

static int reserve(struct outbox *o, struct err *err)
{
    char text[32];

    if (o->last < o->reserved)
        return 0;
    uint64_t upto = o->last + SEQ_BLOCK;
    int n = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)upto);
    if (fs_write_atomic(o->seq_path, text, (size_t)n, 0600, err) < 0)
        return -1;
    o->reserved = upto;
    return 0;
}

/* A part of a line would be glued to the next one: it is taken back. */
static int append(struct outbox *o, const char *text, struct err *err)
{
    _cleanup_free_ char *line = str_fmt("%s\n", text);
    size_t len = strlen(line);
    ssize_t n = write(o->fd, line, len);

    if (n == (ssize_t)len) {
        o->log_size += len;
        return 0;
    }
    int errnum = n < 0 ? errno : ENOSPC;
    o->behind = true;
    if (ftruncate(o->fd, (off_t)o->log_size) < 0)
        errnum = errno;
    return err_errno(err, errnum, "write %s", o->log_path);
}

int outbox_add(struct outbox *o, struct event *ev, struct err *err)
{
    int r = reserve(o, err);

    ev->seq = o->last + 1;
    char *text = event_text(ev);
    keep(o, ev->seq, text);
    if ((o->behind ? compact(o, err) : append(o, text, err)) < 0)
        r = -1;
    if (o->log_size > LOG_MAX && compact(o, err) < 0)
        r = -1;
    return r;
}

const char *outbox_next(struct outbox *o)
{
    if (o->sent >= o->n || o->sent >= OUTBOX_WINDOW)
        return NULL;
    return o->items[o->sent++].text;
}

void outbox_ack(struct outbox *o, uint64_t seq)
{
    struct err ignored;
    size_t k = 0;

    while (k < o->n && o->items[k].seq <= seq)
        k++;
    drop_oldest(o, k);
    if (k && o->n == 0)
        compact(o, &ignored);
}

void outbox_rewind(struct outbox *o)
{
    o->sent = 0;
}

uint64_t outbox_last(const struct outbox *o)
{
    return o->last;
}

size_t outbox_count(const struct outbox *o)
{
    return o->n;
}
