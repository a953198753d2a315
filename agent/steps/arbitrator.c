/* SPDX-License-Identifier: Apache-2.0 */
/* Step `arbitrator`: the configuration of garbd and its unit. When it is through, the coordinator
 * may act, and nothing else starts garbd. */
#include "agent/galera/arbitrator.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/ipc/paths.h"
#include "agent/steps/step.h"
#include "agent/sys/conf.h"
#include "agent/sys/svc.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"

#define CONF ARBITRATOR_CONF "/garbd.cnf"
#define UNIT "/etc/systemd/system/" ARBITRATOR_SERVICE ".service"
/* Debian's own unit would start one without configuration at each boot. */
#define WANTED "/etc/systemd/system/multi-user.target.wants/garb.service"
#define DATABASE "/etc/mysql/mariadb.conf.d/80-muster-galera.cnf"

static const char unit_text[] =
    "# written by muster-agent: only its coordinator starts the arbitrator\n"
    "[Unit]\n"
    "Description=Galera arbitrator\n"
    "After=network.target\n"
    "[Service]\n"
    "ExecStart=/usr/bin/garbd --cfg " CONF "\n"
    "DynamicUser=yes\n"
    "LoadCredential=key.pem:" ARBITRATOR_KEY "\n"
    "StateDirectory=" ARBITRATOR_SERVICE "\n"
    "WorkingDirectory=%S/" ARBITRATOR_SERVICE "\n"
    "Restart=no\n"
    "KillSignal=SIGINT\n" /* it leaves its group in order (as Debian's own unit has it) */
    "TimeoutStopSec=30\n";

static int arbitrator_parse(const json_t *spec, void **ret, struct err *err)
{
    struct arbitrator a = {0};

    if (arbitrator_read(spec, &a, err) < 0)
        return -1;
    struct arbitrator *copy = xcalloc(1, sizeof(*copy));
    *copy = a;
    *ret = copy;
    return 0;
}

enum { OF_GARBD, OF_UNIT, OF_CA, OF_CERT, OF_KEY, CONFS };

struct confs {
    char *garbd, *key;
    struct conf conf[CONFS];
};

static void confs_cleanup(struct confs *c)
{
    free(c->garbd);
    secret_free(c->key);
}

static int confs_fill(const struct arbitrator *a, const struct run *run, struct confs *c,
                      struct err *err)
{
    if (run_expand(run, a->key, &c->key, err) < 0)
        return -1;
    c->garbd = arbitrator_conf(a);
    c->conf[OF_GARBD] = (struct conf){.path = CONF, .content = c->garbd, .mode = 0644};
    c->conf[OF_UNIT] = (struct conf){.path = UNIT, .content = unit_text, .mode = 0644};
    c->conf[OF_CA] = (struct conf){.path = ARBITRATOR_CA, .content = a->ca, .mode = 0644};
    c->conf[OF_CERT] = (struct conf){.path = ARBITRATOR_CERT, .content = a->cert, .mode = 0644};
    c->conf[OF_KEY] = (struct conf){.path = ARBITRATOR_KEY, .content = c->key, .mode = 0600};
    return 0;
}

static const char *arbitrator_unit(const void *self, size_t i)
{
    (void)self;
    return i == 0 ? ARBITRATOR_SERVICE : NULL;
}

static int arbitrator_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    _cleanup_(confs_cleanup) struct confs c = {0};
    struct svc_state st;
    int64_t loaded = 0;

    if (fs_exists(DATABASE))
        return verdict_refused(ret, "this machine is a member with data (" DATABASE "); an "
                                    "arbitrator is another machine: give it a name of its own");
    if (confs_fill(self, run, &c, err) < 0)
        return -1;
    for (size_t i = 0; i < CONFS; i++) {
        const char *why = conf_differs(&c.conf[i]);

        if (why)
            return verdict_differs(ret, "%s: %s", c.conf[i].path, why);
    }
    if (fs_exists(WANTED))
        return verdict_differs(ret, "Debian's own unit of garbd starts at boot");
    if (!fs_exists(GALERA_READY))
        return verdict_differs(ret, "the coordinator is not enabled yet");
    if (svc_status_soon(ARBITRATOR_SERVICE, &st, err) < 0 || svc_units_loaded(&loaded, err) < 0)
        return -1;
    if (st.masked)
        return verdict_differs(ret, ARBITRATOR_SERVICE " is masked: nothing can start it");
    if (svc_changed_after(UNIT, loaded))
        return verdict_differs(ret, UNIT ": systemd has not read it");
    if (st.active && svc_notify_pending(ARBITRATOR_SERVICE))
        return verdict_differs(ret, "garbd has not read its configuration yet");
    return verdict_ok(ret);
}

/* One that runs with another configuration leaves its group in order and comes back. */
static int arbitrator_apply(const void *self, struct run *run, struct err *err)
{
    _cleanup_(confs_cleanup) struct confs c = {0};
    struct svc_state st;
    int64_t loaded = 0;

    if (confs_fill(self, run, &c, err) < 0)
        return -1;
    for (size_t i = 0; i < CONFS; i++)
        if (conf_differs(&c.conf[i]) &&
            (svc_notify_note(ARBITRATOR_SERVICE, err) < 0 || conf_write(&c.conf[i], NULL, err) < 0))
            return -1;
    if (unlink(WANTED) < 0 && errno != ENOENT)
        return err_errno(err, errno, "remove %s", WANTED);
    if (svc_units_loaded(&loaded, err) < 0 ||
        ((svc_changed_after(UNIT, loaded) || !fs_exists(GALERA_READY)) &&
         svc_daemon_reload(err) < 0) ||
        svc_status_boot(ARBITRATOR_SERVICE, &st, err) < 0 ||
        (st.masked && svc_do("unmask", ARBITRATOR_SERVICE, err) < 0) ||
        svc_notify_serve(ARBITRATOR_SERVICE, err) < 0)
        return -1;
    return fs_write_atomic(GALERA_READY, "", 0, 0600, err);
}

const struct step_ops step_arbitrator = {
    "arbitrator", arbitrator_parse, arbitrator_check, arbitrator_apply, free, arbitrator_unit};
