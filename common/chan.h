/* SPDX-License-Identifier: Apache-2.0 */
/* JSON lines over a stream descriptor that never blocks: how the agent's processes, and the hub and
 * its clients, talk. A line over the bound, or one that is no JSON, ends the channel. */
#ifndef MUSTER_COMMON_CHAN_H
#define MUSTER_COMMON_CHAN_H

#include <jansson.h>
#include <stdbool.h>

#include "common/str.h"

#define CHAN_LINE_MAX (2 * 1024 * 1024)

struct chan {
    int fd; /* -1: closed */
    struct strbuf in;
    struct strbuf out;
};

void chan_open(struct chan *c, int fd); /* takes fd, makes it non-blocking and close-on-exec */
void chan_close(struct chan *c);
void chan_send(struct chan *c, json_t *value); /* takes the reference; writes what fits now */
void chan_flush(struct chan *c);
bool chan_wants_write(const struct chan *c);
/* Reads what is there; false when the other side is gone or broke the rules. Lines that came
 * before are still returned by chan_next. */
bool chan_fill(struct chan *c);
/* The next value, a new reference, or NULL; *ret_broken tells a line that is no JSON. */
json_t *chan_next(struct chan *c, bool *ret_broken);

#endif
