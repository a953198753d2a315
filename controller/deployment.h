/* SPDX-License-Identifier: Apache-2.0 */
/* A deployment on the operator's machine: its file, its state directory, its keys. */
#ifndef MUSTER_DEPLOYMENT_H
#define MUSTER_DEPLOYMENT_H

#include "common/keys.h"
#include "controller/spec/spec.h"
#include "controller/store/store.h"

struct deployment {
    struct spec spec;
    char *file;                   /* path of the file */
    char *base;                   /* its directory: what relative paths in it mean */
    char *state;                  /* state directory, 0700 */
    char digest[SHA256_HEX_SIZE]; /* of the file's text */
    struct store *store;
    int lock_fd;
    struct curve_pair keys;
    struct sign_pair sign;
};

/* Reads and checks the file. Every problem of its content is a line that is added to `problems`;
 * the error (ERR_USAGE) is their one-line sum. */
int deployment_read(const char *file, struct deployment *ret, struct strbuf *problems,
                    struct err *err);
/* Opens the state; `create` makes it. Without `create` a deployment that was never raised is an
 * error that says so. */
int deployment_open(struct deployment *d, bool create, struct err *err);
/* Takes the lock that only one changing command may hold (ERR_LOCKED else), and loads the keys. */
int deployment_lock(struct deployment *d, struct err *err);
/* Loads the keys without that lock, and makes none: those that an `up` has made. */
int deployment_keys(struct deployment *d, struct err *err);
void deployment_close(struct deployment *d);

/* A path of the file as an absolute one: "~/" and relative to the file's directory. The caller
 * frees. */
char *deployment_path(const struct deployment *d, const char *path);

/* The public key that VMs let in, one line; makes a pair in the state directory when the file names
 * none. *ret_private is the private half's path. The caller frees both. */
int deployment_ssh_key(const struct deployment *d, char **ret_public, char **ret_private,
                       struct err *err);

/* Where ssh keeps what it knows of that node's key; the caller frees. */
char *deployment_known_hosts(const struct deployment *d, const char *node);

/* The armored key of the packages' repository; NULL when the file names no repository. The caller
 * frees. */
int deployment_package_key(const struct deployment *d, char **ret, struct err *err);

/* What the store knows of the nodes' places: array of {name, zone, public_ip, private_ip, url,
 * ssh_port, vm}, NULL before the cloud part was done once. New reference. */
int deployment_layout(const struct deployment *d, json_t **ret, struct err *err);

/* Certificate (or chain) and key of the front door, PEM, when they are files; else NULL. The caller
 * wipes the key and frees both. */
int deployment_frontdoor(const struct deployment *d, char **ret_cert, char **ret_key,
                         struct err *err);

/* The application's archive as a file (a directory is packed). `path` stays NULL for one with a
 * URL.
 */
struct archive {
    char *path;
    char sha256[SHA256_HEX_SIZE];
    bool zip; /* one with a URL may be: that is seen on the node */
};
int deployment_archive(const struct deployment *d, struct archive *ret, struct err *err);
void archive_free(struct archive *a);

#endif
