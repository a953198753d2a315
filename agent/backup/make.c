/* SPDX-License-Identifier: Apache-2.0 */
/* Making one: the database while it works, then the files of the applications. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/backup/internal.h"
#include "agent/galera/datadir.h"
#include "agent/galera/galera.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/proc.h"
#include "common/str.h"

#define TICK_MS 1000
#define SILENT_MS (30 * 60 * 1000) /* a table that is locked for ever: mariabackup waits for it */

struct making {
    const struct backup_work *w;
    struct backup_writer *out;
    struct desync desync;
    uint64_t reserve, next_look;
    uint64_t parts[BACKUP_INFO]; /* compressed bytes of each */
};

int backup_possible(const struct backup_conf *c, struct err *err)
{
    char state[256];
    _cleanup_free_ char *apps = str_fmt("%s/muster-app", c->mount);
    enum galera_seen seen;

    if (!c->key)
        return err_set(err, ERR_USAGE,
                       "this node's plan has no backups: the section 'backup: {}' of the file "
                       "wants them; then muster up");
    if (access(BACKUP_TOOL, X_OK) < 0)
        return err_set(err, ERR_FAILED, BACKUP_TOOL " is not installed; muster up installs it");
    seen = galera_synced(state, sizeof(state));
    if (seen != GALERA_SYNCED || !str_eq(state, "Synced"))
        return err_set(err, ERR_SAFETY,
                       "the database here is '%.200s': only one that is Synced, and gives or gets "
                       "no state transfer, is copied",
                       state);
    /* A compressed copy takes less than half, as a rule. */
    return backup_room(c, (datadir_bytes(c->datadir) + backup_tree_bytes(apps)) / 2, "a backup",
                       err);
}

static int look(struct making *m, const char *phase, struct err *err)
{
    uint64_t room = 0, now = clock_mono_ms();

    if (now < m->next_look)
        return 0;
    m->next_look = now + TICK_MS;
    desync_look(&m->desync);
    backup_say(m->w, phase, backup_written(m->out));
    if (fs_free(m->w->conf->mount, &room, err) < 0)
        return -1;
    return room >= m->reserve
               ? 0
               : err_set(err, ERR_SAFETY,
                         "%s has become too full for it: what is left is the database's",
                         m->w->conf->mount);
}

/* All that the pipeline says goes into that part. */
static int copy(struct making *m, struct pipeline *p, enum backup_part part, const char *phase,
                struct err *err)
{
    static uint8_t buf[65536];
    uint64_t last = clock_mono_ms();

    for (;;) {
        struct pollfd fd = {.fd = p->fd, .events = POLLIN};
        int ready = poll(&fd, 1, TICK_MS);
        ssize_t n = ready > 0 ? read(p->fd, buf, sizeof(buf)) : -1;

        if (look(m, phase, err) < 0)
            return -1;
        if (ready > 0 && n == 0)
            return 0;
        if (ready > 0 && n < 0 && errno != EINTR)
            return err_errno(err, errno, "read from %s", p->program[1]);
        if (n > 0 && backup_write(m->out, part, buf, (size_t)n, err) < 0)
            return -1;
        if (n > 0) {
            m->parts[part] += (uint64_t)n;
            last = clock_mono_ms();
        }
        if (clock_mono_ms() - last > SILENT_MS)
            return err_set(err, ERR_TIMEOUT, "%s has not come further for %d minutes",
                           p->program[0], SILENT_MS / 60000);
    }
}

static int run(struct making *m, const char *const argv[], const char *how, enum backup_part part,
               const char *phase, int tolerated, char **ret_said, struct err *err)
{
    struct pipeline p;

    if (pipeline_read(argv, pipeline_compress(how), &p, err) < 0)
        return -1;
    p.tolerated = tolerated;
    if (copy(m, &p, part, phase, err) < 0) {
        pipeline_abort(&p);
        return -1;
    }
    if (ret_said)
        *ret_said = pipeline_said(&p, 0);
    return pipeline_end(&p, err);
}

/* "Writing Galera info succeeded with UUID:SEQNO GTID" */
static char *position_said(const char *said)
{
    static const char words[] = "Galera info succeeded with ";
    const char *at = strstr(said, words);
    size_t n;

    if (!at)
        return xstrdup("");
    at += strlen(words);
    n = strspn(at, "0123456789abcdef-:");
    return str_fmt("%.*s", (int)(n < 64 ? n : 64), at);
}

static int database(struct making *m, const char *how, char **ret_position, struct err *err)
{
    const struct backup_conf *c = m->w->conf;
    _cleanup_free_ char *dir = backup_work_path(c, "copy");
    _cleanup_free_ char *target = str_fmt("--target-dir=%s", dir);
    _cleanup_free_ char *said = NULL;
    int r;

    if (fs_mkdirs(dir, 0700, err) < 0)
        return -1;
    desync_begin(&m->desync);
    r = run(m,
            PROC_ARGV(BACKUP_TOOL, "--no-defaults", "--backup", "--stream=mbstream",
                      "--galera-info", "--user=root", "--socket=" SQL_SOCKET, target),
            how, BACKUP_DATABASE, "copies the database", 0, &said, err);
    desync_end(&m->desync);
    if (r == 0)
        *ret_position = position_said(said);
    return r;
}

/* Its exit code 1 says that a file has changed meanwhile: uploads go on. */
static int files(struct making *m, const char *how, struct err *err)
{
    static const char *const options[] = {"/usr/bin/tar",
                                          "--create",
                                          "--file=-",
                                          "--numeric-owner",
                                          "--warning=no-file-changed",
                                          "--warning=no-file-ignored",
                                          "--ignore-failed-read",
                                          "--exclude=.stfolder",
                                          "--exclude=.stignore",
                                          "--exclude=.stversions",
                                          "--exclude=.syncthing.*"};
    const struct backup_conf *c = m->w->conf;
    size_t n = ARRAY_LEN(options), apps = json_array_size(c->apps), i;
    _cleanup_free_ char *dir = str_fmt("--directory=%s/muster-app", c->mount);
    _cleanup_free_ const char **argv = xcalloc(n + apps + 3, sizeof(*argv));
    size_t before;
    json_t *app;

    memcpy(argv, options, sizeof(options));
    argv[n++] = dir;
    argv[n++] = "--";
    before = n;
    json_array_foreach(c->apps, i, app)
    {
        _cleanup_free_ char *path = str_fmt("%s/muster-app/%s", c->mount, json_string_value(app));

        if (fs_exists(path))
            argv[n++] = json_string_value(app);
    }
    return n == before
               ? 0
               : run(m, argv, how, BACKUP_FILES, "copies the applications' files", 1, NULL, err);
}

static int server_version(char *ret, size_t cap, struct err *err)
{
    _cleanup_(sql_cleanup) struct sql *s = NULL;

    return sql_open(30, &s, err) < 0 ? -1 : sql_text(s, "SELECT @@version", ret, cap, err);
}

static int fill(struct making *m, const struct backup_head *h, uint64_t begun, json_t **ret_record,
                struct err *err)
{
    _cleanup_free_ char *position = NULL;
    _cleanup_json_ json_t *info = NULL;
    char sha[SHA256_HEX_SIZE];

    if (database(m, h->compress, &position, err) < 0 || files(m, h->compress, err) < 0)
        return -1;
    info = json_pack("{s:s, s:I, s:I}", "position", position, "database_part",
                     (json_int_t)m->parts[BACKUP_DATABASE], "files_part",
                     (json_int_t)m->parts[BACKUP_FILES]);
    _cleanup_free_ char *text = js_text(info);
    if (backup_writer_end(m->out, text, sha, err) < 0)
        return -1;
    json_object_set_new(info, "sha256", json_string(sha));
    json_object_set_new(info, "took_ms", json_integer((json_int_t)(clock_mono_ms() - begun)));
    *ret_record = TAKE(info);
    return 0;
}

/* Its name is there when all of it is on the disk. */
static int publish(const struct backup_conf *c, const char *part, const char *name,
                   const json_t *record, struct err *err)
{
    _cleanup_free_ char *path = backup_path(c, name);

    if (fs_exists(path))
        return err_set(err, ERR_FAILED, "%s is there already", path);
    if (backup_record_save(c, name, record, err) < 0)
        return -1;
    return rename(part, path) < 0 ? err_errno(err, errno, "rename %s", part)
                                  : fs_sync_parent(path, err);
}

static void forget_old(const struct backup_conf *c)
{
    unsigned strange;
    struct err ignored; /* of what cannot be looked at, nothing goes */
    _cleanup_json_ json_t *list = backup_list(c, &strange, &ignored);
    _cleanup_json_ json_t *surplus = backup_surplus(list, c->deployment, c->keep);
    size_t i;
    json_t *name;

    json_array_foreach(surplus, i, name) backup_delete(c, json_string_value(name), &ignored);
}

int backup_make(const struct backup_work *w, char *ret_name, struct err *err)
{
    const struct backup_conf *c = w->conf;
    struct making m = {.w = w};
    struct backup_head h = {.at = clock_wall_ms()};
    _cleanup_free_ char *work = NULL, *apps = NULL;
    _cleanup_json_ json_t *record = NULL;
    uint64_t begun = clock_mono_ms();
    int r;

    if (backup_directory(c, err) < 0 || backup_tidy(c, err) < 0 || backup_possible(c, err) < 0 ||
        backup_reserve(c->mount, &m.reserve, err) < 0 ||
        server_version(h.server, sizeof(h.server), err) < 0)
        return -1;
    backup_name_make(c->deployment, c->node, h.at, h.name);
    str_copy(h.deployment, sizeof(h.deployment), c->deployment);
    str_copy(h.node, sizeof(h.node), c->node);
    str_copy(h.compress, sizeof(h.compress), access("/usr/bin/zstd", X_OK) == 0 ? "zstd" : "gzip");
    backup_key_id(w->key, h.key_id);
    apps = str_fmt("%s/muster-app", c->mount);
    h.database_bytes = datadir_bytes(c->datadir);
    h.files_bytes = backup_tree_bytes(apps);
    work = str_fmt("%s/" BACKUP_DIRECTORY "/.%s.part", c->mount, h.name);
    if (backup_writer_open(work, &h, w->key, &m.out, err) < 0)
        return -1;
    r = fill(&m, &h, begun, &record, err);
    backup_writer_free(m.out);
    if (r == 0)
        r = publish(c, work, h.name, record, err);
    if (r < 0) {
        struct err ignored;

        unlink(work);
        backup_tidy(c, &ignored);
        return -1;
    }
    str_copy(ret_name, BACKUP_NAME_MAX, h.name);
    forget_old(c);
    return 0;
}
