/* SPDX-License-Identifier: Apache-2.0 */
/* The section of the database: members synced of all, and why the others are not. */
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/str.h"
#include "controller/cli/render.h"

/* A coordinator that is not simply part of the cluster. */
static bool has_why(const struct view_row *r)
{
    return r->known == VIEW_KNOWN && r->said.coordinator[0] &&
           !(r->arbitrator
                 ? str_eq(r->said.coordinator, "arbitrating")
                 : str_eq(r->said.coordinator, "primary") && str_eq(r->said.db, "Synced"));
}

static bool same_why(const struct view_row *a, const struct view_row *b)
{
    return str_eq(a->said.coordinator, b->said.coordinator) && str_eq(a->said.why, b->said.why) &&
           str_eq(a->said.waiting_for, b->said.waiting_for);
}

/* Rows that say the same share a line: the first of them, in the file's order, leads it. */
static bool leads(const struct view *v, size_t row)
{
    for (size_t i = 0; i < row; i++)
        if (has_why(&v->rows[i]) && same_why(&v->rows[i], &v->rows[row]))
            return false;
    return has_why(&v->rows[row]);
}

static size_t count_members(const struct view *v)
{
    size_t n = 0;

    for (size_t i = 0; i < v->n; i++)
        n += !v->rows[i].arbitrator;
    return n;
}

static size_t count_synced(const struct view *v, uint64_t *ret_epoch)
{
    size_t n = 0;

    *ret_epoch = 0;
    for (size_t i = 0; i < v->n; i++) {
        const struct view_row *r = &v->rows[i];

        if (r->known != VIEW_KNOWN)
            continue;
        n += str_eq(r->said.db, "Synced") && !str_eq(r->said.db_status, "non-Primary");
        if (r->said.epoch > *ret_epoch)
            *ret_epoch = r->said.epoch;
    }
    return n;
}

/* Nobody says what the coordinators do now: the last event of one has to do. */
static bool only_events(const struct view *v)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->rows[i].known != VIEW_NOT_TOLD)
            return false;
    return v->cluster[0] != '\0';
}

size_t render_cluster_wants(const struct view *v)
{
    size_t n = 1;

    if (!v->has_database)
        return 0;
    for (size_t i = 0; i < v->n; i++)
        n += leads(v, i);
    return n + only_events(v);
}

static void put_why(const struct frame *f, size_t row)
{
    const struct view_status *s = &f->v->rows[row].said;
    _cleanup_(strbuf_free) struct strbuf names = {0};
    struct paint p = render_line(f);

    for (size_t i = row; i < f->v->n; i++)
        if (has_why(&f->v->rows[i]) && same_why(&f->v->rows[i], &f->v->rows[row]))
            strbuf_addf(&names, "%s%s", names.len ? ", " : "", f->v->rows[i].name);
    paint_put(&p, TONE_PLAIN, 2, "");
    paint_put(&p, TONE_PLAIN, (paint_width(names.s) > f->name ? paint_width(names.s) : f->name) + 2,
              names.s);
    paint_text(&p, TONE_WARN, s->coordinator);
    strbuf_reset(&names);
    strbuf_addf(&names, "%s%s", s->why[0] ? ": " : "", s->why);
    if (s->waiting_for[0] && !strstr(s->why, s->waiting_for))
        strbuf_addf(&names, "%s%s", s->why[0] ? ": " : " waits for ", s->waiting_for);
    paint_put(&p, TONE_DIM, p.left, strbuf_str(&names));
    paint_end(&p);
}

void render_cluster(const struct frame *f)
{
    const struct view *v = f->v;
    struct paint p = render_line(f);
    uint64_t epoch;
    size_t synced = count_synced(v, &epoch), members = count_members(v), left = f->cluster - 1;
    char text[64];

    paint_put(&p, TONE_PLAIN, 2, "");
    paint_text(&p, TONE_BOLD, "database");
    snprintf(text, sizeof(text), "  %zu of %zu synced", synced, members);
    paint_text(&p, synced == members ? TONE_GOOD : synced ? TONE_WARN : TONE_PLAIN, text);
    text[0] = '\0';
    if (f->j.count[NODE_UNKNOWN])
        snprintf(text, sizeof(text), "  ·  %zu unknown", f->j.count[NODE_UNKNOWN]);
    paint_text(&p, TONE_WARN, text);
    if (epoch) {
        snprintf(text, sizeof(text), "  ·  epoch %llu", (unsigned long long)epoch);
        paint_text(&p, TONE_DIM, text);
    }
    paint_end(&p);
    for (size_t i = 0; i < v->n && left; i++)
        if (leads(v, i)) {
            put_why(f, i);
            left--;
        }
    if (left && only_events(v)) {
        p = render_line(f);
        paint_put(&p, TONE_PLAIN, 2, "");
        paint_put(&p, TONE_DIM, p.left, v->cluster);
        paint_end(&p);
    }
}
