/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ipc/bootstrap.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/str.h"

#define BOOTSTRAP_MAX 65536

static int text_member(const json_t *j, const char *key, char *dst, size_t cap, struct err *err)
{
    const char *s;

    if (js_str(j, key, &s, err) < 0)
        return -1;
    if (!*s || !str_copy(dst, cap, s))
        return err_set(err, ERR_USAGE, "member '%s' must have 1 to %zu characters", key, cap - 1);
    return 0;
}

static int key_member(const json_t *j, const char *key, uint8_t *ret, struct err *err)
{
    const char *s;

    if (js_str(j, key, &s, err) < 0)
        return -1;
    if (keys_unhex(s, ret, KEY_SIZE) < 0)
        return err_set(err, ERR_USAGE, "member '%s' must be 64 lower-case hex digits", key);
    return 0;
}

int bootstrap_parse(const char *text, size_t len, struct bootstrap *ret, struct err *err)
{
    _cleanup_json_ json_t *j = NULL;
    struct bootstrap b = {0};
    uint64_t v;

    if (js_parse(text, len, &j, err) < 0 || js_u64(j, "v", &v, err) < 0)
        return -1;
    if (v != 1)
        return err_set(err, ERR_USAGE, "version %llu is not known", (unsigned long long)v);
    if (text_member(j, "deployment", b.deployment, sizeof(b.deployment), err) < 0 ||
        text_member(j, "node", b.node, sizeof(b.node), err) < 0 ||
        text_member(j, "enrol", b.enrol, sizeof(b.enrol), err) < 0 ||
        text_member(j, "main", b.main, sizeof(b.main), err) < 0 ||
        key_member(j, "controller_key", b.controller_key, err) < 0 ||
        key_member(j, "sign_key", b.sign_key, err) < 0)
        return -1;
    b.has_secret = json_object_get(j, "bootstrap_secret") != NULL;
    if (b.has_secret && key_member(j, "bootstrap_secret", b.secret, err) < 0)
        return -1;
    *ret = b;
    keys_wipe(b.secret, sizeof(b.secret));
    return 0;
}

int bootstrap_load(const char *path, struct bootstrap *ret, struct err *err)
{
    char *text = NULL;
    size_t len = 0;

    if (fs_read(path, BOOTSTRAP_MAX, &text, &len, err) < 0)
        return -1;
    int r = bootstrap_parse(text, len, ret, err);
    keys_wipe(text, len);
    free(text);
    return r < 0 ? err_wrap(err, "%s", path) : 0;
}

/* Overwrites every occurrence in place (the blocks on disk, not a copy beside them). */
static int scrub_file(const char *path, const char *secret, struct err *err)
{
    struct stat st;
    size_t n = strlen(secret);
    _cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return errno == ENOENT || errno == ELOOP ? 0 : err_errno(err, errno, "open %s", path);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < (off_t)n ||
        st.st_size > 1024 * 1024)
        return 0;
    char *text = xcalloc(1, (size_t)st.st_size + 1);
    ssize_t len = pread(fd, text, (size_t)st.st_size, 0);
    char zeros[KEY_HEX_SIZE];
    memset(zeros, '0', sizeof(zeros));
    int r = 0;
    for (char *at = len > 0 ? memmem(text, (size_t)len, secret, n) : NULL; at && r == 0;
         at = memmem(at + n, (size_t)(text + len - at) - n, secret, n))
        if (pwrite(fd, zeros, n, at - text) != (ssize_t)n)
            r = err_errno(err, errno, "overwrite the bootstrap key in %s", path);
    keys_wipe(text, (size_t)st.st_size);
    free(text);
    if (r == 0 && fsync(fd) < 0)
        r = err_errno(err, errno, "fsync %s", path);
    return r;
}

static int scrub_cloud_init(const char *secret, struct err *err)
{
    static const char *const patterns[] = {
        "/var/lib/cloud/instances/*/*.txt*",
        "/var/lib/cloud/instances/*/*.pkl",
        "/var/lib/cloud/instances/*/scripts/*",
        "/var/lib/cloud/instances/*/handlers/*",
        "/run/cloud-init/*.json",
    };
    int r = 0;

    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        glob_t found = {0};

        if (glob(patterns[i], GLOB_NOSORT, NULL, &found) == 0)
            for (size_t k = 0; k < found.gl_pathc; k++)
                if (scrub_file(found.gl_pathv[k], secret, err) < 0)
                    r = -1;
        globfree(&found);
    }
    return r;
}

int bootstrap_forget(const char *path, struct bootstrap *b, struct err *err)
{
    char hex[KEY_HEX_SIZE];
    char *text = NULL;
    size_t len = 0;

    if (!b->has_secret)
        return 0;
    if (fs_read(path, BOOTSTRAP_MAX, &text, &len, err) < 0)
        return -1;
    json_t *j = NULL;
    int r = js_parse(text, len, &j, err);
    keys_wipe(text, len);
    free(text);
    if (r < 0)
        return err_wrap(err, "%s", path);
    json_object_del(j, "bootstrap_secret");
    _cleanup_free_ char *rest = js_text(j);
    json_decref(j);
    keys_hex(b->secret, KEY_SIZE, hex);
    /* In place first: the rename below would leave the old blocks as they are. */
    r = scrub_file(path, hex, err);
    if (fs_write_atomic(path, rest, strlen(rest), 0600, err) < 0)
        r = -1;
    else
        b->has_secret = false;
    if (scrub_cloud_init(hex, err) < 0)
        r = -1;
    keys_wipe(hex, sizeof(hex));
    keys_wipe(b->secret, sizeof(b->secret));
    return r;
}
