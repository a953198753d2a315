/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/net/facts.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/str.h"

static char *small_file(const char *path)
{
    struct err err;
    char *text = NULL;

    if (fs_read(path, 65536, &text, NULL, &err) < 0)
        return NULL;
    return str_chomp(text);
}

#define TEXT_MAX 128 /* what a machine says of itself is cut to this */
#define NICS_MAX 32
#define ADDRESSES_MAX 8
#define DISKS_MAX 32

/* Leaves out what is not there. */
static void set_text(json_t *obj, const char *key, const char *value)
{
    char cut[TEXT_MAX];

    if (!value || !*value)
        return;
    str_copy(cut, sizeof(cut), value);
    json_object_set_new(obj, key, js_string(cut));
}

static void add_os(json_t *facts)
{
    static const struct {
        const char *line, *fact;
    } wanted[] = {{"PRETTY_NAME=", "os"}, {"ID=", "os_id"}, {"VERSION_ID=", "os_version"}};
    _cleanup_free_ char *text = small_file("/etc/os-release");
    char *save = NULL;

    if (!text)
        return;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
            if (!str_starts(line, wanted[i].line))
                continue;
            char *value = line + strlen(wanted[i].line);
            size_t len = strlen(value);
            if (len >= 2 && value[0] == '"' && value[len - 1] == '"') {
                value[len - 1] = '\0';
                value++;
            }
            set_text(facts, wanted[i].fact, value);
        }
}

static void add_cpu(json_t *facts)
{
    char line[256], model[TEXT_MAX];
    _cleanup_fclose_ FILE *f = fopen("/proc/cpuinfo", "re");

    json_object_set_new(facts, "cpus", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "model name : %127[^\n]", model) == 1) {
            set_text(facts, "cpu", model);
            return;
        }
}

/* --- disks --------------------------------------------------------------------------------- */

/* Whole disks that have a node here: a container sees those of its host, too. */
static void add_disks(json_t *facts)
{
    static const char *const serials[] = {"serial", "device/serial"};
    _cleanup_closedir_ DIR *dir = opendir("/sys/block");
    json_t *list = json_array();

    for (struct dirent *e; dir && (e = readdir(dir)) && json_array_size(list) < DISKS_MAX;) {
        _cleanup_free_ char *node = str_fmt("/dev/%s", e->d_name);
        _cleanup_free_ char *path = str_fmt("/sys/block/%s/size", e->d_name);
        _cleanup_free_ char *size = small_file(path);
        uint64_t sectors = 0;

        if (e->d_name[0] == '.' || access(node, F_OK) < 0 || !size ||
            str_to_u64(size, INT64_MAX / 512, &sectors) < 0 || !sectors)
            continue;
        json_t *disk = json_object();
        set_text(disk, "name", e->d_name);
        json_object_set_new(disk, "size", json_integer((json_int_t)sectors * 512));
        for (size_t i = 0; i < ARRAY_LEN(serials); i++) {
            _cleanup_free_ char *file = str_fmt("/sys/block/%s/%s", e->d_name, serials[i]);
            _cleanup_free_ char *serial = small_file(file);

            set_text(disk, "serial", serial);
        }
        json_array_append_new(list, disk);
    }
    json_object_set_new(facts, "disks", list);
}

/* --- network ------------------------------------------------------------------------------- */

json_t *facts_routes(const char *text)
{
    json_t *list = json_array();

    for (const char *line = strchr(text, '\n'); line && json_array_size(list) < FACTS_ROUTES_MAX;
         line = strchr(line + 1, '\n')) {
        char dev[16], to[INET_ADDRSTRLEN], via[INET_ADDRSTRLEN];
        unsigned dest, gateway, flags, mask;

        if (sscanf(line, " %15s %8x %8x %4x %*d %*d %*d %8x", dev, &dest, &gateway, &flags,
                   &mask) != 5)
            continue;
        inet_ntop(AF_INET, &dest, to, sizeof(to));
        inet_ntop(AF_INET, &gateway, via, sizeof(via));
        _cleanup_free_ char *cidr = str_fmt("%s/%d", to, __builtin_popcount(mask));
        json_t *route = json_object();
        set_text(route, "to", cidr);
        set_text(route, "dev", dev);
        if (gateway)
            set_text(route, "via", via);
        json_array_append_new(list, route);
    }
    return list;
}

static void add_routes(json_t *facts)
{
    _cleanup_free_ char *text = small_file("/proc/net/route");

    json_object_set_new(facts, "routes", facts_routes(text ? text : ""));
}

static json_t *nic_addresses(const struct ifaddrs *all, const char *name)
{
    json_t *list = json_array();

    for (const struct ifaddrs *a = all; a && json_array_size(list) < ADDRESSES_MAX;
         a = a->ifa_next) {
        char text[INET_ADDRSTRLEN];

        if (!a->ifa_addr || a->ifa_addr->sa_family != AF_INET || strcmp(a->ifa_name, name) != 0)
            continue;
        const struct sockaddr_in *sin = (const struct sockaddr_in *)(const void *)a->ifa_addr;
        const struct sockaddr_in *mask = (const struct sockaddr_in *)(const void *)a->ifa_netmask;
        inet_ntop(AF_INET, &sin->sin_addr, text, sizeof(text));
        int bits = mask ? __builtin_popcount(mask->sin_addr.s_addr) : 32;
        _cleanup_free_ char *cidr = str_fmt("%s/%d", text, bits);
        json_array_append_new(list, json_string(cidr));
    }
    return list;
}

static void add_nics(json_t *facts)
{
    struct ifaddrs *all = NULL;
    json_t *list = json_array();
    _cleanup_closedir_ DIR *dir = opendir("/sys/class/net");

    if (getifaddrs(&all) < 0)
        all = NULL;
    for (struct dirent *e; dir && (e = readdir(dir)) && json_array_size(list) < NICS_MAX;) {
        if (e->d_name[0] == '.' || strcmp(e->d_name, "lo") == 0)
            continue;
        json_t *nic = json_object();
        _cleanup_free_ char *mac_path = str_fmt("/sys/class/net/%s/address", e->d_name);
        _cleanup_free_ char *state_path = str_fmt("/sys/class/net/%s/operstate", e->d_name);
        _cleanup_free_ char *mac = small_file(mac_path), *state = small_file(state_path);
        set_text(nic, "name", e->d_name);
        json_object_set_new(nic, "mac", json_string(mac ? mac : ""));
        set_text(nic, "state", state);
        json_object_set_new(nic, "addresses", nic_addresses(all, e->d_name));
        json_array_append_new(list, nic);
    }
    if (all)
        freeifaddrs(all);
    json_object_set_new(facts, "nics", list);
}

json_t *facts_collect(void)
{
    struct utsname u;
    struct sysinfo si;
    json_t *facts = json_object();

    if (uname(&u) == 0) {
        set_text(facts, "kernel", u.release);
        set_text(facts, "arch", u.machine);
        set_text(facts, "hostname", u.nodename);
    }
    if (sysinfo(&si) == 0)
        json_object_set_new(facts, "memory", json_integer((json_int_t)si.totalram * si.mem_unit));
    add_cpu(facts);
    add_os(facts);
    add_disks(facts);
    add_nics(facts);
    add_routes(facts);
    return facts;
}

void facts_boot_id(char ret[64])
{
    _cleanup_free_ char *text = small_file("/proc/sys/kernel/random/boot_id");

    ret[0] = '\0';
    if (text)
        str_copy(ret, 64, text);
}
