/* SPDX-License-Identifier: Apache-2.0 */
/* What the check of a step found. */
#ifndef MUSTER_AGENT_SYS_VERDICT_H
#define MUSTER_AGENT_SYS_VERDICT_H

enum verdict_kind {
    VERDICT_OK,      /* the machine is as the step wants it; why may say what is besides */
    VERDICT_DIFFERS, /* apply has something to do; why says what */
    VERDICT_REFUSED, /* touching it could lose something; why says what and names the rule */
};

struct verdict {
    enum verdict_kind kind;
    char why[384];
};

/* All return 0 so that a check can end with `return verdict_xxx(...)`. */
int verdict_ok(struct verdict *v);
/* In sync; what is said is for the operator alone. */
int verdict_note(struct verdict *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int verdict_differs(struct verdict *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int verdict_refused(struct verdict *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
