/* SPDX-License-Identifier: Apache-2.0 */
/* The picture: from the model to lines of text. */
#include "controller/cli/view.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/str.h"
#include "common/text.h"

#define BAR_CELLS 14
#define SILENCE_MS 5000

enum tone { TONE_PLAIN, TONE_DIM, TONE_BOLD, TONE_GOOD, TONE_BAD, TONE_BUSY };

static const char *const tone_codes[] = {
    [TONE_PLAIN] = "",        [TONE_DIM] = "\033[2m",  [TONE_BOLD] = "\033[1m",
    [TONE_GOOD] = "\033[32m", [TONE_BAD] = "\033[31m", [TONE_BUSY] = "\033[36m",
};

struct line {
    struct strbuf *out;
    unsigned left; /* columns */
    bool color;
};

/* Columns of a UTF-8 text: its characters (nothing wide or combining is printed on purpose). */
static unsigned width(const char *s)
{
    unsigned n = 0;

    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

/* Writes the text in exactly `cols` columns: padded, or cut with an ellipsis. */
static void put(struct line *l, enum tone tone, unsigned cols, const char *text)
{
    _cleanup_free_ char *plain = xstrdup(text);
    unsigned w, n = 0;
    const char *s = plain;

    text_plain(plain, false);
    w = width(plain);
    if (cols > l->left)
        cols = l->left;
    l->left -= cols;
    if (l->color && tone != TONE_PLAIN)
        strbuf_adds(l->out, tone_codes[tone]);
    while (*s && n < cols) {
        size_t len = 1;

        if (w > cols && n == cols - 1) {
            strbuf_adds(l->out, "…");
            n++;
            break;
        }
        while (((unsigned char)s[len] & 0xc0) == 0x80)
            len++;
        strbuf_add(l->out, s, len);
        s += len;
        n++;
    }
    if (l->color && tone != TONE_PLAIN)
        strbuf_adds(l->out, "\033[0m");
    for (; n < cols; n++)
        strbuf_adds(l->out, " ");
}

static void end(struct line *l)
{
    while (l->out->len && l->out->s[l->out->len - 1] == ' ')
        l->out->s[--l->out->len] = '\0';
    strbuf_adds(l->out, "\n");
}

static void elapsed(uint64_t from, uint64_t to, char ret[16])
{
    unsigned s = from && to > from ? (unsigned)((to - from) / 1000) : 0;

    if (s < 3600)
        snprintf(ret, 16, "%u:%02u", s / 60, s % 60);
    else
        snprintf(ret, 16, "%uh%02u", s / 3600 % 1000, s / 60 % 60);
}

/* `part` of one more than `done` is done, 0 to 1. */
static void put_bar(struct line *l, unsigned done, double part, unsigned total, enum tone tone)
{
    struct strbuf b = {0};
    unsigned filled = total ? (unsigned)((done + part) * BAR_CELLS / total) : 0;

    if (filled > BAR_CELLS)
        filled = BAR_CELLS;

    for (unsigned i = 0; i < filled; i++)
        strbuf_adds(&b, "━");
    put(l, tone, filled, strbuf_str(&b));
    strbuf_reset(&b);
    for (unsigned i = filled; i < BAR_CELLS; i++)
        strbuf_adds(&b, "─");
    put(l, TONE_DIM, BAR_CELLS - filled, strbuf_str(&b));
    strbuf_free(&b);
}

static const struct {
    const char *mark;
    enum tone tone;
} row_looks[] = {
    [ROW_WAITING] = {"·", TONE_DIM},  [ROW_CLOUD] = {"○", TONE_BUSY},
    [ROW_BOOTING] = {"◔", TONE_BUSY}, [ROW_CONVERGING] = {"◑", TONE_BUSY},
    [ROW_READY] = {"●", TONE_GOOD},   [ROW_FAILED] = {"✗", TONE_BAD},
};

static void row_text(const struct view_row *r, char *ret, size_t cap)
{
    switch (r->state) {
    case ROW_WAITING:
        snprintf(ret, cap, "waits");
        break;
    case ROW_BOOTING:
        snprintf(ret, cap, "boots, installs the agent");
        break;
    case ROW_READY:
        snprintf(ret, cap, "ready%s%s%s%s", r->db[0] ? ", database " : "", r->db,
                 r->drift[0] ? ", differs from its plan: " : "", r->drift);
        break;
    default:
        snprintf(ret, cap, "%s%s%s", r->step, r->msg[0] ? "  " : "", r->msg);
    }
}

/* How long ago a node at work was last heard; "" while it is a matter of seconds. */
static void silence(const struct view_row *r, uint64_t now, char *ret, size_t cap)
{
    char time_text[16];

    ret[0] = '\0';
    if (r->state != ROW_CONVERGING || now < r->heard + SILENCE_MS)
        return;
    elapsed(r->heard, now, time_text);
    snprintf(ret, cap, " silent %s", time_text);
}

static double part_of(const struct event_count *c)
{
    return c->total ? (double)c->done / (double)c->total : 0;
}

static void render_row(const struct view_row *r, unsigned columns, unsigned name_cols, bool color,
                       uint64_t now, struct strbuf *out)
{
    struct line l = {.out = out, .left = columns, .color = color};
    enum tone tone = row_looks[r->state].tone;
    unsigned steps = r->total ? r->total : 9, text_cols;
    char count[16], time_text[16], quiet[32], text[EVENT_ID_MAX + EVENT_MSG_MAX + 4];

    put(&l, TONE_PLAIN, 1, " ");
    put(&l, tone, 2, row_looks[r->state].mark);
    put(&l, TONE_BOLD, name_cols + 1, r->name);
    put_bar(&l, r->cloud_done + r->done, part_of(&r->part), r->cloud_total + steps, tone);
    snprintf(count, sizeof(count), " %u/%u", r->cloud_done + r->done, r->cloud_total + steps);
    put(&l, TONE_DIM, 7, count);
    elapsed(r->state == ROW_READY ? r->started : r->step_from,
            r->state == ROW_READY ? r->heard : now, time_text);
    silence(r, now, quiet, sizeof(quiet));
    text_cols = l.left > 9 + width(quiet) ? l.left - 8 - width(quiet) : 1;
    row_text(r, text, sizeof(text));
    put(&l, r->state == ROW_FAILED ? TONE_BAD : TONE_PLAIN, text_cols, text);
    put(&l, TONE_DIM, width(quiet), quiet);
    put(&l, TONE_PLAIN, l.left > 7 ? l.left - 7 : 0, "");
    snprintf(text, sizeof(text), "%7.7s", time_text);
    put(&l, TONE_DIM, 7, text);
    end(&l);
}

static void render_head(const struct view *v, unsigned columns, bool color, uint64_t now,
                        struct strbuf *out)
{
    struct line l = {.out = out, .left = columns, .color = color};
    size_t ready = 0;
    bool failed = false;
    char text[EVENT_MSG_MAX], time_text[16];

    for (size_t i = 0; i < v->n; i++) {
        ready += v->rows[i].state == ROW_READY;
        failed = failed || v->rows[i].state == ROW_FAILED;
    }
    elapsed(v->started, v->ended ? v->now : now, time_text);
    put(&l, TONE_PLAIN, 1, " ");
    put(&l, TONE_BOLD, width(v->deployment), v->deployment);
    snprintf(text, sizeof(text), "  %zu of %zu nodes ready  ·  networks %u/%u", ready, v->n,
             v->cloud_done, v->cloud_total);
    put(&l, TONE_DIM, l.left > 18 ? l.left - 18 : 0, text);
    snprintf(text, sizeof(text), "%10s",
             v->ended ? (ready == v->n ? "ready" : "stopped")
             : failed ? "trouble"
                      : "working");
    put(&l, ready == v->n ? TONE_GOOD : failed ? TONE_BAD : TONE_BUSY, 10, text);
    snprintf(text, sizeof(text), "%8s", time_text);
    put(&l, TONE_DIM, 8, text);
    end(&l);
}

static void render_database(const struct view *v, unsigned columns, bool color, struct strbuf *out)
{
    struct line l = {.out = out, .left = columns, .color = color};
    size_t synced = 0;
    char text[EVENT_MSG_MAX + 32];

    for (size_t i = 0; i < v->n; i++)
        synced += str_eq(v->rows[i].db, "Synced");
    put(&l, TONE_PLAIN, 3, "");
    put(&l, TONE_BOLD, 10, "database ");
    snprintf(text, sizeof(text), "%zu/%zu synced  ", synced, v->n);
    put(&l, synced == v->n ? TONE_GOOD : TONE_PLAIN, width(text), text);
    if (synced != v->n)
        put(&l, TONE_DIM, l.left, v->cluster);
    end(&l);
}

void view_render(const struct view *v, unsigned columns, bool color, uint64_t now,
                 struct strbuf *out)
{
    unsigned name_cols = 4;

    if (columns < 40)
        columns = 40;
    for (size_t i = 0; i < v->n; i++)
        if (width(v->rows[i].name) > name_cols)
            name_cols = width(v->rows[i].name);
    if (name_cols > 16)
        name_cols = 16;
    render_head(v, columns, color, now, out);
    strbuf_adds(out, "\n");
    for (size_t i = 0; i < v->n; i++)
        render_row(&v->rows[i], columns, name_cols, color, now, out);
    strbuf_adds(out, "\n");
    if (v->has_database)
        render_database(v, columns, color, out);
    strbuf_adds(out, "\n");
    for (size_t i = 0; i < v->n_log; i++) {
        struct line l = {.out = out, .left = columns, .color = color};

        put(&l, TONE_PLAIN, 3, "");
        put(&l, TONE_DIM, name_cols + 1, v->log[i].node);
        put(&l, TONE_DIM, 20, v->log[i].id);
        put(&l, TONE_DIM, 1, " ");
        put(&l,
            v->log[i].kind == EVENT_FAILED || v->log[i].kind == EVENT_REFUSED ? TONE_BAD : TONE_DIM,
            l.left, v->log[i].msg[0] ? v->log[i].msg : event_kind_name(v->log[i].kind));
        end(&l);
    }
}

void view_still(const struct view *v, uint64_t now, struct strbuf *out)
{
    char text[EVENT_ID_MAX + EVENT_MSG_MAX + 4], time_text[16], quiet[32];

    strbuf_adds(out, "still:");
    for (size_t i = 0; i < v->n; i++) {
        if (v->rows[i].state == ROW_READY)
            continue;
        row_text(&v->rows[i], text, sizeof(text));
        text_plain(text, false);
        elapsed(v->rows[i].step_from, now, time_text);
        silence(&v->rows[i], now, quiet, sizeof(quiet));
        strbuf_addf(out, " %s %s (%s%s%s);", v->rows[i].name, text, time_text, quiet[0] ? "," : "",
                    quiet);
    }
}

void view_event_line(const struct event *event, bool day, struct strbuf *out)
{
    struct event copy = *event, *ev = &copy;
    time_t t = (time_t)(ev->ts / 1000);
    struct tm tm;
    char clock_text[32];

    text_plain(ev->node, false);
    text_plain(ev->id, false);
    text_plain(ev->msg, false);
    localtime_r(&t, &tm);
    strftime(clock_text, sizeof(clock_text), day ? "%Y-%m-%d %H:%M:%S" : "%H:%M:%S", &tm);
    strbuf_addf(out, "%s  %-8s %-8s %-20s %s", clock_text, ev->node[0] ? ev->node : "-",
                event_kind_name(ev->kind), ev->id, ev->msg);
    if (ev->ms)
        strbuf_addf(out, "  (%.1f s)", (double)ev->ms / 1000);
    strbuf_adds(out, "\n");
}
