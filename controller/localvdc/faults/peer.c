/* SPDX-License-Identifier: Apache-2.0 */
/* The process at the other end of a connection, found by its socket. */
#include <arpa/inet.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/ipv4.h"
#include "common/str.h"
#include "controller/localvdc/base/vdc.h"
#include "controller/localvdc/faults/fault.h"

/* The socket's inode by its own address, the other end being our port; 0: none. */
static unsigned long socket_of(const char *address, uint16_t port)
{
    uint32_t own;
    char line[512];
    _cleanup_fclose_ FILE *f = fopen("/proc/net/tcp", "re");

    if (!f || ipv4_parse(address, &own) < 0)
        return 0;
    while (fgets(line, sizeof(line), f)) {
        unsigned at = 0, at_port = 0, to_port = 0;
        unsigned long inode = 0;

        /* sl local remote st queues timer retransmits uid timeout inode; addresses as they lie in
         * memory. */
        if (sscanf(line, " %*u: %x:%x %*x:%x %*x %*s %*s %*s %*u %*u %lu", &at, &at_port, &to_port,
                   &inode) == 4 &&
            at == htonl(own) && at_port == port && to_port == VDC_PORT)
            return inode;
    }
    return 0;
}

static bool holds(int pid, const char *socket)
{
    _cleanup_free_ char *path = str_fmt("/proc/%d/fd", pid);
    _cleanup_closedir_ DIR *dir = opendir(path);

    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        char to[64] = "";
        ssize_t n = readlinkat(dirfd(dir), e->d_name, to, sizeof(to) - 1);

        if (n > 0 && str_eq(to, socket))
            return true;
    }
    return false;
}

int fault_kill_peer(const char *address, uint16_t port)
{
    unsigned long inode = socket_of(address, port);

    if (inode == 0)
        return 0;
    int killed = 0;
    _cleanup_free_ char *socket = str_fmt("socket:[%lu]", inode);
    _cleanup_closedir_ DIR *proc = opendir("/proc");
    for (struct dirent *e = proc ? readdir(proc) : NULL; e; e = readdir(proc)) {
        int pid = atoi(e->d_name);

        if (pid > 1 && pid != getpid() && holds(pid, socket) && kill(pid, SIGKILL) == 0)
            killed++;
    }
    return killed;
}
