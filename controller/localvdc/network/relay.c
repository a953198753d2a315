/* SPDX-License-Identifier: Apache-2.0 */
/* The process of relay.h: one loop, one device for each zone, one queue for each direction. */
#include "controller/localvdc/network/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <malloc.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/str.h"
#include "controller/localvdc/base/zones.h"
#include "controller/localvdc/network/link.h"
#include "controller/localvdc/network/netns.h"
#include "controller/localvdc/network/rules.h"

#define HEADER sizeof(struct virtio_net_hdr) /* the kernel's, passed on as it came */
#define PACKET_MAX 65536
#define IPV4_HEADER 20
#define IPV4_DESTINATION 16
#define BATCH 64 /* packets of one device before the others and the clock are looked at */
#define NS_PER_S 1000000000ULL
#define LATENESS_MAX 150000ULL
#define PATH_NS 40000ULL /* what a packet takes on either side of us, once awake */

struct frame {
    struct frame *next;
    uint64_t due;
    uint32_t len;
    unsigned char data[];
};

struct direction {
    struct lane lane;
    struct frame *first, **last;
};

struct zone {
    size_t index; /* in the catalog */
    int fd;
    ino_t ns; /* the router that the device is in */
};

struct target {
    struct ipv4_net net;
    size_t zone;
};

struct relay {
    struct vdb *db;
    const char *group;
    struct zone zones[RELAY_ZONES]; /* those that the group has now */
    size_t n_zones;
    bool open[RELAY_ZONES]; /* those among them, by index */
    struct target *targets;
    size_t n_targets;
    struct direction dirs[RELAY_ZONES][RELAY_ZONES];
    struct relay_counts *counts;
    uint64_t random;
    uint64_t lateness; /* how long the machine takes to wake us, a running mean in ns */
};

static volatile sig_atomic_t reload = 1;

static void on_hup(int sig)
{
    (void)sig;
    reload = 1;
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static uint32_t roll(struct relay *r)
{
    /* xorshift: good enough to lose packets by. */
    r->random ^= r->random << 13;
    r->random ^= r->random >> 7;
    r->random ^= r->random << 17;
    return (uint32_t)(r->random >> 32);
}

static void drop_all(struct direction *d)
{
    while (d->first) {
        struct frame *f = d->first;

        d->first = f->next;
        lane_done(&d->lane, f->len);
        free(f);
    }
    d->last = &d->first;
}

static ino_t inode_of(const char *ns)
{
    struct stat st;
    _cleanup_free_ char *path = str_fmt("/run/netns/%s", ns);

    return stat(path, &st) == 0 ? st.st_ino : 0;
}

static int open_device(const char *ns, struct err *err)
{
    _cleanup_(netns_leave) int back = -1;

    if (netns_enter(ns, &back, err) < 0)
        return -1;
    struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
    str_copy(ifr.ifr_name, sizeof(ifr.ifr_name), RELAY_DEVICE);
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && ioctl(fd, TUNSETIFF, &ifr) == 0 &&
        ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN) == 0)
        return fd;
    err_errno(err, errno, "open " RELAY_DEVICE " of %s", ns);
    if (fd >= 0)
        close(fd);
    return -1;
}

static void forget_zone(struct relay *r, size_t i)
{
    for (size_t k = 0; k < RELAY_ZONES; k++) {
        drop_all(&r->dirs[r->zones[i].index][k]);
        drop_all(&r->dirs[k][r->zones[i].index]);
    }
    close(r->zones[i].fd);
    r->open[r->zones[i].index] = false;
    r->zones[i] = r->zones[--r->n_zones];
}

/* Opens the zone's device unless it is open; a zone whose router is not there is left out. */
static void need_zone(struct relay *r, size_t index, const char *id)
{
    struct err err = {0};
    char ns[VDC_NETNS_MAX];

    relay_zone_ns(r->group, id, ns);
    ino_t inode = inode_of(ns);
    for (size_t i = 0; i < r->n_zones; i++) {
        if (r->zones[i].index != index)
            continue;
        if (r->zones[i].ns == inode)
            return;
        forget_zone(r, i);
        break;
    }
    int fd = inode ? open_device(ns, &err) : -1;
    r->open[index] = fd >= 0;
    if (fd >= 0)
        r->zones[r->n_zones++] = (struct zone){index, fd, inode};
    else if (inode)
        log_warn("group %s: %s", r->group, err.msg);
}

static size_t index_of(const json_t *zones, const char *id)
{
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(zones, i, one)
    {
        if (str_eq(vdc_str(one, "id"), id))
            return i;
    }
    return RELAY_ZONES;
}

static void load_links(struct relay *r, const json_t *zones)
{
    for (size_t a = 0; a < r->n_zones; a++) {
        for (size_t b = 0; b < r->n_zones; b++) {
            size_t from = r->zones[a].index, to = r->zones[b].index;

            struct link_set set =
                relay_link(r->db, json_array_get(zones, from), json_array_get(zones, to));
            lane_set(&r->dirs[from][to].lane, &set);
            if (set.cut)
                drop_all(&r->dirs[from][to]);
        }
    }
}

static void load(struct relay *r)
{
    _cleanup_json_ json_t *zones = zones_list();
    _cleanup_json_ json_t *networks = vdb_find(r->db, "network", "dcgid", r->group);
    bool wanted[RELAY_ZONES] = {false};
    size_t i = 0;
    json_t *one = NULL;

    r->n_targets = 0;
    r->targets = xrealloc(r->targets, (json_array_size(networks) + 1) * sizeof(*r->targets));
    json_array_foreach(networks, i, one)
    {
        struct err err = {0};
        struct ipv4_net net;
        size_t index = index_of(zones, vdc_str(one, "zoneid"));

        if (index >= RELAY_ZONES || guest_net_parse(vdc_str(one, "cidr"), &net, &err) < 0)
            continue;
        r->targets[r->n_targets++] = (struct target){net, index};
        wanted[index] = true;
        need_zone(r, index, vdc_str(one, "zoneid"));
    }
    for (i = r->n_zones; i-- > 0;) {
        if (!wanted[r->zones[i].index])
            forget_zone(r, i);
    }
    load_links(r, zones);
}

static size_t zone_of(const struct relay *r, const unsigned char *packet, size_t len)
{
    if (len < IPV4_HEADER || packet[0] >> 4 != 4)
        return RELAY_ZONES;
    const unsigned char *p = packet + IPV4_DESTINATION;
    uint32_t to = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    for (size_t i = 0; i < r->n_targets; i++) {
        if (ipv4_net_has(&r->targets[i].net, to))
            return r->targets[i].zone;
    }
    return RELAY_ZONES;
}

static void take(struct relay *r, size_t from, const unsigned char *data, size_t len, uint64_t now)
{
    size_t to = len > HEADER ? zone_of(r, data + HEADER, len - HEADER) : RELAY_ZONES;

    if (to == RELAY_ZONES || to == from || !r->open[to])
        return; /* for nobody here */
    struct direction *d = &r->dirs[from][to];
    uint64_t due = 0;
    if (!lane_admit(&d->lane, now, len, roll(r), &due)) {
        r->counts->of[from][to].lost++;
        return;
    }
    struct frame *f = malloc(sizeof(*f) + len);
    if (!f)
        abort();
    *f = (struct frame){.due = due, .len = (uint32_t)len};
    memcpy(f->data, data, len);
    *d->last = f;
    d->last = &f->next;
}

static void receive(struct relay *r, const struct zone *z, uint64_t waited)
{
    static unsigned char buf[HEADER + PACKET_MAX];

    for (int i = 0; i < BATCH; i++) {
        ssize_t n = read(z->fd, buf, sizeof(buf));

        if (n <= 0)
            return;
        take(r, z->index, buf, (size_t)n, now_ns() - waited - PATH_NS);
    }
}

/* Hands out what is due and returns when the next one is. */
static uint64_t deliver(struct relay *r)
{
    uint64_t next = UINT64_MAX;

    for (size_t b = 0; b < r->n_zones; b++) {
        for (size_t a = 0; a < r->n_zones; a++) {
            size_t from = r->zones[a].index, to = r->zones[b].index;
            struct direction *d = &r->dirs[from][to];

            while (d->first && d->first->due <= now_ns()) {
                struct frame *f = d->first;
                struct relay_count *count = &r->counts->of[from][to];

                if (write(r->zones[b].fd, f->data, f->len) == (ssize_t)f->len) {
                    count->bytes += f->len - HEADER;
                    count->frames++;
                } else {
                    count->lost++;
                }
                d->first = f->next;
                if (!d->first)
                    d->last = &d->first;
                lane_done(&d->lane, f->len);
                free(f);
            }
            if (d->first && d->first->due < next)
                next = d->first->due;
        }
    }
    return next;
}

/* Until a packet comes or `next`, less what waking takes: the rest of the time is spent in turns
 * of the loop. Returns how long a packet may have been waiting for us. */
static uint64_t wait_for(struct relay *r, struct pollfd *fds, uint64_t next)
{
    sigset_t none;

    sigemptyset(&none);
    for (size_t i = 0; i < r->n_zones; i++)
        fds[i] = (struct pollfd){.fd = r->zones[i].fd, .events = POLLIN};
    uint64_t start = now_ns(), early = 2 * r->lateness;
    uint64_t left = next > start + early ? next - start - early : 0;
    struct timespec t = {.tv_sec = (time_t)(left / NS_PER_S), .tv_nsec = (long)(left % NS_PER_S)};
    int n = ppoll(fds, r->n_zones, next == UINT64_MAX ? NULL : &t, &none);
    uint64_t slept = now_ns() - start;
    if (n == 0 && left > 0) {
        uint64_t late = slept - left < LATENESS_MAX ? slept - left : LATENESS_MAX;

        r->lateness = (7 * r->lateness + late) / 8;
    }
    for (size_t i = 0; n < 0 && i < r->n_zones; i++)
        fds[i].revents = 0;
    return slept < r->lateness ? slept : r->lateness;
}

static void loop(struct relay *r)
{
    for (;;) {
        if (reload) {
            reload = 0;
            load(r);
        }
        struct pollfd fds[RELAY_ZONES];
        uint64_t waited = wait_for(r, fds, deliver(r));
        for (size_t i = r->n_zones; i-- > 0;) {
            if (fds[i].revents & POLLIN)
                receive(r, &r->zones[i], waited);
            else if (fds[i].revents)
                forget_zone(r, i); /* its device was removed; the next reload looks for another */
        }
    }
}

/* The counters go on where an earlier process of the group left them. */
static struct relay_counts *map_counts(const char *group, struct err *err)
{
    char path[128];

    relay_path(group, "counts", path);
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *map = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, sizeof(struct relay_counts)) == 0)
        map = mmap(NULL, sizeof(struct relay_counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        err_errno(err, errno, "map %s", path);
    return map == MAP_FAILED ? NULL : map;
}

/* Late by its own delay only: woken on time, before other programs, and without giving memory
 * back between two bursts. */
static void be_prompt(void)
{
    prctl(PR_SET_TIMERSLACK, 1);
    setpriority(PRIO_PROCESS, 0, -20);
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
}

int relay_run(const char *group, struct err *err)
{
    char lock[128], pidfile[128], pid[16];
    sigset_t hup;

    sigemptyset(&hup);
    sigaddset(&hup, SIGHUP);
    sigprocmask(SIG_BLOCK, &hup, NULL);
    signal(SIGHUP, on_hup);
    relay_path(group, "lock", lock);
    relay_path(group, "relay.pid", pidfile);
    _cleanup_close_ int held = fs_lock(lock, false, err);
    if (held < 0)
        return -1;
    static struct relay r;
    _cleanup_(vdb_close) struct vdb *db = NULL;
    if (vdc_open(false, &db, err) < 0 || !(r.counts = map_counts(group, err)))
        return -1;
    /* From here on a signal is heard, and the networks are read after it. */
    int n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
    if (fs_write_atomic(pidfile, pid, (size_t)n, 0644, err) < 0)
        return -1;
    r.db = db;
    r.group = group;
    keys_random(&r.random, sizeof(r.random));
    r.random |= 1;
    for (size_t a = 0; a < RELAY_ZONES; a++) {
        for (size_t b = 0; b < RELAY_ZONES; b++)
            r.dirs[a][b].last = &r.dirs[a][b].first;
    }
    be_prompt();
    loop(&r);
    return 0;
}
