/* SPDX-License-Identifier: Apache-2.0 */
/* validate: the file alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/keys.h"
#include "common/text.h"
#include "controller/cli/cli.h"

int cmd_validate(const struct cli *cli, struct err *err)
{
    _cleanup_(deployment_close) struct deployment d = {.lock_fd = -1};
    _cleanup_free_ char *key = NULL, *cert = NULL;
    char *cert_key = NULL;

    if (cli_read(cli, &d, err) < 0 || deployment_package_key(&d, &key, err) < 0 ||
        deployment_frontdoor(&d, &cert, &cert_key, err) < 0)
        return -1;
    if (cert_key)
        keys_wipe(cert_key, strlen(cert_key));
    free(cert_key);
    if (cli->json)
        text_print(
            stdout,
            "{\"schema\":1,\"deployment\":\"%s\",\"valid\":true,\"zones\":%zu,\"nodes\":%zu}\n",
            d.spec.deployment, d.spec.n_zones, d.spec.n_nodes);
    else
        text_print(stdout, "%s: ok: deployment '%s', %zu zone%s, %zu node%s\n", cli->file,
                   d.spec.deployment, d.spec.n_zones, d.spec.n_zones == 1 ? "" : "s",
                   d.spec.n_nodes, d.spec.n_nodes == 1 ? "" : "s");
    return 0;
}
