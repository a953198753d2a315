/* SPDX-License-Identifier: Apache-2.0 */
/* Step `service`: a systemd service that starts at boot or not, and runs or not. */
#include <stdlib.h>

#include "agent/steps/step.h"
#include "agent/sys/svc.h"
#include "common/cleanup.h"

struct service {
    const char *name;
    bool enabled, running;
};

static const struct field fields[] = {
    FIELD(service, name, FIELD_NAME),
    FIELD(service, enabled, FIELD_BOOL),
    FIELD(service, running, FIELD_BOOL),
};

static int service_parse(const json_t *spec, void **ret, struct err *err)
{
    return fields_parse(spec, fields, ARRAY_LEN(fields), sizeof(struct service), ret, err);
}

static const char *service_unit(const void *self, size_t i)
{
    return i == 0 ? ((const struct service *)self)->name : NULL;
}

static int service_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    (void)run;
    const struct service *s = self;
    struct svc_state st;

    if (svc_status_soon(s->name, &st, err) < 0)
        return -1;
    if (!st.exists && (s->enabled || s->running))
        return verdict_differs(ret, "service %s does not exist", s->name);
    if (st.masked && (s->enabled || s->running))
        return verdict_differs(ret, "%s is masked: nothing can start it", s->name);
    if (st.enabled != s->enabled && st.exists)
        return verdict_differs(ret, "%s %s at boot", s->name,
                               st.enabled ? "starts" : "does not start");
    if (st.active != s->running)
        return verdict_differs(ret, "%s %s", s->name,
                               st.active   ? "runs"
                               : st.failed ? "has failed"
                                           : "does not run");
    if (s->running && svc_notify_pending(s->name))
        return verdict_differs(ret, "%s has not read its configuration yet", s->name);
    return verdict_ok(ret);
}

static int service_apply(const void *self, struct run *run, struct err *err)
{
    (void)run;
    const struct service *s = self;
    struct svc_state st;

    if (svc_status_boot(s->name, &st, err) < 0)
        return -1;
    if (!st.exists)
        return err_set(err, ERR_FAILED,
                       "service %s does not exist; is its package among the plan's packages?",
                       s->name);
    if (st.masked && (s->enabled || s->running) &&
        (svc_do("unmask", s->name, err) < 0 || svc_status_boot(s->name, &st, err) < 0))
        return -1;
    if (st.enabled != s->enabled && svc_do(s->enabled ? "enable" : "disable", s->name, err) < 0)
        return -1;
    if (s->running && st.active)
        return svc_notify_serve(s->name, err);
    if (st.active != s->running && svc_do(s->running ? "start" : "stop", s->name, err) < 0)
        return -1;
    return svc_notify_serve(s->name, err);
}

const struct step_ops step_service = {"service",     service_parse, service_check,
                                      service_apply, free,          service_unit};
