/* SPDX-License-Identifier: Apache-2.0 */
/* A provisioning step: one file res_X.c and one row in resource.c. The engine calls check,
 * apply, check. `check` changes nothing; `apply` may be killed anywhere and run again. */
#ifndef MUSTER_AGENT_RESOURCE_H
#define MUSTER_AGENT_RESOURCE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/event.h"

enum verdict_kind {
    VERDICT_OK,      /* the machine is as the step wants it */
    VERDICT_DIFFERS, /* apply has something to do; why says what */
    VERDICT_REFUSED, /* touching it could lose something; why says what and names the rule */
};

struct verdict {
    enum verdict_kind kind;
    char why[384];
};

/* All return 0 so that a check can end with `return verdict_xxx(...)`. */
int verdict_ok(struct verdict *v);
int verdict_differs(struct verdict *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int verdict_refused(struct verdict *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

struct plan;

/* One run of a plan; what steps may use of the world besides the machine itself. */
struct run {
    const struct plan *plan;
    const char *id;                                  /* the step at work */
    uint64_t started;                                /* clock_mono_ms of its start */
    uint64_t spoke;                                  /* of the last PROGRESS event */
    void (*emit)(void *ctx, const struct event *ev); /* takes no reference */
    void *ctx;
    uint64_t plan_inode; /* of the plan's file at the start; 0: not the agent's own plan */
};

/* A newer plan took the place of the one that runs: whoever waits should give up. */
bool run_superseded(const struct run *run);

/* An event about the step at work. run_progress passes at most one a second. */
void run_emit(struct run *run, enum event_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void run_progress(struct run *run, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Replaces ${secret:NAME}. The caller frees with secret_free, which wipes. */
int run_expand(const struct run *run, const char *text, char **ret, struct err *err);
void secret_free(char *s);
void secret_cleanup(char **s); /* for _cleanup_ */
#define _cleanup_secret_ __attribute__((cleanup(secret_cleanup)))

struct resource_ops {
    const char *type;
    /* `spec` outlives *ret, so members may be borrowed. Unknown members are errors. */
    int (*parse)(const json_t *spec, void **ret, struct err *err);
    int (*check)(const void *self, struct run *run, struct verdict *ret, struct err *err);
    int (*apply)(const void *self, struct run *run, struct err *err);
    void (*free)(void *self);
};

extern const struct resource_ops *const resource_table[]; /* NULL-terminated */
const struct resource_ops *resource_ops_find(const char *type);

/* The members of a step, read by a table instead of by hand. Values are borrowed. */
enum field_kind {
    FIELD_STR,     /* const char *, not empty */
    FIELD_TEXT,    /* const char *, may be empty */
    FIELD_PATH,    /* const char *, absolute, without ".." */
    FIELD_NAME,    /* const char *, letters, digits and "._@+:-" only, not starting with '-' */
    FIELD_UUID,    /* const char *, lower-case text form */
    FIELD_ADDRESS, /* const char *, IPv4 a.b.c.d */
    FIELD_CIDR,    /* const char *, IPv4 a.b.c.d/len */
    FIELD_U64,     /* uint64_t */
    FIELD_BOOL,    /* bool */
    FIELD_STRS,    /* const json_t *, array of non-empty strings */
    FIELD_NAMES,   /* const json_t *, array of FIELD_NAME strings */
    FIELD_ARRAY,   /* const json_t * */
    FIELD_OBJECT,  /* const json_t * */
};

struct field {
    const char *name;
    enum field_kind kind;
    size_t offset;
    bool required;
};

#define FIELD(type, member, kind_)                                                                 \
    {                                                                                              \
#member, kind_, offsetof(struct type, member), true                                        \
    }
#define FIELD_OPT(type, member, kind_)                                                             \
    {                                                                                              \
#member, kind_, offsetof(struct type, member), false                                       \
    }

/* Fills `obj` from `spec`. "type", "id" and "ahead" are always allowed. */
int fields_read(const json_t *spec, const struct field *fields, size_t n, void *obj,
                struct err *err);
/* Allocates and fills; for parse functions whose object is one block released by free(). */
int fields_parse(const json_t *spec, const struct field *fields, size_t n, size_t size, void **ret,
                 struct err *err);

#endif
