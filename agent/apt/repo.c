/* SPDX-License-Identifier: Apache-2.0 */
/* A named repository whose key is pinned: packages of it are trusted with that key only, and the
 * key is trusted for nothing else. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/apt/apt.h"
#include "agent/ipc/paths.h"
#include "agent/sys/conf.h"
#include "agent/sys/fields.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"

#define KEYS "/etc/apt/keyrings"
#define SOURCES "/etc/apt/sources.list.d"
#define PREFERENCES "/etc/apt/preferences.d"
#define TRIAL PATH_STATE "/apt"
#define KEY_BEGIN "-----BEGIN PGP PUBLIC KEY BLOCK-----"

static const struct field fields[] = {
    FIELD(apt_repo, url, FIELD_STR),
    FIELD(apt_repo, suite, FIELD_STR),
    FIELD(apt_repo, components, FIELD_NAMES),
    FIELD(apt_repo, key, FIELD_STR),
};

/* Its texts become lines of a file: no white space, no control characters. */
static bool word_valid(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s <= ' ' || *s == 0x7f)
            return false;
    return true;
}

int apt_repo_parse(const json_t *spec, const char *id, struct apt_repo *ret, struct err *err)
{
    const char *name = strchr(id, ':');

    snprintf(ret->name, sizeof(ret->name), "muster-%s", name ? name + 1 : "packages");
    for (char *c = ret->name; *c; c++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-_", *c))
            *c = '-'; /* apt ignores files with other characters */
    if (!spec)
        return 0;
    if (fields_read(spec, fields, ARRAY_LEN(fields), ret, err) < 0)
        return err_wrap(err, "member 'repository'");
    if (!word_valid(ret->url) ||
        (!str_starts(ret->url, "http://") && !str_starts(ret->url, "https://") &&
         !str_starts(ret->url, "file:/")))
        return err_set(err, ERR_USAGE,
                       "member 'repository': 'url' must be http://, https:// or "
                       "file:/, without spaces");
    if (!word_valid(ret->suite))
        return err_set(err, ERR_USAGE, "member 'repository': 'suite' must be one word");
    if (str_ends(ret->suite, "/") != (json_array_size(ret->components) == 0))
        return err_set(err, ERR_USAGE,
                       "member 'repository': 'components' are needed, except for a "
                       "suite that ends with '/', which has none");
    if (!str_starts(ret->key, KEY_BEGIN))
        return err_set(err, ERR_USAGE,
                       "member 'repository': 'key' must be a public key's text, from "
                       "'" KEY_BEGIN "' on");
    return 0;
}

/* Above a default release's 990, so that a package comes from here even when the machine's own
 * sources have a higher version; below 1000, so that none is ever downgraded. */
#define PRIORITY 995

char *apt_repo_pin(const struct apt_repo *r)
{
    const char *host = strstr(r->url, "://");

    host = host ? host + 3 : "";
    const char *at = memrchr(host, '@', strcspn(host, "/"));
    host = at ? at + 1 : host;
    bool v6 = *host == '[';
    host += v6;
    int n = (int)strcspn(host, v6 ? "]" : ":/");
    return str_fmt(
        "# written by muster-agent\nPackage: *\nPin: origin \"%.*s\"\nPin-Priority: %d\n", n, host,
        PRIORITY);
}

struct files {
    char *key_path, *source_path, *trial_path, *pin_path, *text, *pin;
};

static void files_cleanup(struct files *f)
{
    free(f->key_path);
    free(f->source_path);
    free(f->trial_path);
    free(f->pin_path);
    free(f->pin);
    free(f->text);
}

static void files_fill(const struct apt_repo *r, struct files *f)
{
    struct strbuf b = {0};
    size_t i;
    json_t *c;

    f->key_path = str_fmt(KEYS "/%s.asc", r->name);
    f->source_path = str_fmt(SOURCES "/%s.sources", r->name);
    f->trial_path = str_fmt(TRIAL "/%s.sources", r->name);
    f->pin_path = str_fmt(PREFERENCES "/%s", r->name);
    if (!r->url)
        return;
    f->pin = apt_repo_pin(r);
    strbuf_addf(&b, "# written by muster-agent\nTypes: deb\nURIs: %s\nSuites: %s\n", r->url,
                r->suite);
    if (json_array_size(r->components))
        strbuf_adds(&b, "Components:");
    json_array_foreach(r->components, i, c) strbuf_addf(&b, " %s", json_string_value(c));
    strbuf_addf(&b, "%sSigned-By: %s\n", json_array_size(r->components) ? "\n" : "", f->key_path);
    f->text = b.s;
}

const char *apt_repo_differs(const struct apt_repo *r)
{
    _cleanup_(files_cleanup) struct files f = {0};

    files_fill(r, &f);
    if (!r->url)
        return fs_exists(f.source_path) || fs_exists(f.pin_path) ? "is no longer wanted" : NULL;
    const char *why = conf_differs(&(struct conf){f.key_path, r->key, 0644, 0, 0});
    why = why ? why : conf_differs(&(struct conf){f.pin_path, f.pin, 0644, 0, 0});
    return why ? why : conf_differs(&(struct conf){f.source_path, f.text, 0644, 0, 0});
}

static int files_remove(const struct files *f, struct err *err)
{
    const char *const paths[] = {f->source_path, f->pin_path, f->trial_path, f->key_path};

    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        if (unlink(paths[i]) < 0 && errno != ENOENT)
            return err_errno(err, errno, "remove %s", paths[i]);
    return 0;
}

int apt_repo_apply(const struct apt_repo *r, struct run *run, unsigned lock_timeout_s,
                   struct err *err)
{
    _cleanup_(files_cleanup) struct files f = {0};

    files_fill(r, &f);
    if (!apt_repo_differs(r))
        return 0;
    if (!r->url)
        return files_remove(&f, err);
    _cleanup_free_ char *list = str_fmt("-oDir::Etc::sourcelist=%s", f.trial_path);
    run_progress(run, "reading the lists of %s", r->url);
    if (conf_write(&(struct conf){f.key_path, r->key, 0644, 0, 0}, NULL, err) < 0 ||
        conf_write(&(struct conf){f.trial_path, f.text, 0644, 0, 0}, NULL, err) < 0 ||
        apt_run(run, "repository",
                PROC_ARGV(APT_GET, "update", "-q", "-oAPT::Status-Fd=3", list,
                          "-oDir::Etc::sourceparts=/dev/null", "-oAPT::Get::List-Cleanup=0",
                          "-oAcquire::Languages=none", "-oAPT::Update::Error-Mode=any"),
                lock_timeout_s, err) < 0)
        return err_wrap(err, "%.150s", r->url);
    if (conf_write(&(struct conf){f.pin_path, f.pin, 0644, 0, 0}, NULL, err) < 0)
        return -1;
    return conf_write(&(struct conf){f.source_path, f.text, 0644, 0, 0}, NULL, err);
}
