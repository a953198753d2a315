/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/serve/request.h"

#include <string.h>

#include "common/js.h"
#include "common/str.h"
#include "common/text.h"

static const char *const names[REQUEST_KINDS] = {
    [REQUEST_STATE] = "state",     [REQUEST_EVENTS] = "events", [REQUEST_UP] = "up",
    [REQUEST_MEASURE] = "measure", [REQUEST_FORGET] = "forget",
};

const char *request_name(enum request_kind kind)
{
    return names[kind];
}

static int optional_bool(const json_t *j, const char *key, bool *ret, struct err *err)
{
    const json_t *v = json_object_get(j, key);

    if (v && !json_is_boolean(v))
        return err_set(err, ERR_USAGE, "member '%s': is neither true nor false", key);
    *ret = json_is_true(v);
    return 0;
}

static int node_name(const json_t *j, const char *key, struct request *r, struct err *err)
{
    const char *text;

    if (js_str(j, key, &text, err) < 0)
        return -1;
    if (!*text || !text_is_name(text) || !str_copy(r->node, sizeof(r->node), text))
        return err_set(err, ERR_USAGE, "member '%s': is no name", key);
    return 0;
}

static int members(const json_t *j, struct request *r, struct err *err)
{
    const char *text;

    switch (r->kind) {
    case REQUEST_STATE:
        if (js_u64(j, "wait_ms", &r->wait_ms, err) < 0)
            return -1;
        if (r->wait_ms > REQUEST_WAIT_MAX_MS)
            return err_set(err, ERR_USAGE, "member 'wait_ms': at most %d", REQUEST_WAIT_MAX_MS);
        return 0;
    case REQUEST_EVENTS:
        if (js_u64(j, "after", &r->after, err) < 0 ||
            optional_bool(j, "follow", &r->follow, err) < 0)
            return -1;
        if (r->after > INT64_MAX)
            return err_set(err, ERR_USAGE, "member 'after': no such number");
        return optional_bool(j, "states", &r->states, err);
    case REQUEST_UP:
        if (js_str(j, "file", &text, err) < 0)
            return -1;
        if (!keys_sha256_valid(text))
            return err_set(err, ERR_USAGE, "member 'file': is no SHA-256");
        str_copy(r->file, sizeof(r->file), text);
        return 0;
    case REQUEST_MEASURE:
        if (node_name(j, "from", r, err) < 0 || nettest_order_parse(j, &r->order, err) < 0)
            return -1;
        if (r->order.what == NETTEST_SERVE)
            return err_set(err, ERR_USAGE, "member 'what': 'serve' is a part of 'throughput'");
        return 0;
    default:
        return node_name(j, "node", r, err);
    }
}

int request_parse(const json_t *j, struct request *ret, struct err *err)
{
    struct request r = {0};
    const char *what;
    uint64_t version;
    int kind = 0;

    if (!json_is_object(j))
        return err_set(err, ERR_USAGE, "a request is an object");
    if (js_u64(j, "v", &version, err) < 0)
        return -1;
    if (version != REQUEST_VERSION)
        return err_set(err, ERR_USAGE, "version %llu is not understood; this hub speaks %d",
                       (unsigned long long)version, REQUEST_VERSION);
    if (js_str(j, "do", &what, err) < 0)
        return -1;
    while (kind < REQUEST_KINDS && !str_eq(names[kind], what))
        kind++;
    if (kind == REQUEST_KINDS)
        return err_set(err, ERR_USAGE, "'%.32s' is no request", what);
    r.kind = (enum request_kind)kind;
    if (members(j, &r, err) < 0)
        return -1;
    *ret = r;
    return 0;
}
