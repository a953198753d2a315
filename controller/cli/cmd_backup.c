/* SPDX-License-Identifier: Apache-2.0 */
/* backup: what lies on all nodes, and having one made, verified, fetched. The nodes are asked over
 * ssh: a file of any size goes past the hub and its events. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/backup.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/text.h"
#include "controller/cli/backups.h"
#include "controller/cli/cli.h"
#include "controller/cli/remote.h"
#include "controller/cli/ssh.h"
#include "controller/nodes/secrets.h"

#define AGENT "sudo", "muster-agent", "backup"

static const char *const list_words[] = {AGENT, "list", "--json"};

int backups_ask(struct deployment *d, const char *node, json_t **ret, struct err *err)
{
    return remote_json(d, node, list_words, ARRAY_LEN(list_words), ret, err);
}

bool backups_wanted(const struct deployment *d, struct err *err)
{
    if (!d->spec.backup.present)
        err_set(err, ERR_USAGE, "%s has no section 'backup'; 'backup: {}' is one, then muster up",
                d->file);
    return d->spec.backup.present;
}

int backups_find(struct deployment *d, const char *node, const char *name, char *ret, size_t cap,
                 struct err *err)
{
    bool all = true;

    for (size_t i = 0; i < d->spec.n_nodes; i++) {
        const struct spec_node *n = &d->spec.nodes[i];
        _cleanup_json_ json_t *said = NULL;
        struct err why = {0};
        size_t k;
        json_t *b;

        if (n->arbitrator || (node && !str_eq(node, n->name)))
            continue;
        if (backups_ask(d, n->name, &said, &why) < 0) {
            text_print(stderr, "muster: %s\n", why.msg);
            all = false;
        }
        json_array_foreach(json_object_get(said, "backups"), k, b)
        {
            if (!str_eq(js_opt_str(b, "name", ""), name))
                continue;
            str_copy(ret, cap, n->name);
            return 0;
        }
    }
    return err_set(err, all ? ERR_USAGE : ERR_NODE,
                   "no backup '%.80s' on %s%s; 'muster backup list' has them", name,
                   node ? node : "any node", all ? "" : " that could be asked");
}

/* --- making one ------------------------------------------------------------------------------ */

/* Ready, and without visitors if there is such a one; else the last of the file. */
static int choose(struct deployment *d, char *ret, size_t cap, struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf why = {0};
    bool drains = false;

    *ret = '\0';
    for (size_t i = 0; i < d->spec.n_nodes; i++) {
        const struct spec_node *n = &d->spec.nodes[i];
        _cleanup_json_ json_t *said = NULL;
        struct err one = {0};

        if (n->arbitrator)
            continue;
        if (backups_ask(d, n->name, &said, &one) < 0 || !js_opt_bool(said, "ready", false)) {
            strbuf_addf(&why, "; %.200s",
                        said ? js_opt_str(said, "why", "it is not ready") : one.msg);
            continue;
        }
        bool better = js_opt_bool(said, "drains", false);
        if (better || !drains)
            str_copy(ret, cap, n->name);
        drains = drains || better;
    }
    return *ret ? 0
                : err_set(err, ERR_SAFETY, "no node can make one now: %.400s",
                          why.len ? why.s + 2 : "none has data");
}

static bool has_data(const struct spec *s, const char *name)
{
    for (size_t i = 0; i < s->n_nodes; i++)
        if (str_eq(s->nodes[i].name, name))
            return !s->nodes[i].arbitrator;
    return false;
}

/* Its terminal is this one. */
static int ask_agent(struct deployment *d, const char *node, const char *verb, const char *name,
                     bool json, struct err *err)
{
    const char *words[6] = {AGENT, verb};
    size_t n = 4;

    if (name)
        words[n++] = name;
    if (json)
        words[n++] = "--json";
    int code = ssh_run(d, node, words, n, err);
    if (code == SSH_UNREACHABLE)
        return err_set(err, ERR_NODE, "%s cannot be reached by ssh; what it has begun goes on",
                       node);
    return code <= 0 ? code : err_set(err, code, "%s: see above", node);
}

static int make(struct deployment *d, const struct cli *cli, struct err *err)
{
    char node[SPEC_NAME_MAX] = "";

    if (cli->node)
        str_copy(node, sizeof(node), cli->node);
    else if (choose(d, node, sizeof(node), err) < 0)
        return -1;
    if (!has_data(&d->spec, node))
        return err_set(err, ERR_USAGE, "no node '%.40s' with data in %s", node, d->file);
    if (!cli->json)
        text_print(stderr, "muster: %s makes it\n", node);
    return ask_agent(d, node, "now", NULL, cli->json, err);
}

/* --- what there is --------------------------------------------------------------------------- */

static void date_of(uint64_t at, char ret[24])
{
    time_t t = (time_t)(at / 1000);
    struct tm tm;

    ret[0] = '\0';
    if (at && gmtime_r(&t, &tm))
        strftime(ret, 24, "%Y-%m-%d %H:%M UTC", &tm);
}

static void print_one(const char *node, const json_t *b)
{
    const char *problem = js_opt_str(b, "problem", ""), *put = js_opt_str(b, "put", "");
    uint64_t verified = js_opt_u64(b, "verified", 0);
    char made[24], seen[24];

    date_of(js_opt_u64(b, "at", 0), made);
    date_of(verified, seen);
    text_print(stdout, "%-8s %-44s %-21s %8.1f MB %7.1f s  %s%s\n", node, js_opt_str(b, "name", ""),
               made, (double)js_opt_u64(b, "bytes", 0) / 1e6,
               (double)js_opt_u64(b, "took_ms", 0) / 1e3, verified ? "verified " : "never verified",
               seen);
    if (*problem)
        text_print(stdout, "%-8s   not usable: %s\n", "", problem);
    if (*put && !str_eq(put, "done"))
        text_print(stdout, "%-8s   not taken elsewhere: %s\n", "", put);
}

static int list(struct deployment *d, const struct cli *cli, struct err *err)
{
    _cleanup_json_ json_t *all = json_array();
    bool silent = false;
    size_t count = 0;

    for (size_t i = 0; i < d->spec.n_nodes; i++) {
        const struct spec_node *n = &d->spec.nodes[i];
        _cleanup_json_ json_t *said = NULL;
        struct err why = {0};
        size_t k;
        json_t *b;

        if (n->arbitrator || (cli->node && !str_eq(cli->node, n->name)))
            continue;
        if (backups_ask(d, n->name, &said, &why) < 0) {
            text_print(stderr, "muster: %s\n", why.msg);
            *err = why;
            silent = true;
            json_array_append_new(all, json_pack("{s:s, s:n, s:o}", "node", n->name, "backups",
                                                 "problem", js_string(why.msg)));
            continue;
        }
        json_array_append(all, said);
        json_array_foreach(json_object_get(said, "backups"), k, b)
        {
            count++;
            if (!cli->json)
                print_one(n->name, b);
        }
    }
    if (cli->json)
        cli_print_json(all, true);
    else if (!count && !silent)
        puts("there is no backup yet; 'muster backup' makes one");
    return silent ? -1 : 0;
}

/* --- to this machine ------------------------------------------------------------------------- */

static int whole(const char *path, const json_t *b, struct err *err)
{
    const char *wanted = js_opt_str(b, "sha256", "");
    struct backup_head h;
    char found[SHA256_HEX_SIZE];

    if (keys_sha256_file(path, found, err) < 0 || backup_head_read(path, &h, err) < 0)
        return -1;
    if (*wanted && !str_eq(found, wanted))
        return err_set(err, ERR_NODE,
                       "what came is not what the node has: its SHA-256 is %.16s…, "
                       "and should be %.16s…; fetch it again",
                       found, wanted);
    return str_eq(h.name, js_opt_str(b, "name", ""))
               ? 0
               : err_set(err, ERR_NODE, "what came is the backup %s", h.name);
}

static json_t *entry_of(struct deployment *d, const char *node, const char *name, struct err *err)
{
    _cleanup_json_ json_t *said = NULL;
    size_t k;
    json_t *b;

    if (backups_ask(d, node, &said, err) < 0)
        return NULL;
    json_array_foreach(json_object_get(said, "backups"), k, b)
    {
        if (str_eq(js_opt_str(b, "name", ""), name))
            return json_incref(b);
    }
    err_set(err, ERR_NODE, "%s has no backup '%.80s' any more", node, name);
    return NULL;
}

static int fetch(struct deployment *d, const struct cli *cli, const char *node, const char *name,
                 struct err *err)
{
    const char *const words[] = {AGENT, "send", name};
    _cleanup_free_ char *to =
        cli->output ? xstrdup(cli->output) : str_fmt("%s" BACKUP_SUFFIX, name);
    _cleanup_free_ char *part = str_fmt("%s.part", to);
    _cleanup_json_ json_t *b = entry_of(d, node, name, err);
    int status = 0;

    if (!b)
        return -1;
    if (fs_exists(to))
        return err_set(err, ERR_USAGE, "%s is there already; nothing is written over", to);
    _cleanup_close_ int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, errno, "%s", part);
    int r = remote_run(d, node, words, ARRAY_LEN(words), -1, fd, &status, err);
    if (r == 0 && status)
        r = err_set(err, ERR_NODE, "%s did not send it whole (exit status %d)", node, status);
    if (r == 0 && fsync(fd) < 0)
        r = err_errno(err, errno, "%s", part);
    if (r == 0)
        r = whole(part, b, err);
    if (r == 0 && rename(part, to) < 0)
        r = err_errno(err, errno, "%s", to);
    if (r < 0) {
        unlink(part);
        return -1;
    }
    text_print(stdout, "%s: %.1f MB, whole. It is encrypted: keep 'muster backup key' elsewhere\n",
               to, (double)js_opt_u64(b, "bytes", 0) / 1e6);
    return fs_sync_parent(to, err);
}

static int print_key(struct deployment *d, struct err *err)
{
    char key[STORE_SECRET_SIZE];

    if (secrets_backup_key(d->store, key, err) < 0)
        return -1;
    printf(BACKUP_KEY_PREFIX "%s\n", key);
    keys_wipe(key, sizeof(key));
    return 0;
}

int cmd_backup(const struct cli *cli, struct err *err)
{
    _cleanup_(deployment_close) struct deployment d = {.lock_fd = -1};
    const char *verb = cli->n_words ? cli->words[0] : "now";
    const char *name = cli->n_words > 1 ? cli->words[1] : NULL;
    bool named = str_eq(verb, "verify") || str_eq(verb, "fetch") || str_eq(verb, "delete");
    char node[SPEC_NAME_MAX];

    if (named != (name != NULL) || (name && !backup_name_valid(name)))
        return err_set(err, ERR_USAGE,
                       "backup: alone it makes one; list, key, and verify, fetch or delete with "
                       "the NAME of one");
    if (cli->output && !str_eq(verb, "fetch"))
        return err_set(err, ERR_USAGE, "-o belongs to 'backup fetch'");
    if (cli_open(cli, false, &d, err) < 0 || !backups_wanted(&d, err))
        return -1;
    if (str_eq(verb, "now"))
        return make(&d, cli, err);
    if (str_eq(verb, "list"))
        return list(&d, cli, err);
    if (str_eq(verb, "key"))
        return print_key(&d, err);
    if (!named)
        return err_set(err, ERR_USAGE, "backup %.20s: list, verify, fetch, delete or key", verb);
    if (backups_find(&d, cli->node, name, node, sizeof(node), err) < 0)
        return -1;
    return str_eq(verb, "fetch") ? fetch(&d, cli, node, name, err)
                                 : ask_agent(&d, node, verb, name, cli->json, err);
}
