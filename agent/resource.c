/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/resource.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/str.h"

extern const struct resource_ops res_route, res_disk, res_mount, res_package, res_file, res_service,
    res_datadir, res_galera, res_synced, res_sql, res_php, res_web, res_archive, res_app, res_grow;

const struct resource_ops *const resource_table[] = {
    &res_route,   &res_disk,   &res_mount,  &res_package, &res_file, &res_service,
    &res_datadir, &res_galera, &res_synced, &res_sql,     &res_php,  &res_web,
    &res_archive, &res_app,    &res_grow,   NULL,
};

const struct resource_ops *resource_ops_find(const char *type)
{
    for (size_t i = 0; resource_table[i]; i++)
        if (strcmp(resource_table[i]->type, type) == 0)
            return resource_table[i];
    return NULL;
}

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
