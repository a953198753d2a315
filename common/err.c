/* SPDX-License-Identifier: Apache-2.0 */
#include "common/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/str.h"

/* Messages are one line on a terminal and go into JSON, whatever a server put into them and
 * wherever they were cut. */
static void make_printable(char *msg)
{
    for (char *s = msg; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = ' ';
    str_utf8(msg);
}

int err_set(struct err *err, int code, const char *fmt, ...)
{
    char msg[sizeof(err->msg)];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    make_printable(msg);
    err->code = code;
    memcpy(err->msg, msg, sizeof(msg));
    return -1;
}

int err_errno(struct err *err, int errnum, const char *fmt, ...)
{
    char msg[sizeof(err->msg)];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    return err_set(err, ERR_FAILED, "%s: %s", msg, strerror(errnum));
}

int err_wrap(struct err *err, const char *fmt, ...)
{
    char context[sizeof(err->msg)];
    char inner[sizeof(err->msg)];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(context, sizeof(context), fmt, ap);
    va_end(ap);
    memcpy(inner, err->msg, sizeof(inner));
    return err_set(err, err->code ? err->code : ERR_FAILED, "%s: %s", context, inner);
}
