/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: a caller-owned record, filled where something failed and given context on the way
 * up. Functions that can fail return 0 or -1 and take `struct err *` last. Libraries never
 * print; the edge (main) prints the record once and exits with its code. */
#ifndef MUSTER_ERR_H
#define MUSTER_ERR_H

/* The codes are the exit codes of the programs (docs/operations.md lists them). */
enum err_code {
    ERR_NONE = 0,
    ERR_FAILED = 1,
    ERR_USAGE = 2,       /* usage or file error */
    ERR_CREDENTIALS = 3, /* credentials refused */
    ERR_CLOUD = 4,       /* the cloud refused or failed */
    ERR_NODE = 5,        /* a step failed on a node */
    ERR_TIMEOUT = 6,
    ERR_SAFETY = 7, /* refused for safety */
    ERR_LOCKED = 8,
    ERR_CHANGES = 10, /* changes pending */
    ERR_INTERRUPTED = 130,
};

struct err {
    int code;
    char msg[512]; /* one line of UTF-8, no newline at the end */
};

/* Each returns -1 so that a failure can be written `return err_set(...)`. */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* As err_set with ERR_FAILED and ": <strerror(errnum)>" appended. */
int err_errno(struct err *err, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Puts "<context>: " before the message that is there; the code is kept. */
int err_wrap(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
