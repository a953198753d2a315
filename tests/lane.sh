#!/bin/bash
# Runs a command as on a machine of its own, so that several local clouds can be at work at once, and
# none meets the one of this machine: network, mounts and processes in namespaces, /var/lib a layer over
# this machine's, /run empty. Outside it reaches what this machine reaches. All of it is gone when the
# command has ended, with whatever still runs. Loop devices and control groups are the machine's, and are
# given back; net.ipv4.ip_forward stays 1.
# usage: lane.sh NUMBER COMMAND…   NUMBER: 1 to 250, one lane each
set -euo pipefail

number=$1
shift
link=mlane$number

# Process 1 of the namespaces. It goes on when the link is there.
inside() {
  mount --make-rprivate /
  awk '$2 ~ "^/var/lib/muster/" {print $2}' /proc/self/mounts | tac | xargs -r umount -l
  mkdir "$dir/cgroup" "$dir/upper" "$dir/work"
  mknod "$dir/upper/muster" c 0 0 # overlayfs: what is there below is not there here
  mount --rbind /sys/fs/cgroup "$dir/cgroup"
  mount -t sysfs sysfs /sys
  mount --move "$dir/cgroup" /sys/fs/cgroup
  mount -t overlay overlay -o "lowerdir=/var/lib,upperdir=$dir/upper,workdir=$dir/work" /var/lib
  mount -t tmpfs -o mode=755 tmpfs /run
  mkdir /run/lock /run/ssh
  # The commands for one guest share a connection: signing in costs more than most of them do. When the
  # guest's machine ends, its kernel closes the connection; else it is given up after twelve seconds.
  mount -t tmpfs tmpfs /etc/ssh/ssh_config.d
  printf '%s\n' 'ControlMaster auto' 'ControlPath /run/ssh/%C' 'ControlPersist 60' \
    'ServerAliveInterval 3' 'ServerAliveCountMax 4' >/etc/ssh/ssh_config.d/lane.conf
  read -r _ <"$dir/go"
  ip link set lo up
  ip addr add "10.254.$number.2/30" dev "$link"
  ip link set "$link" up
  ip route add default via "10.254.$number.1"
  "$@" &
  wait $! # process 1 takes over what others leave behind
}

if [ -n "${MUSTER_LANE_DIR:-}" ]; then
  dir=$MUSTER_LANE_DIR
  unset MUSTER_LANE_DIR
  inside "$@"
  exit
fi

dir=$(mktemp -d "/tmp/$link-XXXXXX")
# What the namespaces do not take along: loop devices by the inodes of their files, which are those of
# the layer, and control groups by the names of the guests.
left_behind() {
  local name inode guest
  while read -r name inode; do
    [ -z "$(find "$dir/upper/muster" -inum "$inode" 2>/dev/null)" ] || losetup -d "$name" || true
  done < <(losetup -l -n -O NAME,BACK-INO)
  for guest in "$dir/upper/muster/vdc/vms"/mvdc-*; do
    find /sys/fs/cgroup -depth -type d -path "*/lxc.*.${guest##*/}*" -exec rmdir {} + 2>/dev/null || true
  done
}
away() {
  [ -z "$lane" ] || kill -9 "$lane" 2>/dev/null || true # and, by --kill-child, all of it
  # The namespace's process 1 ends after all others of it.
  while [ -n "$inner" ] && kill -0 "$inner" 2>/dev/null; do sleep 0.05; done
  left_behind
  nft delete table ip "$link" 2>/dev/null || true
  ip link del "$link" 2>/dev/null || true
  rm -rf "$dir"
}
lane='' inner=''
trap away EXIT
mkfifo "$dir/go"
MUSTER_LANE_DIR=$dir unshare --net --mount --pid --fork --kill-child --mount-proc "$0" "$number" "$@" &
lane=$!
until inner=$(pgrep -P $lane) && [ -n "$inner" ]; do
  kill -0 $lane || exit 1
  sleep 0.05
done
ip link add "$link" type veth peer name "$link" netns "$inner"
ip addr add "10.254.$number.1/30" dev "$link"
ip link set "$link" up
nft -f - <<NFT
table ip $link {
  chain post { type nat hook postrouting priority srcnat; ip saddr 10.254.$number.2 masquerade; }
}
NFT
sysctl -qw net.ipv4.ip_forward=1
echo >"$dir/go"
wait $lane
