/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the picture (view_render.c), each with its lines and how many it wants. Pure. */
#ifndef MUSTER_CONTROLLER_CLI_RENDER_H
#define MUSTER_CONTROLLER_CLI_RENDER_H

#include "common/clock.h"
#include "controller/cli/judge.h"
#include "controller/cli/paint.h"

#define MARGIN 1
#define RENDER_AGE_MAX (CLOCK_AGE_MAX + 8)

struct frame {
    const struct view *v;
    const struct view_screen *screen;
    uint64_t now;
    struct strbuf *out;
    struct judged j;
    unsigned name, zone, address, bar; /* columns; 0: not shown */
    bool gaps;
    size_t rows;      /* that are shown */
    size_t more;      /* lines that rows may have below them */
    size_t log;       /* lines */
    size_t cluster;   /* lines at most */
    bool shows_abort; /* a line about the last `up` */
};

struct paint render_line(const struct frame *f);
/* "4:02", "3h07", "5 d" */
void render_elapsed(uint64_t from, uint64_t to, char ret[16]);

/* How long a node is at it, or took just now, or when it failed; "" for none. */
void render_time(const struct view *v, const struct view_row *r, enum node_class c, uint64_t now,
                 char ret[16]);
/* When its last line of output came, or its state; "" while they are as new as can be. */
void render_age(const struct view_row *r, enum node_class c, uint64_t now,
                char ret[RENDER_AGE_MAX]);
/* Lines that a row wants below itself. */
size_t render_below_wants(const struct frame *f, const struct view_row *r, enum node_class c);
void render_nodes(struct frame *f);

size_t render_cluster_wants(const struct view *v);
void render_cluster(const struct frame *f);

#endif
