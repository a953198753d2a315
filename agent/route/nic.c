/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/route/nic.h"

#include <dirent.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"

#define NET "/sys/class/net"

/* Made by somebody on this machine. The NIC of a container is a "veth" or a "macvlan". */
static bool is_made(const char *kind)
{
    static const char *const kinds[] = {"dummy", "bridge", "bond", "team", "vlan",
                                        "ifb",   "tun",    "vrf",  "vxlan"};

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (str_eq(kind, kinds[i]))
            return true;
    return false;
}

int nic_choose(const struct nic_seen *v, size_t n, const char *mac, const struct nic_seen **ret,
               struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf names = {0};
    const struct nic_seen *best = NULL;
    size_t count = 0;

    for (int device = 1; device >= 0 && !count; device--)
        for (size_t i = 0; i < n; i++) {
            if (v[i].on_another || is_made(v[i].kind) || v[i].device != (device == 1))
                continue;
            best = &v[i];
            count++;
            strbuf_addf(&names, " %s", v[i].name);
        }
    if (!count) {
        for (size_t i = 0; i < n; i++)
            strbuf_addf(&names, " %s", v[i].name);
        return err_set(err, n ? ERR_SAFETY : ERR_FAILED, "no NIC has the MAC %.32s%s%s", mac,
                       n ? "; only what somebody made has:" : "", strbuf_str(&names));
    }
    if (count > 1)
        return err_set(err, ERR_SAFETY,
                       "%zu NICs have the MAC %.32s:%s; which one is the private network's cannot "
                       "be told. Give the others another MAC",
                       count, mac, strbuf_str(&names));
    if (best->master[0])
        return err_set(err, ERR_SAFETY,
                       "the NIC %s is a part of %s, and an address on it would reach nobody; take "
                       "it out: ip link set %s nomaster",
                       best->name, best->master, best->name);
    *ret = best;
    return 0;
}

static bool lies_on_another(const char *name)
{
    _cleanup_free_ char *path = str_fmt(NET "/%s", name);
    _cleanup_closedir_ DIR *dir = opendir(path);

    for (struct dirent *e; dir && (e = readdir(dir));)
        if (str_starts(e->d_name, "lower_"))
            return true;
    return false;
}

static void look_at(struct nic_seen *s)
{
    char target[PATH_MAX];
    _cleanup_free_ char *device = str_fmt(NET "/%s/device", s->name);
    _cleanup_free_ char *master = str_fmt(NET "/%s/master", s->name);
    ssize_t n = readlink(master, target, sizeof(target) - 1);

    s->device = fs_exists(device);
    s->on_another = lies_on_another(s->name);
    if (n > 0) {
        target[n] = '\0';
        str_copy(s->master, sizeof(s->master), basename(target));
    }
}

int nic_find(const char *mac, struct rtnl *nl, char ret[IF_NAMESIZE], struct err *err)
{
    _cleanup_closedir_ DIR *dir = opendir(NET);
    _cleanup_(strbuf_free) struct strbuf all = {0};
    _cleanup_free_ struct nic_seen *v = NULL;
    const struct nic_seen *chosen = NULL;
    size_t n = 0;

    for (struct dirent *e; dir && (e = readdir(dir));) {
        struct err ignored;
        _cleanup_free_ char *path = str_fmt(NET "/%s/address", e->d_name);
        _cleanup_free_ char *text = NULL;
        struct nic_seen s = {0};

        if (e->d_name[0] == '.' || fs_read(path, 256, &text, NULL, &ignored) < 0 ||
            !str_copy(s.name, sizeof(s.name), e->d_name))
            continue;
        strbuf_addf(&all, " %s=%s", s.name, str_chomp(text));
        if (strcasecmp(text, mac) != 0)
            continue;
        look_at(&s);
        if (rtnl_link_kind(nl, (int)if_nametoindex(s.name), s.kind, err) < 0)
            return -1;
        v = xrealloc(v, (n + 1) * sizeof(*v));
        v[n++] = s;
    }
    if (nic_choose(v, n, mac, &chosen, err) < 0)
        return n ? -1
                 : err_set(err, err->code, "no NIC with MAC %.32s; there are:%s", mac,
                           strbuf_str(&all));
    str_copy(ret, IF_NAMESIZE, chosen->name);
    return 0;
}
