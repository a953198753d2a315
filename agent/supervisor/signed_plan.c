/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/supervisor/signed_plan.h"

#include <string.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/signed.h"
#include "common/str.h"

int signed_plan_open(const uint8_t pub[KEY_SIZE], const char *text, const char *sig, uint64_t above,
                     json_t **ret_plan, uint64_t *ret_counter, struct err *err)
{
    _cleanup_json_ json_t *j = NULL;
    uint64_t counter;
    json_t *plan;

    if (!*sig)
        return err_set(err, ERR_SAFETY,
                       "it is not signed: the controller is of an older version than this agent");
    if (!signed_holds(pub, SIGNED_PLAN, text, sig))
        return err_set(err, ERR_SAFETY,
                       "its signature is not the controller's that this machine knows");
    if (js_parse(text, strlen(text), &j, err) < 0 || js_u64(j, "counter", &counter, err) < 0)
        return -1;
    if (counter <= above)
        return err_set(err, ERR_SAFETY, "it is an older one again (%llu, the last one was %llu)",
                       (unsigned long long)counter, (unsigned long long)above);
    plan = json_object_get(j, "plan");
    if (!json_is_object(plan))
        return err_set(err, ERR_USAGE, "member 'plan' is missing");
    *ret_plan = json_incref(plan);
    *ret_counter = counter;
    return 0;
}

int signed_plan_load(const char *path, uint64_t *ret, struct err *err)
{
    _cleanup_free_ char *text = NULL;
    size_t len = 0;

    *ret = 0;
    if (!fs_exists(path))
        return 0;
    if (fs_read(path, 64, &text, &len, err) < 0)
        return -1;
    return str_to_u64(str_chomp(text), INT64_MAX, ret) == 0
               ? 0
               : err_set(err, ERR_FAILED, "%s: is no number; no plan is taken until it is removed",
                         path);
}

int signed_plan_save(const char *path, uint64_t counter, struct err *err)
{
    _cleanup_free_ char *text = str_fmt("%llu\n", (unsigned long long)counter);

    return fs_write_atomic(path, text, strlen(text), 0600, err);
}
