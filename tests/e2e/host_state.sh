# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What a local cloud could leave on its machine, in a form that can be compared. Sourced. Of loop
# devices and control groups, which clouds in other lanes share, only those count that carry an id of
# this cloud: a test calls host_ids before it destroys the cloud.
host_known=$(mktemp /tmp/muster-ids-XXXXXX)

host_ids() {
  grep -aohE '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}' /var/lib/muster/vdc/state.db* /var/lib/muster/vdc/calls.log 2>/dev/null |
    cut -c1-8 | sort -u >>"$host_known" || true # one that had no call yet has no log
}

host_state() {
  {
    ip netns list
    ip -br link | awk '{print $1}' | sed 's/@.*//'
    ip route
    ip rule
    awk '{print $2, $3}' /proc/self/mounts
    nft list tables
    cat /proc/sys/net/ipv4/ip_forward
    losetup -l -n -O BACK-FILE | grep -Ff "$host_known" || true
    find /sys/fs/cgroup -type d -name '*mvdc*' 2>/dev/null | grep -Ff "$host_known" || true
    # of this machine's own; the dead that their parent has not asked for yet do not count
    ps -eo pidns=,stat=,comm= |
      awk -v ns="$(readlink /proc/$$/ns/pid | tr -dc 0-9)" \
        '$1 == ns && $2 !~ /^Z/ && $3 ~ /^(dnsmasq|muster|lxc)/ {print $3}'
    ls -d /var/lib/muster /etc/muster /run/muster* /run/netns /run/lxc/lock/var/lib/muster 2>/dev/null || true
  } | grep -v mlane | sort # the lanes of other tests come and go
}
