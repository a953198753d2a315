/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a backup can be restored: it is, into a directory that is thrown away. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/backup/internal.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/proc.h"
#include "common/str.h"

#define CHECK "/usr/bin/mariadb-check"

struct flaw {
    char first[200];
};

/* It is silent about what is well. */
static void note_line(void *ctx, const char *line)
{
    struct flaw *f = ctx;

    if (*line && !strstr(line, "note ") && !f->first[0])
        str_copy(f->first, sizeof(f->first), line);
}

static int check_tables(const struct backup_work *w, const struct scratch *s, struct err *err)
{
    struct flaw f = {0};
    const struct proc_opts opts = {.on_line = note_line, .ctx = &f};
    _cleanup_free_ char *socket = str_fmt("--socket=%s", s->socket);

    backup_say(w, "checks its tables", 0);
    if (proc_run(PROC_ARGV(CHECK, "--no-defaults", socket, "--user=root", "--silent", "--check",
                           "--all-databases", "--skip-database=sys"),
                 &opts, NULL, err) < 0)
        return -1;
    return f.first[0] ? err_set(err, ERR_SAFETY, "a table of the copy is damaged: %s", f.first) : 0;
}

static char *exact_position(const struct scratch *s)
{
    _cleanup_free_ char *path = str_fmt("%s/data/xtrabackup_galera_info", s->dir);
    struct err ignored;
    char *text = NULL;

    if (fs_read(path, 256, &text, NULL, &ignored) < 0)
        return xstrdup("");
    text[strcspn(text, " \n")] = '\0';
    return text;
}

static int ask(const struct backup_work *w, const struct scratch *s, json_t **ret, struct err *err)
{
    _cleanup_(sql_cleanup) struct sql *sql = NULL;
    _cleanup_json_ json_t *sums = NULL;
    _cleanup_free_ char *position = exact_position(s);

    if (check_tables(w, s, err) < 0 || sql_open_at(s->socket, BACKUP_SQL_S, &sql, err) < 0)
        return -1;
    backup_say(w, "computes the checksums of its tables", 0);
    if (backup_sums(sql, NULL, &sums, err) < 0)
        return -1;
    *ret = json_pack("{s:I, s:I, s:O, s:s}", "verified", (json_int_t)clock_wall_ms(), "tables",
                     (json_int_t)json_object_size(sums), "checksums", sums, "position", position);
    return 0;
}

int backup_verify(const struct backup_work *w, const char *name, json_t **ret, struct err *err)
{
    const struct backup_conf *c = w->conf;
    _cleanup_free_ char *path = backup_path(c, name);
    _cleanup_json_ json_t *record = backup_record_load(c, name);
    _cleanup_json_ json_t *info = NULL;
    _cleanup_json_ json_t *found = NULL;
    const json_t *before = json_object_get(record, "checksums");
    struct scratch s = {0};
    struct err ignored;
    int r;

    if (backup_tidy(c, err) < 0 || (!fs_exists(path) && backup_get(w, name, err) < 0))
        return -1;
    r = backup_unpack(w, path, false, &info, err);
    if (r == 0)
        r = scratch_start(w, &s, err);
    if (r == 0)
        r = ask(w, &s, &found, err);
    scratch_stop(&s);
    backup_tidy(c, &ignored);
    if (r == 0 && before)
        r = backup_sums_compare(before, json_object_get(found, "checksums"), err);
    if (r < 0)
        return -1;
    json_object_update(record, found);
    *ret = json_incref(found);
    return backup_record_save(c, name, record, err);
}
