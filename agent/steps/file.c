/* SPDX-License-Identifier: Apache-2.0 */
/* Step `file`: one file with its content, mode and owner; may have a service reloaded. */
#include <stdlib.h>
#include <string.h>

#include "agent/steps/step.h"
#include "agent/sys/conf.h"
#include "agent/sys/svc.h"
#include "common/str.h"

struct file {
    const char *path, *content, *mode, *owner, *group, *notify;
    mode_t bits;
};

static const struct field fields[] = {
    FIELD(file, path, FIELD_PATH),      FIELD(file, content, FIELD_TEXT),
    FIELD_OPT(file, mode, FIELD_STR),   FIELD_OPT(file, owner, FIELD_NAME),
    FIELD_OPT(file, group, FIELD_NAME), FIELD_OPT(file, notify, FIELD_NAME),
};

static int file_parse(const json_t *spec, void **ret, struct err *err)
{
    struct file f = {.mode = "0644", .owner = "root", .group = "root"};
    char *end = NULL;

    if (fields_read(spec, fields, sizeof(fields) / sizeof(*fields), &f, err) < 0)
        return -1;
    unsigned long bits = strtoul(f.mode, &end, 8);
    if (*end || bits > 07777)
        return err_set(err, ERR_USAGE, "member 'mode' must be octal, e.g. 0644");
    f.bits = (mode_t)bits;
    struct file *copy = xcalloc(1, sizeof(*copy));
    *copy = f;
    *ret = copy;
    return 0;
}

/* *ret_text holds the content; the caller wipes it with secret_free. */
static int file_conf(const struct file *f, const struct run *run, struct conf *ret, char **ret_text,
                     struct err *err)
{
    *ret = (struct conf){.path = f->path, .mode = f->bits};
    if (conf_uid(f->owner, &ret->uid, err) < 0 || conf_gid(f->group, &ret->gid, err) < 0 ||
        run_expand(run, f->content, ret_text, err) < 0)
        return -1;
    ret->content = *ret_text;
    return 0;
}

static int file_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    const struct file *f = self;
    _cleanup_secret_ char *text = NULL;
    struct conf c;

    if (file_conf(f, run, &c, &text, err) < 0)
        return -1;
    const char *why = conf_differs(&c);
    if (why)
        return verdict_differs(ret, "%s: %s", f->path, why);
    if (f->notify && svc_notify_pending(f->notify))
        return verdict_differs(ret, "service %s has not read %s yet", f->notify, f->path);
    return verdict_ok(ret);
}

static int file_apply(const void *self, struct run *run, struct err *err)
{
    const struct file *f = self;
    _cleanup_secret_ char *text = NULL;
    struct conf c;

    if (file_conf(f, run, &c, &text, err) < 0)
        return -1;
    if (f->notify && conf_differs(&c) && svc_notify_note(f->notify, err) < 0)
        return -1;
    if (conf_write(&c, NULL, err) < 0)
        return -1;
    return f->notify ? svc_notify_serve(f->notify, err) : 0;
}

const struct step_ops step_file = {"file", file_parse, file_check, file_apply, free, NULL};
