/* SPDX-License-Identifier: Apache-2.0 */
#include "common/visit.h"

#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/str.h"

bool visit_path_valid(const char *path)
{
    if (*path != '/')
        return false;
    for (; *path; path++)
        if ((unsigned char)*path <= ' ' || *path == 0x7f)
            return false;
    return true;
}

/* Applications that are not installed, or wait for the upgrade of their data, send visitors there.
 */
static bool is_installer(const char *location)
{
    static const char *const words[] = {"install", "upgrade", "setup", "mw-config"};
    const char *path = strstr(location, "://");

    path = path ? strchr(path + 3, '/') : location;
    for (size_t i = 0; path && i < ARRAY_LEN(words); i++)
        if (strcasestr(path, words[i]))
            return true;
    return false;
}

static bool starts(const struct visit_answer *a, const char *text)
{
    size_t len = strlen(text);

    return a->len >= len && memcmp(a->body, text, len) == 0;
}

void visit_judge(const struct visit_wanted *w, const struct visit_answer *a,
                 char why[VISIT_WHY_MAX])
{
    const char *to = a->location;

    why[0] = '\0';
    if (starts(a, "<?php"))
        str_copy(why, VISIT_WHY_MAX,
                 "the site serves its code as text: PHP is not active in Apache");
    else if (a->status < 200 || a->status >= 400)
        snprintf(why, VISIT_WHY_MAX, "the site answers HTTP %ld at %.100s", a->status, w->path);
    else if (to && is_installer(to))
        snprintf(why, VISIT_WHY_MAX,
                 "%.80s sends visitors to %.120s: the application is not installed", w->path, to);
    else if (w->stated && a->status >= 300)
        snprintf(why, VISIT_WHY_MAX, "%.80s sends visitors to %.120s (HTTP %ld)", w->path,
                 to ? to : "nowhere", a->status);
    else if (w->expect[0] && !memmem(a->body, a->len, w->expect, strlen(w->expect)))
        snprintf(why, VISIT_WHY_MAX, "%.80s does not say '%.120s'", w->path, w->expect);
}
