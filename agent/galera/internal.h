/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the coordinator's actions only. */
#ifndef MUSTER_AGENT_GALERA_INTERNAL_H
#define MUSTER_AGENT_GALERA_INTERNAL_H

#include "agent/galera/galera.h"

/* Adds to what galera_note() says. */
void galera_note_set(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* position.c */
/* Fails when the data disk is read-only, with what to do. */
int galera_writable(const struct galera *g, struct err *err);
/* A torn log of the transaction coordinator, which would keep the server from its start; what is
 * moved is kept. */
int galera_set_torn_aside(const struct galera *g, struct err *err);

#endif
