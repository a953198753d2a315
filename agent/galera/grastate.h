/* SPDX-License-Identifier: Apache-2.0 */
/* Galera's grastate.dat, parsed strictly: garbage is an error, never "fresh" (G1, G2). Pure. */
#ifndef MUSTER_AGENT_GALERA_GRASTATE_H
#define MUSTER_AGENT_GALERA_GRASTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/uuid.h"

struct grastate {
    char uuid[UUID_SIZE];
    int64_t seqno;
    bool safe;
};

int grastate_parse(const char *text, struct grastate *ret, struct err *err);
/* The file of a server that was not stopped in order and may bootstrap; its start is told the
 * number. The caller frees. */
char *grastate_text(const char *uuid);
/* The line "WSREP: Recovered position: <uuid>:<seqno>[,...]" of --wsrep-recover. */
bool grastate_recovered(const char *line, char ret_uuid[UUID_SIZE], int64_t *ret_seqno);

/* What the output of one --wsrep-recover says, line by line; starts zeroed with seqno -1. */
struct grastate_recovery {
    char uuid[UUID_SIZE];
    int64_t seqno;
    unsigned lines;  /* that give a position; there must be exactly one */
    bool innodb;     /* that engine has begun */
    bool aria;       /* the log of the Aria engine is torn */
    bool prepared;   /* the server refuses to start before an operator decided them */
    char first[256]; /* first line that the server marked as an error */
};

/* "Found N prepared transaction(s)" as a note names those that the server itself finishes: only an
 * [ERROR] of it is a refusal (MariaDB, xarecover_handlerton and ha_recover). */
void grastate_recovery_line(struct grastate_recovery *r, const char *line);

#endif
