/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP requests to the local web server, and whether it has PHP. */
#ifndef MUSTER_AGENT_SYS_WEBCHECK_H
#define MUSTER_AGENT_SYS_WEBCHECK_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/visit.h"

struct webcheck {
    int status;              /* of HTTP; 0: no answer */
    char why[VISIT_WHY_MAX]; /* what keeps visitors from the site; "": nothing */
};

/* Where the web server of the plan's step `web` is, on this node: behind a front door elsewhere
 * than where visitors come. NULL: without one. */
uint16_t webcheck_port(const json_t *web);
/* The same of the step among those of a plan. */
uint16_t webcheck_port_of(const json_t *resources);

/* What a visitor of `site` ("https://www.example.org"; without such an address: of "localhost")
 * gets at that port of 127.0.0.1 within 5 s. */
void webcheck_visit(uint16_t port, const char *site, const struct visit_wanted *w,
                    struct webcheck *ret);
/* The same of an answer with its headers. Pure. */
void webcheck_visit_judge(int status, const char *answer, const struct visit_wanted *w,
                          struct webcheck *ret);

#define WEBCHECK_PID_FILE "/run/apache2/apache2.pid"
/* Whether the server whose process is named there has loaded PHP: 1, 0; -1: it could not be seen.
 */
int webcheck_php(const char *pid_file);

/* One form post to that port of 127.0.0.1 as application/x-www-form-urlencoded `body`, as a visitor
 * of `site`
 * ("https://www.example.org") sends it: an application keeps the address that it is called by. -1
 * when there is no answer, its status is 400 or more, it is a script's source, or it does not say
 * `expect` (NULL: anything). ret_note: what an operator should know of an answer that is taken, or
 * "". */
int webcheck_post(uint16_t port, const char *site, const char *path, const char *body,
                  const char *expect, char *ret_note, size_t cap, struct err *err);
/* The request's text, which the caller wipes and frees; NULL: `site` is no such address. */
char *webcheck_form(const char *site, const char *path, const char *body);
/* The same judgement of an answer with its headers. */
int webcheck_form_judge(int status, const char *answer, const char *path, const char *expect,
                        char *ret_note, size_t cap, struct err *err);

#endif
