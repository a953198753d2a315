/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/localvdc/network/host.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"
#include "controller/localvdc/base/tool.h"
#include "controller/localvdc/base/vdc.h"
#include "controller/localvdc/network/netns.h"
#include "controller/localvdc/network/rules.h"

#define FORWARD_KEY "net/ipv4/ip_forward"
#define BLACKHOLE_METRIC "9999"

/* What is to be put back at the end, once per boot of the machine. */
static int remember(struct vdb *db, struct err *err)
{
    char boot[40];

    vdc_boot_id(boot);
    _cleanup_json_ json_t *known = vdb_get(db, "meta", "host");
    if (str_eq(vdc_str(known, "boot"), boot))
        return 0;
    _cleanup_free_ char *forward = NULL;
    if (fs_read("/proc/sys/" FORWARD_KEY, 16, &forward, NULL, err) < 0)
        return -1;
    _cleanup_json_ json_t *doc = json_pack("{s:s,s:s,s:b}", "boot", boot, "ip_forward",
                                           str_chomp(forward), "netns", fs_exists("/run/netns"));
    return vdb_put(db, "meta", "host", doc, err);
}

int host_ensure(struct vdb *db, struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf nft = {0}, links = {0};

    rules_nft_host(&nft);
    if (remember(db, err) < 0)
        return -1;
    /* First the route that swallows the pool: while the bridge is away nothing of it may reach
     * a real network. The bridge's own route has the better metric. */
    strbuf_adds(&links, "route replace blackhole " VDC_POOL " metric " BLACKHOLE_METRIC "\n");
    link_bridge(VDC_PUBLIC_BRIDGE, &links);
    strbuf_adds(&links, "addr replace " VDC_HOST_ADDRESS "/24 dev " VDC_PUBLIC_BRIDGE "\n");
    if (ip_run(NULL, &links, err) < 0 || sysctl_set(FORWARD_KEY, "1", err) < 0)
        return -1;
    return tool_run("nft", (const char *const[]){"-f", "-", NULL}, strbuf_str(&nft), err);
}

static void first_of(int failed, const struct err *now, struct err *err)
{
    if (failed && err->code == ERR_NONE)
        *err = *now;
}

int host_remove(struct vdb *db, struct err *err)
{
    char boot[40];
    struct err now = {0};

    vdc_boot_id(boot);
    *err = (struct err){0};
    first_of(link_remove(VDC_PUBLIC_BRIDGE, &now), &now, err);
    TOOL("ip", &now, "route", "del", "blackhole", VDC_POOL, "metric", BLACKHOLE_METRIC);
    first_of(tool_run("nft", (const char *const[]){"-f", "-", NULL},
                      "add table ip " VDC_NFT_TABLE "\ndelete table ip " VDC_NFT_TABLE "\n", &now),
             &now, err);
    _cleanup_json_ json_t *known = db ? vdb_get(db, "meta", "host") : NULL;
    if (known && str_eq(vdc_str(known, "boot"), boot)) {
        first_of(sysctl_set(FORWARD_KEY, vdc_str(known, "ip_forward"), &now), &now, err);
        /* `ip netns` turned its directory into a mount point; gone only when nobody else uses it.
         */
        if (!json_is_true(json_object_get(known, "netns")) && rmdir("/run/netns") < 0) {
            if (umount("/run/netns") == 0 && rmdir("/run/netns") < 0)
                first_of(TOOL("ip", &now, "netns", "list"), &now, err);
        }
    }
    return err->code == ERR_NONE ? 0 : -1;
}
