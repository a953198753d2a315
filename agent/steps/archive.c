/* SPDX-License-Identifier: Apache-2.0 */
/* Step `archive`: an application's archive is on the machine, for the step `app` to unpack. It
 * needs nothing else, and so may come while packages do. */
#include <stdlib.h>
#include <string.h>

#include "agent/app/archive.h"
#include "agent/steps/step.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/keys.h"
#include "common/str.h"
#include "common/text.h"

struct archive {
    const char *url, *sha256, *root;
};

static const struct field fields[] = {
    FIELD(archive, url, FIELD_STR),
    FIELD(archive, sha256, FIELD_NAME),
    FIELD(archive, root, FIELD_PATH),
};

static int archive_parse(const json_t *spec, void **ret, struct err *err)
{
    void *obj = NULL;

    if (fields_parse(spec, fields, ARRAY_LEN(fields), sizeof(struct archive), &obj, err) < 0)
        return -1;
    const struct archive *a = obj;
    bool valid = keys_sha256_valid(a->sha256);
    if (valid && archive_url_check(a->url, err) == 0) {
        *ret = obj;
        return 0;
    }
    free(obj);
    return valid ? -1 : err_set(err, ERR_USAGE, "member 'sha256' must be 64 lower-case hex digits");
}

static int archive_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    (void)run, (void)err;
    const struct archive *a = self;
    _cleanup_free_ char *release = archive_release(a->root, a->sha256);
    _cleanup_free_ char *shown = xstrdup(a->url);

    text_hide_urls(shown);
    return fs_exists(release) || archive_there(a->sha256)
               ? verdict_ok(ret)
               : verdict_differs(ret, "%.300s is not here", shown);
}

static int archive_apply(const void *self, struct run *run, struct err *err)
{
    const struct archive *a = self;

    return archive_get(a->url, a->sha256, run, err);
}

const struct step_ops step_archive = {"archive",     archive_parse, archive_check,
                                      archive_apply, free,          NULL};
