/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/nodes/certs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/keys.h"
#include "common/proc.h"
#include "common/str.h"

#define OPENSSL "/usr/bin/openssl"
#define OPENSSL_MAX_S 60
#define YEAR (365 * 24 * 3600ULL)
/* The agents go on for years without a controller: what ends soon would end the cluster. It begins
 * earlier than now, for nodes whose clock is behind. */
#define BEFORE YEAR
#define CA_YEARS 99
#define NODE_YEARS 10
#define PEM_MAX 16384
#define KEY_PREFIX "tls_key_"
#define KEY_CA "tls_ca_key"
#define SHARE_KEY_PREFIX "share_key_"

static const char configuration[] = "[req]\n"
                                    "distinguished_name = name\n"
                                    "[ca]\n"
                                    "default_ca = own\n"
                                    "[own]\n"
                                    "database = index\n"
                                    "new_certs_dir = .\n"
                                    "rand_serial = yes\n"
                                    "default_md = sha256\n"
                                    "policy = name\n"
                                    "unique_subject = no\n"
                                    "[name]\n"
                                    "organizationName = optional\n"
                                    "commonName = supplied\n"
                                    "[authority]\n"
                                    "basicConstraints = critical, CA:TRUE, pathlen:0\n"
                                    "keyUsage = critical, keyCertSign\n"
                                    "subjectKeyIdentifier = hash\n"
                                    "[member]\n"
                                    "basicConstraints = critical, CA:FALSE\n"
                                    "extendedKeyUsage = serverAuth, clientAuth\n";

/* Of the front doors: it signs nothing but itself. %s: DNS or IP, and the site's host. */
#define SITE_SECTION                                                                               \
    "[site]\n"                                                                                     \
    "basicConstraints = critical, CA:FALSE\n"                                                      \
    "extendedKeyUsage = serverAuth\n"                                                              \
    "subjectAltName = %s:%s\n"

bool certs_due(uint64_t from, uint64_t until, uint64_t now)
{
    return until <= from || now >= until - (until - from) / 3;
}

char *certs_key_name(const char *node)
{
    return str_fmt(KEY_PREFIX "%s", node);
}

char *certs_share_key_name(const char *node)
{
    return str_fmt(SHARE_KEY_PREFIX "%s", node);
}

bool certs_is_key_name(const char *secret)
{
    return str_starts(secret, KEY_PREFIX) || str_starts(secret, SHARE_KEY_PREFIX);
}

void certs_free(struct certs *c)
{
    for (size_t i = 0; i < c->n; i++) {
        free(c->of[i]);
        free(c->share[i]);
    }
    free(c->of);
    free(c->share);
    free(c->ca);
    *c = (struct certs){0};
}

/* --- openssl(1) ----------------------------------------------------------------------------- */

/* A directory of its own, in memory where there is one, and gone afterwards. */
struct scratch {
    char dir[64];
};

static int put(const struct scratch *d, const char *name, const char *text, struct err *err)
{
    _cleanup_free_ char *path = str_fmt("%s/%s", d->dir, name);

    return fs_write_atomic(path, text, strlen(text), 0600, err);
}

static int take(const struct scratch *d, const char *name, char **ret, struct err *err)
{
    _cleanup_free_ char *path = str_fmt("%s/%s", d->dir, name);

    return fs_read(path, PEM_MAX, ret, NULL, err);
}

static int scratch_open(struct scratch *d, struct err *err)
{
    str_copy(d->dir, sizeof(d->dir), "/dev/shm/muster-XXXXXX");
    if (!mkdtemp(d->dir)) {
        str_copy(d->dir, sizeof(d->dir), "/tmp/muster-XXXXXX");
        if (!mkdtemp(d->dir))
            return err_set(err, ERR_FAILED, "no directory could be made in /tmp");
    }
    return put(d, "cnf", configuration, err) < 0 || put(d, "index", "", err) < 0 ? -1 : 0;
}

static void scratch_cleanup(struct scratch *d)
{
    struct err ignored;

    if (d->dir[0])
        fs_remove_tree(d->dir, &ignored);
}

static int openssl(const struct scratch *d, const char *const argv[], struct err *err)
{
    const struct proc_opts opts = {.cwd = d->dir, .timeout_s = OPENSSL_MAX_S};

    if (!fs_exists(OPENSSL))
        return err_set(
            err, ERR_USAGE,
            "%s is not there: it makes and compares certificates; install the package openssl",
            OPENSSL);
    return proc_run(argv, &opts, NULL, err);
}

static void date(uint64_t seconds, char ret[16 + 1])
{
    time_t t = (time_t)seconds;
    struct tm tm;

    gmtime_r(&t, &tm);
    strftime(ret, 17, "%Y%m%d%H%M%SZ", &tm);
}

enum signer {
    BY_CA,     /* a member's, by the files "ca.key" and "ca.pem" */
    SELF,      /* a member's that others know by its digest */
    SELF_CA,   /* the CA's own */
    SELF_SITE, /* of the front doors */
};

/* A key (file "key") and a certificate for it (file "cert"). */
static int sign(const struct scratch *d, const char *name, enum signer by, uint64_t from,
                uint64_t until, struct err *err)
{
    _cleanup_free_ char *subject = str_fmt("/O=muster/CN=%.60s", name);
    char begins[17], ends[17];

    date(from, begins);
    date(until, ends);
    if (openssl(d,
                PROC_ARGV(OPENSSL, "req", "-new", "-config", "cnf", "-newkey", "ec", "-pkeyopt",
                          "ec_paramgen_curve:prime256v1", "-nodes", "-subj", subject, "-keyout",
                          "key", "-out", "request"),
                err) < 0)
        return -1;
    const char *extensions = by == SELF_CA ? "authority" : by == SELF_SITE ? "site" : "member";

    return openssl(
        d,
        by == BY_CA ? PROC_ARGV(OPENSSL, "ca", "-batch", "-notext", "-config", "cnf", "-extensions",
                                "member", "-cert", "ca.pem", "-keyfile", "ca.key", "-startdate",
                                begins, "-enddate", ends, "-in", "request", "-out", "cert")
                    : PROC_ARGV(OPENSSL, "ca", "-batch", "-notext", "-config", "cnf", "-extensions",
                                extensions, "-selfsign", "-keyfile", "key", "-startdate", begins,
                                "-enddate", ends, "-in", "request", "-out", "cert"),
        err);
}

/* --- the store ------------------------------------------------------------------------------ */

/* {"cert": PEM, "from": seconds, "until": seconds}; *ret is NULL when it is to be made. */
static int kept(struct store *st, const char *key, const char *secret, uint64_t now, char **ret,
                struct err *err)
{
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *j = NULL;
    char value[STORE_SECRET_SIZE];
    struct err ignored;

    *ret = NULL;
    int r = store_secret_get(st, secret, value, err);
    keys_wipe(value, sizeof(value));
    if (r < 0 || store_get(st, key, &text, err) < 0)
        return -1;
    if (!r || !text || js_parse(text, strlen(text), &j, &ignored) < 0 ||
        certs_due(js_opt_u64(j, "from", 0), js_opt_u64(j, "until", 0), now))
        return 0;
    const char *cert = js_opt_str(j, "cert", NULL);
    *ret = cert ? xstrdup(cert) : NULL;
    return 0;
}

/* Certificate and key in one transaction: one without the other is worth nothing. */
static int keep(struct store *st, const struct scratch *d, const char *key, const char *secret,
                uint64_t from, uint64_t until, char **ret, struct err *err)
{
    _cleanup_free_ char *cert = NULL;
    char *pem = NULL;

    if (take(d, "cert", &cert, err) < 0 || take(d, "key", &pem, err) < 0)
        return -1;
    _cleanup_json_ json_t *j = json_pack("{s:s, s:I, s:I}", "cert", cert, "from", (json_int_t)from,
                                         "until", (json_int_t)until);
    _cleanup_free_ char *text = js_text(j);
    int r = store_begin(st, err);
    if (r == 0 && (store_secret_set(st, secret, pem, err) < 0 ||
                   store_set(st, key, text, err) < 0 || store_commit(st, err) < 0)) {
        store_rollback(st);
        r = -1;
    }
    keys_wipe(pem, strlen(pem));
    free(pem);
    *ret = r == 0 ? TAKE(cert) : NULL;
    return r;
}

static int renew(struct store *st, const struct scratch *d, const char *name, const char *key,
                 const char *secret, enum signer by, uint64_t now, char **ret, struct err *err)
{
    uint64_t from = now - BEFORE, until = now + (by == SELF_CA ? CA_YEARS : NODE_YEARS) * YEAR;

    if (sign(d, name, by, from, until, err) < 0)
        return err_wrap(err, "certificate of %s", name);
    return keep(st, d, key, secret, from, until, ret, err);
}

static int scratch_with_ca(struct store *st, struct scratch *d, const char *ca, struct err *err)
{
    char key[STORE_SECRET_SIZE];
    int r = d->dir[0] ? 0 : scratch_open(d, err);

    if (r < 0 || !ca || store_secret_get(st, KEY_CA, key, err) < 0)
        return ca || r < 0 ? -1 : 0;
    r = put(d, "ca.key", key, err) < 0 || put(d, "ca.pem", ca, err) < 0 ? -1 : 0;
    keys_wipe(key, sizeof(key));
    return r;
}

/* One of an earlier CA is no certificate any more. */
static int get(struct store *st, const struct spec *s, uint64_t now, struct scratch *d,
               struct certs *c, struct err *err)
{
    if (kept(st, "tls:ca", KEY_CA, now, &c->ca, err) < 0)
        return -1;
    bool new_ca = !c->ca;
    if (new_ca && (scratch_with_ca(st, d, NULL, err) < 0 ||
                   renew(st, d, s->deployment, "tls:ca", KEY_CA, SELF_CA, now, &c->ca, err) < 0))
        return -1;
    for (size_t i = 0; i < s->n_nodes; i++) {
        const char *name = s->nodes[i].name;
        _cleanup_free_ char *key = str_fmt("tls:node:%s", name), *secret = certs_key_name(name);

        if (!new_ca && kept(st, key, secret, now, &c->of[i], err) < 0)
            return -1;
        if (!c->of[i] && (scratch_with_ca(st, d, c->ca, err) < 0 ||
                          renew(st, d, name, key, secret, BY_CA, now, &c->of[i], err) < 0))
            return -1;
    }
    return 0;
}

/* Of their own: who may copy files may not join the database's group. */
static int get_share(struct store *st, const struct spec *s, uint64_t now, struct scratch *d,
                     struct certs *c, struct err *err)
{
    for (size_t i = 0; i < s->n_nodes; i++) {
        const char *name = s->nodes[i].name;
        _cleanup_free_ char *key = str_fmt("share:node:%s", name);
        _cleanup_free_ char *secret = certs_share_key_name(name);

        if (s->nodes[i].arbitrator)
            continue;
        if (kept(st, key, secret, now, &c->share[i], err) < 0)
            return -1;
        if (!c->share[i] && (scratch_with_ca(st, d, NULL, err) < 0 ||
                             renew(st, d, name, key, secret, SELF, now, &c->share[i], err) < 0))
            return -1;
    }
    return 0;
}

int certs_get(struct store *st, const struct spec *s, uint64_t now, struct certs *ret,
              struct err *err)
{
    struct certs c = {0};
    struct scratch d = {{0}};

    *ret = c;
    if (!s->database.present)
        return 0;
    c.n = s->n_nodes;
    c.of = xcalloc(c.n, sizeof(*c.of));
    c.share = xcalloc(c.n, sizeof(*c.share));
    int r = get(st, s, now, &d, &c, err);
    if (r == 0 && spec_shares_files(s))
        r = get_share(st, s, now, &d, &c, err);
    scratch_cleanup(&d);
    if (r < 0)
        certs_free(&c);
    *ret = c;
    return r;
}

/* --- the front doors' ----------------------------------------------------------------------- */

/* How visitors call the site; the deployment's name when the file does not say. */
static void site_host(const struct spec *s, char *ret, size_t cap)
{
    const char *host = strstr(s->app.site, "://");

    host = host ? host + strlen("://") : s->deployment;
    snprintf(ret, cap, "%.*s", (int)strcspn(host, ":/"), host);
}

int certs_site_given(struct store *st, const char *key, struct err *err)
{
    return store_secret_set(st, CERTS_SITE_KEY, key, err);
}

/* Into *ret the public key of what `argv` reads; the caller frees the result. */
static int public_half(const struct scratch *d, const char *const argv[], struct proc_result *ret,
                       struct err *err)
{
    const struct proc_opts opts = {.cwd = d->dir, .timeout_s = OPENSSL_MAX_S, .quiet = true};

    return proc_run(argv, &opts, ret, err);
}

int certs_site_check(const char *cert, const char *key, struct err *err)
{
    struct scratch d = {{0}};
    struct proc_result of_cert = {0}, of_key = {0};
    struct err ignored;
    int r = scratch_open(&d, err) < 0 || put(&d, "cert", cert, err) < 0 ||
                    put(&d, "key", key, err) < 0 ||
                    openssl(&d, PROC_ARGV(OPENSSL, "version"), err) < 0
                ? -1
                : 0;

    if (r == 0 && public_half(&d, PROC_ARGV(OPENSSL, "x509", "-noout", "-pubkey", "-in", "cert"),
                              &of_cert, &ignored) < 0)
        r = err_set(err, ERR_USAGE, "certificate: expected a certificate in PEM form");
    if (r == 0 &&
        public_half(&d, PROC_ARGV(OPENSSL, "pkey", "-pubout", "-passin", "pass:", "-in", "key"),
                    &of_key, &ignored) < 0)
        r = err_set(err, ERR_USAGE, "key: expected a private key in PEM form, without a password");
    if (r == 0 && strcmp(strbuf_str(&of_cert.out), strbuf_str(&of_key.out)) != 0)
        r = err_set(err, ERR_USAGE, "key: it is not the key of the certificate");
    proc_result_free(&of_cert);
    proc_result_free(&of_key);
    scratch_cleanup(&d);
    return r;
}

/* The key that is kept may be of another certificate: of another host, or a given one. */
static bool site_fits(struct store *st, const char *cert)
{
    char key[STORE_SECRET_SIZE];
    struct err ignored;
    bool fits = store_secret_get(st, CERTS_SITE_KEY, key, &ignored) == 1 &&
                certs_site_check(cert, key, &ignored) == 0;

    keys_wipe(key, sizeof(key));
    return fits;
}

int certs_site_own(struct store *st, const struct spec *s, uint64_t now, char **ret,
                   struct err *err)
{
    struct scratch d = {{0}};
    char host[SPEC_PATH_MAX];
    uint32_t ip;

    site_host(s, host, sizeof(host));
    bool is_ip = ipv4_parse(host, &ip) == 0;
    _cleanup_free_ char *section = str_fmt(SITE_SECTION, is_ip ? "IP" : "DNS", host);
    _cleanup_free_ char *cnf = str_fmt("%s%s", configuration, section);
    _cleanup_free_ char *key = str_fmt("tls:site:%s", host); /* another host, another one */
    _cleanup_free_ char *cert = NULL;

    if (kept(st, key, CERTS_SITE_KEY, now, &cert, err) < 0)
        return -1;
    if (cert && site_fits(st, cert)) {
        *ret = TAKE(cert);
        return 0;
    }
    int r = scratch_open(&d, err) < 0 || put(&d, "cnf", cnf, err) < 0
                ? -1
                : renew(st, &d, host, key, CERTS_SITE_KEY, SELF_SITE, now, ret, err);
    scratch_cleanup(&d);
    return r;
}
