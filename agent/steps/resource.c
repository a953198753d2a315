/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/steps/resource.h"

#include <string.h>

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
