/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/apt_journal.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/paths.h"
#include "common/cleanup.h"
#include "common/fs.h"

#define INFO "/var/lib/dpkg/info"
#define BEFORE PATH_STATE "/packages-before" /* "\nNAME\nNAME\n" */
#define ALIVE PATH_RUN "/installing"         /* gone when the machine starts */
#define BEFORE_MAX (4 * 1024 * 1024)

bool apt_journal_open(void)
{
    return fs_exists(BEFORE);
}

bool apt_journal_lost(void)
{
    return fs_exists(BEFORE) && !fs_exists(ALIVE);
}

/* The names of all packages that dpkg has files of, those in `except` left out. */
static int list(const char *except, char separator, struct strbuf *ret, struct err *err)
{
    _cleanup_closedir_ DIR *dir = opendir(INFO);
    if (!dir)
        return err_errno(err, errno, "read " INFO);
    for (struct dirent *e; (e = readdir(dir));) {
        if (!str_ends(e->d_name, ".list"))
            continue;
        _cleanup_free_ char *name =
            str_fmt("\n%.*s\n", (int)(strlen(e->d_name) - strlen(".list")), e->d_name);
        if (!strstr(except, name))
            strbuf_addf(ret, "%.*s%c", (int)(strlen(name) - 2), name + 1, separator);
    }
    return 0;
}

int apt_journal_mended(struct err *err)
{
    if (fs_mkdirs(PATH_RUN, 0755, err) < 0)
        return -1;
    return fs_write_atomic(ALIVE, "", 0, 0600, err);
}

int apt_journal_begin(struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf names = {0};
    if (apt_journal_open())
        return 0;
    strbuf_adds(&names, "\n");
    if (list("", '\n', &names, err) < 0 || apt_journal_mended(err) < 0 ||
        fs_mkdirs(PATH_STATE, 0711, err) < 0)
        return -1;
    return fs_write_atomic(BEFORE, names.s, names.len, 0600, err);
}

int apt_journal_new(struct strbuf *ret, struct err *err)
{
    _cleanup_free_ char *before = NULL;
    if (fs_read(BEFORE, BEFORE_MAX, &before, NULL, err) < 0)
        return -1;
    return list(before, ' ', ret, err);
}

int apt_journal_done(struct err *err)
{
    static const char *const places[] = {"/", "/etc", "/usr", "/var"};
    if (!apt_journal_open())
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        if (fs_sync_filesystem(places[i], err) < 0)
            return -1;
    if (unlink(BEFORE) < 0)
        return err_errno(err, errno, "remove " BEFORE);
    return fs_sync_parent(BEFORE, err);
}
