#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two bare guests (LXC system containers with systemd, one data disk each) in which the agent can
# be tried by hand, without a controller and without the local VDC:
#   agent_host.sh up        make the base root (once), the bridge and both guests, start them
#   agent_host.sh run a CMD...     run a command in guest a (or b)
#   agent_host.sh push a FILE DEST copy a file into it
#   agent_host.sh power a   kill guest a without any warning, then start it again
#   agent_host.sh down      remove guests, disks, bridge and table (the base root stays)
# Everything it makes is called mtest*: it touches nothing else. MTEST_DIR, MTEST_NAME and MTEST_NET
# make a second pair beside the first.
set -eu
DIR=${MTEST_DIR:-/tmp/mtest}
BASE=/tmp/mtest-base.tar # of all pairs
NAME=${MTEST_NAME:-mtest} # at most 10 letters
NET=${MTEST_NET:-10.77.0}
SIZE=$((3 * 1024 * 1024 * 1024))

addr() { [ "$1" = a ] && echo "$NET.11" || echo "$NET.12"; }
volume() { printf '%s-%s' "$NAME" "$1" | md5sum | sed -E 's/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*/\1-\2-4\3-8\4-\5/'; } # its filesystem's UUID comes from it
serial() { volume "$1" | tr -d - | cut -c1-20; }
rootfs() { echo "$DIR/lxc/$NAME-$1/rootfs"; }
pid() { lxc-info -P "$DIR/lxc" -n "$NAME-$1" -p -H; }

base() {
    mkdir -p "$DIR"
    exec 9>"$BASE.lock"
    flock 9
    [ ! -f "$BASE" ] || { exec 9>&-; return; }
    mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Languages "none"' \
        --include=systemd,systemd-sysv,dbus,ifupdown,iproute2,iputils-ping,ca-certificates,procps,e2fsprogs,xfsprogs,fdisk,libzmq5,libsodium23,libjansson4,libmnl0,libmariadb3,libfdisk1,libmount1,libblkid1,curl \
        bookworm "$BASE.tmp.tar"
    mv "$BASE.tmp.tar" "$BASE"
    exec 9>&-
}

network() {
    ip link show "${NAME}br" >/dev/null 2>&1 || ip link add "${NAME}br" type bridge
    ip addr replace "$NET.1/24" dev "${NAME}br"
    ip link set "${NAME}br" up
    sysctl -qw net.ipv4.ip_forward=1
    nft list table ip "$NAME" >/dev/null 2>&1 || nft -f - <<NFT
table ip $NAME {
  chain post { type nat hook postrouting priority srcnat; ip saddr $NET.0/24 ip daddr != $NET.0/24 masquerade; }
}
NFT
}

guest() {
    local n=$NAME-$1 root; root=$(rootfs "$1")
    [ -d "$root" ] && return
    mkdir -p "$root"
    tar -xf "$BASE" -C "$root"
    echo "$n" >"$root/etc/hostname"
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    printf 'auto lo\niface lo inet loopback\nsource /etc/network/interfaces.d/*\nauto eth0\niface eth0 inet static\n address %s/24\n gateway %s.1\n' "$(addr "$1")" "$NET" >"$root/etc/network/interfaces"
    : >"$root/etc/machine-id"
    truncate -s $SIZE "$DIR/$n.disk"
    cat >"$DIR/lxc/$n/config" <<CFG
lxc.include = /usr/share/lxc/config/common.conf
lxc.mount.auto = proc:mixed sys:mixed cgroup:mixed
lxc.apparmor.profile = unconfined
lxc.cgroup.devices.allow = b 7:* rwm
lxc.cgroup.devices.allow = b 259:* rwm
lxc.uts.name = $n
lxc.rootfs.path = dir:$root
lxc.net.0.type = veth
lxc.net.0.link = ${NAME}br
lxc.net.0.name = eth0
lxc.net.0.flags = up
lxc.net.1.type = veth
lxc.net.1.link = ${NAME}br
lxc.net.1.name = eth1
lxc.net.1.hwaddr = 02:77:00:00:01:0$([ "$1" = a ] && echo 1 || echo 2)
CFG
}

start() {
    local n=$NAME-$1 loop
    loop=$(losetup -n -O NAME -j "$DIR/$n.disk" | head -1)
    [ -n "$loop" ] || loop=$(losetup -f --show "$DIR/$n.disk")
    lxc-start -P "$DIR/lxc" -n "$n" -d
    local p minor; p=$(pid "$1"); minor=${loop#/dev/loop}
    # What udev would do: the disk, room for its partition node, the link by serial.
    nsenter -t "$p" -m mknod /dev/sdb b 7 "$minor" 2>/dev/null || true
    nsenter -t "$p" -m mkdir -p /dev/disk/by-id
    nsenter -t "$p" -m ln -sf ../../sdb "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_$(serial "$1")"
    partitions "$1" "$loop" &
}

# The kernel's partitions of the guest's disk, as nodes in the guest, until the guest is gone. In the
# directory of its process 1, which is empty when that has ended; a process for each look would be dear.
partitions() {
    local p numbers part=/sys/block/${2#/dev/}/${2#/dev/}p1/dev
    exec >/dev/null 2>&1 </dev/null
    cd /proc
    while [ -e root/dev/null ] || { p=$(pid "$1") && [ -n "$p" ] && cd "/proc/$p"; }; do
        if [ ! -b root/dev/sdb1 ] && read -r numbers <"$part"; then
            mknod root/dev/sdb1 b "${numbers%:*}" "${numbers#*:}" || true
        fi
        sleep 0.3
    done
}

case "${1:-}" in
base) base ;;
up) base; network; for g in a b; do guest $g; start $g; done ;;
run) g=$2; shift 2; lxc-attach -P "$DIR/lxc" -n "$NAME-$g" --clear-env -v PATH=/usr/sbin:/usr/bin:/sbin:/bin -- "$@" ;;
push) cp "$3" "$(rootfs "$2")$4" ;;
power) lxc-stop -P "$DIR/lxc" -n "$NAME-$2" -k; start "$2" ;;
stop) lxc-stop -P "$DIR/lxc" -n "$NAME-$2" -k ;;
start) start "$2" ;;
volume) volume "$2" ;;
down)
    for g in a b; do
        lxc-stop -P "$DIR/lxc" -n "$NAME-$g" -k 2>/dev/null || true
        for l in $(losetup -n -O NAME -j "$DIR/$NAME-$g.disk" 2>/dev/null); do losetup -d "$l"; done
        # The agent makes the directory below its mount immutable.
        chattr -f -i "$DIR/lxc/$NAME-$g/rootfs/media/"* 2>/dev/null || true
        rm -rf "$DIR/lxc/$NAME-$g" "$DIR/$NAME-$g.disk"
    done
    ip link del "${NAME}br" 2>/dev/null || true
    nft delete table ip "$NAME" 2>/dev/null || true ;;
*) sed -n '3,12p' "$0"; exit 2 ;;
esac
