/* SPDX-License-Identifier: Apache-2.0 */
/* Syncthing's API over its Unix socket. */
#ifndef MUSTER_AGENT_SHARE_REST_H
#define MUSTER_AGENT_SHARE_REST_H

#include <jansson.h>

#include "common/err.h"

#define REST_KEY_CHARS 32

/* One request, answered within `timeout_s`. *ret_json: the body's value, NULL where it has none;
 * may itself be NULL. `path` with its query. */
int rest_call(const char *api_key, const char *method, const char *path, unsigned timeout_s,
              json_t **ret_json, struct err *err);
/* The body of an answer with its headers; status 200 or an error. Pure. */
int rest_answer(const char *text, size_t len, json_t **ret_json, struct err *err);
/* Appends `text` as a value of a query. */
struct strbuf;
void rest_quote(struct strbuf *b, const char *text);

#endif
