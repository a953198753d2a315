/* SPDX-License-Identifier: Apache-2.0 */
/* `muster-agent backup`: what an operator does with the backups of a node. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/ipc/cmd.h"
#include "agent/ipc/paths.h"
#include "agent/worker/backup.h"
#include "agent/worker/verbs.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/str.h"
#include "common/text.h"

#define COPY_BYTES 65536

struct args {
    bool json, key;
    const char *because, *confirm;
    const char *words[3];
    int n_words;
};

static int args_read(int argc, char **argv, struct args *a, struct err *err)
{
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;

        if (str_eq(argv[i], "--json"))
            a->json = true;
        else if (str_eq(argv[i], "--key"))
            a->key = true;
        else if (str_eq(argv[i], "--because") && more)
            a->because = argv[++i];
        else if (str_eq(argv[i], "--confirm") && more)
            a->confirm = argv[++i];
        else if (argv[i][0] == '-' || a->n_words == 3)
            return err_set(err, ERR_USAGE, "'%s' is not understood", argv[i]);
        else
            a->words[a->n_words++] = argv[i];
    }
    return a->n_words ? 0 : err_set(err, ERR_USAGE, "backup: now, list, verify NAME, …");
}

static void print_json(const json_t *j)
{
    _cleanup_free_ char *text = json_dumps(j, JSON_ENSURE_ASCII | JSON_SORT_KEYS);

    puts(text);
}

static int named(const struct args *a, const char **ret, struct err *err)
{
    if (a->n_words != 2)
        return err_set(err, ERR_USAGE, "name the backup; 'muster-agent backup list' has them");
    if (!backup_name_valid(a->words[1]))
        return err_set(err, ERR_USAGE, "'%.100s' is no name of a backup", a->words[1]);
    *ret = a->words[1];
    return 0;
}

/* --- what there is --------------------------------------------------------------------------- */

static void date_of(uint64_t at, char ret[24])
{
    time_t t = (time_t)(at / 1000);
    struct tm tm;

    ret[0] = '\0';
    if (at && gmtime_r(&t, &tm))
        strftime(ret, 24, "%Y-%m-%d %H:%M UTC", &tm);
}

static void print_one(const json_t *b)
{
    const char *problem = js_opt_str(b, "problem", ""), *put = js_opt_str(b, "put", "");
    uint64_t verified = js_opt_u64(b, "verified", 0);
    char made[24], seen[24];

    date_of(js_opt_u64(b, "at", 0), made);
    date_of(verified, seen);
    text_print(stdout, "%-44s %-21s %8.1f MB %6.1f s  %s%s\n", js_opt_str(b, "name", ""), made,
               (double)js_opt_u64(b, "bytes", 0) / 1e6, (double)js_opt_u64(b, "took_ms", 0) / 1e3,
               verified ? "verified " : "never verified", seen);
    if (*problem)
        text_print(stdout, "  not usable: %s\n", problem);
    if (*put && !str_eq(put, "done"))
        text_print(stdout, "  not taken elsewhere: %s\n", put);
}

static int list(const struct args *a, struct err *err)
{
    struct backup_here h;
    struct err why = {0};
    unsigned strange = 0;
    size_t i;
    json_t *b;

    if (backup_here_open(&h, err) < 0) {
        backup_here_close(&h);
        return -1;
    }
    _cleanup_json_ json_t *all = backup_list(&h.conf, &strange, err);
    if (!all) {
        backup_here_close(&h);
        return -1;
    }
    if (a->json) {
        bool ready = backup_possible(&h.conf, &why) == 0;
        _cleanup_json_ json_t *j =
            json_pack("{s:s, s:b, s:b, s:o, s:i, s:O}", "node", h.conf.node, "ready", ready,
                      "drains", fs_exists(PATH_DRAIN), "why", js_string(why.msg), "strange",
                      (int)strange, "backups", all);

        print_json(j);
    } else {
        json_array_foreach(all, i, b) print_one(b);
        if (!json_array_size(all))
            puts("no backup lies on this node");
        if (strange)
            printf("%u other file%s there, whose name is none of a backup\n", strange,
                   strange == 1 ? " lies" : "s lie");
    }
    backup_here_close(&h);
    return 0;
}

static int delete (const struct args *a, struct err *err)
{
    struct backup_here h;
    const char *name = NULL;

    if (named(a, &name, err) < 0)
        return -1;
    int r = backup_here_open(&h, err);
    if (r == 0)
        r = backup_delete(&h.conf, name, err);
    backup_here_close(&h);
    return r;
}

/* --- what works on data ---------------------------------------------------------------------- */

static int now(const struct args *a, struct err *err)
{
    _cleanup_json_ json_t *done = NULL;

    if (a->n_words != 1)
        return err_set(err, ERR_USAGE, "backup now: takes no name");
    if (backup_work_start((const char *const[]){"now", NULL}, a->json, &done, err) < 0)
        return -1;
    if (a->json)
        print_json(done);
    else
        text_print(stdout, "%s: %.1f MB in %.1f s, at %s\n", js_opt_str(done, "name", ""),
                   (double)js_opt_u64(done, "bytes", 0) / 1e6,
                   (double)js_opt_u64(done, "took_ms", 0) / 1e3, js_opt_str(done, "position", "?"));
    return 0;
}

static int verify(const struct args *a, struct err *err)
{
    _cleanup_json_ json_t *done = NULL;
    const char *name = NULL;

    if (named(a, &name, err) < 0 ||
        backup_work_start((const char *const[]){"verify", name, NULL}, a->json, &done, err) < 0)
        return -1;
    if (a->json)
        print_json(done);
    else
        text_print(stdout, "%s can be restored: %llu tables, at %s\n", name,
                   (unsigned long long)js_opt_u64(done, "tables", 0),
                   js_opt_str(done, "position", "?"));
    return 0;
}

static void print_names(const char *before, const json_t *names, const char *behind)
{
    size_t i;
    json_t *n;

    if (!json_array_size(names))
        return;
    printf("%s", before);
    json_array_foreach(names, i, n) text_print(stdout, "%s%s", i ? ", " : "", json_string_value(n));
    printf("%s\n", behind);
}

static void print_restored(const json_t *done)
{
    unsigned long long links = js_opt_u64(done, "links", 0);

    print_names("restored: ", json_object_get(done, "databases"), "");
    printf("%llu tables, each with the checksum that it has in the backup; %llu files\n",
           (unsigned long long)js_opt_u64(done, "tables", 0),
           (unsigned long long)js_opt_u64(done, "files", 0));
    print_names("not in the backup, and left as they are: ", json_object_get(done, "kept"), "");
    if (links)
        printf("%llu links that lead out of their directory were left out\n", links);
    puts("accounts are not restored; files that are not in the backup stay");
}

/* The name is typed, or was given beside the verb. */
static int confirm(const struct args *a, const char *deployment, struct err *err)
{
    char line[128] = "";

    if (a->confirm && !str_eq(a->confirm, deployment))
        return err_set(err, ERR_USAGE, "--confirm names '%s', and this is '%s'", a->confirm,
                       deployment);
    if (a->confirm)
        return 0;
    printf("The databases of the backup take the place of those of %s. Type its name to go on: ",
           deployment);
    fflush(stdout);
    if (fgets(line, sizeof(line), stdin))
        line[strcspn(line, "\r\n")] = '\0';
    return str_eq(line, deployment)
               ? 0
               : err_set(err, ERR_SAFETY,
                         "nothing was done: the name was not typed (--confirm %s does it without "
                         "asking)",
                         deployment);
}

/* From stdin, never in an argument. */
static int take_key(struct err *err)
{
    char line[256] = "";
    uint8_t key[KEY_SIZE];
    int r = fgets(line, sizeof(line), stdin) ? backup_key_parse(line, key, err)
                                             : err_set(err, ERR_USAGE, "no key came on stdin");

    if (r == 0)
        r = fs_write_atomic(PATH_BACKUP_KEY, line, strlen(line), 0600, err);
    keys_wipe(line, sizeof(line));
    keys_wipe(key, sizeof(key));
    return r;
}

static int restore(const struct args *a, struct err *err)
{
    struct backup_here h;
    _cleanup_json_ json_t *done = NULL;
    const char *name = BACKUP_RECEIVED;

    if (!(a->n_words == 2 && str_eq(a->words[1], BACKUP_RECEIVED)) && named(a, &name, err) < 0)
        return -1;
    int r = backup_here_open(&h, err);
    if (r == 0)
        r = confirm(a, h.conf.deployment, err);
    backup_here_close(&h);
    if (r < 0 || (a->key && take_key(err) < 0) ||
        backup_work_start((const char *const[]){"restore", name, a->key ? "--key" : NULL, NULL},
                          a->json, &done, err) < 0)
        return -1;
    if (a->json)
        print_json(done);
    else
        print_restored(done);
    return 0;
}

/* --- to and from an operator's machine ------------------------------------------------------- */

static int copy(int from, int to, struct keys_hash *h, uint64_t *ret, struct err *err)
{
    static char buf[COPY_BYTES];
    uint64_t sum = 0;

    for (;;) {
        ssize_t n = read(from, buf, sizeof(buf));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, errno, "read");
        if (n == 0)
            break;
        if (h)
            keys_hash_add(h, buf, (size_t)n);
        for (ssize_t at = 0; at < n;) {
            ssize_t m = write(to, buf + at, (size_t)(n - at));

            if (m < 0 && errno != EINTR)
                return err_errno(err, errno, "write");
            at += m < 0 ? 0 : m;
        }
        sum += (uint64_t)n;
    }
    *ret = sum;
    return 0;
}

static int send(const struct args *a, struct err *err)
{
    struct backup_here h;
    struct backup_head head;
    const char *name = NULL;
    uint64_t n;

    if (named(a, &name, err) < 0)
        return -1;
    int r = backup_here_open(&h, err);
    _cleanup_free_ char *path = r == 0 ? backup_path(&h.conf, name) : NULL;
    if (r == 0)
        r = backup_head_read(path, &head, err);
    _cleanup_close_ int fd = r == 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (r == 0)
        r = fd < 0 ? err_errno(err, errno, "%s", path) : copy(fd, 1, NULL, &n, err);
    backup_here_close(&h);
    return r;
}

static int take_file(const struct backup_conf *c, uint64_t bytes, const char *sha, struct err *err)
{
    _cleanup_free_ char *path = str_fmt("%s/" BACKUP_DIRECTORY "/" BACKUP_RECEIVED, c->mount);
    _cleanup_close_ int fd = -1;
    struct backup_head head;
    uint64_t room = 0, n = 0;
    char found[SHA256_HEX_SIZE];

    if (backup_directory(c, err) < 0 || fs_free(c->mount, &room, err) < 0)
        return -1;
    if (room / 2 < bytes)
        return err_set(err, ERR_SAFETY, "%s has no room for the file and what is in it", c->mount);
    unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(err, errno, "%s", path);
    struct keys_hash *h = keys_hash_new();
    int r = copy(0, fd, h, &n, err);
    keys_hash_end(h, found);
    if (r == 0 && (n != bytes || !str_eq(found, sha)))
        r = err_set(err, ERR_FAILED, "it did not come whole: %llu of %llu bytes",
                    (unsigned long long)n, (unsigned long long)bytes);
    if (r == 0 && fsync(fd) < 0)
        r = err_errno(err, errno, "sync %s", path);
    if (r == 0)
        r = backup_head_read(path, &head, err);
    if (r < 0)
        unlink(path);
    return r;
}

static int receive(const struct args *a, struct err *err)
{
    struct backup_here h;
    uint64_t bytes = 0;

    if (a->n_words != 3 || str_to_u64(a->words[1], INT64_MAX, &bytes) < 0 ||
        !keys_sha256_valid(a->words[2]))
        return err_set(err, ERR_USAGE, "backup receive BYTES SHA256");
    int r = backup_here_open(&h, err);
    if (r == 0)
        r = take_file(&h.conf, bytes, a->words[2], err);
    backup_here_close(&h);
    return r;
}

static int close_site(const struct args *a, struct err *err)
{
    return backup_close_site(a->because ? a->because : "a restore is under way", err);
}

static int open_site(const struct args *a, struct err *err)
{
    (void)a;
    return backup_open_site(err);
}

static int tidy(const struct args *a, struct err *err)
{
    (void)a;
    return backup_work_tidy(err);
}

static int turn(const struct args *a, struct err *err)
{
    uint64_t period = 0;
    bool done = false;

    if (a->n_words != 2 || str_to_u64(a->words[1], INT64_MAX, &period) < 0)
        return err_set(err, ERR_USAGE, "backup turn PERIOD");
    if (backup_work_turn(period, &done, err) < 0)
        return -1;
    return done ? 0 : err_set(err, ERR_CHANGES, "not yet");
}

int cmd_backup(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(const struct args *a, struct err *err);
    } verbs[] = {
        {"now", now},         {"list", list}, {"verify", verify},   {"delete", delete},
        {"restore", restore}, {"send", send}, {"receive", receive}, {"close", close_site},
        {"open", open_site},  {"tidy", tidy}, {"turn", turn},
    };
    struct args a = {0};
    struct err err = {0};
    size_t i = 0;

    if (argc > 1 && str_eq(argv[1], "work"))
        return backup_work_main(argc - 2, argv + 2);
    if (args_read(argc, argv, &a, &err) < 0)
        return cmd_usage("backup", err.msg);
    while (i < ARRAY_LEN(verbs) && !str_eq(verbs[i].name, a.words[0]))
        i++;
    if (i == ARRAY_LEN(verbs))
        return cmd_usage("backup", "backup: now, list, verify, delete, restore, send, receive, "
                                   "close or open");
    if (geteuid() != 0)
        return cmd_usage("backup", "this needs root");
    if (verbs[i].run(&a, &err) < 0) {
        if (err.code == ERR_CHANGES)
            return ERR_CHANGES;
        return cmd_fail(&err);
    }
    return 0;
}
