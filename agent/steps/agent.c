/* SPDX-License-Identifier: Apache-2.0 */
/* Step `agent`: the agent itself starts at boot, what it keeps is root's alone, and only root
 * reaches the cloud's metadata. None of it needs a restart of the agent. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/ipc/paths.h"
#include "agent/route/metadata.h"
#include "agent/steps/step.h"
#include "agent/sys/svc.h"
#include "common/cleanup.h"
#include "common/fs.h"

#define SERVICE "muster-agent"

struct agent {
    char nothing; /* it has no members */
};

static const struct {
    const char *path;
    mode_t mode;
} kept[] = {
    {PATH_STATE, 0711},     {PATH_PLAN, 0600},     {PATH_PLAN_COUNTER, 0600},
    {PATH_BOOTSTRAP, 0600}, {PATH_DB_LOGIN, 0600},
};

static int agent_parse(const json_t *spec, void **ret, struct err *err)
{
    return fields_parse(spec, NULL, 0, sizeof(struct agent), ret, err);
}

static const char *agent_unit(const void *self, size_t i)
{
    (void)self;
    return i == 0 ? SERVICE : NULL;
}

/* One that is not there is not the agent's own plan, or not made yet. */
static bool differs(size_t i)
{
    struct stat st;

    return lstat(kept[i].path, &st) == 0 &&
           ((st.st_mode & 07777) != kept[i].mode || st.st_uid != 0 || st.st_gid != 0);
}

static int agent_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    (void)self, (void)run;
    struct metadata m;
    struct svc_state st;
    char open_at[16];
    bool same;

    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        if (differs(i))
            return verdict_differs(ret, "%s has another mode or owner than %04o, root",
                                   kept[i].path, (unsigned)kept[i].mode);
    if (metadata_find(&m, err) < 0 || metadata_check(&m, open_at, &same, err) < 0)
        return -1;
    if (open_at[0])
        return verdict_differs(ret, "others than root reach the cloud's metadata at %s", open_at);
    if (!same)
        return verdict_differs(ret, "among the routing rules is one that is not the agent's");
    if (!fs_exists("/run/systemd/system"))
        return verdict_note(ret, "systemd does not run here, so nothing starts the agent at boot");
    if (svc_status_soon(SERVICE, &st, err) < 0)
        return -1;
    if (!st.exists)
        return verdict_note(ret, "the agent is not installed as a service here");
    if (st.masked || !st.enabled)
        return verdict_differs(ret, "%s %s", SERVICE,
                               st.masked ? "is masked: nothing can start it"
                                         : "does not start at boot");
    return verdict_ok(ret);
}

static int agent_apply(const void *self, struct run *run, struct err *err)
{
    (void)self, (void)run;
    struct metadata m;
    struct svc_state st;
    char open_at[16];
    bool same;

    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        if (differs(i) && (lchown(kept[i].path, 0, 0) < 0 || chmod(kept[i].path, kept[i].mode) < 0))
            return err_errno(err, errno, "mode and owner of %s", kept[i].path);
    if (metadata_find(&m, err) < 0 || metadata_check(&m, open_at, &same, err) < 0 ||
        ((open_at[0] || !same) && metadata_apply(&m, err) < 0))
        return -1;
    if (!fs_exists("/run/systemd/system"))
        return 0;
    if (svc_status_boot(SERVICE, &st, err) < 0)
        return -1;
    if (st.masked && (svc_do("unmask", SERVICE, err) < 0 || svc_status_boot(SERVICE, &st, err) < 0))
        return -1;
    return st.exists && !st.enabled ? svc_do("enable", SERVICE, err) : 0;
}

const struct step_ops step_agent = {"agent",     agent_parse, agent_check,
                                    agent_apply, free,        agent_unit};
