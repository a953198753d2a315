/* SPDX-License-Identifier: Apache-2.0 */
/* Step `frontdoor`: HAProxy before this node's web server and those of its peers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/frontdoor/frontdoor.h"
#include "agent/ipc/paths.h"
#include "agent/steps/step.h"
#include "agent/sys/conf.h"
#include "agent/sys/svc.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/proc.h"
#include "common/str.h"

/* What is not known to be good lies beside what is at work. */
#define NEW_CONF FRONTDOOR_CONF ".new"
#define NEW_PEM FRONTDOOR_PEM ".new"
#define JUDGE_MAX_S 60

struct door {
    struct frontdoor f;
    const char *cert, *key; /* NULL: no TLS */
};

struct given {
    const char *node;
    const json_t *peers, *tls;
};

struct tls {
    const char *cert, *key;
};

struct peer {
    const char *name, *address;
};

static const struct field fields[] = {
    FIELD(given, node, FIELD_NAME),
    FIELD(given, peers, FIELD_ARRAY),
    FIELD_OPT(given, tls, FIELD_OBJECT),
};
static const struct field tls_fields[] = {
    FIELD(tls, cert, FIELD_STR),
    FIELD(tls, key, FIELD_STR),
};
static const struct field peer_fields[] = {
    FIELD(peer, name, FIELD_NAME),
    FIELD(peer, address, FIELD_ADDRESS),
};

static int read_all(const json_t *spec, struct door *d, struct err *err)
{
    struct given g = {0};
    struct tls tls = {0};
    size_t i;
    json_t *item;

    if (fields_read(spec, fields, ARRAY_LEN(fields), &g, err) < 0)
        return -1;
    if (g.tls && fields_read(g.tls, tls_fields, ARRAY_LEN(tls_fields), &tls, err) < 0)
        return err_wrap(err, "tls");
    if (json_array_size(g.peers) > FRONTDOOR_PEERS_MAX)
        return err_set(err, ERR_USAGE, "peers: at most %d", FRONTDOOR_PEERS_MAX);
    d->f.node = g.node;
    d->cert = tls.cert;
    d->key = tls.key;
    json_array_foreach(g.peers, i, item)
    {
        struct peer p = {0};

        if (fields_read(item, peer_fields, ARRAY_LEN(peer_fields), &p, err) < 0)
            return err_wrap(err, "peers");
        d->f.peers[d->f.n_peers].name = p.name;
        d->f.peers[d->f.n_peers++].address = p.address;
    }
    return 0;
}

static int door_parse(const json_t *spec, void **ret, struct err *err)
{
    struct door *d = xcalloc(1, sizeof(*d));

    if (read_all(spec, d, err) < 0) {
        free(d);
        return -1;
    }
    *ret = d;
    return 0;
}

static const char *door_unit(const void *self, size_t i)
{
    (void)self;
    return i == 0 ? FRONTDOOR_SERVICE : NULL;
}

enum { OF_CONF, OF_PEM, FILES };

struct files {
    char *text, *pem;
    struct conf conf[FILES];
    size_t n;
};

static void files_cleanup(struct files *f)
{
    free(f->text);
    secret_free(f->pem);
}

/* The configuration and, with TLS, certificate and key. */
static int files_fill(const struct door *d, const struct run *run, struct files *f, struct err *err)
{
    f->n = d->cert ? FILES : OF_PEM;
    f->text = frontdoor_text(&d->f, d->cert ? FRONTDOOR_PEM : NULL);
    f->conf[OF_CONF] = (struct conf){.path = FRONTDOOR_CONF, .content = f->text, .mode = 0644};
    if (!d->cert)
        return 0;
    _cleanup_secret_ char *key = NULL;
    if (run_expand(run, d->key, &key, err) < 0)
        return -1;
    f->pem = str_fmt("%s\n%s", d->cert, key);
    f->conf[OF_PEM] = (struct conf){.path = FRONTDOOR_PEM, .content = f->pem, .mode = 0600};
    return 0;
}

/* What HAProxy has not read, or NULL. */
static const char *not_read(const struct files *f, int64_t loaded)
{
    for (size_t i = 0; i < f->n; i++)
        if (svc_changed_after(f->conf[i].path, loaded))
            return f->conf[i].path;
    return NULL;
}

static bool files_differ(const struct door *d, const struct files *f, struct verdict *ret)
{
    for (size_t i = 0; i < f->n; i++) {
        const char *why = conf_differs(&f->conf[i]);

        if (why) {
            verdict_differs(ret, "%s: %s", f->conf[i].path, why);
            return true;
        }
    }
    if (d->cert || !fs_exists(FRONTDOOR_PEM))
        return false;
    verdict_differs(ret, FRONTDOOR_PEM ": there is no TLS any more");
    return true;
}

static int door_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    const struct door *d = self;
    _cleanup_(files_cleanup) struct files f = {0};
    struct svc_state st;

    if (files_fill(d, run, &f, err) < 0)
        return -1;
    if (files_differ(d, &f, ret))
        return 0;
    if (svc_status_soon(FRONTDOOR_SERVICE, &st, err) < 0)
        return -1;
    if (st.masked || !st.active || !st.enabled)
        return verdict_differs(ret, FRONTDOOR_SERVICE " %s",
                               st.masked   ? "is masked: nothing can start it"
                               : st.active ? "does not start at boot"
                                           : "does not run");
    const char *newer = not_read(&f, st.changed);
    return svc_notify_pending(FRONTDOOR_SERVICE) || newer
               ? verdict_differs(ret, FRONTDOOR_SERVICE " has not read %s yet",
                                 newer ? newer : "its files")
               : verdict_ok(ret);
}

/* The first thing that HAProxy has against its configuration; the last says only that there is one.
 */
static void first_alert(char *said, char *ret, size_t cap)
{
    char *save = NULL;
    const char *at = NULL;

    for (char *line = strtok_r(said, "\n", &save); line && !at; line = strtok_r(NULL, "\n", &save))
        at = strstr(line, "config : ");
    snprintf(ret, cap, "%.300s", at ? at + strlen("config : ") : "it does not say why");
}

/* HAProxy itself judges the new files before they replace those at work. */
static int files_judge(const struct door *d, const struct files *f, struct err *err)
{
    const struct proc_opts opts = {.timeout_s = JUDGE_MAX_S};
    _cleanup_free_ char *text = frontdoor_text(&d->f, d->cert ? NEW_PEM : NULL);
    const struct conf conf = {.path = NEW_CONF, .content = text, .mode = 0600};
    struct conf pem = f->conf[OF_PEM];
    struct proc_result said = {0};
    char alert[320];

    pem.path = NEW_PEM;
    if ((d->cert && conf_write(&pem, NULL, err) < 0) || conf_write(&conf, NULL, err) < 0)
        return -1;
    int r = proc_run(PROC_ARGV(FRONTDOOR_PROGRAM, "-c", "-f", NEW_CONF), &opts, &said, err);
    unlink(NEW_CONF);
    unlink(NEW_PEM);
    if (r < 0 && said.status != PROC_NOT_STARTED && said.errout.s) {
        first_alert(said.errout.s, alert, sizeof(alert));
        err_set(err, ERR_FAILED, "%s", alert);
    }
    proc_result_free(&said);
    return r < 0 ? err_wrap(err, "HAProxy does not take the front door's new configuration") : 0;
}

static int serve(struct err *err)
{
    struct svc_state st;

    if (svc_status_boot(FRONTDOOR_SERVICE, &st, err) < 0 ||
        (st.masked && svc_do("unmask", FRONTDOOR_SERVICE, err) < 0) ||
        ((!st.enabled || st.masked) && svc_do("enable", FRONTDOOR_SERVICE, err) < 0))
        return -1;
    return st.active ? svc_notify_serve(FRONTDOOR_SERVICE, err)
                     : svc_do("start", FRONTDOOR_SERVICE, err);
}

static int door_apply(const void *self, struct run *run, struct err *err)
{
    const struct door *d = self;
    _cleanup_(files_cleanup) struct files f = {0};
    struct verdict files;
    struct svc_state st;

    if (files_fill(d, run, &f, err) < 0)
        return -1;
    bool differ = files_differ(d, &f, &files);
    if (differ && files_judge(d, &f, err) < 0)
        return -1;
    if (svc_status(FRONTDOOR_SERVICE, &st, err) < 0 ||
        ((differ || not_read(&f, st.changed)) && svc_notify_note(FRONTDOOR_SERVICE, err) < 0))
        return -1;
    for (size_t i = f.n; i-- > 0;) /* what the configuration names is there before it */
        if (conf_write(&f.conf[i], NULL, err) < 0)
            return -1;
    if (!d->cert && unlink(FRONTDOOR_PEM) < 0 && errno != ENOENT)
        return err_errno(err, errno, "remove " FRONTDOOR_PEM);
    return serve(err) < 0 ? -1 : svc_notify_drop(FRONTDOOR_SERVICE, err);
}

const struct step_ops step_frontdoor = {"frontdoor", door_parse, door_check,
                                        door_apply,  free,       door_unit};
