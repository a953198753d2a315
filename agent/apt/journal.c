/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/apt/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/apt/apt.h"
#include "agent/apt/dpkg.h"
#include "agent/ipc/paths.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"

#define DB "/var/lib/dpkg/"
#define INFO DB "info"
#define DIR_OPEN PATH_STATE "/installing"
#define BEFORE DIR_OPEN "/packages"  /* "\nNAME\nNAME\n"; while it is there, it is open */
#define ALIVE PATH_RUN "/installing" /* gone when the machine starts */
#define ROLLED_BACK "rolled back\n"
#define SIZE_MAX_READ (64 * 1024 * 1024)

/* Rewritten as a whole and renamed without a sync; with what is found then, dpkg, apt or ucf would
 * not run. */
static const char *const fragile[] = {DB "triggers/File", DB "triggers/Unincorp",
                                      "/var/lib/apt/extended_states", "/var/lib/ucf/hashfile",
                                      "/var/lib/ucf/registry"};

bool apt_journal_open(void)
{
    return fs_exists(BEFORE);
}

bool apt_journal_lost(void)
{
    return fs_exists(BEFORE) && !fs_exists(ALIVE);
}

bool apt_journal_rolled_back(void)
{
    _cleanup_free_ char *text = NULL;
    struct err err;

    return apt_journal_open() && fs_read(ALIVE, 64, &text, NULL, &err) == 0 &&
           str_eq(text, ROLLED_BACK);
}

/* Calls fn for each file of dpkg about a package; "NAME.SUFFIX" and NAME, with ":ARCH" or without.
 */
static int each_info(int (*fn)(void *ctx, const char *file, const char *name, struct err *err),
                     void *ctx, struct err *err)
{
    _cleanup_closedir_ DIR *dir = opendir(INFO);

    if (!dir)
        return err_errno(err, errno, "read " INFO);
    for (struct dirent *e; (e = readdir(dir));) {
        const char *dot = strrchr(e->d_name, '.');

        if (!dot || e->d_name[0] == '.')
            continue;
        _cleanup_free_ char *name = str_fmt("%.*s", (int)(dot - e->d_name), e->d_name);
        if (fn(ctx, e->d_name, name, err) < 0)
            return -1;
    }
    return 0;
}

/* --- the beginning ------------------------------------------------------------------------- */

static int note_name(void *ctx, const char *file, const char *name, struct err *err)
{
    (void)err;
    if (str_ends(file, ".list"))
        strbuf_addf(ctx, "%s\n", name);
    return 0;
}

static int alive(const char *text, struct err *err)
{
    if (fs_mkdirs(PATH_RUN, 0755, err) < 0)
        return -1;
    return fs_write_atomic(ALIVE, text, strlen(text), 0600, err);
}

/* A file that is not there leaves no copy. */
static int copy(const char *from, const char *to, struct err *err)
{
    _cleanup_free_ char *text = NULL;
    size_t len = 0;

    if (!fs_exists(from))
        return unlink(to) == 0 || errno == ENOENT ? 0 : err_errno(err, errno, "remove %s", to);
    if (fs_read(from, SIZE_MAX_READ, &text, &len, err) < 0)
        return -1;
    return fs_write_atomic(to, text, len, 0644, err);
}

static char *copy_of(size_t i)
{
    return str_fmt(DIR_OPEN "/%zu", i);
}

int apt_journal_begin(struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf names = {0};

    if (apt_journal_open())
        return 0;
    strbuf_adds(&names, "\n");
    if (each_info(note_name, &names, err) < 0 || alive("", err) < 0 ||
        fs_mkdirs(DIR_OPEN, 0700, err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(fragile); i++) {
        _cleanup_free_ char *to = copy_of(i);

        if (copy(fragile[i], to, err) < 0)
            return -1;
    }
    return fs_write_atomic(BEFORE, names.s, names.len, 0600, err);
}

/* --- back ---------------------------------------------------------------------------------- */

static bool was_there(const char *before, const char *name)
{
    _cleanup_free_ char *line = str_fmt("\n%s\n", name);

    return strstr(before, line) != NULL;
}

static int drop_conffiles(void *before, const char *file, const char *name, struct err *err)
{
    _cleanup_free_ char *path = str_fmt(INFO "/%s", file);
    _cleanup_free_ char *text = NULL;
    char *save = NULL;

    if (!str_ends(file, ".conffiles") || was_there(before, name))
        return 0;
    if (fs_read(path, SIZE_MAX_READ, &text, NULL, err) < 0)
        return -1;
    for (char *f = strtok_r(text, "\n", &save); f; f = strtok_r(NULL, "\n", &save))
        if (f[0] == '/' && unlink(f) < 0 && errno != ENOENT)
            return err_errno(err, errno, "remove %s", f);
    return 0;
}

static int drop_info(void *before, const char *file, const char *name, struct err *err)
{
    _cleanup_free_ char *path = str_fmt(INFO "/%s", file);

    if (was_there(before, name))
        return 0;
    return unlink(path) < 0 ? err_errno(err, errno, "remove %s", path) : 0;
}

static int lock(int *ret_fd, struct err *err)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    *ret_fd = open(DB "lock-frontend", O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (*ret_fd < 0 || fcntl(*ret_fd, F_SETLK, &l) < 0)
        return err_errno(err, errno, "lock the package system");
    return 0;
}

int apt_journal_roll_back(struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf left = {0};
    _cleanup_free_ char *before = NULL;
    _cleanup_free_ char *status = NULL;
    _cleanup_close_ int fd = -1;
    size_t len = 0;

    for (size_t i = 0; i < ARRAY_LEN(fragile); i++) {
        _cleanup_free_ char *from = copy_of(i);

        if (copy(from, fragile[i], err) < 0)
            return -1;
    }
    /* Merges its journal into its status, and changes nothing. */
    if (proc_call(PROC_ARGV(DPKG, "--set-selections"), err) < 0 || lock(&fd, err) < 0 ||
        fs_read(BEFORE, SIZE_MAX_READ, &before, NULL, err) < 0 ||
        fs_read(DB "status", SIZE_MAX_READ, &status, &len, err) < 0)
        return -1;
    dpkg_keep(status, len, before, &left);
    /* The names of later packages come from their files: those go last. */
    if (each_info(drop_conffiles, before, err) < 0 ||
        fs_write_atomic(DB "status", strbuf_str(&left), left.len, 0644, err) < 0 ||
        each_info(drop_info, before, err) < 0)
        return -1;
    unlink("/var/cache/apt/pkgcache.bin");
    unlink("/var/cache/apt/srcpkgcache.bin");
    return alive(ROLLED_BACK, err); /* another kill needs no more than to go on */
}

/* --- the end ------------------------------------------------------------------------------- */

int apt_journal_done(struct err *err)
{
    static const char *const places[] = {"/", "/etc", "/usr", "/var"};

    if (!apt_journal_open())
        return 0;
    struct stat before = {0}, st;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        if (stat(places[i], &st) < 0)
            return err_errno(err, errno, "%s", places[i]);
        if ((i == 0 || st.st_dev != before.st_dev) && fs_sync_filesystem(places[i], err) < 0)
            return -1;
        before = st;
    }
    if (unlink(BEFORE) < 0)
        return err_errno(err, errno, "remove " BEFORE);
    return fs_remove_tree(DIR_OPEN, err);
}
