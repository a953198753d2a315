/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/facts.h"

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
#include "common/str.h"

static char *small_file(const char *path)
{
    struct err err;
    char *text = NULL;
    if (fs_read(path, 65536, &text, NULL, &err) < 0)
        return NULL;
    return str_chomp(text);
}

static void add_os(json_t *facts)
{
    _cleanup_free_ char *text = small_file("/etc/os-release");
    char *save = NULL;
    if (!text)
        return;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (!str_starts(line, "PRETTY_NAME="))
            continue;
        char *value = line + strlen("PRETTY_NAME=");
        size_t len = strlen(value);
        if (len >= 2 && value[0] == '"' && value[len - 1] == '"') {
            value[len - 1] = '\0';
            value++;
        }
        json_object_set_new(facts, "os", json_string(value));
    }
}

static json_t *nic_addresses(const struct ifaddrs *all, const char *name)
{
    json_t *list = json_array();
    for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
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
    for (struct dirent *e; dir && (e = readdir(dir)) && json_array_size(list) < 32;) {
        if (e->d_name[0] == '.' || strcmp(e->d_name, "lo") == 0)
            continue;
        _cleanup_free_ char *path = str_fmt("/sys/class/net/%s/address", e->d_name);
        _cleanup_free_ char *mac = small_file(path);
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:o}", "name", e->d_name, "mac", mac ? mac : "",
                                        "addresses", nic_addresses(all, e->d_name)));
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
        json_object_set_new(facts, "kernel", json_string(u.release));
        json_object_set_new(facts, "arch", json_string(u.machine));
        json_object_set_new(facts, "hostname", json_string(u.nodename));
    }
    if (sysinfo(&si) == 0)
        json_object_set_new(facts, "memory", json_integer((json_int_t)si.totalram * si.mem_unit));
    json_object_set_new(facts, "cpus", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
    add_os(facts);
    add_nics(facts);
    return facts;
}

void facts_boot_id(char ret[64])
{
    _cleanup_free_ char *text = small_file("/proc/sys/kernel/random/boot_id");
    ret[0] = '\0';
    if (text)
        str_copy(ret, 64, text);
}
