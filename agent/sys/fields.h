/* SPDX-License-Identifier: Apache-2.0 */
/* The members of a step, read by a table instead of by hand. Values are borrowed. */
#ifndef MUSTER_AGENT_SYS_FIELDS_H
#define MUSTER_AGENT_SYS_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

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
