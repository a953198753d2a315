/* SPDX-License-Identifier: Apache-2.0 */
#include "common/text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/str.h"

/* The character at `s` and its length in bytes; 0: not UTF-8 (cut off, overlong, a surrogate). */
static size_t decode(const char *s, uint32_t *ret)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *u = (const unsigned char *)s;
    size_t n = *u < 0x80 ? 1 : *u < 0xc0 ? 0 : *u < 0xe0 ? 2 : *u < 0xf0 ? 3 : *u < 0xf8 ? 4 : 0;
    uint32_t c;

    if (n == 0)
        return 0;
    c = n == 1 ? *u : *u & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((u[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (u[i] & 0x3f);
    }
    if (n > 1 && (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)))
        return 0;
    *ret = c;
    return n;
}

static bool is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

void text_plain(char *s, bool lines)
{
    char *out = s;

    while (*s) {
        uint32_t c = 0;
        size_t n = decode(s, &c);

        if (n == 0 || (is_control(c) && !(lines && c == '\n'))) {
            *out++ = n && strchr("\t\n\r", (int)(c & 0x7f)) && c < 0x20 ? ' ' : '?';
            s += n ? n : 1;
            continue;
        }
        memmove(out, s, n);
        out += n;
        s += n;
    }
    *out = '\0';
}

void text_print(FILE *to, const char *fmt, ...)
{
    _cleanup_free_ char *s = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&s, fmt, ap) < 0)
        abort();
    va_end(ap);
    text_plain(s, true);
    fputs(s, to);
}

/* What ends a URL in a text. */
#define URL_ENDS " \t\n\"'<>()[]{},;"

/* Behind the '@', or NULL. */
static char *behind_login(char *host)
{
    char *end = host + strcspn(host, "/?#" URL_ENDS), *at = NULL;

    for (char *p = host; p < end; p++)
        if (*p == '@')
            at = p + 1;
    return at;
}

void text_hide_urls(char *s)
{
    while ((s = strstr(s, "://"))) {
        s += strlen("://");
        char *host = behind_login(s);

        if (host)
            memmove(s, host, strlen(host) + 1);
        s += strcspn(s, "?" URL_ENDS);
        if (*s != '?')
            continue;
        s++;
        char *end = s + strcspn(s, " \t\n\"'<>");

        for (int i = 0; i < 3 && s < end; i++)
            *s++ = '.';
        memmove(s, end, strlen(end) + 1);
    }
}

bool text_url_has_login(const char *url)
{
    const char *host = strstr(url, "://");

    return host && behind_login((char *)host + strlen("://"));
}

bool text_is_name(const char *s)
{
    return s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                       ":-_./+@,=~")] == '\0';
}
