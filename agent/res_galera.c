/* SPDX-License-Identifier: Apache-2.0 */
/* Step `galera`: the cluster's configuration and the start gate of mariadb.service; then it waits
 * until the coordinator has this node Synced. Nothing but the coordinator starts the database. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/conf.h"
#include "agent/galera.h"
#include "agent/life.h"
#include "agent/paths.h"
#include "agent/resource.h"
#include "agent/svc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/str.h"

#define CONF "/etc/mysql/mariadb.conf.d/80-muster-galera.cnf"
#define GATE "/etc/systemd/system/mariadb.service.d/60-muster.conf"
#define LOOK_EVERY_MS 200
#define SAY_EVERY_MS 5000

static int galera_parse(const json_t *spec, void **ret, struct err *err)
{
    struct galera g = {0};
    if (galera_read(spec, &g, err) < 0)
        return -1;
    struct galera *copy = xcalloc(1, sizeof(*copy));
    *copy = g;
    *ret = copy;
    svc_expect(GALERA_SERVICE);
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
                "\nwsrep_provider_options = \"gmcast.listen_addr=tcp://%s:4567;"
                "ist.recv_addr=%s:4568;gmcast.segment=%llu;evs.send_window=512;"
                "evs.user_send_window=256;gcs.fc_limit=128;gcs.fc_factor=0.8;gcache.size=128M;"
                "gcache.recover=yes;pc.recovery=FALSE\"\n"
                "wsrep_sst_method = mariabackup\n"
                "wsrep_sst_auth = mysql:\n"
                "wsrep_sst_receive_address = %s:4444\n"
                "wsrep_slave_threads = 4\n"
                "wsrep_retry_autocommit = 3\n"
                "binlog_format = ROW\n"
                "default_storage_engine = InnoDB\n"
                "innodb_autoinc_lock_mode = 2\n"
                "innodb_flush_log_at_trx_commit = 1\n"
                "innodb_doublewrite = 1\n",
                g->address, g->address, (unsigned long long)g->segment, g->address);
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

static int galera_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    (void)run;
    _cleanup_(confs_cleanup) struct confs c = {0};
    struct svc_state st;
    char state[64];
    confs_fill(self, &c);
    for (size_t i = 0; i < ARRAY_LEN(c.conf); i++) {
        const char *why = conf_differs(&c.conf[i]);
        if (why)
            return verdict_differs(ret, "%s: %s", c.conf[i].path, why);
    }
    if (svc_look_soon(GALERA_SERVICE, &st, err) < 0)
        return -1;
    if (st.enabled)
        return verdict_differs(ret, "mariadb starts at boot by itself");
    if (!fs_exists(GALERA_READY))
        return verdict_differs(ret, "the coordinator was not let in yet");
    if (!galera_synced(state, sizeof(state)))
        return verdict_differs(ret, "the database is not Synced: %s", state);
    return verdict_ok(ret);
}

/* What the coordinator says, and how much of the donor's data has come; -1 when it cannot go on by
 * itself. */
static int coordinator_says(const struct galera *g, struct strbuf *say, struct err *err)
{
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *j = NULL;
    struct err ignored;
    size_t len = 0, i;
    json_t *name;
    char come[256];
    strbuf_reset(say);
    if (fs_read(PATH_COORDINATOR, 65536, &text, &len, &ignored) < 0 ||
        js_parse(text, len, &j, &ignored) < 0) {
        strbuf_adds(say, "waits for the coordinator; it needs the roster of all members");
        return 0;
    }
    const char *state = js_opt_str(j, "state", "?");
    const char *why = js_opt_str(j, "why", "");
    if (strcmp(state, "joining") == 0) {
        life_text(why, life_measure(g->mount), 0, come, sizeof(come));
        why = come;
    }
    strbuf_addf(say, "%s: %s", state, why);
    json_array_foreach(json_object_get(j, "waiting_for"), i, name)
        strbuf_addf(say, "%s%s", i ? ", " : " - ", json_string_value(name));
    if (strcmp(state, "fault") == 0 || strcmp(state, "halt") == 0 ||
        strcmp(state, "quarantine") == 0)
        return err_set(err, ERR_FAILED, "coordinator %s", strbuf_str(say));
    return 0;
}

static int wait_synced(const struct galera *g, struct run *run, struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf say = {0}, said = {0};
    uint64_t said_at = 0;
    char state[64];
    while (!galera_synced(state, sizeof(state))) {
        if (run_superseded(run))
            return err_set(err, ERR_FAILED, "a newer plan arrived");
        if (coordinator_says(g, &say, err) < 0)
            return -1;
        uint64_t now = clock_mono_ms();
        if (strcmp(strbuf_str(&say), strbuf_str(&said)) != 0 || now - said_at >= SAY_EVERY_MS) {
            run_progress(run, "%.400s", strbuf_str(&say));
            strbuf_reset(&said);
            strbuf_adds(&said, strbuf_str(&say));
            said_at = now;
        }
        clock_pause_ms(LOOK_EVERY_MS);
    }
    return 0;
}

static int galera_apply(const void *self, struct run *run, struct err *err)
{
    _cleanup_(confs_cleanup) struct confs c = {0};
    struct svc_state st;
    bool changed = false, any = false;
    confs_fill(self, &c);
    for (size_t i = 0; i < ARRAY_LEN(c.conf); i++) {
        if (conf_write(&c.conf[i], &changed, err) < 0)
            return -1;
        any = any || changed;
    }
    /* Without the mark nobody knows whether systemd has read what is on the disk. */
    if ((any || !fs_exists(GALERA_READY)) && svc_daemon_reload(err) < 0)
        return -1;
    if (svc_look(GALERA_SERVICE, &st, err) < 0)
        return -1;
    if (st.enabled && svc_do("disable", GALERA_SERVICE, err) < 0)
        return -1;
    if (st.active && !fs_exists(GALERA_READY)) {
        char state[64];
        /* Running outside the cluster, from before the gate was there. */
        if (!galera_synced(state, sizeof(state)) && svc_do("stop", GALERA_SERVICE, err) < 0)
            return -1;
    }
    if (fs_write_atomic(GALERA_READY, "", 0, 0600, err) < 0)
        return -1;
    return wait_synced(self, run, err);
}

const struct resource_ops res_galera = {"galera", galera_parse, galera_check, galera_apply, free};
