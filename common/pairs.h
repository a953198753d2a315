/* SPDX-License-Identifier: Apache-2.0 */
/* Name and value pairs of a request: the query string and a form's body. Pure. */
#ifndef MUSTER_PAIRS_H
#define MUSTER_PAIRS_H

#include <stddef.h>

#include "common/err.h"

struct pair {
    char *name;
    char *value;
};

/* Zero-initialise; owns its texts. */
struct pairs {
    struct pair *v;
    size_t n;
};

void pairs_add(struct pairs *p, const char *name, const char *value); /* copies both */
/* The first value of that name, or NULL. */
const char *pairs_get(const struct pairs *p, const char *name);
/* As pairs_get, upper and lower case being the same. */
const char *pairs_get_nocase(const struct pairs *p, const char *name);
/* Appends the pairs of an application/x-www-form-urlencoded text (also: a query string). A NUL,
 * a malformed escape or more than `max` pairs in all is an error. */
int pairs_parse(struct pairs *p, const char *text, size_t len, size_t max, struct err *err);
void pairs_free(struct pairs *p);

#endif
