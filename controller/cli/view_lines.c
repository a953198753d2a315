/* SPDX-License-Identifier: Apache-2.0 */
/* What is said in lines, where no picture is drawn. */
#include <stdio.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/str.h"
#include "common/text.h"
#include "controller/cli/render.h"

#define STILL_NODES 8

void view_still(const struct view *v, uint64_t now, struct strbuf *out)
{
    struct judged j;
    size_t shown;

    judge(v, now, &j);
    shown = v->n - j.count[NODE_READY];
    if (shown > STILL_NODES)
        shown = STILL_NODES;
    strbuf_adds(out, "still:");
    if (shown == 0)
        strbuf_addf(out, " all %zu nodes are ready", v->n);
    for (size_t i = 0; i < shown; i++) {
        const struct view_row *r = &v->rows[j.order[i]];
        enum node_class c = j.of[j.order[i]];
        _cleanup_(strbuf_free) struct strbuf text = {0};
        char took[16], age[RENDER_AGE_MAX];

        node_text(v, r, c, false, now, &text);
        if (text.s)
            text_plain(text.s, false);
        render_time(v, r, c, now, took);
        render_age(r, c, now, age);
        strbuf_addf(out, " %s %s", r->name, c == NODE_WORKING ? "" : node_class_name(c));
        if (text.len)
            strbuf_addf(out, "%s%s", c == NODE_WORKING ? "" : " ", text.s);
        if (took[0])
            strbuf_addf(out, " (%s%s%s)", took, age[0] ? ", last line " : "", age);
        strbuf_adds(out, ";");
    }
    if (v->n - j.count[NODE_READY] > shown)
        strbuf_addf(out, " and %zu more", v->n - j.count[NODE_READY] - shown);
    judged_free(&j);
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
