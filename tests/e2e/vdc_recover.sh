#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The local cloud after the machine lost everything that ran, and taken down while a process that
# is not ours holds copies of its mounts. Run as root.
# usage: vdc_recover.sh [path of muster-vdc]
set -euo pipefail
shopt -s inherit_errexit

# shellcheck source=tests/e2e/vdc_lib.sh
. "$(dirname "$0")/vdc_lib.sh" "$@"

vm_state() {
    api listVirtualMachines name="$1" | get '.virtualmachine[0].state'
}

# As a restart of the machine without a shutdown: all that runs or is mounted is gone, the files stay.
crash() {
    local f pid keeper
    "$VDC" stop
    for f in "$vms"/*/running; do
        read -r pid _ keeper _ <"$f"
        kill -9 "$keeper" "$pid" 2>/dev/null || true
    done
    for f in /var/lib/muster/vdc/net/*/*.pid; do
        kill -9 "$(cat "$f")" 2>/dev/null || true
    done
    until_ok 10 no_processes
    ip netns list | sed -n 's/^\(mvdc[^ ]*\).*/\1/p' | xargs -r -n1 ip netns del
    ip -o link | sed -n 's/^[0-9]*: \(mvdc[^:@]*\).*/\1/p' | while read -r f; do
        ip link del "$f" 2>/dev/null || true # the other end of one that is gone
    done
    ip route del blackhole 198.51.100.0/24 metric 9999
    nft delete table ip mvdc
    sed -n 's,^[^ ]* \(/var/lib/muster/vdc/[^ ]*\).*,\1,p' /proc/self/mounts | tac | xargs -r -n1 umount
    losetup -ln -O NAME,BACK-FILE | awk '$2 ~ "^/var/lib/muster/vdc/" {print $1}' | while read -r f; do
        [ ! -e "$(cat "/sys/block/${f#/dev/}/loop/backing_file")" ] || losetup -d "$f"
    done
}

# Copies the machine's table of mounts and keeps it until it is killed.
hold() {
    "$@" unshare -m --propagation private sleep 1000 &
    holders+=($!)
    until_ok 5 grep -q sleep /proc/$!/comm
}

let_go() {
    kill "${holders[@]}"
    wait "${holders[@]}" 2>/dev/null || true
    holders=()
}

begin
"$VDC" start
zone=$(api listZones name="Paris (ESX)" | get '.zone[0].id')
template=$(api listTemplates templatefilter=featured zoneid="$zone" | get '.template[0].id')
offering=$(api listServiceOfferings name=1024-1 | get '.serviceoffering[0].id')
disk=$(api listDiskOfferings name=EBS | get '.diskoffering[0].id')
public=$(api createLocalNetwork zonename="Paris (ESX)" cidr=10.1.2.0/24 gateway=10.1.2.1 |
    get '.localnetwork[0].id')
group=$(api createDirectConnectGroup name=dcg-recover | get '.directconnectgroup[0].id')
private=$(api createPrivateDirectConnect zonename="Paris (ESX)" cidr=10.2.2.0/24 gateway=10.2.2.1 \
    dcgid="$group" | get '.privatedirectconnect[0].id')
ids=()
for name in recover-1 recover-2; do
    ids+=("$(api deployVirtualMachine zoneid="$zone" templateid="$template" name="$name" \
        serviceofferingid="$offering" networkids="$public,$private" | get '.virtualmachine.id')")
done
id=${ids[0]}
container=mvdc-${id:0:8}
until_ok 60 guest systemctl is-system-running
volume=$(api createVolume name=data size=2 zoneid="$zone" diskofferingid="$disk" | get .volume.id)
api attachVolume id="$volume" virtualmachineid="$id" >/dev/null
serial=$(tr -d - <<<"$volume" | cut -c1-20)
guest sh -c 'mkfs.ext4 -q /dev/sdb && mount /dev/sdb /mnt && echo kept >/mnt/f && sync'
if [ -e /sys/fs/cgroup/memory/memory.limit_in_bytes ]; then
    # below the group of process 1, which may be any
    limit=$(find /sys/fs/cgroup/memory -path "*/lxc.payload.$container/memory.limit_in_bytes" -exec cat {} +)
    [ "$limit" -eq $((1024 << 20)) ] || fail "the offering's memory is no limit: $limit"
fi
say "two guests, a volume"

crash
say "everything that ran is gone"
"$VDC" start
until_ok 30 ip netns exec "mvdc-${public:0:8}" ping -c1 -W1 198.51.100.1
until_ok 30 ip netns exec "mvdc-g$group-${zone:0:8}" ip addr show "p${private:0:8}"
until_ok 60 guest systemctl is-system-running
until_ok 5 has_link "$serial"
guest mount /dev/sdb /mnt
[ "$(guest cat /mnt/f)" = kept ] || fail "the volume's content after a crash"
until_ok 30 test "$(vm_state recover-1) $(vm_state recover-2)" = "Running Running"
say "routers, guests and volume are back"

# A guest that stopped by itself is not taken for one that the machine lost.
"$VDC" stop
container=mvdc-${ids[1]:0:8}
read -r _ _ keeper _ <"$vms/$container/running"
guest poweroff || true
ended() { ! grep -q '^State:.[^ZX]' "/proc/$keeper/status"; }
until_ok 30 ended
"$VDC" start
[ "$(vm_state recover-2)" = Stopped ] || fail "a guest that stopped by itself is $(vm_state recover-2)"
container=mvdc-${id:0:8}
say "a guest that stopped stays stopped"

# Stopped and started under the eyes of a process that holds copies: its disk must not go with it.
hold
api stopVirtualMachine id="$id" forced=true >/dev/null
api startVirtualMachine id="$id" >/dev/null
let_go
until_ok 60 guest systemctl is-system-running
guest sh -c 'echo on >/root/on && sync' || fail "the root disk went with a foreign process"
say "stop and start with foreign copies"

# Of a volume only what the guest itself has mounted counts.
read -r init _ <"$vms/$container/running"
guest mount /dev/sdb /mnt
hold nsenter -t "$init" -m
if api detachVolume id="$volume" 2>"$tmp/said"; then
    fail "a mounted volume was detached"
fi
grep -q 'it is in use; unmount it in the guest' "$tmp/said" || fail "$(cat "$tmp/said")"
guest umount /mnt
api detachVolume id="$volume" >/dev/null
until_ok 5 guest sh -c '! test -e /dev/sdb'
api attachVolume id="$volume" virtualmachineid="$id" >/dev/null
let_go
has_link "$serial" || fail "the volume went with a foreign process"
guest mount /dev/sdb /mnt
[ "$(guest cat /mnt/f)" = kept ] || fail "the volume's content"
say "detach, attach with foreign copies"

# A network is deleted while its router is being repaired: nothing of it is made again.
going=$(api createLocalNetwork zonename="Paris (ESX)" cidr=10.1.9.0/24 gateway=10.1.9.1 | get '.localnetwork[0].id')
bridge=mvdcb${going:0:8}
until_ok 10 ip link show "$bridge"
pidfile=/var/lib/muster/vdc/net/$going/dnsmasq.pid
until_ok 10 test -s "$pidfile"
lock=/var/lib/muster/vdc/lock/net-$going
waiting() { [ "$(grep -c -- "-> FLOCK .*:$(stat -c %i "$lock") " /proc/locks)" -ge "$1" ]; }
# The taker stays: in a process namespace the table leaves out locks of those who have ended.
flock --no-fork "$lock" sleep 1000 &
taker=$!
held() { ! flock --nonblock "$lock" true; }
until_ok 10 held
api deleteNetwork id="$going" >/dev/null &
deletion=$!
until_ok 10 waiting 1
kill "$(cat "$pidfile")"
until_ok 30 waiting 2
kill $taker
wait $deletion
not_waiting() { ! waiting 1; }
until_ok 10 not_waiting
[ -z "$(api listNetworks id="$going" | jq '.network[0] // empty')" ] || fail "the network is still listed"
for _ in 1 2 3 4 5; do
    ! ip link show "$bridge" >/dev/null 2>&1 || fail "a deleted network's bridge is there"
    sleep 0.2
done
say "a network that was deleted while it was repaired"

# Copies, somebody inside a copy, somebody inside the very mount.
api startVirtualMachine id="${ids[1]}" >/dev/null
hold
for one in "${ids[@]}"; do
    hold env -C "$vms/mvdc-${one:0:8}/rootfs"
    env -C "$vms/mvdc-${one:0:8}/rootfs/root" sleep 1000 &
    holders+=($!)
done
api destroyVirtualMachine id="$id" expunge=true >/dev/null
[ "$(api listVolumes id="$volume" | jq -r '.volume[0].virtualmachineid')" = null ] ||
    fail "the volume is still attached"
if "$VDC" destroy </dev/null 2>"$tmp/said"; then
    fail "destroyed without a question"
fi
grep -q 'holds guests recover-2; volumes data' "$tmp/said" || fail "$(cat "$tmp/said")"
[ "$(vm_state recover-2)" = Running ] || fail "refused, but the guest is gone"
host_ids
"$VDC" destroy -y >/dev/null
let_go
host_as_before
echo "$test: ok"
