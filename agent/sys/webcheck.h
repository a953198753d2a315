/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP request to the local web server. */
#ifndef MUSTER_AGENT_SYS_WEBCHECK_H
#define MUSTER_AGENT_SYS_WEBCHECK_H

#include <stddef.h>

#include "common/err.h"

/* The status of GET `path`, a health page, at 127.0.0.1:80; PROTO_WEB_NO_PHP when the answer is the
 * page's source, or that it may not be had; or 0 when there is no answer within 5 s. */
int webcheck_status(const char *path);
/* The same of an answer with its headers. */
int webcheck_judge(int status, const char *answer);

/* One form post to 127.0.0.1:80 as application/x-www-form-urlencoded `body`, as a visitor of `site`
 * ("https://www.example.org") sends it: an application keeps the address that it is called by. -1
 * when there is no answer, its status is 400 or more, it is a script's source, or it does not say
 * `expect` (NULL: anything). ret_note: what an operator should know of an answer that is taken, or
 * "". */
int webcheck_post(const char *site, const char *path, const char *body, const char *expect,
                  char *ret_note, size_t cap, struct err *err);
/* The request's text, which the caller wipes and frees; NULL: `site` is no such address. */
char *webcheck_form(const char *site, const char *path, const char *body);
/* The same judgement of an answer with its headers. */
int webcheck_form_judge(int status, const char *answer, const char *path, const char *expect,
                        char *ret_note, size_t cap, struct err *err);

#endif
