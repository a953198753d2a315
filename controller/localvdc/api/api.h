/* SPDX-License-Identifier: Apache-2.0 */
/* The cloud's API: one table row per call; the table checks parameters, and listApis is made
 * from it. A handler answers at once; an asynchronous call's handler makes its rows and a job,
 * and the row's `job` function takes effect later in a process of its own. */
#ifndef MUSTER_CONTROLLER_LOCALVDC_API_API_H
#define MUSTER_CONTROLLER_LOCALVDC_API_API_H

#include <jansson.h>
#include <stdbool.h>

#include "common/httpd.h"
#include "common/pairs.h"
#include "controller/localvdc/api/account.h"
#include "controller/localvdc/base/vdb.h"
#include "controller/localvdc/base/vdc.h"
#include "controller/localvdc/faults/fault.h"

enum api_type {
    API_STRING,
    API_UUID,
    API_INTEGER,
    API_LONG,
    API_BOOLEAN,
    API_LIST,
    API_MAP,
    API_DATE
};

struct api_param {
    const char *name; /* NULL ends the array */
    enum api_type type;
    bool required;
};

/* CloudStack's codes: the first is the HTTP status, too. */
enum api_code {
    API_UNAUTHORIZED = 401,
    API_METHOD = 405,
    API_MALFORMED = 430,
    API_PARAM = 431,
    API_UNSUPPORTED = 432,
    API_INTERNAL = 530,
    API_PERMISSION = 531,
    API_CAPACITY = 533,
    API_IN_USE = 536,
    API_CONFLICT = 537,
};

struct api_call;
struct api_table;

/* One request. `result` is what goes inside "<command>response". */
struct api_rq {
    struct vdb *db;
    const struct api_table *table;
    const struct api_call *call;
    const struct pairs *params;
    bool post;
    char account[ACCOUNT_NAME_MAX]; /* who signed it */
    struct fault_hit fault;         /* set by a test: what is to happen to this call */
    json_t *result;
    int code;
    char text[512];
};

/* A job's effect: idempotent, may be killed anywhere and run again. */
struct api_job {
    struct vdb *db;
    const char *id;
    const json_t *params; /* what the handler passed to api_job_new */
    json_t *result;       /* set on success: the job's result */
};

struct api_call {
    const char *name;
    bool async;
    bool list;  /* takes the parameters common to all lists */
    bool alone; /* a call of the VDC only, not of CloudStack */
    const char *description;
    const struct api_param *params;
    /* NULL: known but unsupported; the description says what there is none of. */
    int (*handler)(struct api_rq *rq);
    int (*job)(struct api_job *job, struct err *err);
};

extern const struct api_param api_list_params[];

/* What a cloud can do; each array ends with a NULL name. */
struct api_table {
    const struct api_call *calls;
    const struct api_work {
        const char *name;
        int (*job)(struct api_job *job, struct err *err);
    } * works; /* jobs that no call asks for */
    const struct api_undo {
        const char *name; /* of the call */
        void (*undo)(struct api_job *job);
    } * undos; /* what is left of an entity when the job that was to make it failed */
};

const struct api_call *api_call_find(const struct api_table *table, const char *name);
const char *api_type_name(enum api_type t);

struct api_server {
    struct vdb *db;
    const struct api_table *table;
    const char *calls; /* file of the calls' record; NULL: none */
    bool vdc_roots;    /* "response" around the VDC's network calls, as the real one has it */
    bool dry;          /* check requests only: no handler is called */
};

/* The HTTP handler of VDC_PATH; ctx is the struct api_server. */
void api_serve(void *ctx, const struct httpd_request *http, struct httpd_response *ret);

/* --- for handlers --- */
/* Returns -1, so that a refusal can be written `return api_fail(...)`. */
int api_fail(struct api_rq *rq, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
const char *api_arg(const struct api_rq *rq, const char *name); /* NULL when not given */
bool api_arg_bool(const struct api_rq *rq, const char *name, bool dflt);
long long api_arg_int(const struct api_rq *rq, const char *name, long long dflt);
/* Whether the list's filter `name` is absent or equal to the value. */
bool api_match(const struct api_rq *rq, const char *name, const char *value);
/* The document named by a UUID parameter (new reference); NULL and a failure when unknown. */
json_t *api_need(struct api_rq *rq, const char *arg, const char *kind);
/* What the account of the request has of a kind: all (a new array), those whose text member `key`
 * is `value`, or one by its id (a new reference or NULL). */
json_t *api_list(const struct api_rq *rq, const char *kind);
json_t *api_find(const struct api_rq *rq, const char *kind, const char *key, const char *value);
json_t *api_get(const struct api_rq *rq, const char *kind, const char *id);
/* Answers with those of `all` (taken over) that pass the list's common filters, and whose members
 * named in `filters` (NULL-terminated) are what the parameters of the same names say. */
int api_reply_where(struct api_rq *rq, const char *name, json_t *all, const char *const *filters);
#define API_FILTERS(...) ((const char *const[]){__VA_ARGS__, NULL})
/* Items of a comma-separated value; a new array of texts. */
json_t *api_split(const char *value);
/* Answers with the page of `all` (taken over) that was asked for, as {"count", name: […]}. */
int api_reply_list(struct api_rq *rq, const char *name, json_t *all);
/* Applies the list's filters tags[i].key/value, id, ids and keyword to a document. */
bool api_match_common(const struct api_rq *rq, const json_t *doc);
/* Puts a job for this call, with `args` (taken over) as its parameters, and answers with its id;
 * `id` and `type` name the entity, or are NULL. */
int api_reply_job(struct api_rq *rq, const char *type, const char *id, json_t *args);
/* As the job of another call, without an answer: work that follows a synchronous call. */
int api_job_new(struct vdb *db, const char *cmd, const char *type, const char *id, json_t *args,
                char ret_id[37], struct err *err);
/* A copy without the members that are ours (their names start with '_'). */
json_t *api_public(const json_t *doc);

#endif
