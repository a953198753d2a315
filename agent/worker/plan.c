/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/worker/plan.h"

#include <stdlib.h>
#include <string.h>

#include "agent/ipc/paths.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/keys.h"
#include "common/str.h"

static bool rev_valid(const char *rev)
{
    return strlen(rev) == EVENT_REV_MAX - 1 && strspn(rev, "0123456789abcdef") == EVENT_REV_MAX - 1;
}

static int step_parse(struct plan *p, const json_t *spec, struct step *st, struct err *err)
{
    const char *type, *id;

    if (js_str(spec, "type", &type, err) < 0 || js_str(spec, "id", &id, err) < 0)
        return -1;
    size_t len = strlen(type);
    /* Of some a node has only one: the type alone is its name. */
    if (strncmp(id, type, len) != 0 || (id[len] && id[len] != ':') ||
        !str_copy(st->id, sizeof(st->id), id))
        return err_set(err, ERR_USAGE,
                       "id '%.64s' must be '%.32s' or '%.32s:<name>', at most %d characters", id,
                       type, type, EVENT_ID_MAX - 1);
    for (size_t i = 0; i < p->n_steps; i++)
        if (strcmp(p->steps[i].id, id) == 0)
            return err_set(err, ERR_USAGE, "id '%s' is used twice", id);
    json_t *ahead = json_object_get(spec, "ahead");
    if (ahead && !json_is_boolean(ahead))
        return err_set(err, ERR_USAGE, "%s: member 'ahead' is not true or false", id);
    st->ahead = json_is_true(ahead);
    st->ops = step_ops_find(type);
    if (!st->ops)
        return err_set(err, ERR_USAGE, "type '%.32s' is not known; a newer agent may be needed",
                       type);
    if (st->ops->parse(spec, &st->self, err) < 0)
        return err_wrap(err, "%s", id);
    return 0;
}

static int plan_read(struct plan *p, struct err *err)
{
    uint64_t version;
    json_t *steps;
    const char *rev;

    if (js_u64(p->root, "version", &version, err) < 0 ||
        js_str(p->root, "deployment", &p->deployment, err) < 0 ||
        js_str(p->root, "node", &p->node, err) < 0 || js_str(p->root, "rev", &rev, err) < 0 ||
        js_arr(p->root, "resources", &steps, err) < 0)
        return -1;
    if (version != PLAN_VERSION)
        return err_set(err, ERR_USAGE, "version %llu: this agent reads version %d",
                       (unsigned long long)version, PLAN_VERSION);
    if (!rev_valid(rev))
        return err_set(err, ERR_USAGE, "member 'rev' must be 16 lower-case hex digits");
    if (!*p->node || strlen(p->node) >= EVENT_NODE_MAX)
        return err_set(err, ERR_USAGE, "member 'node' must have 1 to %d characters",
                       EVENT_NODE_MAX - 1);
    str_copy(p->rev, sizeof(p->rev), rev);
    p->secrets = json_object_get(p->root, "secrets");
    if (p->secrets && !json_is_object(p->secrets))
        return err_set(err, ERR_USAGE, "member 'secrets' is not an object");

    size_t n = json_array_size(steps);
    if (n > PLAN_STEPS_MAX)
        return err_set(err, ERR_USAGE, "%zu resources: at most %d", n, PLAN_STEPS_MAX);
    p->steps = xcalloc(n ? n : 1, sizeof(*p->steps));
    for (size_t i = 0; i < n; i++) {
        if (step_parse(p, json_array_get(steps, i), &p->steps[i], err) < 0)
            return err_wrap(err, "resource %zu", i + 1);
        p->n_steps++;
    }
    return 0;
}

int plan_from_json(json_t *root, struct plan **ret, struct err *err)
{
    struct plan *p = xcalloc(1, sizeof(*p));

    p->root = json_incref(root);
    if (plan_read(p, err) < 0) {
        plan_free(p);
        return err_wrap(err, "plan");
    }
    *ret = p;
    return 0;
}

int plan_parse(const char *text, size_t len, struct plan **ret, struct err *err)
{
    _cleanup_json_ json_t *root = NULL;

    if (len > PLAN_SIZE_MAX)
        return err_set(err, ERR_USAGE, "plan: %zu bytes: at most %d", len, PLAN_SIZE_MAX);
    if (js_parse(text, len, &root, err) < 0)
        return err_wrap(err, "plan");
    return plan_from_json(root, ret, err);
}

int plan_load(const char *path, struct plan **ret, struct err *err)
{
    char *text = NULL;
    size_t len = 0;

    if (fs_read(path, PLAN_SIZE_MAX, &text, &len, err) < 0)
        return -1;
    int r = plan_parse(text, len, ret, err);
    keys_wipe(text, len);
    free(text);
    return r < 0 ? err_wrap(err, "%s", path) : 0;
}

void plan_free(struct plan *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n_steps; i++)
        p->steps[i].ops->free(p->steps[i].self);
    free(p->steps);
    json_decref(p->root);
    free(p);
}

void plan_cleanup(struct plan **p)
{
    plan_free(*p);
}

const json_t *plan_find(const struct plan *p, const char *type)
{
    for (size_t i = 0; i < p->n_steps; i++)
        if (strcmp(p->steps[i].ops->type, type) == 0)
            return json_array_get(json_object_get(p->root, "resources"), i);
    return NULL;
}

struct run plan_run(const struct plan *p)
{
    return (struct run){.node = p->node,
                        .rev = p->rev,
                        .secrets = p->secrets,
                        .resources = json_object_get(p->root, "resources"),
                        .plan_inode = p->inode};
}
