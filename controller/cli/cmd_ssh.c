/* SPDX-License-Identifier: Apache-2.0 */
/* ssh: becomes the ssh client, with the deployment's key and the node's known host key. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/js.h"
#include "common/ports.h"
#include "common/str.h"
#include "controller/cli/cli.h"

static const json_t *place_of(const json_t *layout, const char *name)
{
    for (size_t i = 0; i < json_array_size(layout); i++)
        if (str_eq(js_opt_str(json_array_get(layout, i), "name", ""), name))
            return json_array_get(layout, i);
    return NULL;
}

int cmd_ssh(const struct cli *cli, struct err *err)
{
    _cleanup_(deployment_close) struct deployment d = {.lock_fd = -1};
    _cleanup_json_ json_t *layout = NULL;
    _cleanup_free_ char *public_key = NULL;
    _cleanup_free_ char *private_key = NULL;
    _cleanup_free_ char *known = NULL;
    _cleanup_free_ char *hosts = NULL;
    _cleanup_free_ char *at = NULL;
    const json_t *place;
    const char **argv;
    char port[8];
    size_t n = 0;

    if (cli_open(cli, false, &d, err) < 0 || deployment_layout(&d, &layout, err) < 0 ||
        deployment_ssh_key(&d, &public_key, &private_key, err) < 0)
        return -1;
    place = place_of(layout, cli->words[0]);
    if (!place)
        return err_set(err, ERR_USAGE, "no node '%s' in %s", cli->words[0], d.file);
    if (!js_opt_u64(place, "ssh_port", 0))
        return err_set(err, ERR_USAGE,
                       "node '%s' has no port that leads to %d; add one under "
                       "'ports' and run up",
                       cli->words[0], PORT_SSH);
    snprintf(port, sizeof(port), "%u", (unsigned)js_opt_u64(place, "ssh_port", 0));
    known = deployment_known_hosts(&d, cli->words[0]);
    hosts = str_fmt("UserKnownHostsFile=%s", known);
    at = str_fmt("%s@%s", d.spec.user, js_opt_str(place, "public_ip", ""));
    argv = xcalloc((size_t)cli->n_words + 16, sizeof(*argv));
    for (size_t i = 0; i < 11; i++)
        argv[n++] = (const char *[]){"/usr/bin/ssh",
                                     "-p",
                                     port,
                                     "-i",
                                     private_key,
                                     "-o",
                                     hosts,
                                     "-o",
                                     "StrictHostKeyChecking=accept-new",
                                     "-o",
                                     "LogLevel=ERROR"}[i];
    argv[n++] = at;
    for (int i = 1; i < cli->n_words; i++)
        argv[n++] = cli->words[i];
    execv(argv[0], (char *const *)argv);
    err_errno(err, errno, "%s (install openssh-client)", argv[0]);
    free(argv);
    return -1;
}
