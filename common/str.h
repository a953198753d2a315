/* SPDX-License-Identifier: Apache-2.0 */
/* Strings: a growable buffer and the few helpers that libc lacks. Out of memory aborts. */
#ifndef MUSTER_STR_H
#define MUSTER_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zero-initialise; `s` is NULL while empty and NUL-terminated otherwise. */
struct strbuf {
    char *s;
    size_t len;
    size_t cap;
};

void strbuf_add(struct strbuf *b, const void *data, size_t len);
void strbuf_adds(struct strbuf *b, const char *s);
void strbuf_addf(struct strbuf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strbuf_reset(struct strbuf *b);            /* empty, keeps the memory */
const char *strbuf_str(const struct strbuf *b); /* never NULL */
void strbuf_free(struct strbuf *b);             /* a cleanup function, too */

/* Allocation that aborts instead of failing. The caller frees. */
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);
char *str_fmt(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

bool str_eq(const char *a, const char *b); /* NULL equals only NULL */
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
/* Strips white space at the end, in place; returns s. */
char *str_chomp(char *s);
/* Strict decimal, whole string, at most `max`. Returns 0 or -1. */
int str_to_u64(const char *s, uint64_t max, uint64_t *ret);
/* Makes it UTF-8, in place: a character that was cut at the end goes, any other byte that belongs
 * to none becomes '?'. Returns s. */
char *str_utf8(char *s);
/* Copies at most cap-1 bytes and terminates, and cuts at the border of a character; false when it
 * did not fit. */
bool str_copy(char *dst, size_t cap, const char *src);
/* Levenshtein distance, for "did you mean". Both strings below 64 bytes, else SIZE_MAX. */
size_t str_distance(const char *a, const char *b);

#endif
