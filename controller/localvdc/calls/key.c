/* SPDX-License-Identifier: Apache-2.0 */
/* SSH keys. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/keys.h"
#include "common/sign.h"
#include "common/str.h"
#include "controller/localvdc/base/tool.h"
#include "controller/localvdc/calls/calls.h"

/* A new document, not stored; NULL: refused. */
static json_t *key_new(struct api_rq *rq, const char *name, const char *key)
{
    char id[37], print[FINGERPRINT_SIZE];
    _cleanup_json_ json_t *same = api_find(rq, "key", "name", name);

    if (json_array_size(same) > 0) {
        api_fail(rq, API_PARAM, "A key pair with name '%s' already exists.", name);
        return NULL;
    }
    ssh_fingerprint(key, print);
    if (!*print) {
        api_fail(rq, API_PARAM, "Public key is invalid");
        return NULL;
    }
    keys_uuid(id);
    json_t *doc = json_pack("{s:s,s:s,s:s,s:s}", "id", id, "name", name, "fingerprint", print,
                            "_publickey", key);
    account_own(doc, rq->account);
    return doc;
}

static int put_key(struct api_rq *rq, const json_t *doc)
{
    struct err err = {0};

    if (vdb_put(rq->db, "key", vdc_str(doc, "id"), doc, &err) < 0)
        return api_fail(rq, API_INTERNAL, "%s", err.msg);
    rq->result = json_pack("{s:o}", "keypair", api_public(doc));
    return 0;
}

int call_register_key(struct api_rq *rq)
{
    const char *key = api_arg(rq, "publickey");
    _cleanup_json_ json_t *doc = key_new(rq, api_arg(rq, "name"), key);

    return doc ? put_key(rq, doc) : -1;
}

/* The private half is in the answer only. */
static int generate(const char *dir, char **ret_private, char **ret_public, struct err *err)
{
    _cleanup_free_ char *file = str_fmt("%s/key", dir), *pub = str_fmt("%s/key.pub", dir);

    if (TOOL("ssh-keygen", err, "-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "", "-C", "",
             "-f", file) < 0 ||
        fs_read(file, 65536, ret_private, NULL, err) < 0)
        return -1;
    return fs_read(pub, 65536, ret_public, NULL, err);
}

int call_create_key(struct api_rq *rq)
{
    struct err err = {0}, ignored = {0};
    char dir[] = VDC_DIR "/lock/key.XXXXXX";
    _cleanup_free_ char *private_key = NULL, *public_key = NULL;

    if (!mkdtemp(dir))
        return api_fail(rq, API_INTERNAL, "make a directory in " VDC_DIR "/lock: %m");
    int r = generate(dir, &private_key, &public_key, &err);
    fs_remove_tree(dir, &ignored);
    if (r < 0)
        return api_fail(rq, API_INTERNAL, "%s", err.msg);
    _cleanup_json_ json_t *doc = key_new(rq, api_arg(rq, "name"), str_chomp(public_key));
    if (!doc || put_key(rq, doc) < 0)
        return -1;
    json_object_set_new(json_object_get(rq->result, "keypair"), "privatekey",
                        json_string(private_key));
    keys_wipe(private_key, strlen(private_key));
    return 0;
}

int call_list_keys(struct api_rq *rq)
{
    return api_reply_where(rq, "sshkeypair", api_list(rq, "key"),
                           API_FILTERS("name", "fingerprint"));
}

int call_delete_key(struct api_rq *rq)
{
    struct err err = {0};
    const char *name = api_arg(rq, "name");
    _cleanup_json_ json_t *same = api_find(rq, "key", "name", name);
    const json_t *doc = json_array_get(same, 0);

    if (!doc)
        return api_fail(rq, API_PARAM, "A key pair with name '%s' does not exist", name);
    if (vdb_del(rq->db, "key", vdc_str(doc, "id"), &err) < 0)
        return api_fail(rq, API_INTERNAL, "%s", err.msg);
    rq->result = json_pack("{s:b}", "success", 1);
    return 0;
}
