/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/route/guard.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/ipc/paths.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/ipv4.h"
#include "common/js.h"
#include "common/ports.h"
#include "common/str.h"

#define TCP_MAX (1024 * 1024)
#define ESTABLISHED 1

static void add(struct guard *g, uint32_t addr, const char *what)
{
    uint32_t host = ntohl(addr);

    if (!addr || host >> 24 == 127)
        return;
    for (size_t i = 0; i < g->n; i++)
        if (g->who[i].addr == addr)
            return;
    if (g->n == GUARD_MAX)
        return;
    g->who[g->n].addr = addr;
    str_copy(g->who[g->n++].what, sizeof(g->who[0].what), what);
}

/* The address as the kernel prints it: words in the machine's byte order, IPv6 in four of them, of
 * which IPv4 uses the last. */
static bool address_read(const char *hex, uint32_t *ret)
{
    size_t len = strlen(hex);
    char *end = NULL;

    if (len == 32 && strncmp(hex, "0000000000000000FFFF0000", 24) == 0)
        hex += 24;
    else if (len != 8)
        return false;
    *ret = (uint32_t)strtoul(hex, &end, 16);
    return *end == '\0';
}

void guard_add_peers(struct guard *g, const char *text, uint16_t ssh, uint16_t controller)
{
    for (const char *line = strchr(text, '\n'); line; line = strchr(line + 1, '\n')) {
        char local[40], remote[40];
        unsigned local_port, remote_port, state;
        uint32_t addr;

        if (sscanf(line, " %*u: %39[0-9A-Fa-f]:%4x %39[0-9A-Fa-f]:%4x %2x", local, &local_port,
                   remote, &remote_port, &state) != 5 ||
            state != ESTABLISHED || !address_read(remote, &addr))
            continue;
        if (local_port == ssh)
            add(g, addr, "an SSH connection");
        else if (controller && remote_port == controller)
            add(g, addr, "the controller");
    }
}

const char *guard_gateway(uint32_t addr, unsigned len, uint32_t gateway)
{
    uint32_t mask = ipv4_mask(len), host = ntohl(gateway), own = ntohl(addr);

    if (!gateway)
        return "is no address of a gateway";
    if (host == own)
        return "is this machine's own address";
    if ((host & mask) != (own & mask))
        return "is not in the network of the NIC's address";
    if (len < 31 && ((host & ~mask) == 0 || (host & ~mask) == ~mask))
        return "is the network's own or its broadcast address";
    return NULL;
}

bool guard_takes_over(const struct rtnl_route *want, const struct rtnl_route *now, uint32_t addr)
{
    uint32_t mask = htonl(ipv4_mask(want->len));

    return (addr & mask) == (want->to & mask) && want->len >= now->len &&
           (want->ifindex != now->ifindex || want->via != now->via);
}

/* "tcp://host:port" of the controller: its address when it is one, and its port. */
static uint16_t controller_read(struct guard *g)
{
    struct err ignored;
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *boot = NULL;
    size_t len = 0;
    char host[64] = "";
    unsigned port = 0;
    uint32_t a;

    if (fs_read(PATH_BOOTSTRAP, 65536, &text, &len, &ignored) < 0 ||
        js_parse(text, len, &boot, &ignored) < 0 ||
        sscanf(js_opt_str(boot, "main", ""), "tcp://%63[^:]:%5u", host, &port) != 2)
        return 0;
    if (ipv4_parse(host, &a) == 0)
        add(g, htonl(a), "the controller");
    return (uint16_t)port;
}

void guard_collect(struct guard *g, struct rtnl *nl)
{
    static const char *const files[] = {"/proc/net/tcp", "/proc/net/tcp6"};
    struct rtnl_route dflt;
    struct err ignored;
    bool found = false;
    uint16_t controller = controller_read(g);

    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        _cleanup_free_ char *text = NULL;

        if (fs_read(files[i], TCP_MAX, &text, NULL, &ignored) == 0)
            guard_add_peers(g, text, PORT_SSH, controller);
    }
    if (rtnl_default_route(nl, &dflt, &found, &ignored) == 0 && found)
        add(g, dflt.via, "the default gateway");
}

int guard_check(const struct guard *g, struct rtnl *nl, const struct rtnl_route *want,
                const struct guarded **ret, struct err *err)
{
    *ret = NULL;
    for (size_t i = 0; i < g->n && !*ret; i++) {
        struct rtnl_route now = {0};
        bool found = false;

        if (rtnl_path(nl, g->who[i].addr, &now, &found, err) < 0)
            return -1;
        if (found && guard_takes_over(want, &now, g->who[i].addr))
            *ret = &g->who[i];
    }
    return 0;
}
