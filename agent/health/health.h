/* SPDX-License-Identifier: Apache-2.0 */
/* Whether this node can do its work, from the state that the supervisor reports (docs/protocol.md,
 * section 4), and how that is said to a load balancer, a monitor and an operator. Pure. */
#ifndef MUSTER_AGENT_HEALTH_HEALTH_H
#define MUSTER_AGENT_HEALTH_HEALTH_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/str.h"

/* A state is reported at least every 10 s; one that is older says nothing of now. */
#define HEALTH_STALE_MS 30000

enum health_value {
    HEALTH_UNKNOWN, /* what it depends on could not be seen */
    HEALTH_NO,
    HEALTH_YES,
};

#define HEALTH_REASONS 4

struct health {
    enum health_value database; /* takes part in a Primary component; YES without a database */
    enum health_value ready;    /* all that the plan has on this node works */
    bool site;                  /* it was seen to answer */
    bool traffic;               /* ready; while that is unknown: the site answers, or as before;
                                   whether it drains or not */
    bool drain;                 /* an operator: it finishes what it has, and gets nothing new */
    bool has_database;
    char reasons[HEALTH_REASONS][256]; /* why `ready` is not YES */
    unsigned n_reasons;
};

/* Judges the state, which is `age_ms` old (NULL: none was reported yet). What `h` says of traffic
 * is kept while the answer is unknown; zero-initialise it before the first time. */
void health_judge(struct health *h, const json_t *state, uint64_t age_ms);

/* An answer over HTTP: its status, and its text, which is appended to the empty `body`. */
struct health_source {
    const char *node;
    const json_t *state; /* or NULL */
    uint64_t age_ms;
};
/* `/`, `/live`, `/ready`, `/read-write` and `/metrics`; 404 for others, and of a node that drains
 * for `/` and `/ready`. */
int health_answer(const struct health *h, const struct health_source *s, const char *path,
                  const char **ret_type, struct strbuf *body);
/* The line of HAProxy's agent-check. */
void health_check_line(const struct health *h, struct strbuf *ret);

#endif
