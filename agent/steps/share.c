/* SPDX-License-Identifier: Apache-2.0 */
/* Step `share`: the service that keeps directories of an application the same on all nodes; without
 * directories, that there is none. */
#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/share/share.h"
#include "agent/steps/step.h"
#include "agent/sys/conf.h"
#include "agent/sys/svc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/str.h"

#define ETC "/etc/muster-agent/share"
#define WORD_MAX_MS 60000
#define UNIT "/etc/systemd/system/" SHARE_SERVICE ".service"

/* It may write every file of the application, whose owner is another one, and sees nothing else
 * that is worth reading: of the data disk only what is the application's. */
static char *unit_text(const char *home)
{
    _cleanup_free_ char *copy = xstrdup(home);
    const char *parent = dirname(copy);
    _cleanup_free_ char *above = xstrdup(parent);
    const char *disk = dirname(above);
    _cleanup_free_ char *view =
        strcmp(parent, PATH_APPS) == 0
            ? xstrdup("")
            : str_fmt("TemporaryFileSystem=%s:ro\nBindPaths=%s\n", disk, parent);

    return str_fmt("# written by muster-agent\n"
                   "[Unit]\n"
                   "Description=Shared directories of the application\n"
                   "After=network-online.target\n"
                   "Wants=network-online.target\n"
                   "RequiresMountsFor=%s\n"
                   "StartLimitIntervalSec=0\n"
                   "[Service]\n"
                   "ExecStart=/usr/libexec/muster-agent-share\n"
                   "DynamicUser=yes\n"
                   "LoadCredential=settings.json:" ETC "/settings.json\n"
                   "LoadCredential=cert.pem:" ETC "/cert.pem\n"
                   "LoadCredential=key.pem:" ETC "/key.pem\n"
                   "RuntimeDirectory=" SHARE_SERVICE "\n"
                   "%s"
                   "ReadWritePaths=%s\n"
                   "InaccessiblePaths=-/etc/muster-agent -" PATH_STATE
                   " -/etc/mysql -/etc/haproxy -/etc/shadow "
                   "-/etc/ssl/private -/root -/home -/var/lib/mysql -/var/lib/cloud\n"
                   "AmbientCapabilities=CAP_CHOWN CAP_FOWNER CAP_DAC_OVERRIDE\n"
                   "CapabilityBoundingSet=CAP_CHOWN CAP_FOWNER CAP_DAC_OVERRIDE\n"
                   "RestrictAddressFamilies=AF_INET AF_UNIX AF_NETLINK\n"
                   "PrivateDevices=yes\n"
                   "ProtectKernelTunables=yes\n"
                   "ProtectControlGroups=yes\n"
                   "LockPersonality=yes\n"
                   "UMask=0022\n"
                   "Restart=always\n"
                   "RestartSec=1\n"
                   "TimeoutStopSec=30\n"
                   "[Install]\n"
                   "WantedBy=multi-user.target\n",
                   parent, view, parent);
}

struct step_share {
    const char *app, *node, *home, *cert, *key;
    const json_t *directories, *members;
    struct share share;
};

static const struct field fields[] = {
    FIELD(step_share, home, FIELD_PATH),     FIELD(step_share, app, FIELD_NAME),
    FIELD(step_share, node, FIELD_NAME),     FIELD(step_share, directories, FIELD_ARRAY),
    FIELD(step_share, members, FIELD_ARRAY), FIELD_OPT(step_share, cert, FIELD_STR),
    FIELD_OPT(step_share, key, FIELD_STR),
};

static void share_step_free(void *self)
{
    struct step_share *s = self;

    if (s)
        share_free(&s->share);
    free(s);
}

static int share_parse(const json_t *spec, void **ret, struct err *err)
{
    struct step_share *s = NULL;

    if (fields_parse(spec, fields, ARRAY_LEN(fields), sizeof(*s), (void **)&s, err) < 0)
        return -1;
    if (json_array_size(s->directories) &&
        (!s->cert || !s->key ? err_set(err, ERR_USAGE, "members 'cert' and 'key' are missing")
                             : share_read((json_t *)spec, &s->share, err)) < 0) {
        share_step_free(s);
        return -1;
    }
    *ret = s;
    return 0;
}

static const char *share_unit(const void *self, size_t i)
{
    (void)self;
    return i == 0 ? SHARE_SERVICE : NULL;
}

enum { OF_UNIT, OF_SETTINGS, OF_CERT, OF_KEY, CONFS };

struct confs {
    char *settings, *unit, *key;
    struct conf conf[CONFS];
};

static void confs_cleanup(struct confs *c)
{
    free(c->settings);
    free(c->unit);
    secret_free(c->key);
}

static int confs_fill(const struct step_share *s, const struct run *run, struct confs *c,
                      struct err *err)
{
    if (run_expand(run, s->key, &c->key, err) < 0)
        return -1;
    json_t *j = json_pack("{s:s, s:s, s:s, s:O, s:O}", "app", s->app, "node", s->node, "home",
                          s->home, "directories", s->directories, "members", s->members);
    c->settings = js_text(j);
    json_decref(j);
    c->unit = unit_text(s->home);
    c->conf[OF_UNIT] = (struct conf){.path = UNIT, .content = c->unit, .mode = 0644};
    c->conf[OF_SETTINGS] =
        (struct conf){.path = ETC "/settings.json", .content = c->settings, .mode = 0600};
    c->conf[OF_CERT] = (struct conf){.path = ETC "/cert.pem", .content = s->cert, .mode = 0600};
    c->conf[OF_KEY] = (struct conf){.path = ETC "/key.pem", .content = c->key, .mode = 0600};
    return 0;
}

static bool is_off(const struct step_share *s)
{
    return !json_array_size(s->directories);
}

static int share_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    const struct step_share *s = self;
    _cleanup_(confs_cleanup) struct confs c = {0};
    struct svc_state st;
    int64_t loaded = 0;

    if (is_off(s))
        return fs_exists(UNIT) ? verdict_differs(ret, "directories are shared, and none is to be")
                               : verdict_ok(ret);
    if (confs_fill(s, run, &c, err) < 0)
        return -1;
    for (size_t i = 0; i < CONFS; i++) {
        const char *why = conf_differs(&c.conf[i]);

        if (why)
            return verdict_differs(ret, "%s: %s", c.conf[i].path, why);
    }
    if (svc_status_soon(SHARE_SERVICE, &st, err) < 0 || svc_units_loaded(&loaded, err) < 0)
        return -1;
    if (svc_changed_after(UNIT, loaded))
        return verdict_differs(ret, UNIT ": systemd has not read it");
    if (st.masked || !st.active || !st.enabled)
        return verdict_differs(ret, SHARE_SERVICE " %s",
                               st.masked              ? "is masked: nothing can start it"
                               : st.active || st.busy ? "does not start at boot"
                                                      : "does not run");
    for (size_t i = 0; i < CONFS; i++)
        if (svc_changed_after(c.conf[i].path, st.changed))
            return verdict_differs(ret, SHARE_SERVICE " has not read %s yet", c.conf[i].path);
    return verdict_ok(ret);
}

/* Until it has said how far it is: what came before its start is gone with it. */
static int wait_for_word(struct run *run, struct err *err)
{
    uint64_t end = clock_mono_ms() + WORD_MAX_MS;

    while (!fs_exists(PATH_SHARE_STATUS)) {
        if (clock_mono_ms() > end)
            return err_set(err, ERR_TIMEOUT,
                           SHARE_SERVICE " does not come up; 'journalctl -u " SHARE_SERVICE
                                         "' on the node says why");
        if (run_superseded(run))
            return err_set(err, ERR_FAILED, "a newer plan arrived");
        clock_pause_ms(50);
    }
    return 0;
}

static int turn_off(struct err *err)
{
    struct err ignored;

    svc_do("disable", SHARE_SERVICE, &ignored);
    if (svc_do("stop", SHARE_SERVICE, err) < 0)
        return -1;
    if (unlink(UNIT) < 0 && errno != ENOENT)
        return err_errno(err, errno, "remove " UNIT);
    return fs_remove_tree(ETC, err) < 0 ? -1 : svc_daemon_reload(err);
}

static int share_apply(const void *self, struct run *run, struct err *err)
{
    const struct step_share *s = self;
    _cleanup_(confs_cleanup) struct confs c = {0};
    struct svc_state st;
    int64_t loaded = 0;
    bool changed = false;

    if (is_off(s))
        return turn_off(err);
    if (confs_fill(s, run, &c, err) < 0)
        return -1;
    for (size_t i = 0; i < CONFS; i++) {
        bool one = false;

        if (conf_write(&c.conf[i], &one, err) < 0)
            return -1;
        changed = changed || one;
    }
    if (svc_units_loaded(&loaded, err) < 0 ||
        (svc_changed_after(UNIT, loaded) && svc_daemon_reload(err) < 0) ||
        svc_status_boot(SHARE_SERVICE, &st, err) < 0 ||
        (st.masked && svc_do("unmask", SHARE_SERVICE, err) < 0) ||
        ((!st.enabled || st.masked) && svc_do("enable", SHARE_SERVICE, err) < 0))
        return -1;
    for (size_t i = 0; i < CONFS; i++)
        changed = changed || svc_changed_after(c.conf[i].path, st.changed);
    return svc_do(changed ? "restart" : "start", SHARE_SERVICE, err) < 0 ? -1
                                                                         : wait_for_word(run, err);
}

const struct step_ops step_share = {"share",     share_parse,     share_check,
                                    share_apply, share_step_free, share_unit};
