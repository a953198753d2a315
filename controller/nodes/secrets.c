/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/nodes/secrets.h"

#include "common/cleanup.h"
#include "common/keys.h"
#include "common/str.h"
#include "controller/nodes/certs.h"
#include "controller/nodes/planner.h"

int secrets_backup_key(struct store *st, char ret[STORE_SECRET_SIZE], struct err *err)
{
    uint8_t key[KEY_SIZE];
    int r = store_secret_get(st, SECRETS_BACKUP_KEY, ret, err);

    if (r != 0)
        return r < 0 ? -1 : 0;
    keys_random(key, sizeof(key));
    keys_hex(key, sizeof(key), ret);
    keys_wipe(key, sizeof(key));
    return store_secret_set(st, SECRETS_BACKUP_KEY, ret, err);
}

static int value_of(struct store *st, const char *name, char ret[STORE_SECRET_SIZE],
                    struct err *err)
{
    if (str_eq(name, SECRETS_BACKUP_KEY))
        return secrets_backup_key(st, ret, err);
    if (!certs_is_key_name(name))
        return store_secret(st, name, PLANNER_SECRET_CHARS, ret, err);
    int r = store_secret_get(st, name, ret, err);
    return r == 0
               ? err_set(err, ERR_FAILED, "the store has no secret '%s'; muster up makes it", name)
               : r;
}

int secrets_fill(struct store *st, json_t *plan, struct err *err)
{
    _cleanup_json_ json_t *names = planner_secret_names(plan);

    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        char secret[STORE_SECRET_SIZE];

        if (value_of(st, name, secret, err) < 0)
            return -1;
        json_object_set_new(json_object_get(plan, "secrets"), name, json_string(secret));
        keys_wipe(secret, sizeof(secret));
    }
    return 0;
}
