/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cloud/access.h"

#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/keys.h"
#include "common/proc.h"
#include "common/str.h"
#include "common/text.h"

#define STATUS_MAX_S 30

char *access_program(const char *name)
{
    static const char *const directories[] = {"/usr/sbin", "/usr/bin", "/usr/local/sbin",
                                              "/usr/local/bin"};
    char self[512];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (n > 0) {
        char *beside;

        self[n] = '\0';
        beside = str_fmt("%s/%s", dirname(self), name);
        if (access(beside, X_OK) == 0)
            return beside;
        free(beside);
    }
    for (size_t i = 0; i < ARRAY_LEN(directories); i++) {
        char *path = str_fmt("%s/%s", directories[i], name);

        if (access(path, X_OK) == 0)
            return path;
        free(path);
    }
    return NULL;
}

/* ---- the local cloud ---- */

static int local_status(const char *program, json_t **ret, struct err *err)
{
    _cleanup_(proc_result_free) struct proc_result r = {0};
    const struct proc_opts opts = {.timeout_s = STATUS_MAX_S};
    struct err why = {.msg = "no answer"};

    proc_run(PROC_ARGV(program, "status", "--json"), &opts, &r, &why);
    if (js_parse(strbuf_str(&r.out), r.out.len, ret, err) < 0)
        return err_set(err, ERR_CLOUD, "%s status: %s", program,
                       r.errout.len ? str_chomp(r.errout.s) : why.msg);
    return 0;
}

static void show_line(void *ctx, const char *line)
{
    (void)ctx;
    text_print(stderr, "%s\n", line);
}

static int local_access(bool start, struct cloud_access *ret, char *ret_host, struct err *err)
{
    _cleanup_free_ char *program = access_program("muster-vdc");
    _cleanup_json_ json_t *status = NULL;
    const char *endpoint, *key, *secret, *host;

    if (!program)
        return err_set(err, ERR_CLOUD,
                       "cloud: local needs the program muster-vdc, which is "
                       "neither beside muster nor in /usr/sbin");
    if (local_status(program, &status, err) < 0)
        return -1;
    if (!str_eq(js_opt_str(status, "state", ""), "running")) {
        const struct proc_opts opts = {.on_line = show_line};
        struct err why;

        if (!start)
            return err_set(err, ERR_CLOUD,
                           "the local cloud is not running; 'muster vdc start' starts it");
        if (geteuid() != 0)
            return err_set(err, ERR_CLOUD,
                           "the local cloud is not running and only root can "
                           "start it; type: sudo muster vdc start");
        if (proc_run(PROC_ARGV(program, "start"), &opts, NULL, &why) < 0)
            return err_set(err, ERR_CLOUD, "the local cloud does not start: %s", why.msg);
        json_decref(TAKE(status));
        if (local_status(program, &status, err) < 0)
            return -1;
    }
    if (js_str(status, "endpoint", &endpoint, err) < 0 ||
        js_str(status, "api_key", &key, err) < 0 ||
        js_str(status, "secret_key", &secret, err) < 0 ||
        js_str(status, "host_address", &host, err) < 0)
        return err_set(err, ERR_CREDENTIALS,
                       "the local cloud tells its keys to root only; run "
                       "this command with sudo");
    str_copy(ret->endpoint, sizeof(ret->endpoint), endpoint);
    str_copy(ret->key, sizeof(ret->key), key);
    str_copy(ret->secret, sizeof(ret->secret), secret);
    str_copy(ret_host, 64, host);
    return 0;
}

/* ---- keys of a real account ---- */

static bool take(struct cloud_access *ret, const char *endpoint, const char *key,
                 const char *secret)
{
    return endpoint && *endpoint && key && *key && secret && *secret &&
           str_copy(ret->endpoint, sizeof(ret->endpoint), endpoint) &&
           str_copy(ret->key, sizeof(ret->key), key) &&
           str_copy(ret->secret, sizeof(ret->secret), secret);
}

/* `[profile]` and `name = value` lines of cloudmonkey's file; without a name the profile is the one
 * that its [core] section chooses. */
static bool from_cmk(const char *path, const char *wanted, struct cloud_access *ret)
{
    _cleanup_free_ char *text = NULL;
    char url[512] = "", key[160] = "", secret[160] = "", section[64] = "";
    char profile[64] = "localcloud";
    struct err ignored;
    char *save = NULL;

    if (fs_read(path, 65536, &text, NULL, &ignored) < 0)
        return false;
    if (*wanted)
        str_copy(profile, sizeof(profile), wanted);
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char name[64], value[512];

        if (sscanf(line, " [%63[^]]]", section) == 1 ||
            sscanf(line, " %63[^= ] = %511s", name, value) != 2)
            continue;
        if (!*wanted && str_eq(section, "core") && str_eq(name, "profile"))
            str_copy(profile, sizeof(profile), value);
        if (!str_eq(section, profile))
            continue;
        if (str_eq(name, "url"))
            str_copy(url, sizeof(url), value);
        else if (str_eq(name, "apikey"))
            str_copy(key, sizeof(key), value);
        else if (str_eq(name, "secretkey"))
            str_copy(secret, sizeof(secret), value);
    }
    return take(ret, url, key, secret);
}

static bool from_vdcapi(const char *path, struct cloud_access *ret)
{
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *j = NULL;
    struct err ignored;
    size_t len;

    return fs_read(path, 65536, &text, &len, &ignored) == 0 &&
           js_parse(text, len, &j, &ignored) == 0 &&
           take(ret, js_opt_str(j, "api_url", NULL), js_opt_str(j, "api_key", NULL),
                js_opt_str(j, "api_secret", NULL));
}

static int find(const struct spec *s, bool start, struct cloud_access *ret, char *ret_host,
                struct err *err)
{
    const char *home = getenv("HOME");
    _cleanup_free_ char *cmk = str_fmt("%s/.cmk/config", home ? home : "");
    _cleanup_free_ char *vdcapi = str_fmt("%s/.vdcapi", home ? home : "");
    struct cloud_access a = {0};

    str_copy(ret_host, 64, s->controller_address);
    if (s->cloud == CLOUD_NONE) /* nobody is asked */
        return 0;
    if (s->profile[0]) { /* the file says which keys */
        if (from_cmk(cmk, s->profile, ret))
            return 0;
        return err_set(err, ERR_CREDENTIALS,
                       "the file names the profile '%s': write it into %s, with url, apikey and "
                       "secretkey",
                       s->profile, cmk);
    }
    if (take(&a, getenv("CLOUDSTACK_ENDPOINT"), getenv("CLOUDSTACK_KEY"),
             getenv("CLOUDSTACK_SECRET")) ||
        take(&a, getenv("CLOUDSTACK_API_URL"), getenv("CLOUDSTACK_API_KEY"),
             getenv("CLOUDSTACK_SECRET_KEY"))) {
        *ret = a;
        if (s->cloud != CLOUD_LOCAL)
            return 0;
    }
    if (s->cloud == CLOUD_LOCAL) {
        struct cloud_access local = {0};

        if (local_access(start, &local, ret_host, err) < 0)
            return -1;
        *ret = a.key[0] ? a : local;
        return 0;
    }
    if (from_cmk(cmk, "", &a) || from_vdcapi(vdcapi, &a)) {
        *ret = a;
        return 0;
    }
    return err_set(err, ERR_CREDENTIALS,
                   "no credentials: set CLOUDSTACK_ENDPOINT, CLOUDSTACK_KEY and "
                   "CLOUDSTACK_SECRET, or write a profile in ~/.cmk/config, or ~/.vdcapi");
}

int access_find(const struct spec *s, bool start, struct cloud_access *ret, char *ret_host,
                struct err *err)
{
    if (find(s, start, ret, ret_host, err) < 0)
        return -1;
    str_copy(ret->region, sizeof(ret->region), s->region);
    return 0;
}

int access_open(const struct spec *s, bool start, struct reach *ret, struct err *err)
{
    struct cloud_access access = {0};
    int rc = access_find(s, start, &access, ret->host, err);

    if (rc == 0) {
        ret->http = http_new();
        ret->cloud = cloud_new(ret->http, &access);
    }
    keys_wipe(&access, sizeof(access));
    return rc;
}

void access_close(struct reach *r)
{
    cloud_free(r->cloud);
    http_free(r->http);
    *r = (struct reach){0};
}
