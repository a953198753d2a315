/* SPDX-License-Identifier: Apache-2.0 */
/* restore: one node brings the backup into the cluster, while no site of the deployment serves. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/backup.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/text.h"
#include "controller/cli/backups.h"
#include "controller/cli/cli.h"
#include "controller/cli/remote.h"
#include "controller/cli/ssh.h"

#define AGENT "sudo", "muster-agent", "backup"
#define KEY_FILE_MAX 1024

struct restore {
    struct deployment *d;
    const struct cli *cli;
    char node[SPEC_NAME_MAX];
    const char *name;        /* as its agent is told */
    struct backup_head head; /* of a file on this machine */
    bool file;
    int key; /* to read from; -1: this deployment's own */
};

static bool confirmed(const struct cli *cli, const char *deployment, struct err *err)
{
    char line[128] = "";

    if (cli->yes || cli->because)
        return true;
    text_print(stderr,
               "The databases of the backup take the place of those of %s, and the sites answer "
               "503 meanwhile.\nType %s to go on: ",
               deployment, deployment);
    if (fgets(line, sizeof(line), stdin) && str_eq(str_chomp(line), deployment))
        return true;
    err_set(err, ERR_SAFETY, "nothing was done: the deployment's name was not typed");
    return false;
}

/* A text for the agent's stdin, which is in no argument and no file. */
static int key_read(struct restore *r, struct err *err)
{
    _cleanup_free_ char *text = NULL;
    uint8_t key[KEY_SIZE];
    size_t len = 0;
    int rc;

    r->key = -1;
    if (!r->cli->key)
        return 0;
    if (fs_read(r->cli->key, KEY_FILE_MAX, &text, &len, err) < 0)
        return -1;
    rc = backup_key_parse(text, key, err);
    if (rc == 0 && r->file) {
        char id[BACKUP_KEY_ID_SIZE];

        backup_key_id(key, id);
        if (!str_eq(id, r->head.key_id))
            rc = err_set(err, ERR_SAFETY,
                         "%s was made with another key (%s) than the one of %s (%s)",
                         r->cli->words[0], r->head.key_id, r->cli->key, id);
    }
    if (rc == 0) {
        r->key = memfd_create("key", MFD_CLOEXEC);
        if (r->key < 0 || dprintf(r->key, "%s\n", str_chomp(text)) < 0 ||
            lseek(r->key, 0, SEEK_SET) < 0)
            rc = err_errno(err, errno, "the key");
    }
    keys_wipe(key, sizeof(key));
    keys_wipe(text, len);
    return rc;
}

static int agent_failed(const struct restore *r, int status, const char *what, struct err *err)
{
    if (status == SSH_UNREACHABLE)
        return err_set(err, ERR_NODE, "%s cannot be reached by ssh; %s", r->node, what);
    return err_set(err, status, "%s: see above", r->node);
}

static int upload(const struct restore *r, struct err *err)
{
    const char *path = r->cli->words[0];
    char sha[SHA256_HEX_SIZE], bytes[24];
    const char *const words[] = {AGENT, "receive", bytes, sha};
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    int status = 0;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(err, errno, "%s", path);
    if (keys_sha256_file(path, sha, err) < 0)
        return -1;
    snprintf(bytes, sizeof(bytes), "%lld", (long long)st.st_size);
    text_print(stderr, "muster: %s gets the file, %.1f MB\n", r->node, (double)st.st_size / 1e6);
    if (remote_run(r->d, r->node, words, ARRAY_LEN(words), fd, -1, &status, err) < 0)
        return -1;
    return status ? agent_failed(r, status, "nothing was changed", err) : 0;
}

/* Every other node's site; the one that restores has its own closed, and opens it. */
static int sites(const struct restore *r, bool close, struct err *err)
{
    const struct spec *s = &r->d->spec;
    int rc = 0;

    for (size_t i = 0; s->web.present && i < s->n_nodes; i++) {
        const char *node = s->nodes[i].name;
        const char *const words[] = {AGENT, close ? "close" : "open"};
        struct err one = {0};
        int status = 0;

        if (s->nodes[i].arbitrator || str_eq(node, r->node))
            continue;
        if (remote_run(r->d, node, words, ARRAY_LEN(words), -1, -1, &status, &one) < 0 || status) {
            if (close)
                return err_set(err, ERR_SAFETY,
                               "%s cannot be told to answer 503, so nothing is restored: its site "
                               "would show half of two states",
                               node);
            text_print(stderr,
                       "muster: the site of %s still answers 503; on it, as root: muster-agent "
                       "backup open, or restart it\n",
                       node);
            rc = -1;
        }
    }
    return rc < 0 ? err_set(err, ERR_NODE, "not every site could be opened again") : 0;
}

static int run(const struct restore *r, struct err *err)
{
    const char *words[8] = {AGENT, "restore", r->name, "--confirm", r->d->spec.deployment};
    size_t n = 7;
    int status = 0;

    if (r->key >= 0)
        words[n++] = "--key";
    fflush(stdout);
    if (remote_run(r->d, r->node, words, n, r->key, 1, &status, err) < 0)
        return -1;
    return status
               ? agent_failed(r, status,
                              "what it has begun goes on: 'systemctl status muster-backup' there",
                              err)
               : 0;
}

static int first_reachable(struct restore *r, struct err *err)
{
    const struct spec *s = &r->d->spec;

    if (r->cli->node)
        return str_copy(r->node, sizeof(r->node), r->cli->node)
                   ? 0
                   : err_set(err, ERR_USAGE, "no node '%.40s'", r->cli->node);
    for (size_t i = 0; i < s->n_nodes; i++) {
        _cleanup_json_ json_t *said = NULL;

        if (s->nodes[i].arbitrator || backups_ask(r->d, s->nodes[i].name, &said, err) < 0)
            continue;
        str_copy(r->node, sizeof(r->node), s->nodes[i].name);
        if (js_opt_bool(said, "ready", false))
            return 0;
    }
    return r->node[0] ? 0 : -1;
}

static int find(struct restore *r, struct err *err)
{
    const char *word = r->cli->words[0];

    r->file = strchr(word, '/') || fs_exists(word);
    if (r->file) {
        r->name = "received.upload";
        return backup_head_read(word, &r->head, err) < 0 ? -1 : first_reachable(r, err);
    }
    r->name = word;
    if (!backup_name_valid(word))
        return err_set(err, ERR_USAGE, "'%.80s' is neither a file nor the name of a backup", word);
    if (backups_find(r->d, r->cli->node, word, r->node, sizeof(r->node), err) == 0)
        return 0;
    /* The operator's own command may have it. */
    return r->d->spec.backup.get ? first_reachable(r, err) : -1;
}

int cmd_restore(const struct cli *cli, struct err *err)
{
    _cleanup_(deployment_close) struct deployment d = {.lock_fd = -1};
    struct restore r = {.d = &d, .cli = cli, .key = -1};
    struct err why = {0};
    int rc;

    if (cli_open(cli, false, &d, err) < 0 || !backups_wanted(&d, err) || find(&r, err) < 0 ||
        key_read(&r, err) < 0)
        return -1;
    if (r.file && !r.cli->key && !str_eq(r.head.deployment, d.spec.deployment))
        return err_set(err, ERR_USAGE,
                       "%s is of deployment %s: its key is needed, too (--key FILE)", cli->words[0],
                       r.head.deployment);
    if (!confirmed(cli, d.spec.deployment, err))
        return -1;
    signal(SIGINT, SIG_IGN); /* the sites are opened again in any case */
    rc = r.file ? upload(&r, err) : 0;
    if (rc == 0) {
        rc = sites(&r, true, err);
        if (rc == 0)
            rc = run(&r, err);
        if (sites(&r, false, &why) < 0 && rc == 0) {
            *err = why;
            rc = -1;
        }
    }
    if (r.key >= 0)
        close(r.key);
    return rc;
}
