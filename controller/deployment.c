/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/deployment.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/keys.h"
#include "common/proc.h"
#include "common/str.h"
#include "controller/nodes/certs.h"
#include "controller/spec/openpgp.h"

#define CERT_MAX 65536 /* a certificate with its chain */

static char *directory_of(const char *file)
{
    _cleanup_free_ char *real = realpath(file, NULL);
    _cleanup_free_ char *copy = xstrdup(real ? real : file);

    return xstrdup(dirname(copy));
}

static char *state_directory(const char *deployment)
{
    const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

    if (xdg && xdg[0] == '/')
        return str_fmt("%s/muster/%s", xdg, deployment);
    return str_fmt("%s/.local/state/muster/%s", home && *home ? home : "/root", deployment);
}

int deployment_read(const char *file, struct deployment *ret, struct strbuf *problems,
                    struct err *err)
{
    _cleanup_free_ char *text = NULL;
    _cleanup_(spec_problems_free) struct spec_problems found = {0};
    struct deployment d = {.lock_fd = -1};
    struct yaml_doc doc;
    size_t len;
    int rc;

    if (fs_read(file, YAML_SIZE_MAX, &text, &len, err) < 0) {
        err->code = ERR_USAGE;
        if (errno == ENOENT)
            return err_set(err, ERR_USAGE,
                           "%s: no such file; name one with -f FILE (docs/examples has some)",
                           file);
        return -1;
    }
    if (yaml_doc_parse(file, text, len, &doc, err) < 0)
        return -1;
    rc = spec_parse(file, &doc, &d.spec, &found);
    yaml_doc_free(&doc);
    if (rc < 0) {
        strbuf_adds(problems, strbuf_str(&found.text));
        return err_set(err, ERR_USAGE, "%s: %u problem%s; nothing was done", file, found.count,
                       found.count == 1 ? "" : "s");
    }
    keys_sha256(text, len, d.digest);
    d.file = xstrdup(file);
    d.base = directory_of(file);
    d.state = state_directory(d.spec.deployment);
    *ret = d;
    return 0;
}

/* Keys and passwords are in it. */
static int is_private(const char *directory, struct err *err)
{
    struct stat st;

    if (stat(directory, &st) < 0)
        return err_errno(err, errno, "%s", directory);
    if (st.st_uid != geteuid() && geteuid() != 0)
        return err_set(
            err, ERR_SAFETY,
            "%s belongs to the user of number %u; be that one, or name another directory "
            "with XDG_STATE_HOME",
            directory, (unsigned)st.st_uid);
    if (st.st_mode & (S_IRWXG | S_IRWXO))
        return err_set(err, ERR_SAFETY,
                       "%s: others than its owner may enter it (mode %04o), and keys and passwords "
                       "are in it; type: chmod 700 %s",
                       directory, (unsigned)st.st_mode & 07777, directory);
    return 0;
}

int deployment_open(struct deployment *d, bool create, struct err *err)
{
    _cleanup_free_ char *db = str_fmt("%s/muster.db", d->state);

    if (!create && !fs_exists(db))
        return err_set(err, ERR_FAILED,
                       "deployment '%s' has not been raised from here; 'muster up -f %s' does it",
                       d->spec.deployment, d->file);
    if ((create && fs_mkdirs(d->state, 0700, err) < 0) || is_private(d->state, err) < 0)
        return -1;
    return store_open(d->state, create, &d->store, err);
}

/* Nodes that have enrolled know the present keys only. */
static int may_make(struct deployment *d, const char *path, struct err *err)
{
    uint64_t bound = 0;

    if (fs_exists(path))
        return 0;
    if (store_nodes_bound(d->store, &bound, err) < 0)
        return -1;
    if (!bound)
        return 0;
    return err_set(
        err, ERR_SAFETY,
        "%s is missing, and %llu node(s) know no other key: nothing was made in its "
        "place. Restore it from a copy; without one move %s away, and recreate the nodes "
        "one after another ('muster up --replace NODE')",
        path, (unsigned long long)bound, d->state);
}

int deployment_lock(struct deployment *d, struct err *err)
{
    _cleanup_free_ char *lock = str_fmt("%s/lock", d->state);
    _cleanup_free_ char *curve = str_fmt("%s/controller.key", d->state);
    _cleanup_free_ char *sign = str_fmt("%s/roster.key", d->state);

    d->lock_fd = fs_lock(lock, false, err);
    if (d->lock_fd < 0) {
        if (err->code == ERR_LOCKED)
            return err_set(err, ERR_LOCKED,
                           "another muster is at work on '%s'; 'muster watch' shows it",
                           d->spec.deployment);
        return -1;
    }
    if (may_make(d, curve, err) < 0 || may_make(d, sign, err) < 0 ||
        keys_curve_load_or_new(curve, &d->keys, err) < 0)
        return -1;
    return keys_sign_load_or_new(sign, &d->sign, err);
}

int deployment_keys(struct deployment *d, struct err *err)
{
    _cleanup_free_ char *curve = str_fmt("%s/controller.key", d->state);
    _cleanup_free_ char *sign = str_fmt("%s/roster.key", d->state);

    if (!fs_exists(curve) || !fs_exists(sign))
        return err_set(err, ERR_FAILED,
                       "deployment '%s' has not been raised from here; 'muster up -f %s' does it",
                       d->spec.deployment, d->file);
    if (keys_curve_load_or_new(curve, &d->keys, err) < 0)
        return -1;
    return keys_sign_load_or_new(sign, &d->sign, err);
}

void deployment_close(struct deployment *d)
{
    spec_free(&d->spec);
    free(d->file);
    free(d->base);
    free(d->state);
    store_close(d->store);
    if (d->lock_fd >= 0)
        close(d->lock_fd);
    keys_wipe(&d->keys, sizeof(d->keys));
    keys_wipe(&d->sign, sizeof(d->sign));
    *d = (struct deployment){.lock_fd = -1};
}

char *deployment_path(const struct deployment *d, const char *path)
{
    const char *home = getenv("HOME");

    if (path[0] == '/')
        return xstrdup(path);
    if (str_starts(path, "~/") && home)
        return str_fmt("%s/%s", home, path + 2);
    return str_fmt("%s/%s", d->base, path);
}

static int own_ssh_key(const struct deployment *d, char **ret_private, struct err *err)
{
    _cleanup_free_ char *key = str_fmt("%s/ssh_key", d->state);
    _cleanup_free_ char *public_path = str_fmt("%s.pub", key);
    _cleanup_free_ char *comment = str_fmt("muster %s", d->spec.deployment);

    if (!fs_exists(public_path)) {
        unlink(key); /* a run that was killed between the two files */
        if (proc_call(PROC_ARGV("/usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C",
                                comment, "-f", key),
                      err) < 0)
            return err_wrap(err, "cannot make an SSH key (install openssh-client, or name one "
                                 "with defaults.keypair.public_key)");
    }
    *ret_private = TAKE(key);
    return 0;
}

char *deployment_known_hosts(const struct deployment *d, const char *node)
{
    return str_fmt("%s/known_hosts.%s", d->state, node);
}

int deployment_ssh_key(const struct deployment *d, char **ret_public, char **ret_private,
                       struct err *err)
{
    _cleanup_free_ char *private_path = NULL;
    _cleanup_free_ char *path = NULL;
    _cleanup_free_ char *text = NULL;

    if (d->spec.public_key[0]) {
        path = deployment_path(d, d->spec.public_key);
        private_path = xstrdup(path);
        if (str_ends(private_path, ".pub"))
            private_path[strlen(private_path) - 4] = '\0';
    } else {
        if (own_ssh_key(d, &private_path, err) < 0)
            return -1;
        path = str_fmt("%s.pub", private_path);
    }
    if (fs_read(path, 16384, &text, NULL, err) < 0) {
        err->code = ERR_USAGE;
        return err_wrap(err, "defaults.keypair.public_key");
    }
    str_chomp(text);
    if (!str_starts(text, "ssh-") && !str_starts(text, "ecdsa-") && !str_starts(text, "sk-"))
        return err_set(err, ERR_USAGE, "%s: is not an SSH public key", path);
    *ret_public = TAKE(text);
    *ret_private = TAKE(private_path);
    return 0;
}

int deployment_package_key(const struct deployment *d, char **ret, struct err *err)
{
    _cleanup_free_ char *path = NULL;
    _cleanup_free_ char *text = NULL;
    size_t len;

    *ret = NULL;
    if (!d->spec.packages.repository)
        return 0;
    if (d->spec.packages.key) {
        *ret = xstrdup(d->spec.packages.key);
        return 0;
    }
    path = deployment_path(d, d->spec.packages.key_path);
    if (fs_read(path, OPENPGP_SIZE_MAX, &text, &len, err) < 0) {
        err->code = ERR_USAGE;
        return err_wrap(err, "packages.repository.key");
    }
    if (openpgp_public(text, len, ret, err) < 0)
        return err_wrap(err, "packages.repository.key: %s", path);
    return 0;
}

int deployment_frontdoor(const struct deployment *d, char **ret_cert, char **ret_key,
                         struct err *err)
{
    _cleanup_free_ char *cert_path = NULL, *key_path = NULL, *cert = NULL;
    char *key = NULL;

    *ret_cert = *ret_key = NULL;
    if (d->spec.frontdoor.tls != FRONTDOOR_GIVEN)
        return 0;
    cert_path = deployment_path(d, d->spec.frontdoor.certificate);
    key_path = deployment_path(d, d->spec.frontdoor.key);
    if (fs_read(cert_path, CERT_MAX, &cert, NULL, err) < 0) {
        err->code = ERR_USAGE;
        return err_wrap(err, "frontdoor.tls.certificate");
    }
    if (fs_read(key_path, KEYS_SEALED_MAX, &key, NULL, err) < 0) {
        err->code = ERR_USAGE;
        return err_wrap(err, "frontdoor.tls.key");
    }
    if (certs_site_check(cert, key, err) < 0) {
        keys_wipe(key, strlen(key));
        free(key);
        return err_wrap(err, "frontdoor.tls");
    }
    *ret_cert = TAKE(cert);
    *ret_key = key;
    return 0;
}

/* The same directory gives the same bytes: sorted names, no times, no owners. */
static int pack_directory(const char *directory, const char *to, struct err *err)
{
    _cleanup_free_ char *tmp = str_fmt("%s.tmp", to);

    if (proc_call(PROC_ARGV("/bin/tar", "--create", "--file", tmp, "--directory", directory,
                            "--sort=name", "--mtime=@0", "--owner=0", "--group=0",
                            "--numeric-owner", "--format=ustar", "."),
                  err) < 0)
        return err_wrap(err, "packing %s", directory);
    if (rename(tmp, to) < 0)
        return err_errno(err, errno, "%s", to);
    return 0;
}

int deployment_archive(const struct deployment *d, struct archive *ret, struct err *err)
{
    const struct spec_app *app = &d->spec.app;
    struct archive a = {0};
    _cleanup_free_ char *path = NULL;
    struct stat st;

    if (app->url[0] || !app->present) {
        a.zip = app->present;
        str_copy(a.sha256, sizeof(a.sha256), app->sha256);
        *ret = a;
        return 0;
    }
    path = deployment_path(d, app->path);
    if (stat(path, &st) < 0) {
        err_errno(err, errno, "app.archive.path: %s", path);
        err->code = ERR_USAGE;
        return -1;
    }
    if (S_ISDIR(st.st_mode)) {
        char *packed = str_fmt("%s/%s.tar", d->state, app->name);
        int rc = pack_directory(path, packed, err);

        free(path);
        path = packed;
        if (rc < 0)
            return -1;
    }
    if (keys_sha256_file(path, a.sha256, err) < 0 || fs_is_zip(path, &a.zip, err) < 0)
        return -1;
    if (app->sha256[0] && !str_eq(app->sha256, a.sha256))
        return err_set(err, ERR_USAGE, "%s: its SHA-256 is %s, the file says %s", path, a.sha256,
                       app->sha256);
    a.path = TAKE(path);
    *ret = a;
    return 0;
}

void archive_free(struct archive *a)
{
    free(a->path);
    *a = (struct archive){0};
}

int deployment_layout(const struct deployment *d, json_t **ret, struct err *err)
{
    _cleanup_free_ char *text = NULL;

    *ret = NULL;
    if (store_get(d->store, "layout", &text, err) < 0)
        return -1;
    return text ? js_parse(text, strlen(text), ret, err) : 0;
}
