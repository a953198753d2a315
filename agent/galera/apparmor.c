/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles of distributions let the database into their own default directory only; each includes a
 * file for the machine's additions. */
#include <stdlib.h>
#include <string.h>

#include "agent/galera/datadir.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"

#define LOADED "/sys/kernel/security/apparmor/profiles"
#define ETC "/etc/apparmor.d/"
#define PARSER "/usr/sbin/apparmor_parser"
#define BEGIN "# muster-agent begin\n"
#define END "# muster-agent end\n"

/* A profile's name in the kernel and its file. */
static const struct {
    const char *name, *local;
} profiles_known[] = {
    {"/usr/sbin/mariadbd", ETC "local/usr.sbin.mariadbd"},
    {"mariadbd", ETC "local/mariadbd"},
    {"/usr/sbin/mysqld", ETC "local/usr.sbin.mysqld"},
};

const char *apparmor_local(const char *profiles)
{
    for (size_t i = 0; i < ARRAY_LEN(profiles_known); i++) {
        size_t len = strlen(profiles_known[i].name);

        for (const char *line = profiles; line && *line;
             line = strchr(line, '\n'), line = line ? line + 1 : NULL)
            if (strncmp(line, profiles_known[i].name, len) == 0 &&
                strncmp(line + len, " (", 2) == 0)
                return profiles_known[i].local;
    }
    return NULL;
}

char *apparmor_with(const char *text, const char *dir)
{
    const char *begin = strstr(text, BEGIN), *end = begin ? strstr(begin, END) : NULL;
    int before = end ? (int)(begin - text) : (int)strlen(text);
    const char *newline = before && text[before - 1] != '\n' ? "\n" : "";

    return str_fmt("%.*s%s" BEGIN "\"%s/\" r,\n\"%s/**\" rwk,\n" END "%s", before, text, newline,
                   dir, dir, end ? end + strlen(END) : "");
}

/* The file, what it holds and what it should hold; *ret_path NULL when no profile is loaded. */
static int look(const char *dir, const char **ret_path, char **ret_have, char **ret_want,
                struct err *err)
{
    _cleanup_free_ char *loaded = NULL;
    struct err ignored;

    *ret_path = NULL;
    if (fs_read(LOADED, 1024 * 1024, &loaded, NULL, &ignored) < 0)
        return 0;
    const char *local = apparmor_local(loaded);
    if (!local)
        return 0;
    if (!fs_exists(local))
        *ret_have = xstrdup("");
    else if (fs_read(local, 1024 * 1024, ret_have, NULL, err) < 0)
        return -1;
    *ret_want = apparmor_with(*ret_have, dir);
    *ret_path = local;
    return 0;
}

int apparmor_check(const char *dir, struct err *err)
{
    const char *path;
    _cleanup_free_ char *have = NULL;
    _cleanup_free_ char *want = NULL;

    if (look(dir, &path, &have, &want, err) < 0)
        return -1;
    return !path || str_eq(have, want);
}

int apparmor_apply(const char *dir, struct err *err)
{
    const char *path;
    _cleanup_free_ char *have = NULL;
    _cleanup_free_ char *want = NULL;

    if (look(dir, &path, &have, &want, err) < 0)
        return -1;
    if (!path)
        return 0;
    _cleanup_free_ char *profile = str_fmt(ETC "%s", strrchr(path, '/') + 1);
    if (fs_mkdirs(ETC "local", 0755, err) < 0 ||
        (!str_eq(have, want) && fs_write_atomic(path, want, strlen(want), 0644, err) < 0))
        return -1;
    return proc_call(PROC_ARGV(PARSER, "--replace", profile), err);
}
