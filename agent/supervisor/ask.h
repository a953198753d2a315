/* SPDX-License-Identifier: Apache-2.0 */
/* What a verb asks the coordinator of the running agent, through two files and a signal. */
#ifndef MUSTER_AGENT_SUPERVISOR_ASK_H
#define MUSTER_AGENT_SUPERVISOR_ASK_H

#include <jansson.h>
#include <stdbool.h>

#include "common/err.h"

/* `what`: look, recover, hold, resume, release. *ret_view (may be NULL): what it knows of all
 * members; new reference. ERR_SAFETY: it refuses, and why. */
int ask(const char *what, const char *node, const char *because, bool keep, json_t **ret_view,
        struct err *err);
/* Another member serves: this one may be taken away. */
int ask_others_serve(struct err *err);

enum ask_option {
    ASK_JSON = 1 << 0,
    ASK_BECAUSE = 1 << 1,
    ASK_WITHOUT = 1 << 2,
    ASK_CONFIRM = 1 << 3,
    ASK_KEEP = 1 << 4,
    ASK_ALLOW_OUTAGE = 1 << 5,
    ASK_TO = 1 << 6,
};
struct ask_options {
    bool json, keep, allow_outage;
    const char *because, *without, *confirm, *to;
    const char *words[2];
    int n_words;
};
/* The arguments after the verb; `allowed`: which options it takes. */
int ask_options(int argc, char **argv, unsigned allowed, struct ask_options *ret, struct err *err);

#endif
