/* SPDX-License-Identifier: Apache-2.0 */
/* Galera's grastate.dat, parsed strictly: garbage is an error, never "fresh" (G1, G2). Pure. */
#ifndef MUSTER_AGENT_GRASTATE_H
#define MUSTER_AGENT_GRASTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define UUID_ZERO "00000000-0000-0000-0000-000000000000"

struct grastate {
    char uuid[37];
    int64_t seqno;
    bool safe;
};

int grastate_parse(const char *text, struct grastate *ret, struct err *err);
/* The line "WSREP: Recovered position: <uuid>:<seqno>[,...]" of --wsrep-recover. */
bool grastate_recovered(const char *line, char ret_uuid[37], int64_t *ret_seqno);

#endif
