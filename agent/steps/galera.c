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

static void add_settings(const struct galera *g, struct strbuf *b)
{
    static const char *const defaults[][2] = {{"wsrep_slave_threads", "4"},
                                              {"wsrep_retry_autocommit", "3"}};
    const char *name;
    json_t *v;

    for (size_t i = 0; i < ARRAY_LEN(defaults); i++)
        if (!json_object_get(g->settings, defaults[i][0]))
            strbuf_addf(b, "%s = %s\n", defaults[i][0], defaults[i][1]);
    strbuf_adds(b, GALERA_OPERATORS "\n");
    json_object_foreach((json_t *)g->settings, name, v)
    {
        if (!strchr(name, '.'))
            strbuf_addf(b, "%s = \"%s\"\n", name, json_string_value(v));
    }
}

/* docs/galera.md says why for each. */
static char *conf_text(const struct galera *g)
{
    struct strbuf b = {0};
    _cleanup_free_ char *options = galera_options(g, g->weight);
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
                "\nwsrep_provider_options = \"%s\"\n"
                "wsrep_sst_method = mariabackup\n"
                "wsrep_sst_auth = mysql:\n"
                "wsrep_sst_receive_address = %s:%d\n"
                "binlog_format = ROW\n"
                "default_storage_engine = InnoDB\n"
                "extra_port = %d\n"
                "extra_max_connections = 4\n"
                "innodb_autoinc_lock_mode = 2\n"
                "innodb_flush_log_at_trx_commit = 1\n"
                "innodb_doublewrite = 1\n",
                options, g->address, PORT_GALERA_SST, PORT_SQL_EXTRA);
    add_settings(g, &b);
    strbuf_adds(&b, "[sst]\n"
                    "encrypt = 3\n"
                    "ssl-mode = VERIFY_CA\n"
                    "tca = " GALERA_TLS_CA "\n"
                    "tcert = " GALERA_TLS_CERT "\n"
                    "tkey = " GALERA_TLS_KEY "\n");
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

enum { OF_SERVER, OF_GATE, OF_CA, OF_CERT, OF_KEY, CONFS };

struct confs {
    char *server, *gate, *key;
    struct conf conf[CONFS];
};

static void confs_cleanup(struct confs *c)
{
    free(c->server);
    free(c->gate);
    secret_free(c->key);
}

/* Where there is no group mysql yet, the key's file is root's. */
static int confs_fill(const struct galera *g, const struct run *run, struct confs *c,
                      struct err *err)
{
    struct err ignored;
    gid_t mysql = 0;

    if (run_expand(run, g->key, &c->key, err) < 0)
        return -1;
    conf_gid("mysql", &mysql, &ignored);
    c->server = conf_text(g);
    c->gate = gate_text(g);
    c->conf[OF_SERVER] = (struct conf){.path = CONF, .content = c->server, .mode = 0644};
    c->conf[OF_GATE] = (struct conf){.path = GATE, .content = c->gate, .mode = 0644};
    c->conf[OF_CA] = (struct conf){.path = GALERA_TLS_CA, .content = g->ca, .mode = 0644};
    c->conf[OF_CERT] = (struct conf){.path = GALERA_TLS_CERT, .content = g->cert, .mode = 0644};
    c->conf[OF_KEY] =
        (struct conf){.path = GALERA_TLS_KEY, .content = c->key, .mode = 0640, .gid = mysql};
    return 0;
}

static bool certificate_differs(const struct confs *c)
{
    return conf_differs(&c->conf[OF_CA]) || conf_differs(&c->conf[OF_CERT]) ||
           conf_differs(&c->conf[OF_KEY]);
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
    if (st.active && svc_notify_pending(GALERA_SERVICE))
        return verdict_differs(ret, "the database that runs has not read its new certificate");
    if (st.active && settings_look(c->server, &seen, err) < 0)
        return -1;
    if (seen.unasked)
        return verdict_note(ret, "the database that runs does not answer, so its settings are not "
                                 "known");
    settings_note_pending(st.main_pid, seen.later);
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
    _cleanup_(confs_cleanup) struct confs c = {0};

    if (confs_fill(self, run, &c, err) < 0)
        return -1;
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
    _cleanup_(confs_cleanup) struct confs c = {0};
    struct svc_state st;
    int64_t loaded = 0;
    bool changed = false, any = false;

    if (confs_fill(self, run, &c, err) < 0 ||
        (conf_differs(&c.conf[OF_SERVER]) && settings_try(c.server, err) < 0) ||
        (certificate_differs(&c) && svc_notify_note(GALERA_SERVICE, err) < 0))
        return -1;
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
    if (st.active && settings_repair(c.server, err) < 0)
        return -1;
    if (svc_notify_pending(GALERA_SERVICE) && ((st.active && galera_read_certificate(err) < 0) ||
                                               svc_notify_drop(GALERA_SERVICE, err) < 0))
        return -1;
    return fs_write_atomic(GALERA_READY, "", 0, 0600, err);
}

const struct step_ops step_galera = {"galera",     galera_parse, galera_check,
                                     galera_apply, free,         galera_unit};
