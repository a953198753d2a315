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

/* One form post to 127.0.0.1:80 as application/x-www-form-urlencoded `body`; -1 when there is no
 * answer, its status is 400 or more, it is a script's source, or it does not say `expect` (NULL:
 * anything). */
int webcheck_post(const char *path, const char *body, const char *expect, struct err *err);

#endif
