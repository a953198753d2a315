/* SPDX-License-Identifier: Apache-2.0 */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/app/web.h"
#include "agent/sys/svc.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"

#define A2ENMOD "/usr/sbin/a2enmod"
#define A2DISMOD "/usr/sbin/a2dismod"
#define MPM "mpm_prefork" /* the only one for which Debian builds PHP's module */

/* The newest of the module's versions below etc/`directory`, such as "php8.2"; "" for none. */
static void newest(const char *etc, const char *directory, char *ret, size_t cap)
{
    glob_t found = {0};
    _cleanup_free_ char *pattern = str_fmt("%s/%s/php[0-9]*.load", etc, directory);

    *ret = '\0';
    if (glob(pattern, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++) {
            const char *name = strrchr(found.gl_pathv[i], '/') + 1;
            size_t len = strlen(name) - strlen(".load");

            if (len < cap && fs_exists(found.gl_pathv[i]) && strverscmp(name, ret) > 0)
                snprintf(ret, cap, "%.*s", (int)len, name);
        }
    globfree(&found);
}

const char *web_php_missing(const char *etc)
{
    char php[32];
    _cleanup_free_ char *mpm = str_fmt("%s/mods-enabled/" MPM ".load", etc);

    newest(etc, "mods-enabled", php, sizeof(php));
    return !*php             ? "its module is not enabled"
           : !fs_exists(mpm) ? "it needs " MPM ", which is not enabled"
                             : NULL;
}

const char *web_php_newer(int64_t loaded)
{
    char php[32];

    newest(WEB_ETC, "mods-enabled", php, sizeof(php));
    _cleanup_free_ char *path = str_fmt(WEB_ETC "/mods-enabled/%s.load", php);
    return svc_changed_after(path, loaded) ||
                   svc_changed_after(WEB_ETC "/mods-enabled/" MPM ".load", loaded)
               ? "the module of PHP"
               : NULL;
}

int web_php_enable(struct err *err)
{
    static const char *const others[] = {"mpm_event", "mpm_worker"};
    char php[32];

    newest(WEB_ETC, "mods-enabled", php, sizeof(php));
    if (!*php)
        newest(WEB_ETC, "mods-available", php, sizeof(php));
    if (!*php)
        return err_set(err, ERR_FAILED,
                       "PHP is not active in Apache; the plan must install libapache2-mod-php");
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        _cleanup_free_ char *path = str_fmt(WEB_ETC "/mods-enabled/%s.load", others[i]);

        if (fs_exists(path) && proc_call(PROC_ARGV(A2DISMOD, "-q", "-f", others[i]), err) < 0)
            return -1;
    }
    return proc_call(PROC_ARGV(A2ENMOD, "-q", MPM), err) < 0 ||
                   proc_call(PROC_ARGV(A2ENMOD, "-q", php), err) < 0
               ? -1
               : 0;
}
