/* SPDX-License-Identifier: Apache-2.0 */
/* `muster-agent enrol`: what `muster enrol reset` hands over. */
#include "agent/supervisor/enrol.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/ipc/bootstrap.h"
#include "agent/ipc/cmd.h"
#include "agent/ipc/paths.h"
#include "agent/supervisor/verbs.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"

#define INPUT_MAX 4096

static int check(const char *path, const struct bootstrap *b, struct err *err)
{
    struct bootstrap old = {0};

    if (!b->has_secret)
        return err_set(err, ERR_USAGE, "there is no one-time key in it");
    if (!fs_exists(path))
        return 0;
    if (bootstrap_load(path, &old, err) < 0)
        return -1;
    keys_wipe(old.secret, sizeof(old.secret));
    if (!str_eq(old.node, b->node) || !str_eq(old.deployment, b->deployment))
        return err_set(err, ERR_SAFETY, "it is for %s of %s, and this machine is %s of %s", b->node,
                       b->deployment, old.node, old.deployment);
    return 0;
}

static int remove_key(const char *net, const char *name, struct err *err)
{
    _cleanup_free_ char *path = str_fmt("%s/%s", net, name);

    return unlink(path) < 0 && errno != ENOENT ? err_errno(err, errno, "remove %s", path) : 0;
}

/* After a crash between two of these the agent comes with its old keys and is taken, or with none
 * that the controller knows and is not: doing it again is right in both cases. */
int enrol_take(const char *bootstrap, const char *net, const char *text, size_t len,
               struct err *err)
{
    _cleanup_free_ char *curve = str_fmt("%s/curve.key", net);
    struct bootstrap b = {0};
    int r = bootstrap_parse(text, len, &b, err);

    keys_wipe(b.secret, sizeof(b.secret));
    if (r < 0 || check(bootstrap, &b, err) < 0 ||
        fs_write_atomic(bootstrap, text, len, 0600, err) < 0 ||
        remove_key(net, "seal.key", err) < 0 || remove_key(net, "curve.key", err) < 0)
        return -1;
    return fs_exists(net) ? fs_sync_parent(curve, err) : 0;
}

int cmd_enrol(int argc, char **argv)
{
    char text[INPUT_MAX + 1];
    struct err err = {0};
    size_t len;

    (void)argv;
    if (argc > 1)
        return cmd_usage("enrol", "takes no argument, but standard input");
    if (geteuid() != 0)
        return cmd_usage("enrol", "needs root");
    len = fread(text, 1, sizeof(text) - 1, stdin);
    text[len] = '\0';
    int r = enrol_take(PATH_BOOTSTRAP, PATH_NET, text, len, &err);
    keys_wipe(text, sizeof(text));
    if (r < 0 || proc_call(PROC_ARGV(SYSTEMCTL, "restart", "muster-agent.service"), &err) < 0)
        return cmd_fail(&err);
    puts("the agent has begun again, and enrols with new keys");
    return 0;
}
