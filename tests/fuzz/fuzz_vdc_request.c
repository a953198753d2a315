/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a request to the local cloud's API: as the body of a POST (its signature is wrong),
 * and, signed, with their parameters checked against the call's row. Calls that list run, on an
 * empty state in memory; no other handler does. */
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/keys.h"
#include "common/sign.h"
#include "controller/localvdc/api/api.h"
#include "controller/localvdc/calls/calls.h"

#define PARAMS_MAX 100

static struct vdb *db;

static void serve(const char *body, size_t len, bool dry)
{
    const struct httpd_request rq = {
        .method = "POST", .path = VDC_PATH, .client = "", .body = body, .body_len = len};
    struct api_server server = {.db = db, .table = &calls_table, .dry = dry};
    struct httpd_response r = {0};

    api_serve(&server, &rq, &r);
    if (r.body[0] == '<') {
        size_t n = strlen(r.body), end = strlen("response>");

        if (n < end || strcmp(r.body + n - end, "response>") != 0)
            abort();
    } else {
        json_t *answer = json_loads(r.body, 0, NULL);

        if (json_object_size(answer) != 1)
            abort(); /* whatever comes in: one root with an object */
        json_decref(answer);
    }
    free(r.body);
    for (size_t i = 0; i < HTTPD_HEADERS_MAX; i++)
        free(r.headers[i].value);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct err err = {0};

    (void)argc;
    (void)argv;
    if (keys_init(&err) != 0 || vdb_open(":memory:", true, &db, &err) != 0)
        abort();
    json_t *keys = json_pack("{s:s,s:s}", "api_key", "K", "secret_key", "S");
    if (vdb_put(db, "meta", "keys", keys, &err) != 0)
        abort();
    json_decref(keys);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    _cleanup_(pairs_free) struct pairs p = {0};

    serve((const char *)data, size, true);
    if (pairs_parse(&p, (const char *)data, size, PARAMS_MAX, &err) != 0 ||
        pairs_get_nocase(&p, "apiKey") || pairs_get_nocase(&p, "signature"))
        return 0;
    pairs_add(&p, "apiKey", "K");
    const char *command = pairs_get(&p, "command");
    const struct api_call *call = command ? api_call_find(&calls_table, command) : NULL;
    _cleanup_free_ char *body = sign_params(p.v, p.n, "S");
    serve(body, strlen(body), !call || !call->list);
    return 0;
}
