/* SPDX-License-Identifier: Apache-2.0 */
/* The routers of a Direct Connect Group's zones, and the process that joins them: the side of
 * relay.h that makes and removes them. */
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"
#include "controller/localvdc/base/spawn.h"
#include "controller/localvdc/base/tool.h"
#include "controller/localvdc/network/link.h"
#include "controller/localvdc/network/netns.h"
#include "controller/localvdc/network/relay.h"

#define QUEUE "5000" /* packets that wait for the process; acknowledgements of 10 fast streams */

void relay_ns(const char *group, char ret[VDC_NETNS_MAX])
{
    snprintf(ret, VDC_NETNS_MAX, VDC_NETNS "g%.12s", group);
}

void relay_zone_ns(const char *group, const char *zone_id, char ret[VDC_NETNS_MAX])
{
    snprintf(ret, VDC_NETNS_MAX, VDC_NETNS "g%.12s-%.8s", group, zone_id);
}

void relay_path(const char *group, const char *file, char ret[128])
{
    snprintf(ret, 128, VDC_DIR "/net/g%.12s%s%s", group, file ? "/" : "", file ? file : "");
}

int relay_lock(const char *group, struct err *err)
{
    _cleanup_free_ char *path = str_fmt(VDC_DIR "/lock/dcg-%s", group);

    return fs_lock(path, true, err);
}

static bool has_link(const char *ns, const char *name)
{
    struct err err = {0};
    _cleanup_(netns_leave) int back = -1;

    return netns_enter(ns, &back, &err) == 0 && link_exists(name);
}

int relay_zone_ensure(const char *group, const char *zone_id, struct err *err)
{
    char ns[VDC_NETNS_MAX];

    relay_zone_ns(group, zone_id, ns);
    if (netns_make(ns, err) < 0)
        return -1;
    /* another job of the group may make it at the same time */
    if (!has_link(ns, RELAY_DEVICE) &&
        TOOL("ip", err, "-n", ns, "tuntap", "add", "dev", RELAY_DEVICE, "mode", "tun", "vnet_hdr") <
            0 &&
        !has_link(ns, RELAY_DEVICE))
        return -1;
    _cleanup_(strbuf_free) struct strbuf lines = {0};
    strbuf_adds(&lines, "link set " RELAY_DEVICE " addrgenmode none txqueuelen " QUEUE " up\n"
                        "route replace default dev " RELAY_DEVICE "\n");
    return ip_run(ns, &lines, err);
}

/* No network's veth leads into it. */
static bool is_idle(const char *ns)
{
    struct err err = {0};
    _cleanup_(netns_leave) int back = -1;

    if (netns_enter(ns, &back, &err) < 0)
        return true;
    _cleanup_fclose_ FILE *f = fopen("/proc/net/dev", "re");
    char line[512];
    bool idle = true;
    while (f && fgets(line, sizeof(line), f)) {
        if (strchr(line, ':') && !strstr(line, " lo:") && !strstr(line, " " RELAY_DEVICE ":"))
            idle = false;
    }
    return idle;
}

static pid_t relay_pid(const char *group)
{
    char pidfile[128];

    relay_path(group, "relay.pid", pidfile);
    return tool_pid(pidfile, group);
}

bool relay_alive(const char *group)
{
    return relay_pid(group) != 0;
}

int relay_zone_remove(const char *group, const char *zone_id, struct err *err)
{
    char ns[VDC_NETNS_MAX], core[VDC_NETNS_MAX], path[128];

    relay_zone_ns(group, zone_id, ns);
    relay_ns(group, core);
    if (!is_idle(ns))
        return 0;
    if (netns_remove(ns, err) < 0)
        return -1;
    glob_t g = {0};
    _cleanup_free_ char *pattern = str_fmt("/run/netns/%s-*", core);
    bool last = glob(pattern, 0, NULL, &g) != 0;
    globfree(&g);
    if (!last) {
        /* The process holds the device of the zone, and with it all that is left of its router. */
        pid_t pid = relay_pid(group);

        if (pid > 0)
            kill(pid, SIGHUP);
        return 0;
    }
    relay_path(group, "relay.pid", path);
    tool_stop(path, group);
    if (netns_remove(core, err) < 0)
        return -1;
    relay_path(group, NULL, path);
    return fs_remove_tree(path, err);
}

int relay_ensure(const char *group, struct err *err)
{
    char core[VDC_NETNS_MAX], dir[128], log[128];
    pid_t pid = relay_pid(group);

    if (pid > 0 && kill(pid, SIGHUP) == 0)
        return 0;
    relay_ns(group, core);
    relay_path(group, NULL, dir);
    relay_path(group, "relay.log", log);
    _cleanup_(netns_leave) int back = -1;
    if (fs_mkdirs(dir, 0711, err) < 0 || netns_make(core, err) < 0 ||
        netns_enter(core, &back, err) < 0)
        return -1;
    return spawn_daemon((const char *const[]){"relay", group, NULL}, log, err);
}

void relay_reload_all(struct vdb *db)
{
    _cleanup_json_ json_t *groups = vdb_list(db, "dcg");
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(groups, i, one)
    {
        pid_t pid = relay_pid(vdc_str(one, "id"));

        if (pid > 0)
            kill(pid, SIGHUP);
    }
}

void relay_read_counts(struct vdb *db, struct relay_counts *ret)
{
    _cleanup_json_ json_t *groups = vdb_list(db, "dcg");
    size_t i = 0;
    json_t *one = NULL;

    memset(ret, 0, sizeof(*ret));
    json_array_foreach(groups, i, one)
    {
        char path[128];
        struct err err = {0};
        size_t len = 0;
        _cleanup_free_ char *data = NULL;

        relay_path(vdc_str(one, "id"), "counts", path);
        if (fs_read(path, sizeof(*ret), &data, &len, &err) < 0 || len != sizeof(*ret))
            continue;
        const struct relay_count *from = (const struct relay_count *)(const void *)data;
        struct relay_count *to = &ret->of[0][0];
        for (size_t k = 0; k < RELAY_ZONES * RELAY_ZONES; k++) {
            to[k].bytes += from[k].bytes;
            to[k].frames += from[k].frames;
            to[k].lost += from[k].lost;
        }
    }
}

void relay_link_id(const json_t *from, const json_t *to, char ret[80])
{
    snprintf(ret, 80, "%.36s>%.36s", vdc_str(from, "id"), vdc_str(to, "id"));
}

struct link_set relay_link(struct vdb *db, const json_t *from, const json_t *to)
{
    char id[80];

    relay_link_id(from, to, id);
    _cleanup_json_ json_t *doc = vdb_get(db, "link", id);
    return link_from_doc(vdc_str(from, "name"), vdc_str(to, "name"), doc);
}
