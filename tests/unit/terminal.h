/* SPDX-License-Identifier: Apache-2.0 */
/* A small terminal: what it was sent is on its screen. One that is made narrower cuts its lines, as
 * xterm does, or wraps them, as most do now. For tests. */
#ifndef MUSTER_TESTS_TERMINAL_H
#define MUSTER_TESTS_TERMINAL_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/str.h"

#define TERMINAL_ROWS 200
#define TERMINAL_COLUMNS 1024

struct terminal_row {
    char text[TERMINAL_COLUMNS][5]; /* "" is blank */
    bool wraps;                     /* goes on in the next row */
};

struct terminal {
    unsigned rows, columns, row, column; /* column == columns: the next character wraps */
    bool reflows, wrap_off;
    struct terminal_row *r; /* TERMINAL_ROWS */
    size_t colors;          /* sequences that set one */
};

static inline void terminal_open(struct terminal *t, unsigned columns, unsigned rows, bool reflows)
{
    *t = (struct terminal){.rows = rows, .columns = columns, .reflows = reflows};
    t->r = xcalloc(TERMINAL_ROWS, sizeof(*t->r));
}

static inline void terminal_close(struct terminal *t)
{
    free(t->r);
}

static inline void terminal_scroll(struct terminal *t)
{
    memmove(t->r, t->r + 1, (TERMINAL_ROWS - 1) * sizeof(*t->r));
    memset(&t->r[TERMINAL_ROWS - 1], 0, sizeof(*t->r));
}

static inline void terminal_down(struct terminal *t)
{
    if (t->row + 1 < t->rows)
        t->row++;
    else
        terminal_scroll(t);
}

static inline void terminal_put(struct terminal *t, const char *c, size_t len)
{
    if (t->column == t->columns && t->wrap_off) {
        t->column--;
    } else if (t->column == t->columns) {
        t->r[t->row].wraps = true;
        terminal_down(t);
        t->column = 0;
    }
    memset(t->r[t->row].text[t->column], 0, 5);
    if (*c != ' ')
        memcpy(t->r[t->row].text[t->column], c, len);
    t->column++;
}

static inline void terminal_erase(struct terminal *t, unsigned row, unsigned from)
{
    memset(t->r[row].text[from], 0, (TERMINAL_COLUMNS - from) * sizeof(t->r[row].text[0]));
    t->r[row].wraps = false;
}

/* The sequence behind "ESC [". */
static inline const char *terminal_control(struct terminal *t, const char *s)
{
    bool private = *s == '?';
    unsigned n = (unsigned)strtoul(s + private, (char **)&s, 10), at = t->column;

    if (at == t->columns)
        at--;
    if (private) {
        assert_int_equal(n, 7);
        t->wrap_off = *s == 'l';
        return s + 1;
    }
    switch (*s) {
    case 'A':
        t->row -= n < t->row ? n : t->row;
        break;
    case 'B':
        t->row = t->row + n < t->rows ? t->row + n : t->rows - 1;
        break;
    case 'J':
        for (unsigned i = t->row + 1; i < TERMINAL_ROWS; i++)
            terminal_erase(t, i, 0);
        /* fall through */
    case 'K':
        terminal_erase(t, t->row, at);
        break;
    case 'm':
        t->colors++;
        break;
    default:
        fail_msg("a sequence that the test does not know: %c", *s);
    }
    return s + 1;
}

static inline void terminal_write(struct terminal *t, const char *s)
{
    while (*s) {
        size_t len = 1;

        if (*s == '\033') {
            assert_int_equal(s[1], '[');
            s = terminal_control(t, s + 2);
            continue;
        }
        while (((unsigned char)s[len] & 0xc0) == 0x80)
            len++;
        if (*s == '\r')
            t->column = 0;
        else if (*s == '\n')
            terminal_down(t);
        else
            terminal_put(t, s, len);
        s += len;
    }
}

/* A row without the blanks at its end. */
static inline void terminal_row_text(const struct terminal *t, unsigned row, struct strbuf *out)
{
    unsigned n = t->columns;

    while (n && !t->r[row].text[n - 1][0])
        n--;
    for (unsigned i = 0; i < n; i++)
        strbuf_adds(out, t->r[row].text[i][0] ? t->r[row].text[i] : " ");
}

static inline unsigned terminal_row_length(const struct terminal *t, const struct terminal_row *r)
{
    unsigned n = t->columns;

    while (n && !r->wraps && !r->text[n - 1][0])
        n--;
    return n;
}

/* Each line is wrapped at the new width; the cursor stays at its character. */
static inline void terminal_reflow(struct terminal *t, unsigned columns)
{
    struct terminal_row *old = TAKE(t->r);
    unsigned to = 0, column = 0, row = t->row, at = t->column;
    bool goes_on = false;

    t->r = xcalloc(TERMINAL_ROWS, sizeof(*t->r));
    for (unsigned i = 0; i < t->rows && to < TERMINAL_ROWS; i++) {
        unsigned n = terminal_row_length(t, &old[i]);

        if (!goes_on)
            column = 0;
        for (unsigned c = 0; c < n || (i == row && c <= at); c++) {
            if (column == columns && to + 1 < TERMINAL_ROWS) {
                t->r[to++].wraps = true;
                column = 0;
            }
            if (i == row && c == at) {
                t->row = to;
                t->column = column;
            }
            if (c < n)
                memcpy(t->r[to].text[column++], old[i].text[c], 5);
        }
        goes_on = old[i].wraps;
        to += !goes_on;
    }
    t->columns = columns;
    free(old);
}

static inline void terminal_resize(struct terminal *t, unsigned columns, unsigned rows)
{
    if (t->reflows)
        terminal_reflow(t, columns);
    for (unsigned i = 0; !t->reflows && i < TERMINAL_ROWS; i++)
        terminal_erase(t, i, columns < t->columns ? columns : t->columns);
    t->columns = columns;
    if (t->column > columns)
        t->column = columns;
    t->rows = rows;
    for (; t->row >= rows; t->row--)
        terminal_scroll(t);
    for (unsigned i = rows; i < TERMINAL_ROWS; i++)
        terminal_erase(t, i, 0);
}

#endif
