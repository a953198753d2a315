/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/supervisor/identity.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "agent/ipc/paths.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/str.h"

#define RECORD "machine.json"
#define ASIDE "of-another-"
#define INSTALLED "installed" /* of the first boot: this machine's own */
#define CONTAINER "/run/systemd/container"
#define HARDWARE "/sys/class/dmi/id/product_uuid"
#define INSTANCE "/var/lib/cloud/data/instance-id"

struct owner {
    char deployment[64], node[64];
    struct machine machine;
};

static void line_of(const char *path, char *ret, size_t cap)
{
    struct err ignored;
    _cleanup_free_ char *text = NULL;

    ret[0] = '\0';
    if (fs_read(path, 4096, &text, NULL, &ignored) == 0 && !str_copy(ret, cap, str_chomp(text)))
        ret[0] = '\0';
}

void machine_look(struct machine *ret)
{
    *ret = (struct machine){0};
    if (!fs_exists(CONTAINER))
        line_of(HARDWARE, ret->hardware, sizeof(ret->hardware));
    if (strspn(ret->hardware, "0-") == strlen(ret->hardware) ||
        strspn(ret->hardware, "Ff-") == strlen(ret->hardware))
        ret->hardware[0] = '\0'; /* firmware that does not know */
    line_of(INSTANCE, ret->instance, sizeof(ret->instance));
    if (str_eq(ret->instance, "iid-datasource-none") || str_eq(ret->instance, "nocloud"))
        ret->instance[0] = '\0'; /* of a boot without the metadata server */
}

/* By the record, or, of an agent that wrote none yet, by its plan. 0: nobody's; 1: *ret. */
static int owner_read(const char *state, struct owner *ret, struct err *err)
{
    static const char *const names[] = {RECORD, "plan.json"};

    *ret = (struct owner){0};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        _cleanup_free_ char *path = str_fmt("%s/%s", state, names[i]);
        _cleanup_free_ char *text = NULL;
        _cleanup_json_ json_t *j = NULL;
        size_t len = 0;

        if (!fs_exists(path))
            continue;
        if (fs_read(path, PLAN_SIZE_MAX, &text, &len, err) < 0)
            return -1;
        if (js_parse(text, len, &j, err) < 0)
            continue; /* a torn plan is told of where it is used */
        str_copy(ret->deployment, sizeof(ret->deployment), js_opt_str(j, "deployment", ""));
        str_copy(ret->node, sizeof(ret->node), js_opt_str(j, "node", ""));
        str_copy(ret->machine.hardware, sizeof(ret->machine.hardware),
                 js_opt_str(j, "hardware", ""));
        str_copy(ret->machine.instance, sizeof(ret->machine.instance),
                 js_opt_str(j, "instance", ""));
        return 1;
    }
    return 0;
}

static bool differ(const char *a, const char *b)
{
    return *a && *b && !str_eq(a, b);
}

/* The hardware decides where both know theirs: what cloud-init takes for the instance may change
 * with its source. */
static const char *foreign(const struct owner *o, const struct bootstrap *boot,
                           const struct machine *now)
{
    if (boot && (differ(o->deployment, boot->deployment) || differ(o->node, boot->node)))
        return "its name is another";
    if (*o->machine.hardware && *now->hardware)
        return strcasecmp(o->machine.hardware, now->hardware) != 0 ? "its hardware is another"
                                                                   : NULL;
    return differ(o->machine.instance, now->instance) ? "its instance at the cloud is another"
                                                      : NULL;
}

static int move_aside(const char *state, char **ret, struct err *err)
{
    _cleanup_free_ char *to = str_fmt("%s/" ASIDE "%lld", state, (long long)time(NULL));
    _cleanup_closedir_ DIR *d = opendir(state);

    if (!d)
        return err_errno(err, errno, "open %s", state);
    if (fs_mkdirs(to, 0700, err) < 0)
        return -1;
    for (struct dirent *e; (errno = 0, e = readdir(d));) {
        _cleanup_free_ char *from = str_fmt("%s/%s", state, e->d_name);
        _cleanup_free_ char *under = str_fmt("%s/%s", to, e->d_name);

        if (str_eq(e->d_name, ".") || str_eq(e->d_name, "..") || str_eq(e->d_name, INSTALLED) ||
            str_starts(e->d_name, ASIDE))
            continue;
        if (rename(from, under) < 0)
            return err_errno(err, errno, "move %s to %s", from, under);
    }
    if (errno)
        return err_errno(err, errno, "read %s", state);
    *ret = TAKE(to);
    return 0;
}

static int record(const char *state, const struct bootstrap *boot, const struct owner *o,
                  const struct machine *now, struct err *err)
{
    _cleanup_free_ char *path = str_fmt("%s/" RECORD, state);
    _cleanup_json_ json_t *j =
        json_pack("{s:s, s:s, s:s, s:s}", "deployment", boot ? boot->deployment : o->deployment,
                  "node", boot ? boot->node : o->node, "hardware",
                  *now->hardware ? now->hardware : o->machine.hardware, "instance",
                  *now->instance ? now->instance : o->machine.instance);
    _cleanup_free_ char *text = j ? js_text(j) : NULL;
    _cleanup_free_ char *old = NULL;
    struct err ignored;

    if (!text)
        return err_set(err, ERR_FAILED, "%s: a name is not UTF-8", path);
    if (fs_read(path, 4096, &old, NULL, &ignored) == 0 && str_eq(old, text))
        return 0;
    return fs_write_atomic(path, text, strlen(text), 0600, err);
}

int identity_settle(const char *state, const struct bootstrap *boot, const struct machine *now,
                    char **ret_aside, struct err *err)
{
    struct owner o;
    int known = owner_read(state, &o, err);
    const char *why = known == 1 ? foreign(&o, boot, now) : NULL;

    *ret_aside = NULL;
    if (known < 0)
        return -1;
    if (why && (!boot || !boot->has_secret))
        return err_set(
            err, ERR_SAFETY,
            "%s is of node '%s' of deployment '%s' on another machine (%s; this one is "
            "%s %s): nothing is done here, since two machines under one name could take "
            "each other's data for their own. For a node of its own: muster up --replace "
            "NODE. If this is that machine itself: remove %s/" RECORD " and restart "
            "muster-agent",
            state, o.node, o.deployment, why, boot ? boot->node : "nameless",
            *now->hardware ? now->hardware : now->instance, state);
    if (why) {
        if (move_aside(state, ret_aside, err) < 0)
            return -1;
        o = (struct owner){0};
    }
    return boot || known == 1 ? record(state, boot, &o, now, err) : 0;
}
