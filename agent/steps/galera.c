/* SPDX-License-Identifier: Apache-2.0 */
/* Step `galera`: the cluster's configuration and the start gate of mariadb.service. When it is
 * through, the coordinator may act, and nothing but the coordinator starts the database; the steps
 * after this one go on beside it, to the one that needs the database (`synced`). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/galera/galera.h"
#include "agent/galera/settings.h"
#include "agent/galera/sql.h"
#include "agent/ipc/paths.h"
#include "agent/steps/step.h"
#include "agent/sys/conf.h"
#include "agent/sys/svc.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/ports.h"
#include "common/str.h"

#define CONF "/etc/mysql/mariadb.conf.d/80-muster-galera.cnf"
#define WANTED "/etc/systemd/system/multi-user.target.wants/" GALERA_SERVICE ".service"
#define GATE "/etc/systemd/system/mariadb.service.d/60-muster.conf"

static int galera_parse(const json_t *spec, void **ret, struct err *err)
{
    struct galera g = {0};

    if (galera_read(spec, &g, err) < 0)
        return -1;
    struct galera *copy = xcalloc(1, sizeof(*copy));
    *copy = g;
    *ret = copy;
    return 0;
}

/* Settings for members some ten milliseconds apart; docs/galera.md says why for each. */
static char *conf_text(const struct galera *g)
{
    struct strbuf b = {0};
    size_t i;
    json_t *m;

    strbuf_addf(&b,
                "# written by muster-agent\n[mariadbd]\n"
                "wsrep_on = ON\n"
                "wsrep_provider = /usr/lib/galera/libgalera_smm.so\n"
                "wsrep_cluster_name = %s\n"
                "wsrep_node_name = %s\n"
                "wsrep_node_address = %s\n"
                "wsrep_cluster_address = gcomm://",
                g->cluster, g->node, g->address);
    json_array_foreach(g->members, i, m)
        strbuf_addf(&b, "%s%s", i ? "," : "", js_opt_str(m, "address", ""));
    strbuf_addf(&b,
                "\nwsrep_provider_options = \"gmcast.listen_addr=tcp://%s:%d;"
                "ist.recv_addr=%s:%d;gmcast.segment=%llu;evs.send_window=512;"
                "evs.user_send_window=256;gcs.fc_limit=128;gcs.fc_factor=0.8;gcache.size=128M;"
                "gcache.recover=yes;pc.recovery=FALSE\"\n"
                "wsrep_sst_method = mariabackup\n"
                "wsrep_sst_auth = mysql:\n"
                "wsrep_sst_receive_address = %s:%d\n"
                "wsrep_slave_threads = 4\n"
                "wsrep_retry_autocommit = 3\n"
                "binlog_format = ROW\n"
                "default_storage_engine = InnoDB\n"
                "extra_port = %d\n"
                "extra_max_connections = 4\n"
                "innodb_autoinc_lock_mode = 2\n"
                "innodb_flush_log_at_trx_commit = 1\n"
                "innodb_doublewrite = 1\n",
                g->address, PORT_GALERA, g->address, PORT_GALERA_IST,
                (unsigned long long)g->segment, g->address, PORT_GALERA_SST, PORT_SQL_EXTRA);
    return b.s;
}

static char *gate_text(const struct galera *g)
{
    return str_fmt("# written by muster-agent: only its coordinator starts the database\n"
                   "[Unit]\n"
                   "ConditionPathExists=" PATH_PERMIT "\n"
                   "RequiresMountsFor=%s\n"
                   "[Service]\n"
                   "Restart=no\n"
                   "TimeoutStartSec=infinity\n"
                   "EnvironmentFile=-" GALERA_ENV "\n"
                   "ExecStartPre=\n"
                   "ExecStartPre=+/usr/bin/install -m 755 -o mysql -g root -d /run/mysqld\n"
                   "ExecStart=\n"
                   "ExecStart=/usr/sbin/mariadbd $MUSTER_WSREP\n"
                   "ExecStartPost=\n",
                   g->mount);
}

struct confs {
    char *text[2];
    struct conf conf[2];
};

static void confs_cleanup(struct confs *c)
{
    free(c->text[0]);
    free(c->text[1]);
}

static void confs_fill(const struct galera *g, struct confs *c)
{
    c->text[0] = conf_text(g);
    c->text[1] = gate_text(g);
    c->conf[0] = (struct conf){.path = CONF, .content = c->text[0], .mode = 0644};
    c->conf[1] = (struct conf){.path = GATE, .content = c->text[1], .mode = 0644};
}

static const char *galera_unit(const void *self, size_t i)
{
    (void)self;
    return i == 0 ? GALERA_SERVICE : NULL;
}

/* What systemd and the server that runs have in memory, against their files. */
static int loaded_differs(const struct confs *c, struct verdict *ret, struct err *err)
{
    struct settings_seen seen = {0};
    struct svc_state st;
    int64_t loaded = 0;

    if (svc_status_soon(GALERA_SERVICE, &st, err) < 0 || svc_units_loaded(&loaded, err) < 0)
        return -1;
    if (st.masked)
        return verdict_differs(ret, GALERA_SERVICE " is masked: nothing can start it");
    if (svc_changed_after(GATE, loaded))
        return verdict_differs(ret, GATE ": systemd has not read it");
    if (st.active && settings_look(c->text[0], &seen, err) < 0)
        return -1;
    if (seen.unasked)
        return verdict_note(ret, "the database that runs does not answer, so its settings are not "
                                 "known");
    if (seen.now[0])
        return verdict_differs(ret, "in the database that runs, %s", seen.now);
    return seen.later[0] ? verdict_note(ret,
                                        "in the database that runs, %s; that changes when it "
                                        "starts next",
                                        seen.later)
                         : verdict_ok(ret);
}

static int galera_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    (void)run;
    _cleanup_(confs_cleanup) struct confs c = {0};

    confs_fill(self, &c);
    for (size_t i = 0; i < ARRAY_LEN(c.conf); i++) {
        const char *why = conf_differs(&c.conf[i]);

        if (why)
            return verdict_differs(ret, "%s: %s", c.conf[i].path, why);
    }
    if (fs_exists(WANTED))
        return verdict_differs(ret, "mariadb starts at boot by itself");
    if (!fs_exists(GALERA_READY))
        return verdict_differs(ret, "the coordinator is not enabled yet");
    return loaded_differs(&c, ret, err);
}

static int galera_apply(const void *self, struct run *run, struct err *err)
{
    (void)run;
    _cleanup_(confs_cleanup) struct confs c = {0};
    struct svc_state st;
    int64_t loaded = 0;
    bool changed = false, any = false;

    confs_fill(self, &c);
    for (size_t i = 0; i < ARRAY_LEN(c.conf); i++) {
        if (conf_write(&c.conf[i], &changed, err) < 0)
            return -1;
        any = any || changed;
    }
    /* `systemctl disable` would read all units three times for the script of /etc/init.d. */
    if (unlink(WANTED) == 0)
        any = true;
    else if (errno != ENOENT)
        return err_errno(err, errno, "remove %s", WANTED);
    if (svc_units_loaded(&loaded, err) < 0)
        return -1;
    any = any || svc_changed_after(GATE, loaded);
    /* Without the mark nobody knows whether systemd has read what is on the disk. */
    if (((any || !fs_exists(GALERA_READY)) && svc_daemon_reload(err) < 0) ||
        svc_status_boot(GALERA_SERVICE, &st, err) < 0 ||
        (st.masked && svc_do("unmask", GALERA_SERVICE, err) < 0))
        return -1;
    if (st.active && !fs_exists(GALERA_READY)) {
        char state[256];
        enum galera_seen seen = galera_synced(state, sizeof(state));

        if (seen == GALERA_UNKNOWN)
            return err_set(err, ERR_FAILED,
                           "a database runs here and cannot be asked, so it is not stopped: %.200s",
                           state);
        /* Running outside the cluster, from before the gate was there. */
        st.active = seen != GALERA_NOT_PRIMARY && seen != GALERA_LEFT;
        if (!st.active && svc_do("stop", GALERA_SERVICE, err) < 0)
            return -1;
    }
    if (st.active && settings_repair(c.text[0], err) < 0)
        return -1;
    return fs_write_atomic(GALERA_READY, "", 0, 0600, err);
}

const struct step_ops step_galera = {"galera",     galera_parse, galera_check,
                                     galera_apply, free,         galera_unit};
