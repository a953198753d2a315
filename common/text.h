/* SPDX-License-Identifier: Apache-2.0 */
/* Text on its way to a terminal. What came from a node, the cloud or a page may hold anything; a
 * terminal obeys some of it. Everything that is printed for people passes text_plain. */
#ifndef MUSTER_TEXT_H
#define MUSTER_TEXT_H

#include <stdbool.h>
#include <stdio.h>

/* In place: control characters (C0, DEL, C1), the controls of writing direction and what is not
 * UTF-8 become '?', white space becomes a blank; `lines`: except the ends of lines. */
void text_plain(char *s, bool lines);
/* fprintf through text_plain, keeping the ends of lines. */
void text_print(FILE *to, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* In place: of each URL in it, name and password are dropped and the query becomes "...". Either
 * may be a secret, and what programs say of a failed download has the URL in it. */
void text_hide_urls(char *s);
/* http://NAME:PASSWORD@HOST… */
bool text_url_has_login(const char *url);
/* Letters, digits and ":-_./+@,=~" only: what events and states use as names. "" is one. */
bool text_is_name(const char *s);

#endif
