/* SPDX-License-Identifier: Apache-2.0 */
/* One request: parameters, signature, the call's row, checks, answer. */
#include "controller/localvdc/api/api.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/sign.h"
#include "common/str.h"
#include "common/uuid.h"
#include "controller/localvdc/api/calllog.h"
#include "controller/localvdc/api/xml.h"

#define PARAMS_MAX 256

static const char *const type_names[] = {
    [API_STRING] = "string",   [API_UUID] = "uuid", [API_INTEGER] = "integer", [API_LONG] = "long",
    [API_BOOLEAN] = "boolean", [API_LIST] = "list", [API_MAP] = "map",         [API_DATE] = "date",
};

const char *api_type_name(enum api_type t)
{
    return type_names[t];
}

const struct api_call *api_call_find(const struct api_table *table, const char *name)
{
    for (const struct api_call *c = table->calls; c->name; c++) {
        if (strcmp(c->name, name) == 0)
            return c;
    }
    return NULL;
}

int api_fail(struct api_rq *rq, int code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(rq->text, sizeof(rq->text), fmt, ap);
    va_end(ap);
    /* The text goes into a header, too, and what clients send comes back in it. */
    for (unsigned char *c = (unsigned char *)rq->text; *c; c++) {
        if (*c < 0x20 || *c > 0x7e)
            *c = '?';
    }
    rq->code = code;
    return -1;
}

/* The codes that CloudStack puts beside the HTTP status, by the exception that it throws. */
static int cs_code(int code)
{
    switch (code) {
    case API_PARAM:
        return 4350;
    case API_CONFLICT:
        return 4360;
    case API_INTERNAL:
        return 4250;
    default:
        return 9999;
    }
}

/* "2024-01-31", or with a time behind it. */
static bool is_date(const char *s)
{
    struct tm tm = {0};
    const char *end = strptime(s, "%Y-%m-%d", &tm);

    return end && (!*end || *end == ' ' || *end == 'T');
}

static bool type_holds(enum api_type t, const char *value)
{
    char *end = NULL;
    long long n = 0;

    switch (t) {
    case API_UUID:
        return uuid_valid(value);
    case API_INTEGER:
    case API_LONG:
        errno = 0;
        n = strtoll(value, &end, 10);
        return *value && !*end && errno == 0 &&
               (t == API_LONG || (n >= INT32_MIN && n <= INT32_MAX));
    case API_DATE:
        return is_date(value);
    default: /* also of booleans: what is not "true" is false */
        return true;
    }
}

/* A map is given as name[0].key=value. */
static bool map_given(const struct api_rq *rq, const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < rq->params->n; i++) {
        if (strncmp(rq->params->v[i].name, name, n) == 0 && rq->params->v[i].name[n] == '[')
            return true;
    }
    return false;
}

static int check_params(struct api_rq *rq, const struct api_param *p)
{
    for (; p && p->name; p++) {
        if (p->type == API_MAP) {
            if (p->required && !map_given(rq, p->name))
                return api_fail(rq, API_PARAM,
                                "Unable to execute API command %s due to missing parameter %s",
                                rq->call->name, p->name);
            continue;
        }
        const char *value = api_arg(rq, p->name);
        if (p->required && !value)
            return api_fail(rq, API_PARAM,
                            "Unable to execute API command %s due to missing parameter %s",
                            rq->call->name, p->name);
        if (value && !type_holds(p->type, value))
            return api_fail(rq, API_PARAM,
                            "Unable to execute API command %s due to invalid value. Invalid "
                            "parameter %s value=%s due to incorrect %s value format, or entity "
                            "does not exist",
                            rq->call->name, p->name, value, api_type_name(p->type));
    }
    return 0;
}

static int check_text(struct api_rq *rq)
{
    for (size_t i = 0; i < rq->params->n; i++) {
        _cleanup_json_ json_t *utf8 = json_string(rq->params->v[i].value);

        if (!utf8)
            return api_fail(rq, API_PARAM, "Received value for parameter %s is not UTF-8",
                            rq->params->v[i].name);
        for (const char *c = rq->params->v[i].value; *c; c++) {
            if (iscntrl((unsigned char)*c) && *c != '\n' && *c != '\r')
                return api_fail(rq, API_PARAM,
                                "Received value %s for parameter %s is invalid, contains illegal "
                                "ASCII non-printable characters",
                                rq->params->v[i].value, rq->params->v[i].name);
        }
    }
    return 0;
}

static int check_expiry(struct api_rq *rq)
{
    const char *version = pairs_get_nocase(rq->params, "signatureVersion");

    if (!version || strcmp(version, "3") != 0)
        return 0;
    const char *expires = pairs_get_nocase(rq->params, "expires");
    struct tm tm = {0};
    if (expires && strptime(expires, "%Y-%m-%dT%H:%M:%S%z", &tm)) {
        long offset = tm.tm_gmtoff;

        if (timegm(&tm) - offset >= time(NULL))
            return 0;
    }
    return -1;
}

/* As verifyRequest does: with a wrong key, a wrong signature or a call that is not there, all the
 * same answer. */
static int authorize(struct api_rq *rq)
{
    const char *key = pairs_get_nocase(rq->params, "apiKey");
    const char *signature = pairs_get_nocase(rq->params, "signature");
    _cleanup_json_ json_t *keys = key ? account_by_key(rq->db, key) : NULL;
    bool known = signature && keys;

    if (!known || check_expiry(rq) < 0 ||
        !sign_check(rq->params->v, rq->params->n, vdc_str(keys, "secret_key"), signature))
        return api_fail(rq, API_UNAUTHORIZED,
                        "unable to verify user credentials and/or request signature");
    str_copy(rq->account, sizeof(rq->account), vdc_str(keys, "name"));
    return 0;
}

/* A client may choose its job's id, to ask for it when the answer was lost; checked before the
 * call has any effect. */
static int check_job_id(struct api_rq *rq)
{
    const char *id = rq->call->async ? api_arg(rq, "customjobid") : NULL;

    if (!id)
        return 0;
    bool lower = uuid_valid(id);
    for (const char *c = id; *c; c++)
        lower = lower && !isupper((unsigned char)*c);
    if (!lower)
        return api_fail(rq, API_PARAM, "UUID: %s doesn't follow the UUID format", id);
    _cleanup_json_ json_t *other = vdb_get(rq->db, "job", id);
    if (other)
        return api_fail(rq, API_PARAM,
                        "UUID: %s already exists so can't create/update with custom id", id);
    return 0;
}

static int check_and_run(struct api_rq *rq, bool dry)
{
    if (!rq->call->handler)
        return api_fail(rq, API_UNSUPPORTED,
                        "The call %s is CloudStack's, but this cloud has no %s", rq->call->name,
                        rq->call->description);
    if (check_text(rq) < 0 || check_params(rq, rq->call->params) < 0)
        return -1;
    if (rq->call->list && check_params(rq, api_list_params) < 0)
        return -1;
    const char *account = api_arg(rq, "account");
    if (account && !str_eq(account, rq->account))
        return api_fail(rq, API_PERMISSION,
                        "Account %s does not have permission to operate with resources of account "
                        "%s",
                        rq->account, account);
    if (check_job_id(rq) < 0)
        return -1;
    return dry ? 0 : rq->call->handler(rq);
}

/* What a fault says instead of the call, or after it. */
static void spoil(struct api_rq *rq)
{
    static const char text[] = "Internal error (a fault that was set)";

    json_decref(TAKE(rq->result));
    rq->code = 0;
    if (rq->fault.action == FAULT_ERROR)
        api_fail(rq, rq->fault.code, "%s", *rq->fault.text ? rq->fault.text : text);
}

static int execute(struct api_rq *rq, const char *command, bool dry)
{
    struct err err = {0};

    if (!command)
        return api_fail(rq, API_UNSUPPORTED, "No command given");
    rq->call = api_call_find(rq->table, command);
    if (authorize(rq) < 0)
        return -1;
    if (!rq->call)
        return api_fail(rq, API_UNSUPPORTED, "Unknown API command: %.64s", command);
    if (!dry &&
        fault_take(rq->db, rq->call->name, rq->account, rq->call->async, &rq->fault, &err) < 0)
        return api_fail(rq, API_INTERNAL, "%s", err.msg);
    enum fault_action action = rq->fault.action;
    bool instead = action != FAULT_NONE && action != FAULT_DELAY && action != FAULT_FAIL_JOB;
    int r = instead && !rq->fault.after ? -1 : check_and_run(rq, dry);
    if (instead)
        spoil(rq);
    return r;
}

/* The part of a fault that is beneath the API; true when it replaces the answer. */
static bool break_http(const struct fault_hit *fault, const struct httpd_request *http,
                       struct httpd_response *ret)
{
    char seconds[16];

    switch (fault->action) {
    case FAULT_HTTP:
        httpd_reply(ret, fault->code, "text/html", str_fmt("HTTP error %d\n", fault->code));
        snprintf(seconds, sizeof(seconds), "%d", fault->retry_after_s);
        if (fault->retry_after_s > 0)
            httpd_reply_header(ret, "Retry-After", seconds);
        return true;
    case FAULT_KILL_CLIENT:
        if (fault_kill_peer(http->client, http->client_port) == 0)
            log_warn("fault: the client at %s:%u is not a process of this machine", http->client,
                     http->client_port);
        ret->end = HTTPD_CLOSE;
        return true;
    case FAULT_LOSE:
        ret->end = HTTPD_CLOSE;
        return true;
    case FAULT_RESET:
        ret->end = HTTPD_RESET;
        return true;
    case FAULT_DELAY:
        ret->delay_ms = (unsigned)fault->ms;
        return false;
    default:
        return false;
    }
}

/* The real VDC answers its own calls and listNetworks under one root for all. */
static bool irregular(const struct api_call *call)
{
    return call && (call->alone || str_eq(call->name, "listNetworks"));
}

static void answer(struct api_rq *rq, const char *command, bool vdc_roots,
                   struct httpd_response *ret)
{
    const char *before = vdc_roots && irregular(rq->call) ? "" : (rq->call ? command : "error");
    _cleanup_free_ char *root = str_fmt("%sresponse", before);

    for (char *c = root; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    json_t *inner = rq->result ? TAKE(rq->result) : json_object();
    if (rq->code) {
        json_decref(inner);
        inner = json_pack("{s:[],s:i,s:i,s:s%}", "uuidList", "errorcode", rq->code, "cserrorcode",
                          cs_code(rq->code), "errortext", rq->text, strlen(rq->text));
        httpd_reply_header(ret, "X-Description", rq->text);
    }
    const char *format = pairs_get(rq->params, "response");
    if (!format || strcasecmp(format, "json") != 0) {
        struct strbuf xml = {0};

        xml_write(root, inner, &xml);
        json_decref(inner);
        httpd_reply(ret, rq->code ? rq->code : 200, "text/xml; charset=UTF-8", xml.s);
        return;
    }
    _cleanup_json_ json_t *whole = json_pack("{s:o}", root, inner);
    char *text = json_dumps(whole, JSON_COMPACT);
    httpd_reply(ret, rq->code ? rq->code : 200, "application/json; charset=UTF-8", text);
}

void api_serve(void *ctx, const struct httpd_request *http, struct httpd_response *ret)
{
    if (strcmp(http->path, VDC_PATH) != 0) {
        httpd_reply(ret, 404, "text/plain", xstrdup("the API is at " VDC_PATH "\n"));
        return;
    }
    _cleanup_(pairs_free) struct pairs all = {0};
    const struct api_server *server = ctx;
    struct api_rq rq = {.db = server->db,
                        .table = server->table,
                        .params = &all,
                        .post = strcmp(http->method, "POST") == 0};
    struct err err = {0};
    for (size_t i = 0; i < http->args.n && i < PARAMS_MAX; i++)
        pairs_add(&all, http->args.v[i].name, http->args.v[i].value);
    int r = pairs_parse(&all, http->body, http->body_len, PARAMS_MAX, &err);
    const char *command = pairs_get(&all, "command");
    if (r < 0)
        api_fail(&rq, API_MALFORMED, "%s", err.msg);
    else if (!rq.post && strcmp(http->method, "GET") != 0)
        api_fail(&rq, API_METHOD, "the API takes GET and POST");
    else if (execute(&rq, command, server->dry) < 0 && rq.code == 0 && !*rq.fault.note)
        api_fail(&rq, API_INTERNAL, "internal error");
    if (break_http(&rq.fault, http, ret))
        json_decref(rq.result);
    else
        answer(&rq, command ? command : "", server->vdc_roots, ret);
    if (server->calls)
        calllog_add(server->calls, command ? command : "", &all, ret->status, rq.code,
                    rq.fault.note);
}
