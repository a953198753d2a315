/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of the nodes, the most important first. */
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/str.h"
#include "common/text.h"
#include "controller/cli/render.h"

#define SILENCE_MS 5000
#define LATE_MS 15000
#define COUNT_CELLS 8
#define TIME_CELLS 8
#define WRAP_LINES 4             /* of a failure's message */
#define TOOK_FOR (5 * 60 * 1000) /* ms after `up` */
#define STEPS_GUESS 12 /* of a plan that is not known yet: only for the length of its bar */

static const struct {
    const char *mark;
    enum tone word, text;
} looks[NODE_CLASSES] = {
    [NODE_FAILED] = {"✗", TONE_BAD, TONE_BAD},      [NODE_REFUSED] = {"✗", TONE_BAD, TONE_BAD},
    [NODE_UNKNOWN] = {"?", TONE_WARN, TONE_PLAIN},  [NODE_SILENT] = {"?", TONE_WARN, TONE_PLAIN},
    [NODE_DEGRADED] = {"▲", TONE_WARN, TONE_PLAIN}, [NODE_DIFFERS] = {"≠", TONE_WARN, TONE_PLAIN},
    [NODE_WORKING] = {"◑", TONE_BUSY, TONE_PLAIN},  [NODE_WAITING] = {"·", TONE_DIM, TONE_DIM},
    [NODE_READY] = {"●", TONE_GOOD, TONE_DIM},
};

static unsigned steps_of(const struct view_row *r)
{
    return r->total ? r->total : STEPS_GUESS;
}

/* Resources at the cloud count as done when the agent is at work. */
static unsigned done_of(const struct view_row *r)
{
    return node_is_clouds(r) ? r->cloud_done : r->cloud_total + r->done;
}

static void put_bar(struct paint *p, const struct frame *f, const struct view_row *r)
{
    bool counted = r->part.total && !node_is_clouds(r);
    double part = !counted                        ? 0
                  : r->part.done >= r->part.total ? 1
                                                  : (double)r->part.done / (double)r->part.total;
    double whole = r->cloud_total + steps_of(r);
    unsigned cells = f->bar - 2, filled = (unsigned)((done_of(r) + part) * cells / whole);

    if (filled > cells)
        filled = cells;
    paint_repeat(p, TONE_BUSY, filled, "━");
    paint_repeat(p, TONE_DIM, cells - filled, "─");
    paint_put(p, TONE_PLAIN, 2, "");
}

/* Its step of how many. */
static void count_of(const struct view_row *r, enum node_class c, char ret[24])
{
    ret[0] = '\0';
    if (c == NODE_READY || c == NODE_WAITING || c == NODE_DEGRADED || c == NODE_DIFFERS ||
        c == NODE_UNKNOWN)
        return;
    if (node_is_clouds(r) || !r->total)
        snprintf(ret, 24, "%u/%u", r->cloud_done, r->cloud_total);
    else
        snprintf(ret, 24, "%u/%u", done_of(r), r->cloud_total + r->total);
}

void render_time(const struct view *v, const struct view_row *r, enum node_class c, uint64_t now,
                 char ret[16])
{
    bool new = !v->ended || now < v->ended_at + TOOK_FOR;

    ret[0] = '\0';
    if (c == NODE_WORKING || c == NODE_SILENT)
        render_elapsed(node_work_from(r), now, ret);
    else if (c == NODE_FAILED || c == NODE_REFUSED)
        render_elapsed(r->cloud.failed ? r->cloud.from : r->step_from, now, ret);
    else if (c == NODE_READY && r->took && new)
        render_elapsed(1, 1 + r->took, ret);
}

void render_age(const struct view_row *r, enum node_class c, uint64_t now, char ret[RENDER_AGE_MAX])
{
    char age[CLOCK_AGE_MAX];

    ret[0] = '\0';
    if ((c == NODE_WORKING || c == NODE_SILENT) && !node_is_clouds(r) &&
        now >= r->heard + SILENCE_MS)
        clock_age(r->heard, now, ret);
    if (c >= NODE_DEGRADED && c != NODE_WORKING && r->known == VIEW_KNOWN &&
        now >= r->spoke + LATE_MS)
        clock_age(r->spoke, now, age);
    else
        return;
    snprintf(ret, RENDER_AGE_MAX, "heard %s", age);
}

static void put_place(struct paint *p, const struct frame *f, const struct view_row *r)
{
    paint_put(p, TONE_BOLD, f->name + 2, r->name);
    if (f->zone)
        paint_put(p, TONE_DIM, f->zone + 2, r->zone);
    if (f->address)
        paint_put(p, TONE_DIM, f->address + 2, r->address);
}

static void put_row(const struct frame *f, const struct view_row *r, enum node_class c, bool brief)
{
    _cleanup_(strbuf_free) struct strbuf text = {0};
    struct paint p = render_line(f);
    char count[24], took[16], age[RENDER_AGE_MAX] = "", left[32] = "";
    unsigned right;

    paint_put(&p, looks[c].word, 2, looks[c].mark);
    put_place(&p, f, r);
    if (c == NODE_WORKING)
        put_bar(&p, f, r);
    else
        paint_put(&p, looks[c].word, f->bar, node_class_name(c));
    count_of(r, c, count);
    paint_put(&p, TONE_DIM, COUNT_CELLS, count);
    node_text(f->v, r, c, brief, f->now, &text);
    render_time(f->v, r, c, f->now, took);
    if (!brief) {
        if (f->screen->columns >= 100 || node_is_clouds(r))
            node_estimate(f->v, r, c, f->now, left);
        if (!left[0] || f->screen->columns >= 140)
            render_age(r, c, f->now, age);
    }
    right = (took[0] ? TIME_CELLS : 0) + (age[0] ? paint_width(age) + 2 : 0) +
            (left[0] ? paint_width(left) + 2 : 0);
    if (right + 8 > p.left)
        right = 0;
    paint_put(&p, looks[c].text, p.left - right, strbuf_str(&text));
    if (right && left[0])
        paint_right(&p, TONE_DIM, paint_width(left) + 2, left);
    if (right && age[0])
        paint_right(&p, TONE_DIM, paint_width(age) + 2, age);
    if (right && took[0])
        paint_right(&p, TONE_DIM, TIME_CELLS, took);
    paint_end(&p);
}

/* The width of what is below a row: up to the column of its time. */
static unsigned below_width(const struct frame *f)
{
    unsigned used = MARGIN + 2 + f->name + 2;

    return f->screen->columns > used + TIME_CELLS ? f->screen->columns - used : 0;
}

size_t render_below_wants(const struct frame *f, const struct view_row *r, enum node_class c)
{
    _cleanup_(strbuf_free) struct strbuf text = {0};
    unsigned width = below_width(f);
    size_t n = 0;

    node_output(r, c, &text);
    if (!text.len || width < 20)
        return 0;
    if (c != NODE_FAILED && c != NODE_REFUSED)
        return 1;
    text_plain(text.s, false);
    for (const char *s = text.s; *s && n < WRAP_LINES; n++)
        s += paint_fit(s, width);
    return n;
}

static void put_below(const struct frame *f, const struct view_row *r, enum node_class c,
                      size_t lines)
{
    _cleanup_(strbuf_free) struct strbuf text = {0};
    char age[RENDER_AGE_MAX], left[32];
    const char *s;

    node_output(r, c, &text);
    text_plain(text.s, false);
    s = text.s;
    render_age(r, c, f->now, age);
    node_estimate(f->v, r, c, f->now, left);
    for (size_t i = 0; i < lines; i++) {
        struct paint p = render_line(f);
        unsigned right =
            (age[0] ? paint_width(age) + 2 : 0) + (left[0] ? paint_width(left) + 2 : 0);
        size_t fits;

        paint_put(&p, TONE_PLAIN, f->name + 4, "");
        if (right + 16 > p.left)
            right = 0;
        fits = i + 1 == lines ? strlen(s) : paint_fit(s, p.left - right);
        _cleanup_free_ char *part = str_fmt("%.*s", (int)fits, s);
        paint_put(&p, c == NODE_FAILED || c == NODE_REFUSED ? TONE_BAD : TONE_DIM, p.left - right,
                  part);
        if (right && left[0])
            paint_right(&p, TONE_DIM, paint_width(left) + 2, left);
        if (right && age[0])
            paint_right(&p, TONE_DIM, paint_width(age) + 2, age);
        paint_end(&p);
        s += fits;
    }
}

/* "… and 83 more: 80 ready, 3 waiting" */
static void put_rest(const struct frame *f)
{
    _cleanup_(strbuf_free) struct strbuf text = {0};
    struct paint p = render_line(f);
    size_t counts[NODE_CLASSES] = {0};

    for (size_t i = f->rows; i < f->v->n; i++)
        counts[f->j.of[f->j.order[i]]]++;
    strbuf_addf(&text, "%s and %zu more:", f->screen->ascii ? "..." : "…", f->v->n - f->rows);
    for (int c = NODE_CLASSES - 1, any = 0; c >= 0; c--)
        if (counts[c]) {
            strbuf_addf(&text, "%s %zu %s", any ? "," : "", counts[c],
                        node_class_name((enum node_class)c));
            any = 1;
        }
    paint_put(&p, TONE_PLAIN, 2, "");
    paint_put(&p, TONE_DIM, p.left, strbuf_str(&text));
    paint_end(&p);
}

void render_nodes(struct frame *f)
{
    for (size_t i = 0; i < f->rows; i++) {
        const struct view_row *r = &f->v->rows[f->j.order[i]];
        enum node_class c = f->j.of[f->j.order[i]];
        size_t wants = render_below_wants(f, r, c);

        if (wants > f->more)
            wants = f->more;
        f->more -= wants;
        put_row(f, r, c, wants > 0);
        if (wants)
            put_below(f, r, c, wants);
    }
    if (f->rows < f->v->n)
        put_rest(f);
}
