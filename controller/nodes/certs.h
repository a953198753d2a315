/* SPDX-License-Identifier: Apache-2.0 */
/* The certificates of the database's ports: a CA that belongs to the deployment, and of each node
 * one that it signed; of each node one that it signed itself, by whose digest the others know it
 * when they copy files; and the one that the front doors show to visitors. They are made by
 * openssl(1) and kept in the store, the keys sealed. */
#ifndef MUSTER_CONTROLLER_NODES_CERTS_H
#define MUSTER_CONTROLLER_NODES_CERTS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "controller/spec/spec.h"
#include "controller/store/store.h"

struct certs {
    size_t n;
    char *ca;     /* PEM; NULL: the deployment has no database */
    char **of;    /* PEM, in the order of the file's nodes */
    char **share; /* PEM, likewise; members are NULL when no files are shared */
};

/* Makes what is missing or ends before long. `now`: seconds since 1970. */
int certs_get(struct store *st, const struct spec *s, uint64_t now, struct certs *ret,
              struct err *err);
void certs_free(struct certs *c);

/* The names of a node's keys among the secrets. The caller frees. */
char *certs_key_name(const char *node);
char *certs_share_key_name(const char *node);
bool certs_is_key_name(const char *secret);

/* The same secret of all front doors. */
#define CERTS_SITE_KEY "tls_key_of_site"

/* Makes the front doors' own certificate when it is missing or ends before long; PEM, the caller
 * frees. */
int certs_site_own(struct store *st, const struct spec *s, uint64_t now, char **ret,
                   struct err *err);
/* Keeps the key of a certificate that was given. */
int certs_site_given(struct store *st, const char *key, struct err *err);
/* Whether certificate (or chain) and key, both PEM, are what a front door can show: ERR_USAGE. */
int certs_site_check(const char *cert, const char *key, struct err *err);

/* Whether one that is valid from `from` to `until` is to be replaced: a third of its time is left.
 * Pure; seconds since 1970. */
bool certs_due(uint64_t from, uint64_t until, uint64_t now);

#endif
