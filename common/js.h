/* SPDX-License-Identifier: Apache-2.0 */
/* JSON at the borders: parsing with bounds, and typed access that says what was wrong. The
 * values are jansson's; references are borrowed unless said otherwise. */
#ifndef MUSTER_JS_H
#define MUSTER_JS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "err.h"

#define JS_DEPTH_MAX 32 /* nesting accepted from outside */

/* Parses one value; duplicates of a key, trailing text and nesting beyond JS_DEPTH_MAX are
 * errors. *ret is a new reference. */
int js_parse(const char *text, size_t len, json_t **ret, struct err *err);

/* Required members: -1 and "member 'x': missing" / "... is not a string". */
int js_str(const json_t *obj, const char *key, const char **ret, struct err *err);
int js_u64(const json_t *obj, const char *key, uint64_t *ret, struct err *err);
int js_obj(const json_t *obj, const char *key, json_t **ret, struct err *err);
int js_arr(const json_t *obj, const char *key, json_t **ret, struct err *err);

/* Optional members: the default when absent or of another type. */
const char *js_opt_str(const json_t *obj, const char *key, const char *dflt);
uint64_t js_opt_u64(const json_t *obj, const char *key, uint64_t dflt);
bool js_opt_bool(const json_t *obj, const char *key, bool dflt);

/* Compact text with sorted keys (stable: equal values give equal text). The caller frees. */
char *js_text(const json_t *value);

/* A string value of any text: what is not UTF-8 in it becomes '?' (jansson's own functions, and its
 * json_pack with `s`, answer NULL to such text). For what programs, servers or files say. */
json_t *js_string(const char *s);

/* Appends to *arr a copy of the string. */
void js_push_str(json_t *arr, const char *s);

#endif
