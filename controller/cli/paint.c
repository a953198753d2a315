/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cli/paint.h"

#include <stdint.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/text.h"

static const char *const tone_codes[] = {
    [TONE_PLAIN] = "",        [TONE_DIM] = "\033[2m",  [TONE_BOLD] = "\033[1m",
    [TONE_GOOD] = "\033[32m", [TONE_BAD] = "\033[31m", [TONE_WARN] = "\033[33m",
    [TONE_BUSY] = "\033[36m",
};

/* The character at `s`, which text_plain has made UTF-8, and its length. */
static size_t decode(const char *s, uint32_t *ret)
{
    const unsigned char *u = (const unsigned char *)s;
    size_t n = *u < 0x80 ? 1 : *u < 0xe0 ? 2 : *u < 0xf0 ? 3 : 4;

    *ret = n == 1 ? *u : *u & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((u[i] & 0xc0) != 0x80)
            return i;
        *ret = *ret << 6 | (u[i] & 0x3f);
    }
    return n;
}

/* Those of East Asian scripts and pictographs take two columns, combining ones none. */
static unsigned columns_of(uint32_t c)
{
    static const struct {
        uint32_t from, to;
        unsigned columns;
    } ranges[] = {
        {0x300, 0x36f, 0},     {0x200b, 0x200d, 0},   {0xfe00, 0xfe0f, 0}, {0xe0100, 0xe01ef, 0},
        {0x1100, 0x115f, 2},   {0x2e80, 0xa4cf, 2},   {0xac00, 0xd7a3, 2}, {0xf900, 0xfaff, 2},
        {0xfe30, 0xfe6f, 2},   {0xff00, 0xff60, 2},   {0xffe0, 0xffe6, 2}, {0x1f300, 0x1f64f, 2},
        {0x1f900, 0x1f9ff, 2}, {0x20000, 0x3fffd, 2},
    };

    for (size_t i = 0; i < ARRAY_LEN(ranges); i++)
        if (c >= ranges[i].from && c <= ranges[i].to)
            return ranges[i].columns;
    return 1;
}

static char ascii_of(uint32_t c)
{
    static const struct {
        uint32_t c;
        char like;
    } likes[] = {
        {0x2026, '~'},  {0x00b7, '-'}, {0x2501, '='}, {0x2500, '-'}, {0x25cf, '*'}, {0x25d1, '>'},
        {0x25d4, '>'},  {0x25cb, 'o'}, {0x2717, 'x'}, {0x25b2, '!'}, {0x2260, '#'}, {0x2019, '\''},
        {0x2018, '\''}, {0x201c, '"'}, {0x201d, '"'}, {0x2013, '-'}, {0x2014, '-'}, {0x00a0, ' '},
    };

    for (size_t i = 0; i < ARRAY_LEN(likes); i++)
        if (likes[i].c == c)
            return likes[i].like;
    return '?';
}

unsigned paint_width(const char *text)
{
    unsigned n = 0;
    uint32_t c;

    for (; *text; n += columns_of(c))
        text += decode(text, &c);
    return n;
}

static void add(struct paint *p, const char *s, size_t len, uint32_t c)
{
    char like[3];
    unsigned columns = columns_of(c);

    if (!p->ascii || c < 0x80) {
        strbuf_add(p->out, s, len);
        return;
    }
    memset(like, ascii_of(c), sizeof(like));
    strbuf_add(p->out, like, columns);
}

/* As much as fits into `cols`; returns the columns that it took. */
static unsigned add_cut(struct paint *p, unsigned cols, const char *s)
{
    bool cut = paint_width(s) > cols;
    unsigned n = 0;
    uint32_t c;

    for (size_t len; *s; s += len) {
        len = decode(s, &c);
        if (n + columns_of(c) + cut > cols)
            break;
        add(p, s, len, c);
        n += columns_of(c);
    }
    if (cut && n < cols) {
        add(p, "…", strlen("…"), 0x2026);
        n++;
    }
    return n;
}

static unsigned put_text(struct paint *p, enum tone tone, unsigned cols, const char *text)
{
    bool colored = p->color && tone != TONE_PLAIN && *text && cols;
    unsigned n;

    if (colored)
        strbuf_adds(p->out, tone_codes[tone]);
    n = add_cut(p, cols, text);
    if (colored)
        strbuf_adds(p->out, "\033[0m");
    return n;
}

static void pad(struct paint *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        strbuf_adds(p->out, " ");
}

static void put_plain(struct paint *p, enum tone tone, unsigned cols, const char *plain, bool right)
{
    unsigned w = paint_width(plain);

    if (cols > p->left)
        cols = p->left;
    p->left -= cols;
    if (right && w < cols) {
        pad(p, cols - w);
        cols = w;
    }
    pad(p, cols - put_text(p, tone, cols, plain));
}

void paint_put(struct paint *p, enum tone tone, unsigned cols, const char *text)
{
    _cleanup_free_ char *plain = xstrdup(text);

    text_plain(plain, false);
    put_plain(p, tone, cols, plain, false);
}

void paint_right(struct paint *p, enum tone tone, unsigned cols, const char *text)
{
    _cleanup_free_ char *plain = xstrdup(text);

    text_plain(plain, false);
    put_plain(p, tone, cols, plain, true);
}

void paint_text(struct paint *p, enum tone tone, const char *text)
{
    _cleanup_free_ char *plain = xstrdup(text);

    text_plain(plain, false);
    put_plain(p, tone, paint_width(plain), plain, false);
}

void paint_repeat(struct paint *p, enum tone tone, unsigned n, const char *character)
{
    struct strbuf b = {0};

    for (unsigned i = 0; i < n; i++)
        strbuf_adds(&b, character);
    put_plain(p, tone, n, strbuf_str(&b), false);
    strbuf_free(&b);
}

void paint_until(struct paint *p, unsigned keep)
{
    if (p->left > keep) {
        pad(p, p->left - keep);
        p->left = keep;
    }
}

void paint_end(struct paint *p)
{
    while (p->out->len && p->out->s[p->out->len - 1] == ' ')
        p->out->s[--p->out->len] = '\0';
    strbuf_adds(p->out, "\n");
}

size_t paint_fit(const char *text, unsigned cols)
{
    size_t at = 0, word = 0;
    unsigned n = 0;
    uint32_t c;

    while (text[at]) {
        size_t len = decode(text + at, &c);

        if (n + columns_of(c) > cols)
            return word ? word : at ? at : len;
        at += len;
        n += columns_of(c);
        if (c == ' ')
            word = at;
    }
    return at;
}
