/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/steps/step.h"

#include <string.h>

extern const struct step_ops step_route, step_disk, step_mount, step_package, step_file,
    step_service, step_datadir, step_galera, step_arbitrator, step_synced, step_sql, step_php,
    step_web, step_frontdoor, step_archive, step_app, step_share, step_backup, step_sessions,
    step_grow, step_agent;

const struct step_ops *const step_table[] = {
    &step_route,    &step_disk,      &step_mount,      &step_package, &step_file,  &step_service,
    &step_datadir,  &step_galera,    &step_arbitrator, &step_synced,  &step_sql,   &step_php,
    &step_web,      &step_frontdoor, &step_archive,    &step_app,     &step_share, &step_backup,
    &step_sessions, &step_grow,      &step_agent,      NULL,
};

const struct step_ops *step_ops_find(const char *type)
{
    for (size_t i = 0; step_table[i]; i++)
        if (strcmp(step_table[i]->type, type) == 0)
            return step_table[i];
    return NULL;
}
