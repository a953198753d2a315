/* SPDX-License-Identifier: Apache-2.0 */
/* A look at the cloud: what the file wants, what the journal knows and what is there, brought
 * together. Changes nothing. */
#ifndef MUSTER_CONTROLLER_CLOUD_SURVEY_H
#define MUSTER_CONTROLLER_CLOUD_SURVEY_H

#include "controller/cloud/access.h"
#include "controller/cloud/moves.h"
#include "controller/store/store.h"

struct survey_options {
    const char *public_key; /* that VMs let in; NULL: the key pair is taken as it is */
    bool adopt;             /* what has our names may be taken over */
    const char *replace;    /* node whose VM is to be recreated, or NULL */
    bool destroy;           /* nothing is wanted any more … */
    const char *node;       /* … of this node; NULL: of all */
    bool with_data;         /* data disks neither */
    bool facts_only;        /* nothing will be created: the catalogue is not listed */
};

struct survey {
    struct resources resources;
    struct inventory inv;
};

/* Names of the file that the cloud does not have are added to `missing`, a line each, all of them.
 * The whole takes two rounds of list calls, one when nothing is to be created. */
int survey_run(struct reach *r, struct store *store, const struct spec *s,
               const struct survey_options *o, struct survey *ret, struct strbuf *missing,
               struct err *err);
void survey_free(struct survey *s);

/* Everything that only the operator can decide is added to `lines`, a line each; the error
 * (ERR_SAFETY) is their sum. 0: nothing. */
int survey_check(const struct survey *s, const struct spec *spec, struct strbuf *lines,
                 struct err *err);

#endif
