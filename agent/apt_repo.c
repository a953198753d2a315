/* SPDX-License-Identifier: Apache-2.0 */
/* A named repository whose key is pinned: packages of it are trusted with that key only, and the
 * key is trusted for nothing else. */
#include <stdio.h>
#include <string.h>

#include "agent/apt.h"
#include "agent/conf.h"
#include "agent/paths.h"
#include "common/cleanup.h"
#include "common/proc.h"
#include "common/str.h"

#define KEYS "/etc/apt/keyrings"
#define SOURCES "/etc/apt/sources.list.d"
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
    snprintf(ret->name, sizeof(ret->name), "muster-%s", name ? name + 1 : "packages");
    for (char *c = ret->name; *c; c++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-_", *c))
            *c = '-'; /* apt ignores files with other characters */
    return 0;
}

struct files {
    char *key_path, *source_path, *trial_path, *text;
};

static void files_cleanup(struct files *f)
{
    free(f->key_path);
    free(f->source_path);
    free(f->trial_path);
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
    const char *why = conf_differs(&(struct conf){f.key_path, r->key, 0644, 0, 0});
    return why ? why : conf_differs(&(struct conf){f.source_path, f.text, 0644, 0, 0});
}

int apt_repo_apply(const struct apt_repo *r, struct run *run, unsigned patience_s, struct err *err)
{
    _cleanup_(files_cleanup) struct files f = {0};
    files_fill(r, &f);
    if (!apt_repo_differs(r))
        return 0;
    _cleanup_free_ char *list = str_fmt("-oDir::Etc::sourcelist=%s", f.trial_path);
    run_progress(run, "reading the lists of %s", r->url);
    if (conf_write(&(struct conf){f.key_path, r->key, 0644, 0, 0}, NULL, err) < 0 ||
        conf_write(&(struct conf){f.trial_path, f.text, 0644, 0, 0}, NULL, err) < 0 ||
        apt_run(run, "repository",
                PROC_ARGV(APT_GET, "update", "-q", "-oAPT::Status-Fd=3", list,
                          "-oDir::Etc::sourceparts=/dev/null", "-oAPT::Get::List-Cleanup=0",
                          "-oAcquire::Languages=none", "-oAPT::Update::Error-Mode=any"),
                patience_s, err) < 0)
        return -1;
    return conf_write(&(struct conf){f.source_path, f.text, 0644, 0, 0}, NULL, err);
}
