/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sys/verdict.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/str.h"

static void verdict_set(struct verdict *v, enum verdict_kind kind, const char *fmt, va_list ap)
{
    v->kind = kind;
    vsnprintf(v->why, sizeof(v->why), fmt, ap);
    str_utf8(v->why);
}

int verdict_ok(struct verdict *v)
{
    *v = (struct verdict){.kind = VERDICT_OK};
    return 0;
}

int verdict_note(struct verdict *v, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    verdict_set(v, VERDICT_OK, fmt, ap);
    va_end(ap);
    return 0;
}

int verdict_differs(struct verdict *v, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    verdict_set(v, VERDICT_DIFFERS, fmt, ap);
    va_end(ap);
    return 0;
}

int verdict_refused(struct verdict *v, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    verdict_set(v, VERDICT_REFUSED, fmt, ap);
    va_end(ap);
    return 0;
}
