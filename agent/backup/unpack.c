/* SPDX-License-Identifier: Apache-2.0 */
/* A backup's parts, each to the program that takes it. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/backup/internal.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/proc.h"
#include "common/str.h"

#define TICK_MS 1000
#define MARGIN (64ull << 20) /* logs that are made besides */

struct unpacking {
    const struct backup_work *w;
    struct backup_reader *in;
    struct backup_head head;
    struct pipeline pipe;
    enum backup_part open; /* whose pipeline that is; 0: none */
    bool files;            /* they are unpacked; else only read */
    uint64_t reserve, next_look;
    struct strbuf info;
};

static int end_part(struct unpacking *u, struct err *err)
{
    bool any = u->open;

    u->open = 0;
    return any ? pipeline_end(&u->pipe, err) : 0;
}

static int begin_part(struct unpacking *u, enum backup_part part, struct err *err)
{
    const struct backup_conf *c = u->w->conf;
    const char *const *decompress = pipeline_decompress(u->head.compress);
    _cleanup_free_ char *scratch = backup_scratch_path(c);
    _cleanup_free_ char *data = str_fmt("%s/data", scratch), *files = backup_work_path(c, "files");
    _cleanup_free_ char *into = str_fmt("--directory=%s", files);
    int r;

    if (end_part(u, err) < 0)
        return -1;
    if (part == BACKUP_INFO)
        return 0;
    if (part == BACKUP_DATABASE)
        r = pipeline_write(decompress, PROC_ARGV("/usr/bin/mbstream", "--extract", "-C", data),
                           &u->pipe, err);
    else if (u->files)
        r = pipeline_write(decompress,
                           PROC_ARGV("/usr/bin/tar", "--extract", "--file=-", "--no-same-owner",
                                     "--no-overwrite-dir", "--delay-directory-restore", into),
                           &u->pipe, err);
    else
        r = pipeline_write(decompress, PROC_ARGV("/usr/bin/tar", "--list", "--file=-"), &u->pipe,
                           err);
    u->open = r == 0 ? part : 0;
    return r;
}

/* One that ended early says why when it is waited for. */
static int give(struct unpacking *u, const uint8_t *data, size_t len, struct err *err)
{
    while (len) {
        ssize_t n = write(u->pipe.fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            err_errno(err, errno, "%s took no more", u->pipe.program[1]);
            end_part(u, err);
            return -1;
        }
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

static int look(struct unpacking *u, struct err *err)
{
    uint64_t room = 0, now = clock_mono_ms();

    if (now < u->next_look)
        return 0;
    u->next_look = now + TICK_MS;
    backup_say(u->w, "unpacks it", backup_was_read(u->in));
    if (fs_free(u->w->conf->mount, &room, err) < 0)
        return -1;
    return room >= u->reserve ? 0
                              : err_set(err, ERR_SAFETY,
                                        "%s has become too full for it: what is left is the "
                                        "database's",
                                        u->w->conf->mount);
}

static int pieces(struct unpacking *u, struct err *err)
{
    enum backup_part part, last = 0;
    const void *data;
    size_t len;
    int r;

    while ((r = backup_read(u->in, &part, &data, &len, err)) == 1) {
        if ((part != last && begin_part(u, part, err) < 0) || look(u, err) < 0)
            return -1;
        last = part;
        if (part == BACKUP_INFO)
            strbuf_add(&u->info, data, len);
        else if (give(u, data, len, err) < 0)
            return -1;
    }
    return r;
}

static int make_directories(const struct backup_conf *c, bool files, struct err *err)
{
    _cleanup_free_ char *scratch = backup_scratch_path(c);
    _cleanup_free_ char *data = str_fmt("%s/data", scratch), *to = backup_work_path(c, "files");

    if (scratch_remove(c, err) < 0 || fs_remove_tree(to, err) < 0)
        return -1;
    return fs_mkdirs(data, 0700, err) < 0 || (files && fs_mkdirs(to, 0700, err) < 0) ? -1 : 0;
}

int backup_unpack(const struct backup_work *w, const char *path, bool files, json_t **ret_info,
                  struct err *err)
{
    const struct backup_conf *c = w->conf;
    struct unpacking u = {.w = w, .files = files, .pipe = {.said = {-1, -1}, .fd = -1}};
    int r;

    if (backup_reader_open(path, w->key, &u.head, &u.in, err) < 0)
        return -1;
    /* A restore has the data of the database and of the dump's tables at the same time. */
    uint64_t bytes =
        u.head.database_bytes * (files ? 2 : 1) + MARGIN + (files ? u.head.files_bytes : 0);
    r = scratch_remove(c, err);
    if (r == 0)
        r = backup_reserve(c->mount, &u.reserve, err);
    if (r == 0)
        r = backup_room(c, bytes, "what is in the backup", err);
    if (r == 0)
        r = make_directories(c, files, err);
    if (r == 0)
        r = pieces(&u, err);
    if (r == 0)
        r = js_parse(strbuf_str(&u.info), u.info.len, ret_info, err);
    if (u.open)
        pipeline_abort(&u.pipe);
    backup_reader_free(u.in);
    strbuf_free(&u.info);
    return r;
}
