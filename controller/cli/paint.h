/* SPDX-License-Identifier: Apache-2.0 */
/* One line of a picture: texts in columns, never wider than the line. Whatever a text holds, it
 * passes text_plain. Pure. */
#ifndef MUSTER_CONTROLLER_CLI_PAINT_H
#define MUSTER_CONTROLLER_CLI_PAINT_H

#include <stdbool.h>

#include "common/str.h"

enum tone { TONE_PLAIN, TONE_DIM, TONE_BOLD, TONE_GOOD, TONE_BAD, TONE_WARN, TONE_BUSY };

struct paint {
    struct strbuf *out;
    unsigned left; /* columns */
    bool color;
    bool ascii; /* nothing beyond ASCII: what has no likeness there becomes '?' */
};

/* Columns that the text takes on a terminal. */
unsigned paint_width(const char *text);
/* The text in exactly `cols` columns (or all that are left): padded, or cut with an ellipsis. */
void paint_put(struct paint *p, enum tone tone, unsigned cols, const char *text);
/* The same, padded in front. */
void paint_right(struct paint *p, enum tone tone, unsigned cols, const char *text);
/* As wide as it is. */
void paint_text(struct paint *p, enum tone tone, const char *text);
/* `n` times the same character. */
void paint_repeat(struct paint *p, enum tone tone, unsigned n, const char *character);
/* Blanks until only `keep` columns are left. */
void paint_until(struct paint *p, unsigned keep);
void paint_end(struct paint *p);
/* Bytes of the part of `text` that fits into `cols` columns, cut between words where it can be;
 * all of it when it fits. Blanks in front are counted in. */
size_t paint_fit(const char *text, unsigned cols);

#endif
