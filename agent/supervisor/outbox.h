/* SPDX-License-Identifier: Apache-2.0 */
/* Events that the controller has not acknowledged: kept on disk, bounded, sent again until they
 * are. Sequence numbers rise for ever, also over a crash. */
#ifndef MUSTER_AGENT_SUPERVISOR_OUTBOX_H
#define MUSTER_AGENT_SUPERVISOR_OUTBOX_H

#include <stdint.h>

#include "common/err.h"
#include "common/event.h"

#define OUTBOX_MAX 1000  /* events kept; the oldest go first */
#define OUTBOX_WINDOW 64 /* events under way at once */

struct outbox;

/* Opens or makes the directory `dir`. A line that a crash cut off is dropped. */
int outbox_open(const char *dir, struct outbox **ret, struct err *err);
void outbox_free(struct outbox *o);
/* Numbers the event and keeps it. A disk that cannot take it is an error, but the event is kept
 * in memory. */
int outbox_add(struct outbox *o, struct event *ev, struct err *err);
/* The next event to send, borrowed text, or NULL: none, or the window is full. */
const char *outbox_next(struct outbox *o);
void outbox_ack(struct outbox *o, uint64_t seq);
void outbox_rewind(struct outbox *o); /* a new connection: send all again */
uint64_t outbox_last(const struct outbox *o);
size_t outbox_count(const struct outbox *o);

#endif
