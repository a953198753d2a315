/* SPDX-License-Identifier: Apache-2.0 */
/* The cloud's API: signed calls, lists with all their pages, and asynchronous jobs, side by side
 * in one loop. Knows the protocol and none of the resources. */
#ifndef MUSTER_CONTROLLER_CLOUD_CLOUD_H
#define MUSTER_CONTROLLER_CLOUD_CLOUD_H

#include <jansson.h>
#include <stdbool.h>

#include "common/err.h"
#include "common/pairs.h"
#include "controller/cloud/http.h"

struct cloud;

struct cloud_access {
    char endpoint[512];
    char key[160];
    char secret[160];
    char region[32]; /* VDC dialect; "" leaves the parameter out */
};

struct cloud *cloud_new(struct http *h, const struct cloud_access *access);
void cloud_free(struct cloud *c);

/* Why a call failed. err.code is ERR_CREDENTIALS when the keys were refused, ERR_TIMEOUT, or
 * ERR_CLOUD; the message has the call, the server's code and its text. */
struct cloud_failure {
    struct err err;
    int code;  /* CloudStack's error code, else the HTTP status; 0: no answer */
    bool lost; /* the server may have done it all the same */
};

/* The answer: the value under the single top-level member, borrowed; NULL with `why` set when
 * the call failed. */
typedef void (*cloud_done_fn)(void *ctx, const json_t *answer, const struct cloud_failure *why);

/* Starts `command`; `params` (more pairs) is copied. Sent again only when the server said that it
 * did not look at it (429: too many calls). */
void cloud_call(struct cloud *c, const char *command, const struct pairs *params,
                cloud_done_fn done, void *ctx);

/* Reads every page of a list call; the answer is the array of entities (empty when none).
 * Reads are repeated a few times when the server does not answer. */
void cloud_list(struct cloud *c, const char *command, const char *member,
                const struct pairs *params, cloud_done_fn done, void *ctx);

/* Asks for a job until it ends, with rising pauses; the answer is its jobresult (an object, maybe
 * empty). */
void cloud_job(struct cloud *c, const char *jobid, cloud_done_fn done, void *ctx);

/* To be called in the loop: starts what has become due. Returns the milliseconds until the next
 * thing is due, -1 for none. */
int cloud_tick(struct cloud *c);

/* Pure: splits an HTTP answer into its payload, a new reference, or a failure. */
int cloud_parse_answer(const char *command, const struct http_answer *a, json_t **ret,
                       struct cloud_failure *why);
/* Pure: a page's array, borrowed: the member asked for, or the only array there is. NULL: none. */
const json_t *cloud_parse_list(const json_t *payload, const char *member);
/* Pure: 1 the job is done, 0 it goes on, -1 it failed. Its result is borrowed, NULL without. */
int cloud_parse_job(const json_t *payload, const json_t **ret, struct cloud_failure *why);

#endif
