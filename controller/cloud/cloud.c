/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cloud/cloud.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/js.h"
#include "common/sign.h"
#include "common/str.h"
#include "controller/cloud/entity.h"

#define ANSWER_MAX (32 * 1024 * 1024)
#define CALL_TIMEOUT_S 60
#define GET_MAX 1500 /* bytes of a query; longer calls are sent as a form */
#define PAGE_SIZE 500
#define PAGES_MAX 1000
#define READ_TRIES 4
#define JOB_TRIES 10 /* it goes on while the API restarts */
#define LIMIT_TRIES 12
#define RETRY_AFTER_MAX_S 60
#define EXPIRES_S 600
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
    json_t *resources;
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
    json_decref(k->resources);
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

/* What the operator can do about it, by CloudStack's code. */
static const char *advice(const char *command, int code)
{
    static const struct {
        int code;
        const char *text;
        const char *command; /* NULL: any */
    } all[] = {
        {431,
         "; many clouds know RSA keys only: make one with 'ssh-keygen -t rsa -b 3072 -f KEY' and "
         "name it in the file, defaults: {keypair: {name: NAME, public_key: KEY.pub}}",
         "registerSSHKeyPair"},
        {530, "; 'muster up' again goes on from here", NULL},
        {531, "; this account may not do that: use another, or ask the cloud's operator", NULL},
        {532, "; a limit of this account: ask for more, or ask less in the file", NULL},
        {533, "; the zone has no room: another offering or zone, or later again", NULL},
        {534, "; the cloud is out of order there: 'muster up' again later goes on from here", NULL},
        {535, "; the zone has no room: another offering or zone, or later again", NULL},
        {536, "; something else is using it: 'muster up' again later goes on from here", NULL},
        {537, "; another rule is in the way: 'muster plan' shows those that it knows", NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (all[i].code == code && (!all[i].command || str_eq(all[i].command, command)))
            return all[i].text;
    return "";
}

static int server_error(const char *command, long status, const json_t *payload,
                        struct cloud_failure *why)
{
    char code[16] = "", text[400] = "";
    uint64_t number = 0;

    entity_text(payload, "errorcode", code, sizeof(code));
    entity_text(payload, "errortext", text, sizeof(text));
    if (str_to_u64(code, 999, &number) < 0 || number == 0)
        number = (uint64_t)status;
    why->code = (int)number;
    if (number == 401)
        return err_set(&why->err, ERR_CREDENTIALS,
                       "%s: the cloud refused the credentials (401: %s); check the API key, the "
                       "secret key and this machine's clock",
                       command, text);
    return err_set(&why->err, ERR_CLOUD, "%s: the cloud answered %d: %s%s", command, why->code,
                   text[0] ? text : "no text", advice(command, why->code));
}

/* Something between us and the API answered, or the API broke. */
static int foreign_answer(const char *command, const struct http_answer *a,
                          struct cloud_failure *why)
{
    if (a->location)
        return err_set(&why->err, ERR_CLOUD,
                       "%s: the endpoint redirects to %.200s; redirects are not followed, name the "
                       "right endpoint",
                       command, a->location);
    if (a->status == 429)
        return err_set(&why->err, ERR_CLOUD, "%s: the cloud says that there are too many calls",
                       command);
    if (a->status >= 500)
        return err_set(&why->err, ERR_CLOUD, "%s: the cloud is in trouble (HTTP %ld)", command,
                       a->status);
    return err_set(&why->err, ERR_CLOUD,
                   "%s: HTTP %ld without a CloudStack answer; is the endpoint an API address?",
                   command, a->status);
}

/* {"success": false}, or "false" as older servers write it. */
static bool says_no(const json_t *payload)
{
    const json_t *success = json_object_get(payload, "success");

    return json_is_false(success) || str_eq(json_string_value(success), "false");
}

int cloud_parse_answer(const char *command, const struct http_answer *a, json_t **ret,
                       struct cloud_failure *why)
{
    _cleanup_json_ json_t *root = NULL;
    json_t *payload = NULL;
    struct err ignored;

    *why = (struct cloud_failure){.code = (int)a->status};
    if (a->status == 0) {
        why->lost = true;
        return err_set(&why->err, a->err.code, "%s: %s", command, a->err.msg);
    }
    if (js_parse(a->body, a->len, &root, &ignored) < 0 || json_object_size(root) < 1) {
        why->lost = a->status >= 500 || a->status == 200;
        return a->status == 401 ? server_error(command, a->status, NULL, why)
                                : foreign_answer(command, a, why);
    }
    payload = json_object_iter_value(json_object_iter(root));
    if (a->status >= 400 || json_object_get(payload, "errorcode"))
        return server_error(command, a->status, payload, why);
    if (a->status != 200 || !json_is_object(payload)) {
        why->lost = true;
        return err_set(&why->err, ERR_CLOUD, "%s: HTTP %ld with an unexpected answer", command,
                       a->status);
    }
    if (says_no(payload)) {
        char text[400];

        entity_text(payload, "displaytext", text, sizeof(text));
        return err_set(&why->err, ERR_CLOUD, "%s: the cloud did not do it: %s", command,
                       text[0] ? text : "no text");
    }
    *ret = json_incref(payload);
    return 0;
}

static void send_call(struct call *k);

static void finish(struct call *k, const json_t *answer, const struct cloud_failure *why)
{
    cloud_done_fn done = k->done;
    void *ctx = k->ctx;
    _cleanup_json_ json_t *keep = json_incref((json_t *)answer);

    call_free(k);
    done(ctx, keep, why);
}

static void again_after(struct call *k, unsigned ms)
{
    k->due = clock_mono_ms() + ms;
}

const json_t *cloud_parse_list(const json_t *payload, const char *member)
{
    const json_t *arr = json_object_get(payload, member);
    const char *key;
    json_t *v;

    if (!arr)
        json_object_foreach((json_t *)payload, key, v) if (json_is_array(v)) arr = v;
    return json_is_array(arr) ? arr : NULL;
}

/* A server that knows no pages answers every one with the same. */
static bool repeats_itself(const struct call *k, const json_t *page)
{
    size_t before = json_array_size(k->resources);

    return k->page > 1 && before >= PAGE_SIZE &&
           json_equal(json_array_get(page, 0), json_array_get(k->resources, before - PAGE_SIZE));
}

/* One page has come. */
static void list_answer(struct call *k, const json_t *payload)
{
    const json_t *page = cloud_parse_list(payload, k->member);
    json_int_t count = json_integer_value(json_object_get(payload, "count"));

    if (repeats_itself(k, page)) {
        finish(k, k->resources, NULL);
        return;
    }
    if (page)
        json_array_extend(k->resources, (json_t *)page);
    if (json_array_size(page) == PAGE_SIZE && (json_int_t)json_array_size(k->resources) != count &&
        k->page < PAGES_MAX) {
        k->page++;
        send_call(k);
    } else {
        finish(k, k->resources, NULL);
    }
}

/* "org.apache.cloudstack.api.command.user.vm.DeployVMCmd" -> "DeployVMCmd". */
static const char *short_name(const char *command)
{
    const char *dot = strrchr(command, '.');

    return dot ? dot + 1 : command;
}

int cloud_parse_job(const json_t *payload, const json_t **ret, struct cloud_failure *why)
{
    const json_t *result = json_object_get(payload, "jobresult");
    char status[8], command[64];

    *ret = json_is_object(result) ? result : NULL;
    *why = (struct cloud_failure){0};
    entity_text(payload, "jobstatus", status, sizeof(status));
    if (str_eq(status, "0"))
        return 0;
    if (str_eq(status, "1") && !(result && says_no(result)))
        return 1;
    entity_text(payload, "cmd", command, sizeof(command));
    return server_error(command[0] ? short_name(command) : "job", 530, result, why);
}

static void job_answer(struct call *k, const json_t *payload)
{
    _cleanup_json_ json_t *none = json_object();
    struct cloud_failure why;
    const json_t *result;
    int rc = cloud_parse_job(payload, &result, &why);

    if (rc == 0) {
        again_after(k, k->pause_ms);
        k->pause_ms =
            k->pause_ms * 5 / 4 < JOB_PAUSE_MAX_MS ? k->pause_ms * 5 / 4 : JOB_PAUSE_MAX_MS;
    } else {
        finish(k, rc < 0 ? NULL : (result ? result : none), &why);
    }
}

/* Reads may always be repeated; what changes something only when the server did not look at it. */
static bool worth_repeating(const struct call *k, const struct cloud_failure *why)
{
    if (why->code == 429)
        return k->tries < LIMIT_TRIES;
    return k->kind != CALL_ONCE && k->tries < (k->kind == CALL_JOB ? JOB_TRIES : READ_TRIES) &&
           (why->lost || why->code == 503 || why->code == 502 || why->code == 500);
}

static unsigned pause_before_repeat(const struct call *k, const struct http_answer *a)
{
    unsigned ms = 250u << (k->tries < 7 ? k->tries : 7);

    if (a->retry_after_s > 0)
        ms = (unsigned)(a->retry_after_s < RETRY_AFTER_MAX_S ? a->retry_after_s
                                                             : RETRY_AFTER_MAX_S) *
             1000u;
    return ms;
}

static void on_answer(void *ctx, const struct http_answer *a)
{
    struct call *k = ctx;
    _cleanup_json_ json_t *payload = NULL;
    struct cloud_failure why;

    if (cloud_parse_answer(k->command, a, &payload, &why) < 0) {
        if (why.code == 0)
            err_wrap(&why.err, "%s", k->cloud->access.endpoint);
        if (worth_repeating(k, &why)) {
            again_after(k, pause_before_repeat(k, a));
            k->tries++;
        } else {
            finish(k, NULL, &why);
        }
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

/* A call that is kept somewhere on the way cannot be played again later. */
static void add_expiry(struct pairs *p)
{
    time_t until = time(NULL) + EXPIRES_S;
    struct tm tm;
    char text[32];

    gmtime_r(&until, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S+0000", &tm);
    pairs_add(p, "signatureVersion", "3");
    pairs_add(p, "expires", text);
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
    add_expiry(&p);
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
    url = strlen(query) > GET_MAX ? xstrdup(a->endpoint) : str_fmt("%s?%s", a->endpoint, query);
    http_start(k->cloud->http,
               &(struct http_call){.url = url,
                                   .form = strlen(query) > GET_MAX ? query : NULL,
                                   .max = ANSWER_MAX,
                                   .timeout_s = CALL_TIMEOUT_S,
                                   .once = k->kind == CALL_ONCE},
               on_answer, k);
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
    k->resources = json_array();
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
