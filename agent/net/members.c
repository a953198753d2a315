/* SPDX-License-Identifier: Apache-2.0 */
/* From the roster and the plan to the coordinator's members. */
#include <stdlib.h>
#include <string.h>

#include "agent/net/members.h"
#include "common/cleanup.h"
#include "common/js.h"
#include "common/str.h"

static int member_compare(const void *a, const void *b)
{
    return strcmp(js_opt_str(*(json_t *const *)a, "name", ""),
                  js_opt_str(*(json_t *const *)b, "name", ""));
}

static bool is_member(const json_t *galera, const char *name)
{
    size_t i;
    json_t *m;

    json_array_foreach(json_object_get(galera, "members"), i, m)
    {
        if (strcmp(js_opt_str(m, "name", ""), name) == 0)
            return true;
    }
    return false;
}

static bool has_role(const json_t *member, const char *role)
{
    return strcmp(js_opt_str(member, "role", "data"), role) == 0;
}

size_t net_members(const json_t *roster, const json_t *galera, json_t *ret[CLUSTER_MAX])
{
    size_t i, n = 0;
    json_t *m;

    json_array_foreach(json_object_get(roster, "members"), i, m)
    {
        if (n < CLUSTER_MAX && has_role(m, "data") && is_member(galera, js_opt_str(m, "name", "")))
            ret[n++] = m;
    }
    qsort(ret, n, sizeof(*ret), member_compare);
    if (n == CLUSTER_MAX)
        return n;
    ret[n] = NULL;
    json_array_foreach(json_object_get(roster, "members"), i, m)
    {
        if (has_role(m, "arbitrator"))
            ret[n] = m;
    }
    return n;
}

int net_members_config(const struct bootstrap *boot, const json_t *galera, json_t *const m[],
                       size_t count, uint8_t keys[][KEY_SIZE], struct cluster_config *cfg,
                       struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf all = {0};
    char digest[SHA256_HEX_SIZE];
    bool self = false;

    *cfg = (struct cluster_config){.n = (unsigned)count,
                                   .arbitrator = count < CLUSTER_MAX && m[count] != NULL};
    strbuf_addf(&all, "%s %s", boot->deployment, js_opt_str(galera, "cluster", ""));
    for (size_t i = 0; i < count + cfg->arbitrator; i++) {
        const char *name = js_opt_str(m[i], "name", "");

        if (keys_unhex(js_opt_str(m[i], "key", ""), keys[i], KEY_SIZE) < 0 ||
            !str_copy(cfg->names[i], sizeof(cfg->names[i]), name))
            return err_set(err, ERR_USAGE, "member '%.32s' of the roster has no usable key", name);
        cfg->weights[i] = (unsigned)js_opt_u64(m[i], "weight", 1);
        if (strcmp(name, boot->node) == 0) {
            cfg->self = (unsigned)i;
            self = true;
        }
        if (i < count)
            strbuf_addf(&all, " %s", name);
    }
    if (!self || count != json_array_size(json_object_get(galera, "members")))
        return err_set(err, ERR_FAILED, "the roster does not have all members yet");
    keys_sha256(all.s, all.len, digest);
    memcpy(cfg->manifest, digest, 16);
    keys_uuid(cfg->mint);
    keys_uuid(cfg->incarnation);
    keys_random(&cfg->seed, sizeof(cfg->seed));
    return 0;
}
