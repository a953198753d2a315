/* SPDX-License-Identifier: Apache-2.0 */
/* The section `database` of the deployment file: which settings of the server an operator may say,
 * and which the safety of the data, the cluster or this program rests on. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/cleanup.h"
#include "controller/spec/internal.h"

#define PATH "database.settings"
#define SETTINGS_MAX 64
#define VALUE_MAX 200
#define DEFAULT_MOUNT "/media/datadisk-mariadb"
#define DEFAULT_FILESYSTEM "ext4"

/* What a setting is not an operator's for. A name that ends with '_' is the beginning of many. */
static const struct {
    const char *name, *why;
} refused[] = {
    {"innodb_flush_log_at_trx_commit", "an acknowledged transaction would not be durable"},
    {"innodb_doublewrite", "a page that is written half would be lost"},
    {"innodb_force_recovery", "the database would serve damaged data"},
    {"innodb_autoinc_lock_mode", "Galera needs 2"},
    {"innodb_flush_log_at_timeout", "an acknowledged transaction would not be durable"},
    {"innodb_read_only", "the cluster could not write"},
    {"innodb_data_", "the data directory is the data disk's"},
    {"innodb_log_group_home_dir", "the data directory is the data disk's"},
    {"innodb_undo_directory", "the data directory is the data disk's"},
    {"aria_log_dir_path", "the data directory is the data disk's"},
    {"binlog_format", "Galera needs ROW"},
    {"default_storage_engine", "Galera replicates InnoDB only"},
    {"default_tmp_storage_engine", "Galera replicates InnoDB only"},
    {"enforce_storage_engine", "the server refuses it under Galera; the agents convert tables"},
    {"datadir", "database.mount says where the data is"},
    {"basedir", "the server is the package's"},
    {"socket", "the agent and PHP use the package's"},
    {"port", "the agent looks on the usual one"},
    {"extra_port", "the agent looks there"},
    {"extra_max_connections", "the agent looks there"},
    {"skip_networking", "the agent looks at 127.0.0.1"},
    {"bind_address", "the agent looks at 127.0.0.1"},
    {"pid_file", "systemd starts the server"},
    {"user", "systemd starts the server"},
    {"log_error", "the journal has the server's messages, and the agent reads them there"},
    {"init_file", "it would run with each start as root of the database"},
    {"init_rpl_role", "Galera replicates"},
    {"plugin_load", "a plugin runs inside of the server; load it by INSTALL SONAME"},
    {"plugin_load_add", "a plugin runs inside of the server; load it by INSTALL SONAME"},
    {"plugin_dir", "the server is the package's"},
    {"skip_grant_tables", "everybody could log in as root"},
    {"read_only", "the members apply what the others write"},
    {"tc_heuristic_recover", "it decides prepared transactions unseen"},
    {"ssl_", "the server's certificate is the agent's"},
    {"wsrep_", "the coordinator's"},
};

static const char *const allowed_wsrep[] = {
    "wsrep_slave_threads",     "wsrep_retry_autocommit",  "wsrep_sync_wait",
    "wsrep_max_ws_size",       "wsrep_max_ws_rows",       "wsrep_log_conflicts",
    "wsrep_trx_fragment_size", "wsrep_trx_fragment_unit", "wsrep_certify_nonpk",
};

/* The server takes "skip_NAME" and the like for NAME, and the beginning of a name for all of it. */
static const char *const prefixes[] = {"loose_", "skip_", "disable_", "enable_", "maximum_"};

/* Of Galera; pc.*, socket.*, addresses and directories are the agent's. */
enum value_kind { NUMBER, FRACTION, SIZE, PERIOD, TRUTH };
static const struct {
    const char *name;
    enum value_kind kind;
} options[] = {
    {"gcache.size", SIZE},
    {"gcache.page_size", SIZE},
    {"gcs.fc_limit", NUMBER},
    {"gcs.fc_factor", FRACTION},
    {"gcs.fc_single_primary", TRUTH},
    {"gcs.max_throttle", FRACTION},
    {"gcs.recv_q_hard_limit", SIZE},
    {"gcs.recv_q_soft_limit", FRACTION},
    {"evs.send_window", NUMBER},
    {"evs.user_send_window", NUMBER},
    {"evs.keepalive_period", PERIOD},
    {"evs.suspect_timeout", PERIOD},
    {"evs.inactive_timeout", PERIOD},
    {"evs.inactive_check_period", PERIOD},
    {"evs.install_timeout", PERIOD},
    {"evs.join_retrans_period", PERIOD},
    {"gmcast.peer_timeout", PERIOD},
    {"repl.causal_read_timeout", PERIOD},
};

static bool matches(const char *name, const char *pattern)
{
    return str_starts(pattern, name) || (str_ends(pattern, "_") && str_starts(name, pattern));
}

static const char *why_refused(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(allowed_wsrep); i++)
        if (str_eq(name, allowed_wsrep[i]))
            return NULL;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        if (matches(name, refused[i].name))
            return refused[i].why;
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
        if (str_starts(name, prefixes[i]))
            return why_refused(name + strlen(prefixes[i]));
    return NULL;
}

/* "PT5S", "PT1.5S", "PT1M": seconds; 0 for another text. */
static double period(const char *text)
{
    char *end = NULL;
    double n =
        str_starts(text, "PT") && isdigit((unsigned char)text[2]) ? strtod(text + 2, &end) : 0;

    return !end ? 0 : str_eq(end, "S") ? n : str_eq(end, "M") ? n * 60 : 0;
}

static bool is_kind(const char *text, enum value_kind kind)
{
    size_t digits = strspn(text, "0123456789");
    char *end = NULL;

    switch (kind) {
    case NUMBER:
        return digits && !text[digits];
    case SIZE:
        return digits && (!text[digits] || (strchr("KMG", text[digits]) && !text[digits + 1]));
    case FRACTION:
        return digits && strtod(text, &end) <= 1 && !*end;
    case PERIOD:
        return period(text) > 0;
    case TRUTH:
        return str_eq(text, "yes") || str_eq(text, "no");
    }
    return false;
}

static void check_option(struct reading *r, const char *name, const char *text)
{
    static const char *const shapes[] = {
        [NUMBER] = "a number",         [FRACTION] = "a number from 0 to 1",
        [SIZE] = "a size, such as 2G", [PERIOD] = "a period, such as PT5S",
        [TRUTH] = "\"yes\" or \"no\"",
    };

    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if (!str_eq(name, options[i].name))
            continue;
        if (!is_kind(text, options[i].kind))
            problem_at(r, PATH, name, "expected %s", shapes[options[i].kind]);
        return;
    }
    problem_at(r, PATH, name, "an option of Galera that is the agent's, or none");
}

static double period_of(const json_t *settings, const char *name, double dflt)
{
    const char *text = json_string_value(json_object_get(settings, name));
    double n = text ? period(text) : 0;

    return n > 0 ? n : dflt;
}

/* Galera's own checks (26.4, evs_proto.cpp): its server would not start with others. */
static void check_periods(struct reading *r, const json_t *settings)
{
    double suspect = period_of(settings, "evs.suspect_timeout", 5),
           inactive = period_of(settings, "evs.inactive_timeout", 15);
    const struct {
        const char *name;
        double dflt, max;
        const char *of;
    } bounds[] = {
        {"evs.keepalive_period", 1, suspect / 3, "a third of evs.suspect_timeout"},
        {"evs.inactive_check_period", 0.5, suspect / 2, "half of evs.suspect_timeout"},
        {"evs.suspect_timeout", 5, inactive, "evs.inactive_timeout"},
        {"evs.install_timeout", 7.5, inactive, "evs.inactive_timeout"},
    };

    for (size_t i = 0; i < ARRAY_LEN(bounds); i++)
        if (period_of(settings, bounds[i].name, bounds[i].dflt) > bounds[i].max)
            problem(r, PATH, "%s: at most %s (%gs)", bounds[i].name, bounds[i].of, bounds[i].max);
}

/* As the server's file and its variables have it: "max-connections" is max_connections. */
static bool plain_name(const char *key, char ret[65])
{
    size_t n = strlen(key);

    if (!n || n > 64)
        return false;
    for (size_t i = 0; i <= n; i++)
        ret[i] = key[i] == '-' ? '_' : (char)tolower((unsigned char)key[i]);
    return !ret[strspn(ret, "abcdefghijklmnopqrstuvwxyz0123456789_.")];
}

static void take_setting(struct reading *r, json_t *settings, const char *key, const char *text)
{
    char name[65];
    const char *why;

    if (!plain_name(key, name))
        problem_at(r, PATH, key, "is no name of a setting");
    else if (strlen(text) > VALUE_MAX || strpbrk(text, "\n\r\"\\;"))
        problem_at(r, PATH, key, "at most %d characters, without quotes, ';' and '\\'", VALUE_MAX);
    else if (json_object_get(settings, name))
        problem_at(r, PATH, key, "is there twice");
    else if ((why = why_refused(name)))
        problem_at(r, PATH, key, "cannot be set here: %s", why);
    else if (strchr(name, '.'))
        check_option(r, name, text);
    json_object_set_new(settings, name, json_string(text));
}

static json_t *read_settings(struct reading *r, const json_t *v)
{
    _cleanup_json_ json_t *values = read_values(r, PATH, v, false);
    json_t *settings = json_object(), *text;
    const char *key;

    json_object_foreach(values, key, text)
    {
        take_setting(r, settings, key, json_string_value(text));
    }
    if (json_object_size(settings) > SETTINGS_MAX)
        problem(r, PATH, "at most %d settings", SETTINGS_MAX);
    check_periods(r, settings);
    return settings;
}

/* More than two members, or an arbitrator, have a quorum without the one that is lost. */
static void read_survivor(struct reading *r, struct spec *s, const json_t *v)
{
    char text[16];

    read_text(r, "database", v, "survivor", "wait", text, sizeof(text));
    s->database.fence = str_eq(text, "fence");
    if (!s->database.fence && !str_eq(text, "wait"))
        problem_at(r, "database", "survivor", "expected wait or fence");
    else if (s->database.fence &&
             (s->n_nodes != 2 || s->nodes[0].arbitrator || s->nodes[1].arbitrator))
        problem_at(r, "database", "survivor", "fence is for two nodes: others have a quorum");
    else if (s->database.fence && s->cloud == CLOUD_NONE)
        problem_at(r, "database", "survivor", "fence needs a cloud that stops the lost VM");
}

void read_database(struct reading *r, struct spec *s, const json_t *root)
{
    static const char *const keys[] = {"cluster",  "mount",    "filesystem",
                                       "survivor", "settings", NULL};
    const json_t *v = json_object_get(root, "database");

    /* A data disk is mounted also where no database is. */
    str_copy(s->database.mount, sizeof(s->database.mount), DEFAULT_MOUNT);
    str_copy(s->database.filesystem, sizeof(s->database.filesystem), DEFAULT_FILESYSTEM);
    if (!v || !read_known(r, "database", v, keys))
        return;
    s->database.present = true;
    read_name(r, "database", v, "cluster", s->deployment, s->database.cluster,
              sizeof(s->database.cluster));
    read_path(r, "database", v, "mount", DEFAULT_MOUNT, s->database.mount,
              sizeof(s->database.mount));
    read_text(r, "database", v, "filesystem", DEFAULT_FILESYSTEM, s->database.filesystem,
              sizeof(s->database.filesystem));
    if (!str_eq(s->database.filesystem, "ext4") && !str_eq(s->database.filesystem, "xfs"))
        problem_at(r, "database", "filesystem", "expected ext4 or xfs");
    read_survivor(r, s, v);
    s->database.settings = json_object_get(v, "settings")
                               ? read_settings(r, json_object_get(v, "settings"))
                               : json_object();
}
