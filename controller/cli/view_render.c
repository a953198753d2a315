/* SPDX-License-Identifier: Apache-2.0 */
/* The picture: from the model to lines of text. What does not fit is left out from the least
 * important on. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/str.h"
#include "controller/cli/render.h"

#define DAY (24 * 60 * 60 * 1000) /* ms */
#define NAME_MAX_CELLS 16
#define ZONE_MAX_CELLS 20
#define GAPS_FROM 14    /* lines of a screen that has room for empty ones and the log */
#define LOG_LINES 5     /* of a screen of 24 lines */
#define CLUSTER_LINES 4 /* of that, too */

struct paint render_line(const struct frame *f)
{
    struct paint p = {.out = f->out,
                      .left = f->screen->columns,
                      .color = f->screen->color,
                      .ascii = f->screen->ascii};

    if (p.left >= 20)
        paint_put(&p, TONE_PLAIN, MARGIN, "");
    return p;
}

static void gap(const struct frame *f)
{
    if (f->gaps)
        strbuf_adds(f->out, "\n");
}

void render_elapsed(uint64_t from, uint64_t to, char ret[16])
{
    unsigned long long s = from && to > from ? (to - from) / 1000 : 0;

    if (s < 3600)
        snprintf(ret, 16, "%llu:%02llu", s / 60, s % 60);
    else if (s < 48ULL * 3600)
        snprintf(ret, 16, "%lluh%02llu", s / 3600, s / 60 % 60);
    else
        snprintf(ret, 16, "%llu d", s / 86400 % 1000000);
}

static void put_head(const struct frame *f)
{
    const struct view *v = f->v;
    const char *state = judge_deployment(v, &f->j);
    bool bad = f->j.count[NODE_FAILED] || f->j.count[NODE_REFUSED];
    struct paint p = render_line(f);
    char text[128], took[48], age[CLOCK_AGE_MAX];
    size_t ready = f->j.count[NODE_READY];

    render_elapsed(v->started, f->now, took);
    if (v->ended) {
        clock_age(v->ended_at, f->now, age);
        snprintf(took, sizeof(took), "up %s%s", v->ended_well ? "" : "stopped ", age);
    }
    paint_text(&p, TONE_BOLD, v->deployment);
    snprintf(text, sizeof(text), "  %s%s", state, str_eq(state, "ready") ? "" : ", goal ready");
    paint_text(&p,
               str_eq(state, "ready") ? TONE_GOOD
               : bad                  ? TONE_BAD
               : str_eq(state, "raising") || str_eq(state, "checking") ||
                       str_eq(state, "recovering")
                   ? TONE_BUSY
                   : TONE_WARN,
               text);
    snprintf(text, sizeof(text), "  ·  %zu of %zu nodes ready", ready, v->n);
    if (!v->ended && v->cloud_done < v->cloud_total)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "  ·  networks %u/%u",
                 v->cloud_done, v->cloud_total);
    paint_put(&p, TONE_DIM,
              p.left > paint_width(took) + 1 ? p.left - paint_width(took) - 1 : p.left, text);
    paint_right(&p, TONE_DIM, paint_width(took) + 1, took);
    paint_end(&p);
    if (!f->shows_abort)
        return;
    p = render_line(f);
    paint_put(&p, TONE_PLAIN, 2, "");
    paint_text(&p, TONE_BAD, "up stopped: ");
    paint_put(&p, TONE_PLAIN, p.left, v->verdict);
    paint_end(&p);
}

static void clock_of(uint64_t ts, uint64_t now, char ret[32])
{
    time_t t = (time_t)(ts / 1000);
    struct tm tm;

    localtime_r(&t, &tm);
    strftime(ret, 32, now > ts && now - ts >= DAY ? "%Y-%m-%d" : "%H:%M:%S", &tm);
}

static void put_log(const struct frame *f)
{
    unsigned id = f->screen->columns < 100 ? 20 : 28;

    for (size_t i = f->log; i > 0; i--) {
        const struct event *ev = view_log(f->v, i - 1);
        struct paint p = render_line(f);
        char text[32];
        bool bad = ev->kind == EVENT_FAILED || ev->kind == EVENT_REFUSED;

        paint_put(&p, TONE_PLAIN, 2, "");
        clock_of(ev->ts, f->now, text);
        paint_put(&p, TONE_DIM, strlen(text) > 8 ? 11 : 9, text);
        paint_put(&p, TONE_DIM, f->name + 2, ev->node);
        paint_put(&p, TONE_DIM, id, ev->id[0] ? ev->id : EVENT_ID_PLAN);
        paint_put(&p, TONE_DIM, 1, " ");
        paint_put(&p, bad ? TONE_BAD : TONE_DIM, p.left,
                  ev->msg[0] ? node_without_id(ev->msg, ev->id) : event_kind_name(ev->kind));
        paint_end(&p);
    }
}

static void measure_columns(struct frame *f)
{
    unsigned columns = f->screen->columns, zone = 0;

    f->name = 3;
    f->bar = columns < 60 ? 11 : columns < 100 ? 16 : columns < 160 ? 22 : 32;
    for (size_t i = 0; i < f->v->n; i++) {
        const struct view_row *r = &f->v->rows[i];

        if (paint_width(r->name) > f->name)
            f->name = paint_width(r->name);
        if (paint_width(r->zone) > zone)
            zone = paint_width(r->zone);
        if (columns >= 120 && paint_width(r->address) > f->address)
            f->address = paint_width(r->address);
    }
    if (f->name > NAME_MAX_CELLS)
        f->name = NAME_MAX_CELLS;
    if (columns >= 100)
        f->zone = zone < ZONE_MAX_CELLS ? zone : ZONE_MAX_CELLS;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The most important first takes its lines; what is left is for the next one. */
static void measure_lines(struct frame *f)
{
    const struct view *v = f->v;
    size_t lines = f->screen->lines > 1 ? f->screen->lines - 1 : 1, left = lines - 1, log, n = 0;
    bool tall = f->screen->lines >= 30;

    f->gaps = f->screen->lines >= GAPS_FROM;
    f->shows_abort = v->ended && !v->ended_well && v->verdict[0] && f->gaps;
    if (f->gaps)
        left -= 3 + f->shows_abort;
    f->cluster = render_cluster_wants(v);
    f->cluster = least(f->cluster, !f->gaps ? 1 : tall ? lines / 4 : CLUSTER_LINES);
    f->cluster = left >= 2 ? f->cluster : 0;
    left -= f->cluster;
    log = least(least(v->n_log, VIEW_LOG_LINES), !f->gaps ? 0 : tall ? lines / 3 : LOG_LINES);
    /* A third of the log is kept even where there are more nodes than lines. */
    f->log = least(log, least(tall ? lines / 6 : 3, left / 4));
    left -= f->log;
    f->rows = v->n <= left ? v->n : left > 0 ? left - 1 : 0;
    left -= f->rows + (f->rows < v->n && left > 0);
    for (size_t i = 0; i < f->rows; i++)
        n += render_below_wants(f, &v->rows[f->j.order[i]], f->j.of[f->j.order[i]]);
    f->more = least(n, left);
    f->log += least(log - f->log, left - f->more);
}

void view_render(const struct view *v, const struct view_screen *screen, uint64_t now,
                 struct strbuf *out)
{
    struct frame f = {.v = v, .screen = screen, .now = now, .out = out};

    judge(v, now, &f.j);
    measure_columns(&f);
    measure_lines(&f);
    put_head(&f);
    gap(&f);
    if (screen->lines > 2)
        render_nodes(&f);
    gap(&f);
    if (f.cluster)
        render_cluster(&f);
    gap(&f);
    put_log(&f);
    judged_free(&f.j);
}
