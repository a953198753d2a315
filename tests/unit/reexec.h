/* SPDX-License-Identifier: Apache-2.0 */
/* A test's own program executed as another process. A fork alone would not do beside libzmq: its
 * threads are not in the child, and a lock that one of them held stays held there. */
#ifndef MUSTER_TESTS_REEXEC_H
#define MUSTER_TESTS_REEXEC_H

#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

#include "common/keys.h"

#define REEXEC_ARGS 6 /* main's argc then: name, what, endpoint, three keys */

/* main gets `what`, the endpoint and the keys of the server and of the peer in hex. */
static pid_t reexec(const char *what, const char *endpoint, const uint8_t server[KEY_SIZE],
                    const struct curve_pair *peer)
{
    char hex[3][KEY_HEX_SIZE];

    keys_hex(server, KEY_SIZE, hex[0]);
    keys_hex(peer->pub, KEY_SIZE, hex[1]);
    keys_hex(peer->sec, KEY_SIZE, hex[2]);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        execl("/proc/self/exe", "reexec", what, endpoint, hex[0], hex[1], hex[2], (char *)NULL);
        _exit(127);
    }
    return pid;
}

static int reexec_keys(char **argv, uint8_t server[KEY_SIZE], struct curve_pair *peer)
{
    return keys_unhex(argv[3], server, KEY_SIZE) < 0 || keys_unhex(argv[4], peer->pub, KEY_SIZE) < 0
               ? -1
               : keys_unhex(argv[5], peer->sec, KEY_SIZE);
}

#endif
