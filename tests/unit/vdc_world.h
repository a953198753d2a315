/* SPDX-License-Identifier: Apache-2.0 */
/* The local cloud's API with an empty state, without a server. For tests. */
#ifndef MUSTER_TEST_VDC_WORLD_H
#define MUSTER_TEST_VDC_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/keys.h"
#include "common/sign.h"
#include "common/str.h"
#include "controller/localvdc/api/api.h"
#include "controller/localvdc/calls/calls.h"

struct fixture {
    struct vdb *db;
    char path[64];
};

static int setup(void **state)
{
    struct err err = {0};
    struct fixture *f = xcalloc(1, sizeof(*f));

    str_copy(f->path, sizeof(f->path), "/tmp/test_vdc_calls.XXXXXX");
    assert_non_null(mkdtemp(f->path));
    _cleanup_free_ char *file = str_fmt("%s/state.db", f->path);
    assert_int_equal(keys_init(&err), 0);
    assert_int_equal(vdb_open(file, true, &f->db, &err), 0);
    _cleanup_json_ json_t *keys = json_pack("{s:s,s:s}", "api_key", "K", "secret_key", "S");
    assert_int_equal(vdb_put(f->db, "meta", "keys", keys, &err), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"", "-wal", "-shm"};

    vdb_close(&f->db);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        _cleanup_free_ char *file = str_fmt("%s/state.db%s", f->path, names[i]);

        unlink(file);
    }
    rmdir(f->path);
    free(f);
    return 0;
}

/* Sends "name=value&…", signed with the secret; returns the inner object, and the status. */
static json_t *call_as(struct fixture *f, const char *query, const char *key, const char *secret,
                       int *ret_status)
{
    struct err err = {0};
    _cleanup_(pairs_free) struct pairs p = {0};

    assert_int_equal(pairs_parse(&p, query, strlen(query), 100, &err), 0);
    pairs_add(&p, "apiKey", key);
    pairs_add(&p, "response", "json");
    _cleanup_free_ char *body = sign_params(p.v, p.n, secret);
    struct httpd_request rq = {
        .method = "POST", .path = VDC_PATH, .client = "", .body = body, .body_len = strlen(body)};
    struct httpd_response r = {0};
    struct api_server server = {.db = f->db, .table = &calls_table};
    api_serve(&server, &rq, &r);
    *ret_status = r.status;
    _cleanup_json_ json_t *whole = json_loads(r.body, 0, NULL);
    assert_int_equal(json_object_size(whole), 1);
    json_t *inner = json_incref(json_object_iter_value(json_object_iter(whole)));
    free(r.body);
    for (size_t i = 0; i < HTTPD_HEADERS_MAX; i++)
        free(r.headers[i].value);
    return inner;
}

static json_t *call(struct fixture *f, const char *query, const char *secret, int *ret_status)
{
    return call_as(f, query, "K", secret, ret_status);
}

static void expect(struct fixture *f, const char *query, int status)
{
    int got = 0;
    _cleanup_json_ json_t *inner = call(f, query, "S", &got);

    if (got != status)
        fail_msg("%s: status %d, expected %d", query, got, status);
    if (status != 200)
        assert_int_equal(json_integer_value(json_object_get(inner, "errorcode")), status);
}

#endif
