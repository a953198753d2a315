/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/app/sessions.h"

#include <string.h>

#include "agent/app/web.h"
#include "common/cleanup.h"
#include "common/str.h"
#include "sessions_template.h"

/* Within '' of PHP; the end of what it wrote. */
static char *put_quoted(char *to, const char *text)
{
    for (; *text; text++) {
        if (strchr("\\'", *text))
            *to++ = '\\';
        *to++ = *text;
    }
    return to;
}

char *sessions_code(const char *dsn, const char *user, const char *password)
{
    const struct {
        const char *name, *value;
    } vars[] = {{"@dsn@", dsn}, {"@user@", user}, {"@password@", password}};
    size_t cap = sizeof(sessions_template);

    for (size_t i = 0; i < ARRAY_LEN(vars); i++)
        cap += 2 * strlen(vars[i].value);
    char *ret = xcalloc(1, cap), *to = ret; /* in one piece: no copy of the password is left */
    for (const char *s = sessions_template; *s;) {
        size_t i = 0;

        while (i < ARRAY_LEN(vars) && !str_starts(s, vars[i].name))
            i++;
        if (i == ARRAY_LEN(vars)) {
            *to++ = *s++;
        } else {
            to = put_quoted(to, vars[i].value);
            s += strlen(vars[i].name);
        }
    }
    return ret;
}

char *sessions_conf(const char *root, const char *code)
{
    static const char *const modules[] = {"php_module", "php7_module"};
    struct strbuf b = {0};

    strbuf_adds(&b, WEB_MARK);
    for (size_t i = 0; i < ARRAY_LEN(modules); i++)
        strbuf_addf(&b,
                    "<IfModule %s>\n"
                    "    <Directory %s>\n"
                    "        php_admin_value auto_prepend_file %s\n"
                    "    </Directory>\n"
                    "</IfModule>\n",
                    modules[i], root, code);
    return b.s;
}
