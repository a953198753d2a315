/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cloud.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/js.h"
#include "common/str.h"
#include "controller/sign.h"

#define ANSWER_MAX (32 * 1024 * 1024)
#define CALL_TIMEOUT_S 60
#define GET_MAX 1500 /* bytes of a query; longer calls are sent as a form */
#define PAGE_SIZE 500
#define READ_TRIES 4
#define JOB_PAUSE_MIN_MS 100
#define JOB_PAUSE_MAX_MS 2000

enum call_kind { CALL_ONCE, CALL_LIST, CALL_JOB };

/* One call, with all that repeats it: pages of a list, polls of a job. */
struct call {
    struct cloud *cloud;
    enum call_kind kind;
    char command[64];
    char member[64];
    struct pairs params;
    json_t *items;
    unsigned page;
    unsigned tries;
    unsigned pause_ms;
    uint64_t due; /* 0: a request is under way */
    cloud_done_fn done;
    void *ctx;
    struct call *next;
};

struct cloud {
    struct http *http;
    struct cloud_access access;
    struct call *calls;
};

struct cloud *cloud_new(struct http *h, const struct cloud_access *access)
{
    struct cloud *c = xcalloc(1, sizeof(*c));

    c->http = h;
    c->access = *access;
    return c;
}

static void call_free(struct call *k)
{
    struct call **at = &k->cloud->calls;

    while (*at != k)
        at = &(*at)->next;
    *at = k->next;
    pairs_free(&k->params);
    json_decref(k->items);
    free(k);
}

void cloud_free(struct cloud *c)
{
    if (!c)
        return;
    while (c->calls)
        call_free(c->calls);
    explicit_bzero(&c->access, sizeof(c->access));
    free(c);
}

void cloud_text(const json_t *obj, const char *key, char *ret, size_t cap)
{
    const json_t *v = json_object_get(obj, key);
    char number[32];

    ret[0] = '\0';
    if (json_is_string(v))
        str_copy(ret, cap, json_string_value(v));
    else if (json_is_integer(v)) {
        snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        str_copy(ret, cap, number);
    }
}

static int server_error(const char *command, long status, const json_t *payload, struct err *err)
{
    char code[16] = "", text[400] = "";

    cloud_text(payload, "errorcode", code, sizeof(code));
    cloud_text(payload, "errortext", text, sizeof(text));
    if (!code[0])
        snprintf(code, sizeof(code), "%ld", status);
    if (str_eq(code, "401"))
        return err_set(err, ERR_CREDENTIALS,
                       "%s: the cloud refused the credentials (401: %s); check the API key and "
                       "the secret key",
                       command, text);
    return err_set(err, ERR_CLOUD, "%s: the cloud answered %s: %s", command, code,
                   text[0] ? text : "no text");
}

int cloud_parse_answer(const char *command, long status, const char *body, size_t len, json_t **ret,
                       struct err *err)
{
    _cleanup_json_ json_t *root = NULL;
    json_t *payload = NULL;
    struct err parse_err;

    if (js_parse(body, len, &root, &parse_err) < 0 || json_object_size(root) < 1) {
        if (status == 401)
            return server_error(command, status, NULL, err);
        return err_set(err, ERR_CLOUD,
                       "%s: HTTP %ld without a CloudStack answer; is the endpoint "
                       "an API address?",
                       command, status);
    }
    payload = json_object_iter_value(json_object_iter(root));
    if (status >= 400 || json_object_get(payload, "errorcode"))
        return server_error(command, status, payload, err);
    if (status != 200 || !json_is_object(payload))
        return err_set(err, ERR_CLOUD, "%s: HTTP %ld with an unexpected answer", command, status);
    *ret = json_incref(payload);
    return 0;
}

static void send_call(struct call *k);

static void finish(struct call *k, const json_t *answer, const struct err *err)
{
    cloud_done_fn done = k->done;
    void *ctx = k->ctx;
    _cleanup_json_ json_t *keep = json_incref((json_t *)answer);

    call_free(k);
    done(ctx, keep, err);
}

static void again_after(struct call *k, unsigned ms)
{
    k->due = clock_mono_ms() + ms;
}

/* One page has come: the array is the member asked for, or the only array there is. */
static void list_answer(struct call *k, const json_t *payload)
{
    const json_t *arr = json_object_get(payload, k->member);
    json_int_t count = json_integer_value(json_object_get(payload, "count"));
    const char *key;
    json_t *v;

    if (!arr)
        json_object_foreach((json_t *)payload, key, v) if (json_is_array(v)) arr = v;
    if (json_is_array(arr))
        json_array_extend(k->items, (json_t *)arr);
    if (json_array_size(arr) >= PAGE_SIZE && (json_int_t)json_array_size(k->items) != count) {
        k->page++;
        send_call(k);
    } else {
        finish(k, k->items, NULL);
    }
}

static void job_answer(struct call *k, const json_t *payload)
{
    const json_t *result = json_object_get(payload, "jobresult");
    _cleanup_json_ json_t *none = json_object();
    char status[8];
    struct err err;

    cloud_text(payload, "jobstatus", status, sizeof(status));
    if (str_eq(status, "0")) {
        k->pause_ms =
            k->pause_ms * 3 / 2 < JOB_PAUSE_MAX_MS ? k->pause_ms * 3 / 2 : JOB_PAUSE_MAX_MS;
        again_after(k, k->pause_ms);
    } else if (str_eq(status, "1")) {
        finish(k, json_is_object(result) ? result : none, NULL);
    } else {
        char command[64];

        cloud_text(payload, "cmd", command, sizeof(command));
        server_error(command[0] ? command : "job", 530, result, &err);
        finish(k, NULL, &err);
    }
}

static bool worth_repeating(const struct call *k, long status)
{
    return k->kind != CALL_ONCE && k->tries < READ_TRIES &&
           (status == 0 || status == 429 || status == 503 || status == 500 || status == 502);
}

static void on_answer(void *ctx, long status, const char *body, size_t len,
                      const struct err *http_err)
{
    struct call *k = ctx;
    _cleanup_json_ json_t *payload = NULL;
    struct err err;

    if (status == 0)
        err_set(&err, http_err->code, "%s: %s: %s", k->command, k->cloud->access.endpoint,
                http_err->msg);
    if (status == 0 || cloud_parse_answer(k->command, status, body, len, &payload, &err) < 0) {
        if (worth_repeating(k, status))
            again_after(k, 250u << k->tries++);
        else
            finish(k, NULL, &err);
        return;
    }
    k->tries = 0;
    if (k->kind == CALL_LIST)
        list_answer(k, payload);
    else if (k->kind == CALL_JOB)
        job_answer(k, payload);
    else
        finish(k, payload, NULL);
}

static void send_call(struct call *k)
{
    const struct cloud_access *a = &k->cloud->access;
    _cleanup_(pairs_free) struct pairs p = {0};
    _cleanup_free_ char *query = NULL;
    _cleanup_free_ char *url = NULL;
    char number[16];

    pairs_add(&p, "command", k->command);
    pairs_add(&p, "response", "json");
    pairs_add(&p, "apiKey", a->key);
    if (a->region[0])
        pairs_add(&p, "region", a->region);
    for (size_t i = 0; i < k->params.n; i++)
        pairs_add(&p, k->params.v[i].name, k->params.v[i].value);
    if (k->kind == CALL_LIST) {
        snprintf(number, sizeof(number), "%u", k->page);
        pairs_add(&p, "page", number);
        snprintf(number, sizeof(number), "%d", PAGE_SIZE);
        pairs_add(&p, "pagesize", number);
    }
    k->due = 0;
    query = sign_params(p.v, p.n, a->secret);
    if (strlen(query) > GET_MAX) {
        http_start(k->cloud->http, a->endpoint, query, ANSWER_MAX, CALL_TIMEOUT_S, on_answer, k);
    } else {
        url = str_fmt("%s?%s", a->endpoint, query);
        http_start(k->cloud->http, url, NULL, ANSWER_MAX, CALL_TIMEOUT_S, on_answer, k);
    }
}

static struct call *call_new(struct cloud *c, enum call_kind kind, const char *command,
                             const struct pairs *params, cloud_done_fn done, void *ctx)
{
    struct call *k = xcalloc(1, sizeof(*k));

    k->cloud = c;
    k->kind = kind;
    str_copy(k->command, sizeof(k->command), command);
    for (size_t i = 0; params && i < params->n; i++)
        pairs_add(&k->params, params->v[i].name, params->v[i].value);
    k->page = 1;
    k->pause_ms = JOB_PAUSE_MIN_MS;
    k->done = done;
    k->ctx = ctx;
    k->next = c->calls;
    c->calls = k;
    return k;
}

void cloud_call(struct cloud *c, const char *command, const struct pairs *params,
                cloud_done_fn done, void *ctx)
{
    send_call(call_new(c, CALL_ONCE, command, params, done, ctx));
}

void cloud_list(struct cloud *c, const char *command, const char *member,
                const struct pairs *params, cloud_done_fn done, void *ctx)
{
    struct call *k = call_new(c, CALL_LIST, command, params, done, ctx);

    str_copy(k->member, sizeof(k->member), member);
    k->items = json_array();
    send_call(k);
}

void cloud_job(struct cloud *c, const char *jobid, cloud_done_fn done, void *ctx)
{
    struct call *k = call_new(c, CALL_JOB, "queryAsyncJobResult", NULL, done, ctx);

    pairs_add(&k->params, "jobid", jobid);
    send_call(k);
}

int cloud_tick(struct cloud *c)
{
    uint64_t now = clock_mono_ms();
    int next = -1;

    for (struct call *k = c->calls; k; k = k->next) {
        if (!k->due)
            continue;
        if (k->due <= now)
            send_call(k);
        else if (next < 0 || k->due - now < (uint64_t)next)
            next = (int)(k->due - now);
    }
    return next;
}
