/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/app/archive.h"

#include <string.h>

#include "agent/sys/life.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/keys.h"
#include "common/proc.h"
#include "common/str.h"
#include "common/text.h"

#define CACHE "/var/cache/muster-agent"
#define APT_HELPER "/usr/lib/apt/apt-helper"
#define APT_CONFIG "/usr/bin/apt-config"
#define APT_CONFIG_MAX_S 10

char *archive_release(const char *root, const char *sha256)
{
    return str_fmt("%s.d/%.*s", root, RELEASE_LEN, sha256);
}

char *archive_path(const char *sha256)
{
    return str_fmt(CACHE "/%s", sha256);
}

bool archive_there(const char *sha256)
{
    char digest[SHA256_HEX_SIZE];
    struct err ignored;
    _cleanup_free_ char *path = archive_path(sha256);

    return keys_sha256_file(path, digest, &ignored) == 0 && strcmp(digest, sha256) == 0;
}

int archive_url_check(const char *url, struct err *err)
{
    return text_url_has_login(url)
               ? err_set(err, ERR_USAGE,
                         "member 'url' holds a name or a password, which everybody on the machine "
                         "could see while it is fetched")
               : 0;
}

/* What the controller itself offers is asked from it: a proxy for packages may not know it. NULL:
 * it is from elsewhere. The caller frees. */
char *archive_direct(const char *url, const char *sha256)
{
    static const char scheme[] = "http://";
    const char *host = url + strlen(scheme);
    size_t n = str_starts(url, scheme) ? strcspn(host, ":/") : 0;
    const char *path = n ? strchr(host, '/') : NULL;
    _cleanup_free_ char *blob = str_fmt("/blob/%s", sha256);

    return path && str_eq(path, blob) && memchr(host, '@', (size_t)(path - host)) == NULL
               ? str_fmt("-oAcquire::http::Proxy::%.*s=DIRECT", (int)n, host)
               : NULL;
}

static void take_line(void *ctx, const char *line)
{
    struct strbuf *b = ctx;

    if (*line)
        strbuf_addf(b, "%s%s", b->len ? ", " : "", line);
}

/* "" without one. */
static void add_proxy(struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf said = {0};
    const struct proc_opts opts = {
        .on_line = take_line, .ctx = &said, .timeout_s = APT_CONFIG_MAX_S};
    struct err ignored;

    if (proc_run(PROC_ARGV(APT_CONFIG, "dump", "--no-empty", "--format", "%v%n",
                           "Acquire::http::Proxy", "Acquire::https::Proxy"),
                 &opts, NULL, &ignored) == 0 &&
        said.len) {
        text_hide_urls(said.s);
        err_wrap(err, "through apt's proxy %.120s", said.s);
    }
}

int archive_get(const char *url, const char *sha256, struct run *run, struct err *err)
{
    _cleanup_free_ char *to = archive_path(sha256);
    _cleanup_free_ char *hash = str_fmt("SHA256:%s", sha256);
    _cleanup_free_ char *what = str_fmt("download %s", url);
    _cleanup_free_ char *direct = archive_direct(url, sha256);
    struct life life = {.run = run, .what = what, .where = to};

    if (archive_there(sha256))
        return 0;
    text_hide_urls(what);
    if (archive_url_check(url, err) < 0 || fs_mkdirs(CACHE, 0700, err) < 0 ||
        fs_remove_tree(to, err) < 0)
        return -1;
    /* The option may be given twice. */
    if (life_run(&life,
                 PROC_ARGV(APT_HELPER, direct ? direct : "-oAPT::Sandbox::User=root",
                           "-oAPT::Sandbox::User=root", "download-file", url, to, hash),
                 err) == 0)
        return 0;
    text_hide_urls(err->msg);
    if (!direct)
        add_proxy(err);
    return err_wrap(err, "%.160s", what);
}
