/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/localvdc/api/account.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/keys.h"
#include "common/str.h"
#include "controller/localvdc/base/vdc.h"

#define KEY_CHARS 43

bool account_name_ok(const char *name)
{
    size_t n = strlen(name);

    if (n == 0 || n >= ACCOUNT_NAME_MAX || !isalpha((unsigned char)name[0]))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!isalnum((unsigned char)name[i]) && !strchr("-_.", name[i]))
            return false;
    }
    return true;
}

void account_id(const char *name, char ret[37])
{
    keys_uuid_derived("mvdc-account", name, ret);
}

void account_domain_id(char ret[37])
{
    keys_uuid_derived("mvdc-domain", VDC_DOMAIN, ret);
}

static json_t *first_account(struct vdb *db)
{
    json_t *keys = vdb_get(db, "meta", "keys");

    if (keys)
        json_object_set_new(keys, "name", json_string(VDC_ACCOUNT));
    return keys;
}

json_t *account_by_key(struct vdb *db, const char *api_key)
{
    _cleanup_json_ json_t *first = first_account(db);

    if (first && str_eq(vdc_str(first, "api_key"), api_key))
        return TAKE(first);
    _cleanup_json_ json_t *found = vdb_find(db, "account", "api_key", api_key);
    return json_incref(json_array_get(found, 0));
}

json_t *account_list(struct vdb *db)
{
    json_t *all = json_array();
    json_t *first = first_account(db);
    _cleanup_json_ json_t *others = vdb_list(db, "account");

    if (first)
        json_array_append_new(all, first);
    json_array_extend(all, others);
    return all;
}

static json_t *keys_new(void)
{
    char api[KEY_CHARS + 1], secret[KEY_CHARS + 1];

    keys_token(api, KEY_CHARS);
    keys_token(secret, KEY_CHARS);
    json_t *keys = json_pack("{s:s,s:s}", "api_key", api, "secret_key", secret);
    keys_wipe(secret, sizeof(secret));
    return keys;
}

int account_ensure(struct vdb *db, struct err *err)
{
    _cleanup_json_ json_t *known = vdb_get(db, "meta", "keys");

    if (known)
        return 0;
    _cleanup_json_ json_t *keys = keys_new();
    return vdb_put(db, "meta", "keys", keys, err);
}

int account_add(struct vdb *db, const char *name, json_t **ret, struct err *err)
{
    if (!account_name_ok(name))
        return err_set(err, ERR_USAGE,
                       "'%s' is no name for an account: a letter, then letters, digits, '-', '_' "
                       "and '.', at most %d",
                       name, ACCOUNT_NAME_MAX - 1);
    char id[37];
    account_id(name, id);
    _cleanup_json_ json_t *same = vdb_get(db, "account", id);
    if (same || str_eq(name, VDC_ACCOUNT))
        return err_set(err, ERR_FAILED,
                       "there is an account %s already; 'muster-vdc account list' shows its keys",
                       name);
    _cleanup_json_ json_t *account = keys_new();
    json_object_set_new(account, "name", json_string(name));
    if (vdb_put(db, "account", id, account, err) < 0)
        return -1;
    *ret = TAKE(account);
    return 0;
}

int account_remove(struct vdb *db, const char *name, struct err *err)
{
    static const char *const kinds[] = {"vm",  "volume", "snapshot", "network",
                                        "dcg", "key",    "userdata", "affinity"};
    char id[37];

    account_id(name, id);
    if (str_eq(name, VDC_ACCOUNT))
        return err_set(err, ERR_USAGE, "the account " VDC_ACCOUNT " belongs to the cloud itself");
    _cleanup_json_ json_t *account = vdb_get(db, "account", id);
    if (!account)
        return err_set(err, ERR_FAILED,
                       "there is no account %s; 'muster-vdc account list' names them", name);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        _cleanup_json_ json_t *all = vdb_find(db, kinds[i], "account", name);

        if (json_array_size(all) > 0)
            return err_set(
                err, ERR_SAFETY,
                "account %s still has %zu entities of kind %s; remove them with its keys "
                "first",
                name, json_array_size(all), kinds[i]);
    }
    return vdb_del(db, "account", id, err);
}

const char *account_of(const json_t *doc)
{
    const char *name = vdc_str(doc, "account");

    if (!*name)
        name = vdc_str(doc, "_account");
    return *name ? name : VDC_ACCOUNT;
}

void account_own(json_t *doc, const char *name)
{
    char domain[37];

    account_domain_id(domain);
    json_object_set_new(doc, "account", json_string(name));
    json_object_set_new(doc, "domain", json_string(VDC_DOMAIN));
    json_object_set_new(doc, "domainid", json_string(domain));
}
