/* SPDX-License-Identifier: Apache-2.0 */
/* The net process: started by the supervisor with a channel to it as descriptor 3. */
#include <fcntl.h>
#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/ipc/cmd.h"
#include "agent/ipc/paths.h"
#include "agent/net/net.h"
#include "common/err.h"
#include "common/keys.h"

int main(int argc, char **argv)
{
    struct bootstrap boot = {0};
    struct err err = {0};

    (void)argv;
    umask(022);
    mallopt(M_ARENA_MAX, 1); /* the transport's threads would have one each, nearly empty */
    if (argc != 1 || fcntl(3, F_SETFD, FD_CLOEXEC) < 0)
        return cmd_usage("help", "this program is started by muster-agent");
    if (keys_init(&err) < 0 || bootstrap_load(PATH_BOOTSTRAP, &boot, &err) < 0)
        return cmd_fail(&err);
    return net_main(&boot, 3);
}
